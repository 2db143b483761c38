/* Requests: what a stranger can try, one trap a test. */
#include "tests/unit/lib/bus/fixture.h"
#include "tests/unit/lib/bus/raw.h"
#include <zmq.h>

static struct errbuf e;

/* --- authority --- */

static bool add_is_refused(void)
{
	return call_add(NULL, &e) == BUS_NOT_AUTHORIZED && strstr(e.text, "ICH408I USER(U65534) T.NONE.CONTROL");
}

static bool add_works(void)
{
	return call_add(NULL, &e) == BUS_OK;
}

START_TEST(authority_is_that_of_the_uid)
{
	server_start();
	ck_assert(as_uid(OTHER, add_is_refused));
	ck_assert(audit_has("\"type\":80,\"subtype\":2,\"qualifier\":1,\"user\":\"U65534\",\"uid\":65534"));
	ck_assert(audit_has("\"what\":\"defmgr.Add\""));
	ck_assert(add_works());
	fake_saf_rule(OTHER, CONTROL, true);
	ck_assert(as_uid(OTHER, add_works));
	fake_saf_rule(OTHER, CONTROL, false);
	ck_assert(as_uid(OTHER, add_is_refused));
	ck_assert_uint_eq(counter("unauthorized"), 2);
}
END_TEST

START_TEST(no_profile_is_refused)
{
	server_start();
	ck_assert_int_eq(call_add("LEFT", &e), BUS_NOT_AUTHORIZED);
	fake_saf_rule(0, "T.LEFT.CONTROL", true);
	ck_assert_int_eq(call_add("left", &e), BUS_OK); /* upper-cased */
}
END_TEST

START_TEST(field_in_resource_must_be_a_qualifier)
{
	static const char *const bad[] = {"A.B", "*", "A B", "NONE.CONTROL", "A%", "\xc3\xa4", "1234567890123456789012345", "{stack}"};
	server_start();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_eq(call_add(bad[i], &e), BUS_INVALID);
		ck_assert_ptr_nonnull(strstr(e.text, "stack"));
	}
	ck_assert_int_eq(call_add("", &e), BUS_OK);
}
END_TEST

START_TEST(grant_is_audited_when_the_profile_asks)
{
	Defmgr__AddRequest r = DEFMGR__ADD_REQUEST__INIT;
	server_start();
	ck_assert(add_works());
	ck_assert(!audit_has("\"rc\":0"));
	ck_assert_int_eq(call_text("defmgr.AddGlobal", &r.base, &defmgr__add_reply__descriptor, 5000, NULL, &e), BUS_OK);
	ck_assert(audit_has("\"rc\":0,\"what\":\"defmgr.AddGlobal\""));
	server_stop(SIGTERM);
	uint64_t line, seq;
	ck_assert_int_eq(audit_verify(audit_path, &line, &seq), AUDIT_OK);
}
END_TEST

START_TEST(handler_can_ask_for_more)
{
	Defmgr__DeleteRequest r = DEFMGR__DELETE_REQUEST__INIT;
	server_start();
	ck_assert_int_eq(
		call_text("defmgr.DeleteGlobal", &r.base, &defmgr__change_reply__descriptor, 5000, NULL, &e), BUS_NOT_AUTHORIZED);
	ck_assert(audit_has("T.MORE"));
	fake_saf_rule(0, "T.MORE", true);
	ck_assert_int_eq(call_text("defmgr.DeleteGlobal", &r.base, &defmgr__change_reply__descriptor, 5000, NULL, &e), BUS_OK);
}
END_TEST

static bool counters_work(void)
{
	return counter("requests") != UINT32_MAX;
}

START_TEST(any_needs_no_authority)
{
	server_start();
	ck_assert(as_uid(OTHER, counters_work));
}
END_TEST

/* --- a raw peer --- */

/* Frames: call id, status[, body]. The status code, or -1. */
static int raw_add(int fd)
{
	static const uint8_t request[] = "\1\12defmgr.Add\1\1X\0\0";
	uint8_t in[256];
	if (write(fd, request, sizeof(request) - 1) != (ssize_t)sizeof(request) - 1)
		return -1;
	if (!read_all(fd, in, 2) || in[1] != 1 || !read_all(fd, in, 1) || in[0] != 'X' || !read_all(fd, in, 2) ||
		!read_all(fd, in + 2, in[1]))
		return -1;
	return in[1] >= 2 && in[2] == 8 ? in[3] : -1;
}

static bool forged_root_is_refused(void)
{
	int fd = raw_connect("");
	return fd >= 0 && raw_add(fd) == BUS_NOT_AUTHORIZED;
}

START_TEST(forged_identity_changes_nothing)
{
	server_start();
	ck_assert(as_uid(OTHER, forged_root_is_refused));
	int fd = raw_connect("");
	ck_assert_int_eq(raw_add(fd), BUS_OK); /* as uid 0 the same bytes work: the refusal was for the uid */
	(void)close(fd);
}
END_TEST

/* The first of two peers that take the same routing id would receive what is meant for the second. */
START_TEST(squatted_routing_id_gets_nothing)
{
	server_start();
	int fd = raw_connect("testD-client");
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(raw_add(fd), -1);
	(void)close(fd);
	ck_assert(add_works());
	ck_assert_uint_eq(counter("refused"), 1);
}
END_TEST

/* --- requests that are none --- */

static void *dealer(void *ctx)
{
	char address[PATH_TEXT_MAX + 8], path[PATH_TEXT_MAX];
	int ms = 20000; /* a busy machine answers late; what expects no answer sets its own limit */
	void *d = zmq_socket(ctx, ZMQ_DEALER);
	(void)snprintf(address, sizeof(address), "ipc://%s", path_make(path, "/run/ravelin/testD/rpc"));
	zmq_setsockopt(d, ZMQ_RCVTIMEO, &ms, sizeof(ms));
	ms = 0;
	zmq_setsockopt(d, ZMQ_LINGER, &ms, sizeof(ms));
	ck_assert_int_eq(zmq_connect(d, address), 0);
	return d;
}

static int reply_code(void *d)
{
	char id[64], status[512], rest[64];
	int more = 0, code = -1;
	size_t len = sizeof(more);
	if (zmq_recv(d, id, sizeof(id), 0) < 0)
		return -1;
	int n = zmq_recv(d, status, sizeof(status), 0);
	Common__Status *s = common__status__unpack(NULL, (size_t)n, (uint8_t *)status);
	if (s)
		code = (int)s->code;
	if (s)
		common__status__free_unpacked(s, NULL);
	while (!zmq_getsockopt(d, ZMQ_RCVMORE, &more, &len) && more)
		(void)zmq_recv(d, rest, sizeof(rest), 0);
	return code;
}

static int try_request(void *d, const char *method, size_t id_len, const void *body, size_t len)
{
	char id[64] = "0123456789abcdef";
	zmq_send(d, method, strlen(method), ZMQ_SNDMORE);
	zmq_send(d, id, id_len, ZMQ_SNDMORE);
	zmq_send(d, body, len, 0);
	return reply_code(d);
}

START_TEST(what_is_no_request_is_refused_and_counted)
{
	void *ctx = zmq_ctx_new(), *d = dealer(ctx);
	int ms = 100;
	server_start();
	ck_assert_int_eq(try_request(d, "defmgr.Nothing", 4, "", 0), BUS_NO_METHOD);
	ck_assert_int_eq(try_request(d, "", 4, "", 0), BUS_NO_METHOD);
	ck_assert_int_eq(try_request(d, "Add", 4, "", 0), BUS_NO_METHOD);
	ck_assert_int_eq(try_request(d, "defmgr.Add", 4, "\xff", 1), BUS_INVALID);
	ck_assert_int_eq(try_request(d, "defmgr.Add", 4, "\x0a\x05" "ab", 4), BUS_INVALID);      /* cut short */
	ck_assert_int_eq(try_request(d, "defmgr.Add", 4, "\x0a\x02\xff\xfe", 4), BUS_INVALID);   /* not UTF-8 */
	ck_assert_int_eq(try_request(d, "defmgr.Add", 4, "\x0a\x03" "a\0b", 5), BUS_INVALID);    /* NUL inside */
	ck_assert_int_eq(try_request(d, "defmgr.Update", 4, "\x18\x63", 2), BUS_INVALID);	 /* mode 99 */
	ck_assert_int_eq(try_request(d, "defmgr.Add", 16, "", 0), BUS_OK);
	zmq_send(d, "defmgr.Add", 10, ZMQ_SNDMORE); /* five frames */
	zmq_send(d, "id", 2, ZMQ_SNDMORE);
	zmq_send(d, "", 0, ZMQ_SNDMORE);
	zmq_send(d, "", 0, 0);
	ck_assert_int_eq(reply_code(d), BUS_INVALID);
	zmq_send(d, "defmgr.Add", 10, ZMQ_SNDMORE); /* three */
	zmq_send(d, "id", 2, 0);
	ck_assert_int_eq(reply_code(d), BUS_INVALID);
	zmq_setsockopt(d, ZMQ_RCVTIMEO, &ms, sizeof(ms)); /* without a usable call id there is no answer */
	zmq_send(d, "defmgr.Add", 10, 0);
	ck_assert_int_eq(reply_code(d), -1);
	ck_assert_int_eq(try_request(d, "defmgr.Add", 17, "", 0), -1);
	ck_assert_int_eq(try_request(d, "defmgr.Add", 0, "", 0), -1);
	ck_assert_uint_eq(counter("malformed"), 13);
	ck_assert(add_works());
	zmq_close(d);
	zmq_ctx_term(ctx);
}
END_TEST

START_TEST(oversized_message_closes_that_connection_only)
{
	void *ctx = zmq_ctx_new(), *d = dealer(ctx), *good = dealer(ctx);
	char *big = xcalloc(1, BUS_MESSAGE_MAX + 1);
	int ms = 300;
	server_start();
	ck_assert_int_eq(try_request(good, "defmgr.Add", 4, "", 0), BUS_OK);
	zmq_setsockopt(d, ZMQ_RCVTIMEO, &ms, sizeof(ms));
	ck_assert_int_eq(try_request(d, "defmgr.Add", 4, big, BUS_MESSAGE_MAX + 1), -1);
	ck_assert_int_eq(try_request(good, "defmgr.Add", 4, "", 0), BUS_OK);
	free(big);
	zmq_close(d);
	zmq_close(good);
	zmq_ctx_term(ctx);
}
END_TEST

/* 1 MiB of empty filters would be 75 MB of structs. */
START_TEST(amplification_is_refused)
{
	void *ctx = zmq_ctx_new(), *d = dealer(ctx);
	uint8_t *body = xcalloc(1, BUS_MESSAGE_MAX);
	for (size_t i = 0; i < BUS_MESSAGE_MAX; i += 2)
		body[i] = 0x12;
	server_start();
	ck_assert_int_eq(try_request(d, "defmgr.Add", 4, body, BUS_MESSAGE_MAX), BUS_INVALID);
	ck_assert(add_works());
	free(body);
	zmq_close(d);
	zmq_ctx_term(ctx);
}
END_TEST

/* --- time --- */

static unsigned got_ok;
static void count_ok(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply)
{
	(void)arg, (void)text;
	got_ok += code == BUS_OK && reply;
}

/* A reader that takes one message an event would stall here after a few. */
START_TEST(thousands_in_flight_do_not_stall)
{
	Defmgr__AddRequest r = DEFMGR__ADD_REQUEST__INIT;
	struct loop *l = loop_new();
	struct bus_client *c = bus_client_new(l, "testD");
	server_start();
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 500; i++)
			bus_client_call(c, "defmgr.Add", &r.base, &defmgr__add_reply__descriptor, 10000, count_ok, NULL);
		for (uint64_t end = loop_now_ms() + 10000; got_ok < (round + 1) * 500 && loop_now_ms() < end;)
			(void)loop_run_once(l, 100);
		ck_assert_uint_eq(got_ok, (round + 1) * 500);
	}
	bus_client_free(c);
	loop_free(l);
	uint32_t bursts = counter("flushed"), requests = counter("requests");
	ck_assert_uint_gt(bursts, 0);
	ck_assert_uint_le(bursts, requests);
}
END_TEST

START_TEST(answer_may_come_later)
{
	Defmgr__DeleteRequest r = DEFMGR__DELETE_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	server_start();
	ck_assert_int_eq(call_text("defmgr.Delete", &r.base, &defmgr__change_reply__descriptor, 5000, &m, &e), BUS_OK);
	ck_assert_uint_eq(((Defmgr__ChangeReply *)m)->changed, 77);
	protobuf_c_message_free_unpacked(m, NULL);
}
END_TEST

START_TEST(error_of_a_handler_arrives_with_its_text)
{
	Defmgr__ListRequest r = DEFMGR__LIST_REQUEST__INIT;
	server_start();
	ck_assert_int_eq(call_text("defmgr.ListGlobal", &r.base, &defmgr__list_reply__descriptor, 5000, NULL, &e), BUS_NOT_FOUND);
	ck_assert_str_eq(e.text, "no filter of user U0");
}
END_TEST

START_TEST(answer_too_large_is_an_error)
{
	Defmgr__ListRequest r = DEFMGR__LIST_REQUEST__INIT;
	server_start();
	r.has_limit = 1;
	r.limit = 40000;
	ck_assert_int_eq(call_text("defmgr.List", &r.base, &defmgr__list_reply__descriptor, 5000, NULL, &e), BUS_LIMIT);
}
END_TEST

/* 3000 answers of 400 KB to somebody who does not read: the server neither waits nor keeps them all. */
START_TEST(client_that_never_reads_hurts_nobody)
{
	void *ctx = zmq_ctx_new(), *d = dealer(ctx);
	int small = 10;
	uint8_t body[] = {0x20, 0xc8, 0x01}; /* limit 200 */
	server_start();
	zmq_setsockopt(d, ZMQ_RCVHWM, &small, sizeof(small));
	void *deaf = dealer(ctx);
	for (unsigned i = 0; i < 3000; i++) {
		zmq_send(deaf, "defmgr.List", 11, ZMQ_SNDMORE);
		zmq_send(deaf, "id", 2, ZMQ_SNDMORE);
		zmq_send(deaf, body, sizeof(body), 0);
	}
	uint64_t start = loop_now_ms();
	ck_assert(add_works());
	ck_assert_uint_lt(loop_now_ms() - start, 3000);
	for (unsigned i = 0; i < 50 && counter("requests") < 3000; i++)
		(void)usleep(50000);
	ck_assert_uint_gt(counter("replies_dropped"), 0);
	zmq_close(deaf);
	zmq_close(d);
	zmq_ctx_term(ctx);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bus server");
	TCase *t = tcase_create("requests");
	tcase_add_checked_fixture(t, bus_setup, bus_teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, authority_is_that_of_the_uid);
	tcase_add_test(t, no_profile_is_refused);
	tcase_add_test(t, field_in_resource_must_be_a_qualifier);
	tcase_add_test(t, grant_is_audited_when_the_profile_asks);
	tcase_add_test(t, handler_can_ask_for_more);
	tcase_add_test(t, any_needs_no_authority);
	tcase_add_test(t, forged_identity_changes_nothing);
	tcase_add_test(t, squatted_routing_id_gets_nothing);
	tcase_add_test(t, what_is_no_request_is_refused_and_counted);
	tcase_add_test(t, oversized_message_closes_that_connection_only);
	tcase_add_test(t, amplification_is_refused);
	tcase_add_test(t, thousands_in_flight_do_not_stall);
	tcase_add_test(t, answer_may_come_later);
	tcase_add_test(t, error_of_a_handler_arrives_with_its_text);
	tcase_add_test(t, answer_too_large_is_an_error);
	tcase_add_test(t, client_that_never_reads_hurts_nobody);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
