/* The head of a call, wrong in every way that RFC 5531 names and in some that it does not. */
#include "daemons/rpcbindD/call.h"
#include "daemons/rpcbindD/xdr.h"
#include "tests/support/check_main.h"

struct head {
	uint32_t xid, type, rpc, prog, vers, proc, flavor, cred_len, verf, verf_len;
	uint8_t cred[512];
};

static size_t pack(const struct head *h, uint8_t out[1200])
{
	static const uint8_t zero[512];
	struct wr w = wr_init(out, 1200);
	const uint32_t words[7] = {h->xid, h->type, h->rpc, h->prog, h->vers, h->proc, h->flavor};
	for (size_t i = 0; i < 7; i++)
		wr_u32(&w, words[i]);
	xdr_put_bytes(&w, h->cred, h->cred_len);
	wr_u32(&w, h->verf);
	xdr_put_bytes(&w, zero, h->verf_len);
	ck_assert(wr_ok(&w));
	return wr_len(&w);
}

static const struct head good = {.xid = 7, .rpc = 2, .prog = 100000, .vers = 4, .proc = 3};

static enum call_verdict judge(const struct head *h, struct call_head *ret)
{
	uint8_t text[1200];
	size_t len = pack(h, text);
	struct rd r = rd_init(text, len);
	enum call_verdict v = call_read(&r, ret);
	if (v == CALL_GOOD)
		ck_assert_uint_eq(rd_left(&r), 0);
	return v;
}

START_TEST(nothing_that_is_no_call_is_answered)
{
	struct call_head c;
	struct head h = good;
	h.type = 1; /* a reply: two registries would talk for ever */
	ck_assert_int_eq(judge(&h, &c), CALL_DROP);
	h.type = 2;
	ck_assert_int_eq(judge(&h, &c), CALL_DROP);
}
END_TEST

START_TEST(truncated_at_every_byte)
{
	uint8_t text[1200], *copy;
	struct call_head c;
	struct head h = good;
	h.cred_len = 8;
	h.flavor = 0;
	size_t len = pack(&h, text);
	for (size_t n = 0; n < len; n++) {
		copy = malloc(n + 1);
		memcpy(copy, text, n);
		struct rd r = rd_init(copy, n);
		enum call_verdict v = call_read(&r, &c);
		ck_assert_msg(v == (n < 28 ? CALL_DROP : CALL_BAD_CRED), "%zu of %zu bytes: %d", n, len, v);
		free(copy);
	}
}
END_TEST

START_TEST(versions_of_rpc)
{
	static const uint32_t versions[] = {0, 1, 3, 0xffffffff};
	struct call_head c;
	for (size_t i = 0; i < 4; i++) {
		struct head h = good;
		h.rpc = versions[i];
		ck_assert_int_eq(judge(&h, &c), CALL_RPC_MISMATCH);
		ck_assert_uint_eq(c.xid, 7);
	}
}
END_TEST

START_TEST(credentials)
{
	static const uint32_t unknown[] = {2, 3, 6, 390000, 0xffffffff};
	struct call_head c;
	struct head h = good;
	for (size_t i = 0; i < 5; i++) {
		h.flavor = unknown[i];
		ck_assert_int_eq(judge(&h, &c), CALL_REJECTED_CRED);
	}
	h = good;
	h.cred_len = 400;
	h.verf_len = 400;
	ck_assert_int_eq(judge(&h, &c), CALL_GOOD);
	h.cred_len = 401;
	ck_assert_int_eq(judge(&h, &c), CALL_BAD_CRED);
	h.cred_len = 0;
	h.verf_len = 401;
	ck_assert_int_eq(judge(&h, &c), CALL_BAD_CRED);
}
END_TEST

START_TEST(auth_sys_is_well_formed)
{
	struct call_head c;
	struct head h = good;
	h.flavor = 1;
	ck_assert_int_eq(judge(&h, &c), CALL_BAD_CRED); /* empty */
	struct wr w = wr_init(h.cred, sizeof(h.cred));
	wr_u32(&w, 1);
	xdr_put_text(&w, "host");
	wr_u32(&w, 0);
	wr_u32(&w, 0);
	uint8_t *gids = w.p;
	wr_u32(&w, 2);
	wr_u32(&w, 10);
	wr_u32(&w, 11);
	h.cred_len = (uint32_t)wr_len(&w);
	ck_assert_int_eq(judge(&h, &c), CALL_GOOD);
	ck_assert_uint_eq(c.prog, 100000);
	ck_assert_uint_eq(c.vers, 4);
	ck_assert_uint_eq(c.proc, 3);
	gids[3] = 3;
	ck_assert_int_eq(judge(&h, &c), CALL_BAD_CRED);
	gids[3] = 1;
	ck_assert_int_eq(judge(&h, &c), CALL_BAD_CRED);
	gids[0] = 0x40; /* times four is a small number again */
	gids[3] = 2;
	ck_assert_int_eq(judge(&h, &c), CALL_BAD_CRED);
}
END_TEST

/* A length that is claimed and not there (CVE-2017-8779). */
START_TEST(claimed_lengths)
{
	static const uint32_t claims[] = {1, 400, 401, 0x7fffffff, 0xfffffffc, 0xfffffffd, 0xffffffff};
	for (size_t i = 0; i < sizeof(claims) / sizeof(*claims); i++) {
		uint8_t text[64];
		struct call_head c;
		struct wr w = wr_init(text, sizeof(text));
		const uint32_t words[8] = {7, 0, 2, 100000, 4, 3, 0, claims[i]};
		for (size_t k = 0; k < 8; k++)
			wr_u32(&w, words[k]);
		struct rd r = rd_init(text, wr_len(&w));
		ck_assert_int_eq(call_read(&r, &c), CALL_BAD_CRED);
	}
}
END_TEST

static void expect(const struct wr *w, const uint32_t *words, size_t n)
{
	struct rd r = rd_init(w->start, wr_len(w));
	ck_assert_uint_eq(wr_len(w), 4 * n);
	for (size_t i = 0; i < n; i++)
		ck_assert_uint_eq(rd_u32(&r), words[i]);
}

START_TEST(replies)
{
	uint8_t text[64];
	struct wr w = wr_init(text, sizeof(text));
	call_reply_verdict(&w, 9, CALL_RPC_MISMATCH);
	expect(&w, (const uint32_t[]){9, 1, 1, 0, 2, 2}, 6);
	w = wr_init(text, sizeof(text));
	call_reply_verdict(&w, 9, CALL_BAD_CRED);
	expect(&w, (const uint32_t[]){9, 1, 1, 1, 1}, 5);
	w = wr_init(text, sizeof(text));
	call_reply_verdict(&w, 9, CALL_REJECTED_CRED);
	expect(&w, (const uint32_t[]){9, 1, 1, 1, 2}, 5);
	w = wr_init(text, sizeof(text));
	call_reply_auth(&w, 9, AUTH_TOOWEAK);
	expect(&w, (const uint32_t[]){9, 1, 1, 1, 5}, 5);
	w = wr_init(text, sizeof(text));
	call_reply_mismatch(&w, 9, 2, 4);
	expect(&w, (const uint32_t[]){9, 1, 0, 0, 0, 2, 2, 4}, 8);
	w = wr_init(text, sizeof(text));
	call_reply_accepted(&w, 9, ACCEPT_GARBAGE_ARGS);
	expect(&w, (const uint32_t[]){9, 1, 0, 0, 0, 4}, 6);
	w = wr_init(text, 20);
	call_reply_accepted(&w, 9, ACCEPT_SUCCESS);
	ck_assert(!wr_ok(&w));
	ck_assert_uint_eq(wr_len(&w), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("call");
	TCase *t = tcase_create("call");
	tcase_add_test(t, nothing_that_is_no_call_is_answered);
	tcase_add_test(t, truncated_at_every_byte);
	tcase_add_test(t, versions_of_rpc);
	tcase_add_test(t, credentials);
	tcase_add_test(t, auth_sys_is_well_formed);
	tcase_add_test(t, claimed_lengths);
	tcase_add_test(t, replies);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
