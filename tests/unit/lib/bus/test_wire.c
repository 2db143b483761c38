/* protobuf from strangers, and JSON for people. */
#include "lib/bus/bus.h"
#include "lib/bus/wire.h"
#include "proto/common.pb-c.h"
#include "proto/defmgr.pb-c.h"
#include "proto/stack.pb-c.h"
#include "tests/support/check_main.h"
#include <string.h>

static struct errbuf e;

static bool accepts(const ProtobufCMessageDescriptor *d, const void *data, size_t len)
{
	/* An exact copy, so that a read past the end is found. */
	void *copy = calloc(1, len ? len : 1);
	memcpy(copy, data, len);
	e.text[0] = 0;
	ProtobufCMessage *m = bus_unpack(d, copy, len, &e);
	free(copy);
	ck_assert(m || e.text[0]);
	bool ok = m != NULL;
	bus_unpack_free(m);
	return ok;
}

static bool accepts_filter(const char *data, size_t len)
{
	return accepts(&defmgr__filter__descriptor, data, len);
}

START_TEST(bad_bytes_are_refused)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{"\x00", 1}, {"\x00\x00", 2},			 /* field 0 */
		{"\x0a", 1}, {"\x0a\x01", 2}, {"\x0a\x7f" "abc", 5}, /* cut short */
		{"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, /* length 2^64 - 1 */
		{"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12},
		{"\x0b\x0c", 2},				       /* group */
		{"\xf3\x07\xf4\x07", 4},			     /* group in an unknown field */
		{"\x0e", 1}, {"\x0f", 1},			    /* no such wire type */
		{"\x08\x01", 2},				       /* string field as number */
		{"\x2a\x01\x01", 3},				   /* number field as bytes */
		{"\x0a\x01\xff", 3}, {"\x0a\x02\xc0\x80", 4},	       /* not UTF-8, overlong NUL */
		{"\x0a\x03\xed\xa0\x80", 5}, {"\x0a\x04\xf4\x90\x80\x80", 6}, /* surrogate, above U+10FFFF */
		{"\x0a\x03" "a\0b", 5},				/* NUL inside */
		{"\x58\x04", 2}, {"\x58\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, /* direction 4, -1 */
		{"\x28\x80", 2}, {"\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12}, /* endless number */
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!accepts_filter(bad[i].bytes, bad[i].len), "case %zu", i);
}
END_TEST

START_TEST(good_bytes_are_accepted)
{
	ck_assert(accepts_filter("", 0));
	ck_assert(accepts_filter("\x0a\x02\xc3\xa4", 4));
	ck_assert(accepts_filter("\x58\x03", 2));
	ck_assert(accepts_filter("\xf8\x07\x01", 3)); /* a field of a later version */
	ck_assert(accepts_filter("\xfa\x07\x02\xff\xff", 5));
}
END_TEST

START_TEST(cut_at_every_byte_is_no_crash)
{
	Defmgr__AddRequest r = DEFMGR__ADD_REQUEST__INIT;
	Defmgr__Filter f = DEFMGR__FILTER__INIT, *list[3] = {&f, &f, &f};
	static char name[] = "eve", any[] = "all";
	uint8_t buf[256];
	f.name = name;
	f.source = any;
	f.has_mode = 1;
	f.mode = DEFMGR__FILTER__MODE__BLOCK;
	f.has_expires_us = 1;
	f.expires_us = UINT64_MAX;
	r.stack = name;
	r.filters = list;
	r.n_filters = 3;
	size_t n = defmgr__add_request__pack(&r, buf);
	unsigned good = 0;
	for (size_t i = 0; i <= n; i++)
		good += accepts(&defmgr__add_request__descriptor, buf, i);
	ck_assert_uint_eq(good, 5); /* between fields only */
	for (size_t i = 0; i < n; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			buf[i] ^= (uint8_t)(1u << bit);
			(void)accepts(&defmgr__add_request__descriptor, buf, n);
			buf[i] ^= (uint8_t)(1u << bit);
		}
}
END_TEST

START_TEST(memory_is_bounded)
{
	size_t n = BUS_MESSAGE_MAX + 1;
	uint8_t *buf = malloc(n);
	for (size_t i = 0; i + 1 < n; i += 2)
		memcpy(buf + i, "\x12\x00", 2);
	ck_assert(!accepts(&defmgr__add_request__descriptor, buf, BUS_MESSAGE_MAX));
	ck_assert(!accepts(&defmgr__add_request__descriptor, buf, n)); /* and too long at all */
	ck_assert(accepts(&defmgr__add_request__descriptor, buf, 20));
	free(buf);
}
END_TEST

START_TEST(long_list_of_numbers_fits)
{
	Stack__DefenceMatchesRequest r = STACK__DEFENCE_MATCHES_REQUEST__INIT;
	static uint64_t ids[10000];
	for (unsigned i = 0; i < 10000; i++)
		ids[i] = i;
	r.ids = ids;
	r.n_ids = 10000;
	size_t n = stack__defence_matches_request__get_packed_size(&r);
	uint8_t *buf = malloc(n);
	stack__defence_matches_request__pack(&r, buf);
	ck_assert(accepts(&stack__defence_matches_request__descriptor, buf, n));
	free(buf);
}
END_TEST

static void check_service(const ProtobufCServiceDescriptor *s)
{
	for (unsigned i = 0; i < s->n_methods; i++) {
		ck_assert(!wire_recursive(s->methods[i].input));
		ck_assert(!wire_recursive(s->methods[i].output));
	}
}

START_TEST(no_message_contains_itself)
{
	check_service(&common__daemon__descriptor);
	check_service(&defmgr__defense_manager__descriptor);
	check_service(&stack__stack__descriptor);
	/* One that does is found. */
	ProtobufCMessageDescriptor d = defmgr__filter_event__descriptor;
	ProtobufCFieldDescriptor f = d.fields[0];
	f.descriptor = &d;
	d.fields = &f;
	ck_assert(wire_recursive(&d));
}
END_TEST

START_TEST(json_of_any_message)
{
	Defmgr__FilterEvent ev = DEFMGR__FILTER_EVENT__INIT;
	Defmgr__Filter f = DEFMGR__FILTER__INIT;
	Defmgr__ListReply l = DEFMGR__LIST_REPLY__INIT;
	static char name[] = "a\"b\n";
	struct json j;
	json_init(&j);
	f.name = name;
	f.has_mode = 1;
	f.mode = DEFMGR__FILTER__MODE__SIMULATE;
	f.has_log = 1;
	f.has_id = 1;
	f.id = UINT64_MAX;
	f.has_direction = 1;
	f.direction = 42;
	ev.filter = &f;
	bus_json(&j, &ev.base);
	ck_assert_str_eq(j.buf, "{\"filter\":{\"name\":\"a\\\"b\\u000a\",\"direction\":42,\"mode\":\"SIMULATE\",\"log\":false,"
				"\"id\":18446744073709551615}}");
	json_clear(&j);
	bus_json(&j, &l.base);
	ck_assert_str_eq(j.buf, "{\"filters\":[],\"excludes\":[]}");
	json_fini(&j);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bus wire");
	TCase *t = tcase_create("wire");
	tcase_add_test(t, bad_bytes_are_refused);
	tcase_add_test(t, good_bytes_are_accepted);
	tcase_add_test(t, cut_at_every_byte_is_no_crash);
	tcase_add_test(t, memory_is_bounded);
	tcase_add_test(t, long_list_of_numbers_fits);
	tcase_add_test(t, no_message_contains_itself);
	tcase_add_test(t, json_of_any_message);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
