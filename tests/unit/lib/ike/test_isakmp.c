#include "lib/ike/isakmp.h"
#include "lib/ike/vid.h"
#include "tests/support/check_main.h"
#include <string.h>

static const struct isakmp_header header = {
	.icookie = {1, 2, 3}, .rcookie = {9}, .version = 0x10, .exchange = ISAKMP_MAIN, .id = 7};

/* SA-less message: NONCE, VID (empty), NAT-D. */
static size_t build(uint8_t *buf, size_t size, size_t block)
{
	struct isakmp_build b;

	isakmp_start(&b, buf, size, &header);
	isakmp_add(&b, ISAKMP_NONCE, "0123456789", 10);
	isakmp_add(&b, ISAKMP_VID, NULL, 0);
	isakmp_open(&b, ISAKMP_NAT_D);
	wr_u32(&b.w, 0xdeadbeef);
	isakmp_close(&b);
	return isakmp_finish(&b, block);
}

START_TEST(built_is_read)
{
	uint8_t buf[128];
	struct isakmp_header h;
	struct isakmp_payloads p;
	size_t len = build(buf, sizeof(buf), 1);

	ck_assert_uint_eq(len, 28 + 14 + 4 + 8);
	ck_assert_int_eq(isakmp_header_read(buf, len, &h, NULL), 0);
	ck_assert_uint_eq(h.next, ISAKMP_NONCE);
	ck_assert_uint_eq(h.id, 7);
	ck_assert_mem_eq(h.icookie, header.icookie, 8);
	ck_assert_int_eq(isakmp_walk(h.next, buf + 28, len - 28, 0, &p, NULL), 0);
	ck_assert_uint_eq(p.n, 3);
	ck_assert_ptr_eq(p.end, buf + len);
	ck_assert_uint_eq(isakmp_count(&p, ISAKMP_VID), 1);
	ck_assert_ptr_null(isakmp_find(&p, ISAKMP_VID, 1));
	ck_assert_uint_eq(isakmp_find(&p, ISAKMP_NONCE, 0)->len, 10);
	ck_assert_uint_eq(isakmp_find(&p, ISAKMP_NAT_D, 0)->len, 4);
	ck_assert_ptr_eq(isakmp_find(&p, ISAKMP_NAT_D, 0)->start, buf + len - 8);
}
END_TEST

START_TEST(too_small_a_buffer_builds_nothing)
{
	uint8_t buf[128];
	for (size_t size = 0; size < 28 + 26 + 6; size++) {
		memset(buf, 0xee, sizeof(buf));
		ck_assert_uint_eq(build(buf, size, 16), 0);
		ck_assert_uint_eq(buf[size], 0xee);
	}
	ck_assert_uint_eq(build(buf, 60, 16), 60);
}
END_TEST

START_TEST(padding)
{
	uint8_t buf[128];
	struct isakmp_payloads p;
	struct ike_refusal why;

	ck_assert_uint_eq(build(buf, sizeof(buf), 16), 60);
	ck_assert_int_eq(isakmp_walk(ISAKMP_NONCE, buf + 28, 32, 16, &p, NULL), 0);
	ck_assert_ptr_eq(p.end, buf + 54);
	ck_assert_int_eq(isakmp_walk(ISAKMP_NONCE, buf + 28, 32, 5, &p, &why), -EPROTO);
	ck_assert_uint_eq(why.notify, NOTIFY_UNEQUAL_PAYLOAD_LENGTHS);
}
END_TEST

START_TEST(truncation_at_every_byte)
{
	uint8_t buf[128];
	struct isakmp_header h;
	struct isakmp_payloads p;
	size_t len = build(buf, sizeof(buf), 1);

	for (size_t n = 0; n < len; n++) {
		uint8_t copy[128];
		memcpy(copy, buf, n);
		ck_assert_int_eq(isakmp_header_read(copy, n, &h, NULL), -EPROTO);
		if (n >= 28)
			ck_assert_int_eq(
				isakmp_walk(ISAKMP_NONCE, copy + 28, n - 28, 0, &p, NULL), -EPROTO);
	}
}
END_TEST

START_TEST(headers_refused)
{
	static const struct {
		size_t at;
		uint8_t value;
		uint16_t notify;
	} bad[] = {{17, 0x20, NOTIFY_INVALID_MAJOR_VERSION},
		{17, 0x00, NOTIFY_INVALID_MAJOR_VERSION}, {17, 0x11, NOTIFY_INVALID_MINOR_VERSION},
		{19, 0x08, NOTIFY_INVALID_FLAGS}, {19, 0x80, NOTIFY_INVALID_FLAGS},
		{27, 0xff, NOTIFY_UNEQUAL_PAYLOAD_LENGTHS},
		{24, 0x01, NOTIFY_UNEQUAL_PAYLOAD_LENGTHS}};
	uint8_t buf[128], copy[128];
	struct isakmp_header h;
	struct ike_refusal why;
	size_t len = build(buf, sizeof(buf), 1);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memcpy(copy, buf, sizeof(copy));
		copy[bad[i].at] = bad[i].value;
		ck_assert_int_eq(isakmp_header_read(copy, len, &h, &why), -EPROTO);
		ck_assert_uint_eq(why.notify, bad[i].notify);
		ck_assert_mem_eq(h.icookie, header.icookie, 8);
	}
	memset(buf, 0, 8);
	ck_assert_int_eq(isakmp_header_read(buf, len, &h, &why), -EPROTO);
	ck_assert_uint_eq(why.notify, NOTIFY_INVALID_COOKIE);
}
END_TEST

START_TEST(chains_refused)
{
	uint8_t buf[128], copy[128];
	struct isakmp_payloads p;
	struct ike_refusal why;
	size_t len = build(buf, sizeof(buf), 1) - 28;

#define CHAIN(first, offset, value, expected)                                                      \
	memcpy(copy, buf + 28, len);                                                               \
	copy[offset] = value;                                                                      \
	ck_assert_int_eq(isakmp_walk(first, copy, len, 0, &p, &why), -EPROTO);                     \
	ck_assert_uint_eq(why.notify, expected)
	CHAIN(ISAKMP_NONE, 0, copy[0], NOTIFY_INVALID_PAYLOAD_TYPE);
	CHAIN(ISAKMP_PROPOSAL, 0, copy[0], NOTIFY_INVALID_PAYLOAD_TYPE);
	CHAIN(ISAKMP_TRANSFORM, 0, copy[0], NOTIFY_INVALID_PAYLOAD_TYPE);
	CHAIN(14, 0, copy[0], NOTIFY_INVALID_PAYLOAD_TYPE);
	CHAIN(33, 0, copy[0], NOTIFY_INVALID_PAYLOAD_TYPE);
	CHAIN(127, 0, copy[0], NOTIFY_INVALID_PAYLOAD_TYPE);
	CHAIN(ISAKMP_NONCE, 1, 1, NOTIFY_PAYLOAD_MALFORMED);
	CHAIN(ISAKMP_NONCE, 3, 3, NOTIFY_PAYLOAD_MALFORMED);
	CHAIN(ISAKMP_NONCE, 3, 0, NOTIFY_PAYLOAD_MALFORMED);
	CHAIN(ISAKMP_NONCE, 2, 0xff, NOTIFY_PAYLOAD_MALFORMED);
	CHAIN(ISAKMP_NONCE, 0, 0, NOTIFY_UNEQUAL_PAYLOAD_LENGTHS);
	CHAIN(ISAKMP_NONCE, len - 8, ISAKMP_VID, NOTIFY_PAYLOAD_MALFORMED);
	memcpy(copy, buf + 28, len);
	ck_assert_int_eq(isakmp_walk(200, copy, len, 0, &p, &why), 0); /* private: passed on */
}
END_TEST

START_TEST(too_many_payloads)
{
	uint8_t chain[4 * (ISAKMP_PAYLOADS_MAX + 1)] = {0};
	struct isakmp_payloads p;

	for (size_t i = 0; i <= ISAKMP_PAYLOADS_MAX; i++) {
		chain[4 * i] = i < ISAKMP_PAYLOADS_MAX ? ISAKMP_VID : 0;
		chain[4 * i + 3] = 4;
	}
	ck_assert_int_eq(isakmp_walk(ISAKMP_VID, chain, sizeof(chain), 0, &p, NULL), -EPROTO);
	ck_assert_int_eq(isakmp_walk(ISAKMP_VID, chain + 4, sizeof(chain) - 4, 0, &p, NULL), 0);
	ck_assert_uint_eq(p.n, ISAKMP_PAYLOADS_MAX);
}
END_TEST

START_TEST(holes_are_filled_later)
{
	uint8_t buf[64];
	struct isakmp_build b;

	isakmp_start(&b, buf, sizeof(buf), &header);
	uint8_t *hole = isakmp_add_hole(&b, ISAKMP_HASH, 20);
	const uint8_t *from = isakmp_mark(&b);
	isakmp_add(&b, ISAKMP_NONCE, "12345678", 8);
	ck_assert_ptr_eq(from, buf + 28 + 24);
	ck_assert_ptr_eq(hole, buf + 32);
	ck_assert_ptr_eq(isakmp_mark(&b), buf + 64);
	ck_assert_ptr_null(isakmp_add_hole(&b, ISAKMP_HASH, 20));
	ck_assert_uint_eq(isakmp_finish(&b, 1), 0);
}
END_TEST

START_TEST(vendor_ids)
{
	const unsigned all = VID_NATT_RFC | VID_NATT_DRAFT_03 | VID_NATT_DRAFT_02 | VID_DPD |
			     VID_FRAGMENTATION | VID_XAUTH | VID_UNITY | VID_RAVELIN;
	static const uint8_t draft02[] = {0xcd, 0x60, 0x46, 0x43, 0x35, 0xdf, 0x21, 0xf8, 0x7c,
		0xfd, 0xb2, 0xfc, 0x68, 0xb6, 0xa4, 0x48};
	uint8_t buf[512];
	struct isakmp_build b;
	struct isakmp_payloads p;

	isakmp_start(&b, buf, sizeof(buf), &header);
	vid_add(&b, all);
	size_t len = isakmp_finish(&b, 1);
	ck_assert_int_eq(isakmp_walk(ISAKMP_VID, buf + 28, len - 28, 0, &p, NULL), 0);
	ck_assert_uint_eq(p.n, 8);
	ck_assert_uint_eq(vids_of(&p), all);
	for (size_t i = 0; i < p.n; i++) {
		unsigned vid = vid_of(p.at[i].body, p.at[i].len);
		ck_assert_str_ne(vid_text(vid), "vendor id");
		for (size_t n = 0; n < p.at[i].len; n++)
			ck_assert_uint_eq(vid_of(p.at[i].body, n),
				vid == VID_FRAGMENTATION && n == 16 ? vid : 0);
	}
	ck_assert_uint_eq(vid_of(draft02, sizeof(draft02)), VID_NATT_DRAFT_02);
	ck_assert_str_eq(vid_text(1u << 20), "vendor id");
}
END_TEST

/* Every name that this build sends or understands has a text of its own. */
START_TEST(texts)
{
	for (uint16_t n = 1; n <= 30; n++)
		ck_assert_str_ne(notify_text(n), "notify");
	ck_assert_str_eq(notify_text(NOTIFY_NO_PROPOSAL_CHOSEN), "NO-PROPOSAL-CHOSEN");
	ck_assert_str_eq(notify_text(36136), "R-U-THERE");
	ck_assert_str_eq(notify_text(12345), "notify");
	ck_assert_str_eq(isakmp_type_text(ISAKMP_NAT_D), "NAT-D");
	ck_assert_str_eq(isakmp_type_text(99), "payload");
	ck_assert_str_eq(isakmp_exchange_text(ISAKMP_QUICK), "quick mode");
	ck_assert_str_eq(ike_group_text(14), "MODP-2048");
	ck_assert_str_eq(ike_enc_text(7), "AES-CBC");
	ck_assert_str_eq(ike_hash_text(5), "SHA2-384");
	ck_assert_str_eq(ike_auth_text(3), "RsaSignature");
	ck_assert_str_eq(ipsec_esp_text(20), "AES-GCM-16");
	ck_assert_str_eq(ipsec_auth_text(9), "AES-XCBC-MAC-96");
	ck_assert_str_eq(ipsec_auth_text(77), "?");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("isakmp");
	TCase *t = tcase_create("isakmp");
	tcase_add_test(t, built_is_read);
	tcase_add_test(t, too_small_a_buffer_builds_nothing);
	tcase_add_test(t, padding);
	tcase_add_test(t, truncation_at_every_byte);
	tcase_add_test(t, headers_refused);
	tcase_add_test(t, chains_refused);
	tcase_add_test(t, too_many_payloads);
	tcase_add_test(t, holes_are_filled_later);
	tcase_add_test(t, vendor_ids);
	tcase_add_test(t, texts);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
