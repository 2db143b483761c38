/* The messages between a daemon and its signer. */
#include "lib/keyring/wire.h"
#include "tests/support/check_main.h"
#include <string.h>

static struct wire_msg sample(uint8_t op)
{
	struct wire_msg m = {.op = op};
	if (op == WIRE_READY) {
		m.keys = 3;
		return m;
	}
	m.len = 20;
	memset(m.data, 0x5a, m.len);
	m.status = op == WIRE_FAILED ? EPERM : 0;
	m.id = op == WIRE_FAILED ? 0 : 0x1122334455667788;
	if (op == WIRE_SIGN) {
		m.mech = SIGN_RSA_PKCS1_RAW;
		memset(m.key, 7, sizeof(m.key));
	}
	return m;
}

START_TEST(round_trip_and_every_other_length)
{
	for (uint8_t op = WIRE_READY; op <= WIRE_SIGNED; op++) {
		uint8_t out[WIRE_MAX + 1] = {0};
		struct wire_msg m = sample(op), back;
		size_t len = wire_encode(&m, out);
		ck_assert_uint_gt(len, 0);
		ck_assert_int_eq(wire_decode(out, len, &back), 0);
		ck_assert_int_eq(memcmp(&m, &back, sizeof(m)), 0);
		for (size_t n = 0; n < len; n++)
			ck_assert_int_eq(wire_decode(out, n, &back), -EBADMSG);
		ck_assert_int_eq(wire_decode(out, len + 1, &back), -EBADMSG);
		out[1] ^= 0x80; /* version, mechanism, or a byte that is zero */
		ck_assert_int_eq(wire_decode(out, len, &back), -EBADMSG);
	}
}
END_TEST

START_TEST(refusals)
{
	uint8_t out[WIRE_MAX];
	struct wire_msg m = sample(WIRE_SIGN), back;
	m.len = SIGN_HASH_MAX + 1;
	size_t len = wire_encode(&m, out);
	ck_assert_int_eq(wire_decode(out, len, &back), -EBADMSG);
	m = sample(WIRE_SIGN);
	m.mech = SIGN_MECH_MAX;
	len = wire_encode(&m, out);
	ck_assert_int_eq(wire_decode(out, len, &back), -EBADMSG);
	m = sample(WIRE_SIGN);
	m.len = 0;
	len = wire_encode(&m, out);
	ck_assert_int_eq(wire_decode(out, len, &back), -EBADMSG);
	m = sample(WIRE_SIGNED); /* done, and no signature */
	m.len = 0;
	len = wire_encode(&m, out);
	ck_assert_int_eq(wire_decode(out, len, &back), -EBADMSG);
	m = sample(WIRE_SIGNED);
	m.len = WIRE_DATA_MAX + 1;
	ck_assert_uint_eq(wire_encode(&m, out), 0);
	m = sample(WIRE_SIGNED);
	m.op = 9;
	ck_assert_uint_eq(wire_encode(&m, out), 0);
	out[0] = 9;
	ck_assert_int_eq(wire_decode(out, 30, &back), -EBADMSG);
	ck_assert_int_eq(wire_decode(out, 0, &back), -EBADMSG);
}
END_TEST

START_TEST(long_text_is_cut)
{
	char text[2000];
	struct wire_msg m = {.op = WIRE_FAILED, .status = EIO};
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	wire_set_text(&m, text);
	ck_assert_uint_eq(m.len, 240);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("wire");
	TCase *t = tcase_create("wire");
	tcase_add_test(t, round_trip_and_every_other_length);
	tcase_add_test(t, refusals);
	tcase_add_test(t, long_text_is_cut);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
