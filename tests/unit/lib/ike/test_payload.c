#include "lib/ike/payload.h"
#include "tests/support/check_main.h"
#include <string.h>

static int id(const void *body, size_t len, struct ike_id *ret)
{
	struct ike_refusal why = {0};
	int rc = ike_id_read(body, len, ret, &why);
	ck_assert(rc == 0 || (rc == -EPROTO && why.notify && why.text));
	return rc;
}

START_TEST(identities_refused)
{
	static const struct {
		size_t len;
		uint8_t body[40];
	} bad[] = {{0, {0}}, {3, {1, 0, 0}}, {4, {1, 0, 0, 0}}, {7, {1, 0, 0, 0, 1, 2, 3}},
		{9, {1, 0, 0, 0, 1, 2, 3, 4, 5}}, {8, {0, 0, 0, 0, 1, 2, 3, 4}},
		{8, {10, 0, 0, 0, 1, 2, 3, 4}}, {8, {12, 0, 0, 0, 1, 2, 3, 4}},
		{8, {5, 0, 0, 0, 1, 2, 3, 4}}, {4, {2, 0, 0, 0}}, {6, {2, 0, 0, 0, 'a', 0}},
		{4, {9, 0, 0, 0}}, {4, {11, 0, 0, 0}},
		{12, {4, 0, 0, 0, 10, 0, 0, 0, 255, 0, 255, 0}},
		{11, {4, 0, 0, 0, 10, 0, 0, 0, 255, 0, 0}},
		{12, {7, 0, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1}}, {20, {6, 0, 0, 0}},
		{35, {8, 0, 0, 0}}, {36, {6, 0, 0, 0, [20] = 1}}};
	struct ike_id ret;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(id(bad[i].body, bad[i].len, &ret) == -EPROTO, "case %zu", i);
	uint8_t name[4 + POLICY_ID_MAX] = {2};
	memset(name + 4, 'a', POLICY_ID_MAX);
	ck_assert_int_eq(id(name, sizeof(name), &ret), -EPROTO);
	ck_assert_int_eq(id(name, sizeof(name) - 1, &ret), 0);
}
END_TEST

static struct addr_range range(const char *lo, const char *hi)
{
	struct addr_range r;
	ck_assert_int_eq(addr_parse(lo, &r.lo), 0);
	ck_assert_int_eq(addr_parse(hi, &r.hi), 0);
	return r;
}

START_TEST(ranges_become_the_simplest_identity)
{
	static const struct {
		const char *lo, *hi;
		uint8_t type;
		size_t len;
	} cases[] = {{"192.0.2.1", "192.0.2.1", 1, 8}, {"10.0.0.0", "10.255.255.255", 4, 12},
		{"0.0.0.0", "255.255.255.255", 4, 12}, {"10.0.0.0", "10.0.0.1", 4, 12},
		{"10.0.0.1", "10.0.0.2", 7, 12}, {"10.0.0.0", "10.0.0.2", 7, 12},
		{"10.0.0.128", "10.0.1.127", 7, 12}, {"2001:db8::1", "2001:db8::1", 5, 20},
		{"2001:db8::", "2001:db8::ffff", 6, 36}, {"2001:db8::1", "2001:db8::ffff", 8, 36},
		{"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 6, 36}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct addr_range r = range(cases[i].lo, cases[i].hi), back;
		uint8_t buf[64];
		struct ike_id ret;
		for (size_t size = 0; size <= cases[i].len; size++) {
			struct wr w = wr_init(buf, size);
			ike_id_write_range(&w, &r, 4, 17, 53);
			ck_assert_int_eq(wr_ok(&w), size == cases[i].len);
			if (size < cases[i].len)
				continue;
			for (size_t cut = 0; cut < size; cut++)
				ck_assert_int_eq(id(buf, cut, &ret), -EPROTO);
			ck_assert_int_eq(id(buf, size, &ret), 0);
		}
		ck_assert_uint_eq(ret.type, cases[i].type);
		ck_assert_uint_eq(ret.protocol, 17);
		ck_assert_uint_eq(ret.port, 53);
		ck_assert_int_eq(ike_id_range(&ret, &back, NULL), 0);
		ck_assert(addr_equal(&back.lo, &r.lo) && addr_equal(&back.hi, &r.hi));
	}
}
END_TEST

START_TEST(any_range_and_all_protocols)
{
	struct addr_range any = {0}, back;
	uint8_t buf[64];
	struct ike_id ret;
	struct wr w = wr_init(buf, sizeof(buf));

	ike_id_write_range(&w, &any, 6, POLICY_PROTO_ALL, 0);
	ck_assert_int_eq(id(buf, wr_len(&w), &ret), 0);
	ck_assert_uint_eq(ret.type, IKE_ID_IPV6_SUBNET);
	ck_assert_uint_eq(ret.protocol, 0);
	ck_assert_int_eq(ike_id_range(&ret, &back, NULL), 0);
	ck_assert_uint_eq(back.lo.family, 6);
	ck_assert_uint_eq(back.hi.b[15], 0xff);
	ret.type = IKE_ID_FQDN;
	ck_assert_int_eq(ike_id_range(&ret, &back, NULL), -EPROTO);
}
END_TEST

START_TEST(subnets_lose_their_host_bits)
{
	static const uint8_t body[] = {4, 0, 0, 0, 10, 1, 2, 3, 255, 255, 0, 0};
	struct addr_range r, want = range("10.1.0.0", "10.1.255.255");
	struct ike_id ret;

	ck_assert_int_eq(id(body, sizeof(body), &ret), 0);
	ck_assert_int_eq(ike_id_range(&ret, &r, NULL), 0);
	ck_assert(addr_equal(&r.lo, &want.lo) && addr_equal(&r.hi, &want.hi));
}
END_TEST

START_TEST(notifications)
{
	struct ike_notification n = {.doi = 1,
					.protocol = 3,
					.spi_len = 4,
					.type = NOTIFY_R_U_THERE,
					.spi = (const uint8_t *)"abcd",
					.data = (const uint8_t *)"0123",
					.len = 4},
				back;
	uint8_t buf[32];
	struct wr w = wr_init(buf, sizeof(buf));
	struct ike_refusal why;

	ike_notification_write(&w, &n);
	ck_assert_uint_eq(wr_len(&w), 16);
	for (size_t cut = 0; cut < 12; cut++)
		ck_assert_int_eq(ike_notification_read(buf, cut, &back, NULL), -EPROTO);
	ck_assert_int_eq(ike_notification_read(buf, 16, &back, NULL), 0);
	ck_assert_uint_eq(back.type, NOTIFY_R_U_THERE);
	ck_assert_mem_eq(back.spi, "abcd", 4);
	ck_assert_mem_eq(back.data, "0123", 4);
	ck_assert_int_eq(ike_notification_read(buf, 12, &back, NULL), 0);
	ck_assert_uint_eq(back.len, 0);
	buf[5] = 17;
	ck_assert_int_eq(ike_notification_read(buf, sizeof(buf), &back, &why), -EPROTO);
	ck_assert_uint_eq(why.notify, NOTIFY_INVALID_SPI);
	buf[5] = 4;
	buf[3] = 2;
	ck_assert_int_eq(ike_notification_read(buf, 16, &back, &why), -EPROTO);
	ck_assert_uint_eq(why.notify, NOTIFY_DOI_NOT_SUPPORTED);
}
END_TEST

START_TEST(deletions)
{
	static const struct {
		uint8_t body[12];
		uint16_t notify;
	} bad[] = {{{0, 0, 0, 9, 3, 4, 0, 1, 1, 2, 3, 4}, NOTIFY_DOI_NOT_SUPPORTED},
		{{0, 0, 0, 1, 0, 4, 0, 1, 1, 2, 3, 4}, NOTIFY_INVALID_PROTOCOL_ID},
		{{0, 0, 0, 1, 4, 4, 0, 1, 1, 2, 3, 4}, NOTIFY_INVALID_PROTOCOL_ID},
		{{0, 0, 0, 1, 3, 3, 0, 1, 1, 2, 3, 4}, NOTIFY_INVALID_SPI},
		{{0, 0, 0, 1, 1, 4, 0, 1, 1, 2, 3, 4}, NOTIFY_INVALID_SPI},
		{{0, 0, 0, 1, 3, 4, 0, 0, 1, 2, 3, 4}, NOTIFY_PAYLOAD_MALFORMED},
		{{0, 0, 0, 1, 3, 4, 0, 2, 1, 2, 3, 4}, NOTIFY_PAYLOAD_MALFORMED},
		{{0, 0, 0, 1, 3, 4, 0xff, 0xff, 1, 2, 3, 4}, NOTIFY_PAYLOAD_MALFORMED}};
	struct ike_deletion d = {
		.protocol = 3, .spi_len = 4, .n = 2, .spis = (const uint8_t *)"abcdefgh"};
	struct ike_deletion back;
	struct ike_refusal why;
	uint8_t buf[32];
	struct wr w = wr_init(buf, sizeof(buf));

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_eq(ike_deletion_read(bad[i].body, 12, &back, &why), -EPROTO);
		ck_assert_uint_eq(why.notify, bad[i].notify);
	}
	ike_deletion_write(&w, &d);
	ck_assert_uint_eq(wr_len(&w), 16);
	for (size_t cut = 0; cut < 16; cut++)
		ck_assert_int_eq(ike_deletion_read(buf, cut, &back, NULL), -EPROTO);
	ck_assert_int_eq(ike_deletion_read(buf, 17, &back, NULL), -EPROTO);
	ck_assert_int_eq(ike_deletion_read(buf, 16, &back, NULL), 0);
	ck_assert_uint_eq(back.n, 2);
	ck_assert_mem_eq(back.spis, "abcdefgh", 8);
}
END_TEST

START_TEST(certificates)
{
	struct ike_cert c = {.encoding = 4, .data = (const uint8_t *)"DER", .len = 3}, back;
	uint8_t buf[8];
	struct wr w = wr_init(buf, sizeof(buf));

	ike_cert_write(&w, &c);
	ck_assert_int_eq(ike_cert_read(buf, 0, &back, NULL), -EPROTO);
	ck_assert_int_eq(ike_cert_read(buf, 1, &back, NULL), 0); /* CERTREQ of any CA */
	ck_assert_uint_eq(back.len, 0);
	ck_assert_int_eq(ike_cert_read(buf, wr_len(&w), &back, NULL), 0);
	ck_assert_uint_eq(back.encoding, 4);
	ck_assert_mem_eq(back.data, "DER", 3);
}
END_TEST

START_TEST(original_addresses)
{
	static const char *const texts[] = {"192.0.2.1", "2001:db8::7"};
	for (size_t i = 0; i < 2; i++) {
		struct addr a, back;
		uint8_t buf[32] = {0};
		struct wr w = wr_init(buf, sizeof(buf));
		ck_assert_int_eq(addr_parse(texts[i], &a), 0);
		ike_nat_oa_write(&w, &a);
		size_t len = wr_len(&w);
		for (size_t cut = 0; cut < len; cut++)
			ck_assert_int_eq(ike_nat_oa_read(buf, cut, &back, NULL), -EPROTO);
		ck_assert_int_eq(ike_nat_oa_read(buf, len + 1, &back, NULL), -EPROTO);
		ck_assert_int_eq(ike_nat_oa_read(buf, len, &back, NULL), 0);
		ck_assert(addr_equal(&a, &back));
		buf[2] = 1;
		ck_assert_int_eq(ike_nat_oa_read(buf, len, &back, NULL), -EPROTO);
		buf[2] = 0;
		buf[0] = 4;
		ck_assert_int_eq(ike_nat_oa_read(buf, len, &back, NULL), -EPROTO);
	}
}
END_TEST

START_TEST(nonces)
{
	ck_assert_int_eq(ike_nonce_check(7, NULL), -EPROTO);
	ck_assert_int_eq(ike_nonce_check(257, NULL), -EPROTO);
	ck_assert_int_eq(ike_nonce_check(8, NULL), 0);
	ck_assert_int_eq(ike_nonce_check(256, NULL), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("payload");
	TCase *t = tcase_create("payload");
	tcase_add_test(t, identities_refused);
	tcase_add_test(t, ranges_become_the_simplest_identity);
	tcase_add_test(t, any_range_and_all_protocols);
	tcase_add_test(t, subnets_lose_their_host_bits);
	tcase_add_test(t, notifications);
	tcase_add_test(t, deletions);
	tcase_add_test(t, certificates);
	tcase_add_test(t, original_addresses);
	tcase_add_test(t, nonces);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
