/* Two protocols for one tunnel in an SA payload: AND'ed proposals of one number (RFC 2408 section 4.2). What is refused first. */
#include "lib/ike/attr.h"
#include "lib/ike/sa.h"
#include "tests/support/check_main.h"
#include <string.h>

static const struct data_offer both = {.name = "both", .tunnel = true, .esp = 12, .key_bits = 128, .ah = true, .auth = 2, .seconds = {14400, 600, 86400}};
static const struct data_offer both_gcm = {
	.name = "gcm", .tunnel = true, .esp = 20, .key_bits = 256, .ah = true, .auth = 5, .esn = true, .seconds = {14400, 600, 86400}};
static const struct data_offer esp_cbc = {.name = "cbc", .tunnel = true, .esp = 12, .key_bits = 128, .auth = 2, .seconds = {14400, 600, 86400}};
static const struct data_offer ah = {.name = "ah", .tunnel = true, .ah = true, .auth = 2, .seconds = {14400, 600, 86400}};

static const struct p2_terms ours = {.spi = 0x11223344, .ah_spi = 0xaabbccdd, .esn_allowed = true};
static const struct p2_terms theirs = {.spi = 0x55667788, .ah_spi = 0x99887766, .esn_allowed = true};

static size_t offer(uint8_t *buf, const struct data_offer *o, size_t n, const struct p2_terms *t, size_t want)
{
	struct wr w = wr_init(buf, 1024);
	ck_assert_uint_eq(offer_p2_write(&w, o, n, t), want);
	ck_assert(wr_ok(&w));
	return wr_len(&w);
}

#define AH_SHA1 "\x80\4\0\1\x80\5\0\2"
#define CBC_128 "\x80\4\0\1\x80\6\0\x80"

/* Proposals as a peer may write them. */
struct line {
	uint8_t number, protocol, id;
	const char *attrs;
	size_t len;
	bool more; /* another transform of the proposal before it */
};
#define L(number, protocol, id, attrs) {number, protocol, id, attrs, sizeof(attrs) - 1, false}
#define MORE(number, protocol, id, attrs) {number, protocol, id, attrs, sizeof(attrs) - 1, true}

static size_t payload(uint8_t *buf, const struct line *l, size_t n)
{
	struct wr w = wr_init(buf, 1024);
	struct sa_writer s;
	uint8_t transform = 1;

	sa_begin(&s, &w);
	for (size_t i = 0; i < n && l[i].number; i++) {
		if (!l[i].more) {
			uint8_t spi[4] = {0, 0, l[i].protocol, (uint8_t)(i + 1)};
			sa_add_proposal(&s, l[i].number, l[i].protocol, spi, 4);
			transform = 1;
		}
		sa_add_transform(&s, transform++, l[i].id);
		wr_bytes(&w, l[i].attrs, l[i].len);
	}
	sa_end(&s);
	ck_assert(wr_ok(&w));
	return wr_len(&w);
}

START_TEST(refused)
{
	static const struct line cases[][4] = {
		{L(1, 2, 3, AH_SHA1)},				/* one alone */
		{L(1, 3, 12, CBC_128)},
		{L(1, 2, 3, AH_SHA1), L(2, 3, 12, CBC_128)},	/* one or the other */
		{L(1, 2, 3, AH_SHA1), L(1, 2, 3, AH_SHA1)},	/* twice the same */
		{L(1, 3, 12, CBC_128), L(1, 3, 12, CBC_128)},
		{L(1, 2, 3, AH_SHA1), L(1, 3, 12, CBC_128), L(1, 4, 2, "\x80\4\0\1")}, /* and IPCOMP */
		{L(1, 2, 3, AH_SHA1), L(1, 3, 12, CBC_128), L(1, 3, 12, CBC_128)},
		{L(1, 2, 2, "\x80\4\0\1\x80\5\0\1"), L(1, 3, 12, CBC_128)},	/* MD5 */
		{L(1, 2, 3, AH_SHA1), L(1, 3, 12, "\x80\4\0\1\x80\6\1\0")},	/* 256 bits */
		{L(1, 2, 3, AH_SHA1), L(1, 3, 3, "\x80\4\0\1")},		/* 3DES */
		{L(1, 2, 3, AH_SHA1), L(1, 3, 12, CBC_128 "\x80\5\0\2")},	/* ESP with integrity, too */
		{L(1, 2, 3, AH_SHA1), L(1, 3, 12, "\x80\4\0\2\x80\6\0\x80")},	/* ESP in transport mode */
		{L(1, 2, 3, "\x80\4\0\3\x80\5\0\2"), L(1, 3, 12, CBC_128)},	/* AH in UDP */
		{L(1, 2, 3, AH_SHA1), L(1, 3, 12, CBC_128 "\x80\3\0\16")},	/* a group in one of them */
		{L(1, 2, 3, AH_SHA1 "\x80\3\0\16"), L(1, 3, 12, CBC_128)},
		{L(1, 2, 3, AH_SHA1 "\x80\1\0\1\x80\2\0\12"), L(1, 3, 12, CBC_128)}, /* ten seconds */
		{L(1, 2, 3, AH_SHA1), L(1, 3, 12, CBC_128 "\x80\1\0\1\x80\2\0\12")},
		{L(1, 2, 3, AH_SHA1), L(1, 3, 12, CBC_128 "\x80\13\0\1")},	/* extended numbers of ESP */
	};
	struct p2_choice c;
	struct ike_refusal why;
	uint8_t buf[1024];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t len = payload(buf, cases[i], 4);
		ck_assert_msg(offer_p2_choose(buf, len, &both, 1, &ours, &c, &why) == -EPROTO, "case %zu", i);
		ck_assert_uint_eq(why.notify, i == 17 ? NOTIFY_ATTRIBUTES_NOT_SUPPORTED : NOTIFY_NO_PROPOSAL_CHOSEN);
	}
	/* AND'ed ones are nothing for who wants one */
	size_t len = payload(buf, (const struct line[]){L(1, 2, 3, AH_SHA1), L(1, 3, 12, CBC_128)}, 2);
	const struct data_offer single[] = {ah, esp_cbc};
	ck_assert_int_eq(offer_p2_choose(buf, len, single, 2, &ours, &c, NULL), -EPROTO);
	/* reserved SPIs of either */
	for (size_t at = 0; at < len - 4; at++) {
		if (memcmp(buf + at, "\0\0\2\1", 4) && memcmp(buf + at, "\0\0\3\2", 4))
			continue;
		uint8_t was = buf[at + 2];
		buf[at + 2] = 0;
		ck_assert_int_eq(offer_p2_choose(buf, len, &both, 1, &ours, &c, NULL), -EPROTO);
		buf[at + 2] = was;
	}
	ck_assert_int_eq(offer_p2_choose(buf, len, &both, 1, &ours, &c, NULL), 0);
}
END_TEST

START_TEST(nat_and_udp)
{
	struct p2_terms nat = ours;
	struct data_offer udp = both;
	struct p2_choice c;
	uint8_t buf[1024];
	size_t len = offer(buf, &both, 1, &theirs, 1);

	nat.nat = true;
	ck_assert_int_eq(offer_p2_choose(buf, len, &both, 1, &nat, &c, NULL), -EPROTO);
	(void)offer(buf, &both, 1, &nat, 0);
	udp.udp = true;
	(void)offer(buf, &udp, 1, &ours, 0);
}
END_TEST

/* The bytes that go out: two proposals number 1, AH's and ESP's, each with its SPI. */
START_TEST(on_the_wire)
{
	static const uint8_t want[] = {0, 0, 0, 1, 0, 0, 0, 1,					    /* DOI, situation */
		2, 0, 0, 36, 1, 2, 4, 1, 0xaa, 0xbb, 0xcc, 0xdd,				    /* proposal 1: AH */
		0, 0, 0, 24, 1, 3, 0, 0, 0x80, 1, 0, 1, 0x80, 2, 0x38, 0x40, 0x80, 4, 0, 1, 0x80, 5, 0, 2, /* SHA, 14400 s, tunnel */
		0, 0, 0, 36, 1, 3, 4, 1, 0x11, 0x22, 0x33, 0x44,				    /* proposal 1: ESP */
		0, 0, 0, 24, 1, 12, 0, 0, 0x80, 1, 0, 1, 0x80, 2, 0x38, 0x40, 0x80, 4, 0, 1, 0x80, 6, 0, 128};
	struct p2_choice c;
	uint8_t buf[1024];
	size_t len = offer(buf, &both, 1, &ours, 1);

	ck_assert_uint_eq(len, sizeof(want));
	ck_assert_mem_eq(buf, want, len);
	ck_assert_int_eq(offer_p2_choose(want, sizeof(want), &both, 1, &theirs, &c, NULL), 0);
	ck_assert_uint_eq(c.spi, 0x11223344);
	ck_assert_uint_eq(c.ah_spi, 0xaabbccdd);
	ck_assert_uint_eq(c.proto, IPSEC_PROTO_ESP);
	ck_assert(c.agreed.ah && c.agreed.esp == 12 && c.agreed.auth == 2 && c.agreed.tunnel && !c.agreed.esn);
	/* the answer is the same with the other end's SPIs */
	ck_assert_uint_eq(c.answer_len, len);
	memcpy(buf, want, len);
	memcpy(buf + 16, "\x99\x88\x77\x66", 4);
	memcpy(buf + 52, "\x55\x66\x77\x88", 4);
	ck_assert_mem_eq(c.answer, buf, len);
}
END_TEST

START_TEST(chosen_by_its_twin)
{
	const struct data_offer all[] = {both, both_gcm, esp_cbc, ah};
	uint8_t buf[1024];
	struct p2_choice c, k;

	for (size_t i = 0; i < 4; i++) {
		size_t len = offer(buf, all, 4, &ours, 4);
		ck_assert_int_eq(offer_p2_choose(buf, len, &all[i], 1, &theirs, &c, NULL), 0);
		ck_assert_uint_eq(c.proposal, i + 1);
		ck_assert_uint_eq(c.ah_spi, i < 2 ? 0xaabbccdd : 0);
		ck_assert(c.agreed.esn == (i == 1) && c.agreed.ah == all[i].ah && c.agreed.esp == all[i].esp && c.agreed.auth == all[i].auth);
		ck_assert_int_eq(offer_p2_check(buf, len, c.answer, c.answer_len, all, 4, &ours, &k, NULL), 0);
		ck_assert_uint_eq(k.index, i);
		ck_assert_uint_eq(k.spi, 0x55667788);
		ck_assert_uint_eq(k.ah_spi, i < 2 ? 0x99887766 : 0);
		ck_assert_uint_eq(k.agreed.seconds.proposed, 14400);
	}
}
END_TEST

/* ESP in front, several transforms, an AH that is said to be in transport mode: as other programs write it. */
START_TEST(other_ways_to_say_it)
{
	static const struct line cases[][4] = {
		{L(7, 3, 12, CBC_128), L(7, 2, 3, AH_SHA1)},
		{L(7, 3, 3, "\x80\4\0\1"), MORE(7, 3, 12, CBC_128), L(7, 2, 2, "\x80\4\0\1\x80\5\0\1"), MORE(7, 2, 3, AH_SHA1)},
		{L(7, 2, 3, "\x80\4\0\2\x80\5\0\2"), L(7, 3, 12, CBC_128)},
		{L(6, 3, 12, CBC_128), L(7, 2, 3, AH_SHA1), L(7, 3, 12, "\x80\4\0\1")},
	};
	struct p2_choice c;
	uint8_t buf[1024];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t len = payload(buf, cases[i], 4);
		ck_assert_msg(offer_p2_choose(buf, len, &both, 1, &ours, &c, NULL) == 0, "case %zu", i);
		ck_assert_uint_eq(c.proposal, 7);
		ck_assert_uint_eq(c.spi >> 8, 3);
		ck_assert_uint_eq(c.ah_spi >> 8, 2);
		struct sa_list list;
		ck_assert_int_eq(sa_read(c.answer, c.answer_len, &list, NULL), 0);
		ck_assert_uint_eq(list.n_proposals, 2);
		ck_assert_uint_eq(list.n_transforms, 2);
		ck_assert_uint_eq(list.proposals[0].protocol, i < 2 ? 3 : 2); /* in the peer's order */
	}
	/* the shorter of two lives */
	size_t len = payload(buf, (const struct line[]){L(1, 2, 3, AH_SHA1 "\x80\1\0\1\x80\2\x0e\x10"), L(1, 3, 12, CBC_128 "\x80\1\0\1\x80\2\x1c\x20")}, 2);
	ck_assert_int_eq(offer_p2_choose(buf, len, &both, 1, &ours, &c, NULL), 0);
	ck_assert_uint_eq(c.agreed.seconds.proposed, 3600);
}
END_TEST

START_TEST(answers_that_were_not_offered)
{
	const struct data_offer all[] = {both, esp_cbc};
	const struct line good[] = {L(1, 2, 3, AH_SHA1 "\x80\1\0\1\x80\2\x38\x40"), L(1, 3, 12, CBC_128 "\x80\1\0\1\x80\2\x38\x40")};
	const struct line bad[][3] = {{good[0]}, {good[1]}, {good[0], good[0]}, {good[1], good[1]}, {good[0], good[1], good[1]},
		{good[0], L(2, 3, 12, CBC_128 "\x80\1\0\1\x80\2\x38\x40")}, {good[0], L(1, 3, 12, CBC_128)}, {L(1, 2, 3, AH_SHA1), good[1]},
		{good[0], L(1, 3, 12, CBC_128 "\x80\5\0\2\x80\1\0\1\x80\2\x38\x40")}};
	struct p2_choice c;
	uint8_t sent[1024], buf[1024];
	size_t n = offer(sent, all, 2, &ours, 2);

	ck_assert_int_eq(offer_p2_check(sent, n, buf, payload(buf, good, 2), all, 2, &ours, &c, NULL), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(offer_p2_check(sent, n, buf, payload(buf, bad[i], 3), all, 2, &ours, &c, NULL) == -EPROTO, "case %zu", i);
	/* who offered one of them is not answered with two */
	n = offer(sent, &esp_cbc, 1, &ours, 1);
	ck_assert_int_eq(offer_p2_check(sent, n, buf, payload(buf, good, 2), all, 2, &ours, &c, NULL), -EPROTO);
}
END_TEST

START_TEST(truncated_at_every_byte)
{
	uint8_t buf[1024], copy[1024];
	struct p2_choice c;
	size_t len = offer(buf, &both_gcm, 1, &ours, 1);

	for (size_t n = 0; n < len; n++) {
		memcpy(copy, buf, n);
		ck_assert_int_eq(offer_p2_choose(copy, n, &both_gcm, 1, &theirs, &c, NULL), -EPROTO);
	}
	ck_assert_int_eq(offer_p2_choose(buf, len, &both_gcm, 1, &theirs, &c, NULL), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("offer.both");
	TCase *t = tcase_create("both");
	tcase_add_test(t, refused);
	tcase_add_test(t, nat_and_udp);
	tcase_add_test(t, on_the_wire);
	tcase_add_test(t, chosen_by_its_twin);
	tcase_add_test(t, other_ways_to_say_it);
	tcase_add_test(t, answers_that_were_not_offered);
	tcase_add_test(t, truncated_at_every_byte);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
