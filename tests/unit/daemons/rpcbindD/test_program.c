/* Program 100000 as a client meets it: bytes in, bytes out, for each procedure of versions 2, 3 and 4. */
#include "tests/support/check_main.h"
#include "tests/unit/daemons/rpcbindD/doubles.h"
#include <malloc.h>

enum { SET = 1, UNSET, GETADDR, DUMP, CALLIT, GETTIME, UADDR2TADDR, TADDR2UADDR, GETVERSADDR, INDIRECT, GETADDRLIST, GETSTAT };

static struct rb_conf conf;
static struct daemon daemon_;
static struct rpcbind rb;
static uint8_t reply[RB_REPLY_MAX];
static size_t reply_len;
static struct rb_caller who;

static struct addr address(const char *text)
{
	struct addr a;
	ck_assert_int_eq(addr_parse(text, &a), 0);
	return a;
}

static void come_from(enum netid n, bool local, const char *from, const char *here)
{
	who = (struct rb_caller){.netid = n, .local = local, .uid = -1, .port = 700, .here_port = 111, .room = SIZE_MAX, .addr = address(from), .here = address(here)};
}

static void setup(void)
{
	log_set_level(LOG_L_ERROR);
	memset(&doubles, 0, sizeof(doubles));
	conf = (struct rb_conf){.registrations = 8, .user_registrations = 3, .remote.enabled = true};
	rb = (struct rpcbind){.daemon = &daemon_, .conf = &conf, .registry = registry_new(8)};
	come_from(NETID_UDP, true, "127.0.0.1", "127.0.0.1");
}

static void teardown(void)
{
	registry_free(rb.registry);
}

/* The head of a call; arguments are written behind it. */
static struct wr begin(uint8_t *text, size_t size, uint32_t vers, uint32_t proc)
{
	struct wr w = wr_init(text, size);
	const uint32_t words[6] = {77, 0, 2, 100000, vers, proc};
	for (size_t i = 0; i < 6; i++)
		wr_u32(&w, words[i]);
	wr_zero(&w, 16);
	return w;
}

static enum rb_outcome run(const uint8_t *text, size_t len)
{
	struct rb_caller c = who;
	struct wr w = wr_init(reply, sizeof(reply));
	c.request_len = len;
	enum rb_outcome o = rb_serve(&rb, &c, text, len, &w);
	if (o == RB_REPLY && c.tail_len)
		wr_bytes(&w, c.tail, c.tail_len);
	ck_assert(wr_ok(&w));
	reply_len = wr_len(&w);
	return o;
}

/* The accept_stat of the reply; the reader stands behind it. */
static uint32_t accepted(struct rd *r)
{
	*r = rd_init(reply, reply_len);
	ck_assert_uint_eq(rd_u32(r), 77);
	ck_assert_uint_eq(rd_u32(r), 1);
	ck_assert_uint_eq(rd_u32(r), 0);
	ck_assert_uint_eq(rd_u32(r), 0);
	ck_assert_uint_eq(rd_u32(r), 0);
	uint32_t s = rd_u32(r);
	ck_assert(rd_ok(r));
	return s;
}

static uint32_t map4(uint32_t proc, uint32_t prog, uint32_t vers, uint32_t prot, uint32_t port)
{
	uint8_t text[128];
	struct rd r;
	struct wr w = begin(text, sizeof(text), 2, proc);
	wr_u32(&w, prog);
	wr_u32(&w, vers);
	wr_u32(&w, prot);
	wr_u32(&w, port);
	ck_assert_int_eq(run(text, wr_len(&w)), RB_REPLY);
	if (accepted(&r) != ACCEPT_SUCCESS)
		return 0xffffffff;
	uint32_t v = rd_u32(&r);
	ck_assert(rd_ok(&r) && !rd_left(&r));
	return v;
}

static void rpcb_call(uint32_t version, uint32_t proc, uint32_t prog, uint32_t vers, const char *netid, const char *uaddr)
{
	uint8_t text[1024];
	struct wr w = begin(text, sizeof(text), version, proc);
	wr_u32(&w, prog);
	wr_u32(&w, vers);
	xdr_put_text(&w, netid);
	xdr_put_text(&w, uaddr);
	xdr_put_text(&w, "me, I swear");
	ck_assert_int_eq(run(text, wr_len(&w)), RB_REPLY);
}

static uint32_t answer(void)
{
	struct rd r;
	ck_assert_uint_eq(accepted(&r), ACCEPT_SUCCESS);
	uint32_t v = rd_u32(&r);
	ck_assert(rd_ok(&r) && !rd_left(&r));
	return v;
}

static const char *text_answer(void)
{
	static char out[UADDR_TEXT_MAX];
	struct rd r;
	ck_assert_uint_eq(accepted(&r), ACCEPT_SUCCESS);
	ck_assert(xdr_get_text(&r, out, UADDR_MAX));
	ck_assert(rd_ok(&r) && !rd_left(&r));
	return out;
}

static const char *get(uint32_t version, uint32_t proc, uint32_t prog, uint32_t vers)
{
	rpcb_call(version, proc, prog, vers, "tcp", "");
	return text_answer();
}

static uint32_t set(uint32_t version, uint32_t prog, uint32_t vers, const char *netid, const char *uaddr)
{
	rpcb_call(version, SET, prog, vers, netid, uaddr);
	return answer();
}

static uint32_t unset(uint32_t version, uint32_t prog, uint32_t vers, const char *netid)
{
	rpcb_call(version, UNSET, prog, vers, netid, "");
	return answer();
}

START_TEST(set_refused)
{
	doubles.forbid = true;
	ck_assert_uint_eq(map4(SET, 200000, 1, 17, 5000), 0);
	ck_assert_uint_eq(set(4, 200000, 1, "udp", "0.0.0.0.19.136"), 0);
	doubles.forbid = false;
	come_from(NETID_UDP, false, "192.0.2.9", "192.0.2.1");
	ck_assert_uint_eq(set(4, 200000, 1, "udp", "0.0.0.0.19.136"), 0);
	ck_assert_uint_eq(doubles.asked, 3);
	come_from(NETID_UDP, true, "127.0.0.1", "127.0.0.1");
	ck_assert_uint_eq(map4(SET, 200000, 1, 132, 5000), 0);	 /* no such protocol */
	ck_assert_uint_eq(map4(SET, 200000, 1, 17, 0), 0);	 /* no port */
	ck_assert_uint_eq(set(3, 200000, 1, "sctp", "0.0.0.0.19.136"), 0);
	ck_assert_uint_eq(set(3, 200000, 1, "udp6", "0.0.0.0.19.136"), 0);
	ck_assert_uint_eq(set(3, 200000, 1, "tcp", "::ffff:1.2.3.4.4.0"), 0);
	ck_assert_uint_eq(set(3, 200000, 1, "udp", ""), 0);
	ck_assert_uint_eq(set(3, 100000, 1, "udp", "0.0.0.0.19.136"), 0);
	doubles.store_fails = true;
	ck_assert_uint_eq(set(3, 200000, 1, "udp", "0.0.0.0.19.136"), 0);
	ck_assert_uint_eq(registry_count(rb.registry), 0);
	ck_assert_uint_eq(doubles.stored, 0);
	ck_assert_uint_eq(doubles.published, 0);
}
END_TEST

START_TEST(set_get_unset)
{
	ck_assert_uint_eq(map4(SET, 200000, 1, 17, 5000), 1);
	ck_assert_uint_eq(map4(SET, 200000, 1, 17, 5001), 0); /* it is there, with another address */
	ck_assert_str_eq(doubles.topic, "rpcbind.set");
	ck_assert_uint_eq(map4(GETADDR, 200000, 1, 17, 0), 5000);
	ck_assert_uint_eq(map4(GETADDR, 200000, 1, 6, 0), 0);
	ck_assert_uint_eq(map4(GETADDR, 200000, 1, 99, 0), 0);
	ck_assert_uint_eq(map4(GETADDR, 200000, 9, 17, 0), 5000); /* the server says which versions it has */
	ck_assert_uint_eq(set(3, 200000, 1, "tcp", "0.0.0.0.19.137"), 1);
	ck_assert_uint_eq(set(4, 200000, 1, "tcp6", "::.19.138"), 1);
	ck_assert_uint_eq(doubles.stored, 3);
	ck_assert_uint_eq(unset(4, 200000, 1, "udp6"), 0);
	ck_assert_uint_eq(unset(4, 200000, 2, ""), 0);
	ck_assert_uint_eq(unset(4, 200000, 1, "tcp"), 1);
	ck_assert_uint_eq(map4(GETADDR, 200000, 1, 6, 0), 0);
	ck_assert_uint_eq(map4(UNSET, 200000, 1, 6, 4), 1); /* protocol and port do not matter; IPv6 stays */
	ck_assert_uint_eq(registry_count(rb.registry), 1);
	ck_assert_str_eq(doubles.topic, "rpcbind.unset");
	ck_assert_uint_eq(unset(3, 200000, 1, ""), 1);
	ck_assert_uint_eq(registry_count(rb.registry), 0);
	ck_assert_uint_eq(doubles.stored, 0);
}
END_TEST

START_TEST(owners)
{
	doubles.uid = 1000;
	ck_assert_uint_eq(set(4, 200000, 1, "udp", "0.0.0.0.19.136"), 1);
	doubles.uid = 1001;
	ck_assert_uint_eq(unset(4, 200000, 1, "udp"), 0);
	ck_assert_uint_eq(set(4, 200000, 1, "udp", "0.0.0.0.19.136"), 0);
	ck_assert_uint_eq(set(4, 200000, 1, "tcp", "0.0.0.0.19.136"), 1);
	ck_assert_uint_eq(registry_count(rb.registry), 2);
	doubles.uid = 1000;
	ck_assert_uint_eq(unset(4, 200000, 1, "tcp"), 0);
	doubles.uid = 0; /* the superuser takes out all */
	ck_assert_uint_eq(unset(4, 200000, 1, ""), 1);
	ck_assert_uint_eq(registry_count(rb.registry), 0);
}
END_TEST

START_TEST(bounds)
{
	doubles.uid = 1000;
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_uint_eq(set(4, 200000 + i, 1, "udp", "0.0.0.0.19.136"), i < 3);
	doubles.uid = 1001;
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_uint_eq(set(4, 300000 + i, 1, "udp", "0.0.0.0.19.136"), i < 3);
	ck_assert_uint_eq(doubles.limited, 2);
	doubles.uid = 0; /* root has no share, but the table has an end */
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_uint_eq(set(4, 400000 + i, 1, "udp", "0.0.0.0.19.136"), i < 2);
	ck_assert_uint_eq(registry_count(rb.registry), 8);
}
END_TEST

START_TEST(addresses_are_those_the_client_can_use)
{
	ck_assert_uint_eq(set(4, 200000, 1, "udp", "0.0.0.0.19.136"), 1);
	ck_assert_uint_eq(set(4, 200000, 1, "udp6", "::.19.137"), 1);
	ck_assert_uint_eq(set(4, 200000, 2, "udp", "198.51.100.7.19.136"), 1);
	come_from(NETID_UDP, false, "192.0.2.9", "192.0.2.1");
	ck_assert_str_eq(get(3, GETADDR, 200000, 1), "192.0.2.1.19.136"); /* by the transport of the call, whatever netid it names */
	ck_assert_str_eq(get(4, GETADDR, 200000, 2), "198.51.100.7.19.136");
	ck_assert_str_eq(get(4, GETADDR, 200001, 1), "");
	ck_assert_str_ne(get(4, GETADDR, 200000, 3), "");
	ck_assert_str_eq(get(4, GETVERSADDR, 200000, 3), "");
	ck_assert_str_eq(get(4, GETVERSADDR, 200000, 1), "192.0.2.1.19.136");
	come_from(NETID_UDP6, false, "2001:db8::9", "2001:db8::1");
	ck_assert_str_eq(get(4, GETADDR, 200000, 1), "2001:db8::1.19.137");
	come_from(NETID_TCP6, false, "2001:db8::9", "2001:db8::1");
	ck_assert_str_eq(get(4, GETADDR, 200000, 1), "");
}
END_TEST

START_TEST(versions_and_procedures_that_are_none)
{
	static const struct {
		uint32_t vers, first;
	} past[] = {{2, 6}, {3, 9}, {4, 13}};
	uint8_t text[128];
	struct rd r;
	for (size_t i = 0; i < 3; i++) {
		for (uint32_t proc = past[i].first; proc < 40; proc++) {
			struct wr w = begin(text, sizeof(text), past[i].vers, proc);
			ck_assert_int_eq(run(text, wr_len(&w)), RB_REPLY);
			ck_assert_uint_eq(accepted(&r), ACCEPT_PROC_UNAVAIL);
		}
	}
	static const uint32_t versions[] = {0, 1, 5, 0xffffffff};
	for (size_t i = 0; i < 4; i++) {
		struct wr w = begin(text, sizeof(text), versions[i], 0);
		ck_assert_int_eq(run(text, wr_len(&w)), RB_REPLY);
		ck_assert_uint_eq(accepted(&r), ACCEPT_PROG_MISMATCH);
		ck_assert_uint_eq(rd_u32(&r), 2);
		ck_assert_uint_eq(rd_u32(&r), 4);
	}
	struct wr w = begin(text, sizeof(text), 2, 0);
	text[15] ^= 1; /* another program */
	ck_assert_int_eq(run(text, wr_len(&w)), RB_REPLY);
	ck_assert_uint_eq(accepted(&r), ACCEPT_PROG_UNAVAIL);
}
END_TEST

/* Arguments cut at every unit: GARBAGE_ARGS and nothing done; for target assistance, whose callers may be many, silence but for INDIRECT. */
START_TEST(arguments_cut_short)
{
	for (uint32_t vers = 2; vers <= 4; vers++) {
		for (uint32_t proc = 1; proc <= (vers == 2 ? 5u : vers == 3 ? 8u : 11u); proc++) {
			if (proc == DUMP || proc == GETTIME)
				continue;
			uint8_t text[256], cut[256];
			struct rd r;
			struct wr w = begin(text, sizeof(text), vers, proc);
			size_t head = wr_len(&w);
			if (proc == UADDR2TADDR) {
				xdr_put_text(&w, "1.2.3.4.5.6");
			} else {
				wr_u32(&w, proc == TADDR2UADDR ? 16 : 200000);
				if (proc == TADDR2UADDR)
					xdr_put_bytes(&w, "0123456789abcdef", 16);
				else
					for (unsigned i = 0; i < 3; i++)
						wr_u32(&w, i == 2 && vers > 2 && proc != CALLIT && proc != INDIRECT ? 1 : 0x10000000);
			}
			for (size_t n = head; n < wr_len(&w); n++) {
				memcpy(cut, text, n);
				enum rb_outcome o = run(cut, n);
				if (proc == CALLIT) {
					ck_assert_int_eq(o, RB_SILENT);
					continue;
				}
				ck_assert_int_eq(o, RB_REPLY);
				ck_assert_msg(accepted(&r) == ACCEPT_GARBAGE_ARGS, "version %u procedure %u, %zu bytes", vers, proc, n);
				ck_assert_uint_eq(rd_left(&r), 0);
			}
		}
	}
	ck_assert_uint_eq(registry_count(rb.registry), 0);
	ck_assert_uint_eq(doubles.asked, 0);
}
END_TEST

/* What is allocated, touched or not. (Under ASan nothing is told here; there it is the leak check that would fail.) */
static size_t allocated(void)
{
	struct mallinfo2 m = mallinfo2();
	return m.uordblks + m.hblkhd;
}

/* CVE-2017-8779: strings that claim gigabytes made rpcbind allocate them and never free. */
START_TEST(claims_cost_nothing)
{
	static const uint32_t claims[] = {0xffffffff, 0xfffffffc, 0x80000000, 0x7fffffff, 0x40000000, 1000000};
	static const uint32_t procs[] = {SET, UNSET, GETADDR, CALLIT, UADDR2TADDR, TADDR2UADDR, GETVERSADDR, INDIRECT, GETADDRLIST};
	size_t before = allocated();
	for (unsigned times = 0; times < 200; times++) {
		for (size_t i = 0; i < sizeof(claims) / sizeof(*claims); i++) {
			for (size_t k = 0; k < sizeof(procs) / sizeof(*procs); k++) {
				uint8_t text[128];
				struct wr w = begin(text, sizeof(text), 4, procs[k]);
				for (unsigned n = procs[k] == UADDR2TADDR ? 0 : procs[k] == TADDR2UADDR ? 1 : procs[k] == CALLIT || procs[k] == INDIRECT ? 3 : 2; n; n--)
					wr_u32(&w, 200000);
				wr_u32(&w, claims[i]);
				wr_u32(&w, 0);
				struct rd r;
				if (run(text, wr_len(&w)) == RB_REPLY)
					ck_assert_uint_eq(accepted(&r), ACCEPT_GARBAGE_ARGS);
				else
					ck_assert_uint_eq(procs[k], CALLIT);
			}
		}
	}
	ck_assert_uint_lt(allocated(), before + 65536);
}
END_TEST

/* What does not fit the room that the transport gave is an error of a few bytes, never a part. */
START_TEST(room)
{
	uint8_t text[128];
	struct rd r;
	for (uint32_t i = 0; i < 8; i++)
		ck_assert_uint_eq(set(4, 200000 + i, 1, "udp", "0.0.0.0.19.136"), 1);
	struct wr w = begin(text, sizeof(text), 2, DUMP);
	ck_assert_int_eq(run(text, wr_len(&w)), RB_REPLY);
	ck_assert_uint_eq(accepted(&r), ACCEPT_SUCCESS);
	ck_assert_uint_eq(reply_len, 24 + 8 * 20 + 4);
	for (who.room = 24; who.room < 24 + 8 * 20 + 4; who.room++) {
		ck_assert_int_eq(run(text, wr_len(&w)), RB_REPLY);
		ck_assert_uint_eq(accepted(&r), ACCEPT_SYSTEM_ERR);
		ck_assert_uint_eq(reply_len, 24);
	}
	ck_assert_int_eq(run(text, wr_len(&w)), RB_REPLY);
	ck_assert_uint_eq(accepted(&r), ACCEPT_SUCCESS);
}
END_TEST

START_TEST(netbufs)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(2049), .sin_addr.s_addr = htonl(0xc0000201)};
	uint8_t text[256];
	struct rd r;
	size_t len;
	struct wr w = begin(text, sizeof(text), 3, UADDR2TADDR);
	xdr_put_text(&w, "192.0.2.1.8.1");
	ck_assert_int_eq(run(text, wr_len(&w)), RB_REPLY);
	ck_assert_uint_eq(accepted(&r), ACCEPT_SUCCESS);
	(void)rd_u32(&r);
	const uint8_t *p = xdr_get_bytes(&r, 128, &len);
	ck_assert_uint_eq(len, sizeof(v4));
	ck_assert_mem_eq(p, &v4, sizeof(v4));
	w = begin(text, sizeof(text), 3, TADDR2UADDR);
	wr_u32(&w, sizeof(v4));
	xdr_put_bytes(&w, &v4, sizeof(v4));
	ck_assert_int_eq(run(text, wr_len(&w)), RB_REPLY);
	ck_assert_str_eq(text_answer(), "192.0.2.1.8.1");
	w = begin(text, sizeof(text), 3, TADDR2UADDR);
	wr_u32(&w, 4);
	xdr_put_bytes(&w, "none", 4);
	ck_assert_int_eq(run(text, wr_len(&w)), RB_REPLY);
	ck_assert_str_eq(text_answer(), "");
}
END_TEST

/* Numbers as rpcinfo -m prints them. */
START_TEST(statistics)
{
	uint8_t text[128];
	struct rd r;
	ck_assert_uint_eq(set(3, 200000, 1, "udp", "0.0.0.0.19.136"), 1);
	(void)get(3, GETADDR, 200000, 1);
	(void)get(3, GETADDR, 200000, 1);
	(void)get(3, GETADDR, 200001, 1);
	ck_assert_uint_eq(unset(3, 200009, 1, ""), 0);
	struct wr w = begin(text, sizeof(text), 4, GETSTAT);
	ck_assert_int_eq(run(text, wr_len(&w)), RB_REPLY);
	ck_assert_uint_eq(accepted(&r), ACCEPT_SUCCESS);
	for (unsigned version = 2; version <= 4; version++) {
		uint32_t info[13];
		for (unsigned i = 0; i < 13; i++)
			info[i] = rd_u32(&r);
		bool three = version == 3;
		ck_assert_uint_eq(info[SET], three);
		ck_assert_uint_eq(info[UNSET], three);
		ck_assert_uint_eq(info[GETADDR], three ? 3 : 0);
		ck_assert_uint_eq(info[GETSTAT], version == 4);
		ck_assert_uint_eq(rd_u32(&r), three); /* setinfo */
		ck_assert_uint_eq(rd_u32(&r), 0);
		if (three) {
			static const uint32_t want[2][5] = {{1, 200000, 1, 2, 0}, {1, 200001, 1, 0, 1}};
			for (unsigned i = 0; i < 2; i++) {
				char netid[17];
				for (unsigned k = 0; k < 5; k++)
					ck_assert_uint_eq(rd_u32(&r), want[i][k]);
				ck_assert(xdr_get_text(&r, netid, 16));
				ck_assert_str_eq(netid, "udp");
			}
		}
		ck_assert_uint_eq(rd_u32(&r), 0);
		ck_assert_uint_eq(rd_u32(&r), 0); /* no calls for others */
	}
	ck_assert(rd_ok(&r) && !rd_left(&r));
}
END_TEST

static enum rb_outcome callit(uint32_t vers, uint32_t proc, uint32_t prog, uint32_t target_proc)
{
	uint8_t text[256];
	struct wr w = begin(text, sizeof(text), vers, proc);
	wr_u32(&w, prog);
	wr_u32(&w, 1);
	wr_u32(&w, target_proc);
	xdr_put_text(&w, "hello");
	return run(text, wr_len(&w));
}

START_TEST(calls_for_others)
{
	struct rd r;
	char text[UADDR_TEXT_MAX];
	ck_assert_uint_eq(set(4, 200000, 1, "udp", "0.0.0.0.19.136"), 1);
	come_from(NETID_UDP, false, "192.0.2.9", "192.0.2.1");
	who.room = 8000;
	ck_assert_int_eq(callit(2, CALLIT, 200000, 0), RB_LATER);
	ck_assert_uint_eq(doubles.target.port, 5000);
	ck_assert(addr_equal(&doubles.target.addr, &who.here));
	ck_assert_uint_eq(doubles.client.xid, 77);
	ck_assert(!doubles.client.who.local && doubles.client.who.uid == -1);
	ck_assert_uint_eq(doubles.answered, 1);
	memcpy(reply, doubles.reply, reply_len = doubles.reply_len);
	ck_assert_uint_eq(accepted(&r), ACCEPT_SUCCESS);
	ck_assert_uint_eq(rd_u32(&r), 5000);
	ck_assert(xdr_get_text(&r, text, 100));
	ck_assert_str_eq(text, "hello");
	ck_assert_int_eq(callit(4, CALLIT, 200000, 0), RB_LATER);
	memcpy(reply, doubles.reply, reply_len = doubles.reply_len);
	ck_assert_uint_eq(accepted(&r), ACCEPT_SUCCESS);
	ck_assert(xdr_get_text(&r, text, 100));
	ck_assert_str_eq(text, "192.0.2.1.19.136");
	/* what fails is answered to INDIRECT alone */
	doubles.answer.status = REMOTE_PROG_UNAVAIL;
	ck_assert_int_eq(callit(4, CALLIT, 200001, 0), RB_LATER);
	ck_assert_uint_eq(doubles.target.port, 0);
	ck_assert_uint_eq(doubles.answered, 2);
	ck_assert_int_eq(callit(4, INDIRECT, 200001, 0), RB_LATER);
	ck_assert_uint_eq(doubles.answered, 3);
	memcpy(reply, doubles.reply, reply_len = doubles.reply_len);
	ck_assert_uint_eq(accepted(&r), ACCEPT_PROG_UNAVAIL);
	ck_assert_ptr_null(rb.lates);
}
END_TEST

/* A connection that is gone takes nobody with it: its calls are forgotten. */
START_TEST(calls_of_connections_that_end)
{
	int one, other;
	ck_assert_uint_eq(set(4, 200000, 1, "udp", "0.0.0.0.19.136"), 1);
	come_from(NETID_TCP, false, "192.0.2.9", "192.0.2.1");
	doubles.hold = true;
	who.conn = (struct rb_conn *)&one; /* only its identity matters here */
	ck_assert_int_eq(callit(4, CALLIT, 200000, 0), RB_LATER);
	who.conn = (struct rb_conn *)&other;
	ck_assert_int_eq(callit(4, CALLIT, 200000, 0), RB_LATER);
	rb_late_forget(&rb, (struct rb_conn *)&one);
	ck_assert_uint_eq(doubles.cancelled, 1);
	ck_assert_ptr_nonnull(rb.lates);
	doubles.fn(doubles.arg, &doubles.answer);
	ck_assert_uint_eq(doubles.answered, 1);
	ck_assert_ptr_null(rb.lates);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("program");
	TCase *t = tcase_create("program");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, set_refused);
	tcase_add_test(t, set_get_unset);
	tcase_add_test(t, owners);
	tcase_add_test(t, bounds);
	tcase_add_test(t, addresses_are_those_the_client_can_use);
	tcase_add_test(t, versions_and_procedures_that_are_none);
	tcase_add_test(t, arguments_cut_short);
	tcase_add_test(t, claims_cost_nothing);
	tcase_add_test(t, room);
	tcase_add_test(t, netbufs);
	tcase_add_test(t, statistics);
	tcase_add_test(t, calls_for_others);
	tcase_add_test(t, calls_of_connections_that_end);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
