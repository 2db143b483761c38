#include "lib/ike/attr.h"
#include "lib/ike/sa.h"
#include "tests/support/check_main.h"
#include <string.h>

static const struct kex_offer aes = {.name = "aes",
	.enc = 7,
	.key_bits = 256,
	.hash = 4,
	.auth = 1,
	.group = 14,
	.seconds = {28800, 600, 86400},
	.kbytes = {0, 0, 0}};
static const struct kex_offer des3 = {.name = "3des",
	.enc = 5,
	.hash = 2,
	.auth = 1,
	.group = 2,
	.seconds = {100000, 600, 200000},
	.kbytes = {50000, 1000, 100000}};
static const struct kex_offer vpn_b = {.name = "vpn-b",
	.enc = 7,
	.key_bits = 128,
	.hash = 2,
	.xcbc = true,
	.auth = 1,
	.group = 14,
	.seconds = {86400, 0, 0}};

static size_t p1(uint8_t *buf, size_t size, const struct kex_offer *o, size_t n)
{
	struct wr w = wr_init(buf, size);
	size_t written = offer_p1_write(&w, o, n);
	return wr_ok(&w) && written == n ? wr_len(&w) : 0;
}

START_TEST(p1_every_offer_is_chosen_by_its_twin)
{
	struct kex_offer both[] = {aes, des3, vpn_b};
	uint8_t buf[512];
	struct p1_choice c, k;

	for (size_t i = 0; i < 3; i++) {
		size_t len = p1(buf, sizeof(buf), &both[i], 1);
		ck_assert_uint_gt(len, 0);
		ck_assert_int_eq(offer_p1_choose(buf, len, both, 3, &c, NULL), 0);
		ck_assert_uint_eq(c.index, i);
		ck_assert_uint_eq(c.agreed.seconds.proposed, both[i].seconds.proposed);
		ck_assert_uint_eq(c.agreed.kbytes.proposed, both[i].kbytes.proposed);
		ck_assert_uint_eq(c.answer_len, len);
		ck_assert_mem_eq(c.answer, buf, len); /* one of one: unchanged */
	}
	size_t len = p1(buf, sizeof(buf), both, 3);
	ck_assert_int_eq(offer_p1_choose(buf, len, &both[1], 1, &c, NULL), 0);
	ck_assert_uint_eq(c.transform, 2);
	ck_assert_int_eq(offer_p1_check(buf, len, c.answer, c.answer_len, both, 3, &k, NULL), 0);
	ck_assert_uint_eq(k.index, 1);
}
END_TEST

START_TEST(p1_our_order_decides)
{
	struct kex_offer ours[] = {des3, aes}, theirs[] = {aes, des3};
	uint8_t buf[512];
	struct p1_choice c;
	size_t len = p1(buf, sizeof(buf), theirs, 2);

	ck_assert_int_eq(offer_p1_choose(buf, len, ours, 2, &c, NULL), 0);
	ck_assert_uint_eq(c.index, 0);
	ck_assert_uint_eq(c.transform, 2);
}
END_TEST

static void p1_none(const struct kex_offer *theirs)
{
	uint8_t buf[512];
	struct p1_choice c;
	struct ike_refusal why;
	size_t len = p1(buf, sizeof(buf), theirs, 1);

	ck_assert_uint_gt(len, 0);
	ck_assert_int_eq(offer_p1_choose(buf, len, &aes, 1, &c, &why), -EPROTO);
	ck_assert_uint_eq(why.notify, NOTIFY_NO_PROPOSAL_CHOSEN);
}

START_TEST(p1_nothing_else_is_chosen)
{
	struct kex_offer o;

#define OTHER(field, value)                                                                        \
	o = aes;                                                                                   \
	o.field = value;                                                                           \
	p1_none(&o)
	OTHER(enc, 5);
	OTHER(key_bits, 128);
	OTHER(hash, 2);
	OTHER(auth, 3);
	OTHER(group, 5);
	OTHER(xcbc, true);
	OTHER(seconds.proposed, 599);
	OTHER(seconds.proposed, 86401);
	p1_none(&des3);
}
END_TEST

/* An SA payload's body of one transform with given attributes. */
static size_t sa_of(uint8_t *buf, uint8_t protocol, uint8_t id, const void *attrs, size_t len)
{
	struct wr w = wr_init(buf, 512);
	struct sa_writer s;

	sa_begin(&s, &w);
	sa_add_proposal(&s, 1, protocol, "\0\0\1\1", protocol == 1 ? 0 : 4);
	sa_add_transform(&s, 1, id);
	wr_bytes(&w, attrs, len);
	sa_end(&s);
	return wr_len(&w);
}

#define AES_ATTRS                                                                                  \
	"\x80\1\0\7"                                                                               \
	"\x80\2\0\4"                                                                               \
	"\x80\3\0\1"                                                                               \
	"\x80\4\0\16"                                                                              \
	"\x80\16\1\0"

START_TEST(p1_odd_attributes)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool good;
	} cases[] = {
#define CASE(text, good) {text, sizeof(text) - 1, good}
		CASE(AES_ATTRS, true),
		CASE(AES_ATTRS "\x80\13\0\1"
			       "\x80\14\x0e\x10",
			true),
		CASE(AES_ATTRS "\x80\13\0\1"
			       "\0\14\0\4\0\0\x0e\x10",
			true), /* variable form */
		CASE(AES_ATTRS "\x80\13\0\1"
			       "\0\14\0\11\0\0\0\0\0\0\0\x0e\x10",
			true),
		CASE(AES_ATTRS "\x80\14\x0e\x10"
			       "\x80\13\0\1",
			false), /* duration before type */
		CASE(AES_ATTRS "\x80\13\0\1", false),
		CASE(AES_ATTRS "\x80\13\0\3"
			       "\x80\14\x0e\x10",
			false),
		CASE(AES_ATTRS "\x80\13\0\1"
			       "\x80\14\0\0",
			false),
		CASE(AES_ATTRS "\x80\13\0\1"
			       "\x80\14\x0e\x10"
			       "\x80\13\0\1"
			       "\x80\14\x0e\x10",
			false),
		CASE(AES_ATTRS "\x80\1\0\7", false),	  /* repeated */
		CASE(AES_ATTRS "\x80\5\0\1", false),	  /* group type */
		CASE(AES_ATTRS "\xc0\1\0\1", false),	  /* private type */
		CASE(AES_ATTRS "\x80\15\xfd\xec", false), /* prf not offered */
		CASE("\x80\1\0\7"
		     "\x80\2\0\4"
		     "\x80\3\0\1"
		     "\x80\16\1\0",
			false),
		CASE("\x80\1\0\7"
		     "\x80\2\0\4"
		     "\x80\3\0\1"
		     "\x80\4\0\16",
			false), /* 128 bits then */
		CASE("", false)};
	uint8_t buf[512];
	struct p1_choice c;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = sa_of(buf, 1, 1, cases[i].bytes, cases[i].len);
		int rc = offer_p1_choose(buf, len, &aes, 1, &c, NULL);
		ck_assert_msg(rc == (cases[i].good ? 0 : -EPROTO), "case %zu: %d", i, rc);
	}
	size_t len = sa_of(buf, 1, 1, AES_ATTRS, sizeof(AES_ATTRS) - 1);
	ck_assert_int_eq(offer_p1_choose(buf, len, &aes, 1, &c, NULL), 0);
	ck_assert_uint_eq(c.agreed.seconds.proposed, 28800); /* ours */
	len = sa_of(buf, 1, 2, AES_ATTRS, sizeof(AES_ATTRS) - 1);
	ck_assert_int_eq(offer_p1_choose(buf, len, &aes, 1, &c, NULL), -EPROTO);
	len = sa_of(buf, 3, 1, AES_ATTRS, sizeof(AES_ATTRS) - 1);
	ck_assert_int_eq(offer_p1_choose(buf, len, &aes, 1, &c, NULL), -EPROTO);
}
END_TEST

START_TEST(p1_answers_that_were_not_offered)
{
	struct kex_offer both[] = {aes, des3}, changed = aes;
	uint8_t sent[512], answer[512];
	struct p1_choice c;
	size_t sent_len = p1(sent, sizeof(sent), both, 2), len;

	changed.seconds.proposed = 3600; /* within limits, but not what was offered */
	len = p1(answer, sizeof(answer), &changed, 1);
	ck_assert_int_eq(offer_p1_check(sent, sent_len, answer, len, both, 2, &c, NULL), -EPROTO);
	changed = aes;
	changed.group = 5;
	len = p1(answer, sizeof(answer), &changed, 1);
	ck_assert_int_eq(offer_p1_check(sent, sent_len, answer, len, both, 2, &c, NULL), -EPROTO);
	ck_assert_int_eq(
		offer_p1_check(sent, sent_len, sent, sent_len, both, 2, &c, NULL), -EPROTO);
	len = p1(answer, sizeof(answer), &des3, 1);
	ck_assert_int_eq(offer_p1_check(sent, sent_len, answer, len, both, 2, &c, NULL), 0);
	ck_assert_uint_eq(c.index, 1);
}
END_TEST

START_TEST(sa_truncated_and_bent_at_every_byte)
{
	struct kex_offer both[] = {aes, des3};
	uint8_t buf[512], copy[512];
	size_t len = p1(buf, sizeof(buf), both, 2);

	for (size_t n = 0; n < len; n++) {
		struct ike_refusal why = {0};
		memcpy(copy, buf, n);
		ck_assert_int_eq(offer_sa_check(copy, n, &why), -EPROTO);
		ck_assert(why.notify && why.text);
	}
	ck_assert_int_eq(offer_sa_check(buf, len, NULL), 0);
	ck_assert_int_eq(offer_sa_check(buf, len + 1, NULL), -EPROTO);
	static const struct {
		size_t at;
		uint8_t value;
		uint16_t notify;
	} bad[] = {{3, 2, NOTIFY_DOI_NOT_SUPPORTED}, {3, 0, NOTIFY_DOI_NOT_SUPPORTED},
		{7, 3, NOTIFY_SITUATION_NOT_SUPPORTED}, {8, 2, NOTIFY_BAD_PROPOSAL_SYNTAX},
		{8, 3, NOTIFY_BAD_PROPOSAL_SYNTAX}, {9, 1, NOTIFY_BAD_PROPOSAL_SYNTAX},
		{11, 7, NOTIFY_BAD_PROPOSAL_SYNTAX}, {14, 17, NOTIFY_BAD_PROPOSAL_SYNTAX},
		{15, 0, NOTIFY_BAD_PROPOSAL_SYNTAX}, {15, 1, NOTIFY_BAD_PROPOSAL_SYNTAX},
		{15, 3, NOTIFY_BAD_PROPOSAL_SYNTAX}, {16, 2, NOTIFY_BAD_PROPOSAL_SYNTAX},
		{16, 0, NOTIFY_BAD_PROPOSAL_SYNTAX}, {22, 1, NOTIFY_BAD_PROPOSAL_SYNTAX}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ike_refusal why = {0};
		memcpy(copy, buf, len);
		copy[bad[i].at] = bad[i].value;
		ck_assert_msg(offer_sa_check(copy, len, &why) == -EPROTO, "case %zu", i);
		ck_assert_uint_eq(why.notify, bad[i].notify);
	}
}
END_TEST

START_TEST(sa_limits)
{
	static uint8_t buf[32768];
	struct wr w = wr_init(buf, sizeof(buf));
	struct sa_writer s;

	sa_begin(&s, &w);
	for (unsigned i = 0; i < SA_PROPOSALS_MAX + 1u; i++) {
		sa_add_proposal(&s, (uint8_t)i, 3, "\0\0\1\1", 4);
		sa_add_transform(&s, 1, 12);
	}
	sa_end(&s);
	ck_assert_int_eq(offer_sa_check(buf, wr_len(&w), NULL), -EPROTO);
	w = wr_init(buf, sizeof(buf));
	sa_begin(&s, &w);
	for (unsigned i = 0; i < OFFER_TRANSFORMS_MAX + 1u; i++) {
		if (i % 128 == 0)
			sa_add_proposal(&s, (uint8_t)(i / 128), 3, "\0\0\1\1", 4);
		sa_add_transform(&s, (uint8_t)i, 12);
	}
	sa_end(&s);
	ck_assert_int_eq(offer_sa_check(buf, wr_len(&w), NULL), -EPROTO);
}
END_TEST

static const struct data_offer esp_cbc = {.name = "cbc",
	.tunnel = true,
	.esp = 12,
	.key_bits = 256,
	.auth = 5,
	.seconds = {14400, 600, 86400},
	.kbytes = {0, 0, 0}};
static const struct data_offer esp_gcm = {.name = "gcm",
	.tunnel = true,
	.esp = 20,
	.key_bits = 128,
	.esn = true,
	.seconds = {14400, 600, 86400},
	.kbytes = {100000, 0, 0}};
static const struct data_offer esp_b = {.name = "vpn-b",
	.tunnel = false,
	.esp = 12,
	.key_bits = 128,
	.auth = 9,
	.seconds = {28800, 0, 0}};
static const struct data_offer ah = {
	.name = "ah", .tunnel = true, .ah = true, .auth = 2, .seconds = {28800, 0, 0}};
static const struct data_offer null_esp = {.name = "null", .esp = 11, .auth = 2};

static size_t p2(
	uint8_t *buf, const struct data_offer *o, size_t n, const struct p2_terms *t, size_t want)
{
	struct wr w = wr_init(buf, 1024);
	ck_assert_uint_eq(offer_p2_write(&w, o, n, t), want);
	ck_assert(wr_ok(&w));
	return wr_len(&w);
}

START_TEST(p2_every_offer_is_chosen_by_its_twin)
{
	struct data_offer all[] = {esp_cbc, esp_gcm, esp_b, ah, null_esp};
	static const uint16_t pfs = 14, acceptable[] = {0, 14, 19};
	struct p2_terms i = {.spi = 0x11223344, .groups = &pfs, .n_groups = 1, .esn_allowed = true};
	struct p2_terms r = {
		.spi = 0x55667788, .groups = acceptable, .n_groups = 3, .esn_allowed = true};
	uint8_t buf[1024];
	struct p2_choice c, k;

	for (size_t n = 0; n < 5; n++) {
		size_t len = p2(buf, &all[n], 1, &i, 1);
		ck_assert_int_eq(offer_p2_choose(buf, len, all, 5, &r, &c, NULL), 0);
		ck_assert_uint_eq(c.index, n);
		ck_assert_uint_eq(c.spi, 0x11223344);
		ck_assert_uint_eq(c.group, 14);
		ck_assert_int_eq(c.agreed.esn, all[n].esn);
		ck_assert_uint_eq(c.proto, n == 3 ? 2 : 3);
		ck_assert_uint_eq(c.encap, all[n].tunnel ? 1 : 2);
		ck_assert(!c.agreed.udp);
		ck_assert_int_eq(
			offer_p2_check(buf, len, c.answer, c.answer_len, &all[n], 1, &i, &k, NULL),
			0);
		ck_assert_uint_eq(k.spi, 0x55667788);
		ck_assert_uint_eq(k.agreed.kbytes.proposed, all[n].kbytes.proposed);
	}
	size_t len = p2(buf, all, 5, &i, 5);
	ck_assert_int_eq(offer_p2_choose(buf, len, &all[2], 1, &r, &c, NULL), 0);
	ck_assert_uint_eq(c.proposal, 3);
	ck_assert_int_eq(offer_p2_check(buf, len, c.answer, c.answer_len, all, 5, &i, &k, NULL), 0);
	ck_assert_uint_eq(k.index, 2);
}
END_TEST

START_TEST(p2_group_must_be_acceptable)
{
	static const uint16_t none = 0, two = 2, only14[] = {14}, with_none[] = {14, 0};
	struct p2_terms i = {.spi = 300, .groups = &two, .n_groups = 1};
	struct p2_terms r = {.spi = 400, .groups = only14, .n_groups = 1};
	uint8_t buf[1024];
	struct p2_choice c;

	size_t len = p2(buf, &esp_cbc, 1, &i, 1);
	ck_assert_int_eq(offer_p2_choose(buf, len, &esp_cbc, 1, &r, &c, NULL), -EPROTO);
	i.groups = &none;
	len = p2(buf, &esp_cbc, 1, &i, 1);
	ck_assert_int_eq(offer_p2_choose(buf, len, &esp_cbc, 1, &r, &c, NULL), -EPROTO);
	r.groups = with_none;
	r.n_groups = 2;
	ck_assert_int_eq(offer_p2_choose(buf, len, &esp_cbc, 1, &r, &c, NULL), 0);
	ck_assert_uint_eq(c.group, 0);
}
END_TEST

START_TEST(p2_encapsulation_behind_a_nat)
{
	struct data_offer both[] = {esp_cbc, ah}, transport = esp_cbc;
	struct p2_terms plain = {.spi = 300}, nat = {.spi = 400, .nat = true}, draft = nat;
	uint8_t buf[1024];
	struct p2_choice c;

	draft.draft = true;
	transport.tunnel = false;
	size_t len = p2(buf, both, 2, &plain, 2);
	ck_assert_int_eq(offer_p2_choose(buf, len, both, 2, &nat, &c, NULL), -EPROTO);
	len = p2(buf, both, 2, &nat, 1); /* AH does not pass a NAT */
	ck_assert_int_eq(offer_p2_choose(buf, len, both, 2, &plain, &c, NULL), -EPROTO);
	ck_assert_int_eq(offer_p2_choose(buf, len, both, 2, &nat, &c, NULL), 0);
	ck_assert_uint_eq(c.encap, ENCAP_UDP_TUNNEL);
	ck_assert(c.agreed.udp && c.agreed.tunnel);
	len = p2(buf, both, 2, &draft, 1);
	ck_assert_int_eq(offer_p2_choose(buf, len, both, 2, &nat, &c, NULL), 0);
	ck_assert_uint_eq(c.encap, ENCAP_UDP_TUNNEL_DRAFT);
	ck_assert_int_eq(offer_p2_choose(buf, len, &transport, 1, &nat, &c, NULL), -EPROTO);
	transport.udp = true;
	len = p2(buf, &transport, 1, &plain, 1);
	ck_assert_int_eq(offer_p2_choose(buf, len, &transport, 1, &plain, &c, NULL), 0);
	ck_assert_uint_eq(c.encap, ENCAP_UDP_TRANSPORT);
}
END_TEST

#define P2_ATTRS                                                                                   \
	"\x80\4\0\1"                                                                               \
	"\x80\5\0\5"                                                                               \
	"\x80\6\1\0"

START_TEST(p2_extended_sequence_numbers)
{
	struct data_offer offer = esp_cbc;
	struct p2_terms t = {.spi = 300, .esn_allowed = true};
	struct ike_refusal why;
	struct p2_choice c;
	uint8_t buf[1024];
	size_t len = sa_of(buf, 3, 12, P2_ATTRS "\x80\13\0\1", 16);

	ck_assert_int_eq(offer_p2_choose(buf, len, &offer, 1, &t, &c, &why), -EPROTO);
	ck_assert_uint_eq(why.notify, NOTIFY_ATTRIBUTES_NOT_SUPPORTED);
	offer.esn = true;
	ck_assert_int_eq(offer_p2_choose(buf, len, &offer, 1, &t, &c, NULL), 0);
	ck_assert(c.agreed.esn);
	t.esn_allowed = false;
	ck_assert_int_eq(offer_p2_choose(buf, len, &offer, 1, &t, &c, &why), -EPROTO);
	ck_assert_uint_eq(why.notify, NOTIFY_ATTRIBUTES_NOT_SUPPORTED);
	t.esn_allowed = true;
	len = sa_of(buf, 3, 12, P2_ATTRS "\x80\13\0\2", 16);
	ck_assert_int_eq(offer_p2_choose(buf, len, &offer, 1, &t, &c, &why), -EPROTO);
	ck_assert_uint_eq(why.notify, NOTIFY_ATTRIBUTES_NOT_SUPPORTED);
	len = sa_of(buf, 3, 12, P2_ATTRS, 12);
	ck_assert_int_eq(offer_p2_choose(buf, len, &offer, 1, &t, &c, NULL), 0);
	ck_assert(!c.agreed.esn);
	ck_assert_uint_eq(c.agreed.seconds.proposed, 14400);
	offer.seconds = (struct life){0, 0, 0};
	ck_assert_int_eq(offer_p2_choose(buf, len, &offer, 1, &t, &c, NULL), 0);
	ck_assert_uint_eq(c.agreed.seconds.proposed, 28800); /* RFC 2407's default */
}
END_TEST

START_TEST(p2_spi_and_bundles)
{
	struct p2_terms t = {.spi = 300};
	struct p2_choice c;
	struct sa_writer s;
	uint8_t buf[1024];
	size_t len = sa_of(buf, 3, 12, P2_ATTRS, 12);

	ck_assert_int_eq(offer_p2_choose(buf, len, &esp_cbc, 1, &t, &c, NULL), 0);
	ck_assert_uint_eq(c.spi, 257);
	buf[18] = 0; /* SPI 1 is reserved (RFC 4303 2.1) */
	ck_assert_int_eq(offer_p2_choose(buf, len, &esp_cbc, 1, &t, &c, NULL), -EPROTO);
	for (int bundled = 0; bundled < 2; bundled++) {
		struct wr w = wr_init(buf, sizeof(buf));
		sa_begin(&s, &w);
		for (uint8_t n = 0; n < 2; n++) {
			sa_add_proposal(
				&s, bundled ? 1 : (uint8_t)(n + 1), n ? 3 : 2, "\0\0\1\1", 4);
			sa_add_transform(&s, 1, n ? 12 : 3);
			wr_bytes(&w, n ? P2_ATTRS : "\x80\4\0\1\x80\5\0\2\0", n ? 12 : 8);
		}
		sa_end(&s);
		int rc = offer_p2_choose(buf, wr_len(&w), &esp_cbc, 1, &t, &c, NULL);
		ck_assert_int_eq(rc, bundled ? -EPROTO : 0);
	}
}
END_TEST

START_TEST(p2_offers_that_cannot_be_sent)
{
	struct data_offer bad[] = {ah, null_esp, esp_gcm, esp_cbc};
	struct p2_terms t = {.spi = 300};
	uint8_t buf[1024];

	bad[0].esp = 12;      /* AH over ESP, and that in UDP */
	bad[0].udp = true;
	bad[1].auth = 0;      /* nothing at all */
	bad[2].auth = 2;      /* a combined mode with another authenticator */
	bad[3].key_bits = 64; /* no such key */
	p2(buf, bad, 4, &t, 0);
}
END_TEST

START_TEST(p2_truncated_at_every_byte)
{
	struct data_offer all[] = {esp_cbc, esp_gcm};
	struct p2_terms t = {.spi = 300, .esn_allowed = true};
	uint8_t buf[1024], copy[1024];
	struct p2_choice c;
	size_t len = p2(buf, all, 2, &t, 2);

	for (size_t n = 0; n < len; n++) {
		memcpy(copy, buf, n);
		ck_assert_int_eq(offer_p2_choose(copy, n, all, 2, &t, &c, NULL), -EPROTO);
	}
	ck_assert_int_eq(offer_p2_choose(buf, len, all, 2, &t, &c, NULL), 0);
}
END_TEST

START_TEST(lifetimes)
{
	uint8_t buf[64];
	uint64_t s = 9, kb = 9;
	struct wr w = wr_init(buf, sizeof(buf));

	offer_lifetimes_write(&w, true, 86400, 7);
	ck_assert_uint_eq(wr_len(&w), 4 + 8 + 4 + 4);
	for (size_t cut = 1; cut < wr_len(&w); cut++) {
		if (cut != 12)
			ck_assert_int_eq(offer_lifetimes_read(buf, cut, true, &s, &kb), -EPROTO);
	}
	ck_assert_uint_eq(s, 9);
	ck_assert_int_eq(offer_lifetimes_read(buf, wr_len(&w), true, &s, &kb), 0);
	ck_assert_uint_eq(s, 86400);
	ck_assert_uint_eq(kb, 7);
	ck_assert_int_eq(offer_lifetimes_read(buf, 12, true, &s, &kb), 0);
	ck_assert_uint_eq(kb, 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("offer");
	TCase *t = tcase_create("offer");
	tcase_add_test(t, p1_every_offer_is_chosen_by_its_twin);
	tcase_add_test(t, p1_our_order_decides);
	tcase_add_test(t, p1_nothing_else_is_chosen);
	tcase_add_test(t, p1_odd_attributes);
	tcase_add_test(t, p1_answers_that_were_not_offered);
	tcase_add_test(t, sa_truncated_and_bent_at_every_byte);
	tcase_add_test(t, sa_limits);
	tcase_add_test(t, p2_every_offer_is_chosen_by_its_twin);
	tcase_add_test(t, p2_group_must_be_acceptable);
	tcase_add_test(t, p2_encapsulation_behind_a_nat);
	tcase_add_test(t, p2_extended_sequence_numbers);
	tcase_add_test(t, p2_spi_and_bundles);
	tcase_add_test(t, p2_offers_that_cannot_be_sent);
	tcase_add_test(t, p2_truncated_at_every_byte);
	tcase_add_test(t, lifetimes);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
