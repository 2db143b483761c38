#include "daemons/rpcbindD/label.h"
#include "tests/unit/daemons/rpcbindD/labels.h"

#define OPTION(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static struct saf_label got;

static int parse(const uint8_t *p, size_t len)
{
	memset(&got, 0, sizeof(got));
	uint8_t *copy = malloc(len ? len : 1); /* so that a read past the end is seen by asan */
	memcpy(copy, p, len);
	int rc = label_from_cipso(copy, len, 3, &got);
	free(copy);
	return rc;
}

START_TEST(malformed_is_no_label)
{
	ck_assert_int_eq(parse(OPTION(0)), -ENOENT);
	ck_assert_int_eq(parse(OPTION(1, 1, 7, 4, 0, 0)), -ENOENT);
	ck_assert_int_eq(parse(OPTION(134)), -EINVAL);
	ck_assert_int_eq(parse(OPTION(134, 0)), -EINVAL);
	ck_assert_int_eq(parse(OPTION(134, 1)), -EINVAL);
	ck_assert_int_eq(parse(OPTION(134, 2)), -EINVAL);
	ck_assert_int_eq(parse(OPTION(134, 6, 0, 0, 0, 3)), -EINVAL);		       /* no tag */
	ck_assert_int_eq(parse(OPTION(134, 10, 0, 0, 0, 4, 1, 4, 0, 5)), -EINVAL);    /* another DOI */
	ck_assert_int_eq(parse(OPTION(134, 10, 0, 0, 0, 3, 9, 4, 0, 5)), -EINVAL);    /* a tag that nobody knows */
	ck_assert_int_eq(parse(OPTION(134, 10, 0, 0, 0, 3, 1, 1, 0, 5)), -EINVAL);    /* a tag shorter than its head */
	ck_assert_int_eq(parse(OPTION(134, 10, 0, 0, 0, 3, 1, 3, 0, 5)), -EINVAL);    /* without its level */
	ck_assert_int_eq(parse(OPTION(134, 10, 0, 0, 0, 3, 1, 5, 0, 5)), -EINVAL);    /* longer than the option */
	ck_assert_int_eq(parse(OPTION(134, 11, 0, 0, 0, 3, 2, 5, 0, 5, 1)), -EINVAL); /* half a category */
	ck_assert_int_eq(parse(OPTION(134, 12, 0, 0, 0, 3, 2, 6, 0, 5, 1, 0)), -ERANGE);
	ck_assert_int_eq(parse(OPTION(134, 14, 0, 0, 0, 3, 5, 8, 0, 5, 0, 3, 0, 4)), -EINVAL); /* low above high */
	ck_assert_int_eq(parse(OPTION(134, 14, 0, 0, 0, 3, 5, 8, 0, 5, 255, 255, 0, 4)), -ERANGE);
	ck_assert_int_eq(parse(OPTION(134, 10, 0, 0, 0, 3, 1, 4, 0, 5, 134, 10, 0, 0, 0, 3, 1, 4, 0, 9)), -EINVAL);
	ck_assert_uint_eq(got.level, 0);
}
END_TEST

START_TEST(each_tag_is_read)
{
	ck_assert_int_eq(parse(OPTION(0x86, 0x0c, 0, 0, 0, 3, 1, 6, 0, 5, 0x40, 0x50)), 0); /* as the kernel sends it */
	ck_assert_uint_eq(got.level, 5);
	ck_assert_uint_eq(got.categories[0], 1ull << 1 | 1ull << 9 | 1ull << 11);
	ck_assert_int_eq(parse(OPTION(1, 134, 14, 0, 0, 0, 3, 2, 8, 0, 7, 0, 2, 0, 255)), 0);
	ck_assert_uint_eq(got.level, 7);
	ck_assert_uint_eq(got.categories[0], 4);
	ck_assert_uint_eq(got.categories[3], 1ull << 63);
	ck_assert_int_eq(parse(OPTION(134, 16, 0, 0, 0, 3, 5, 10, 0, 9, 0, 66, 0, 64, 0, 1)), 0);
	ck_assert_uint_eq(got.categories[1], 7);
	ck_assert_uint_eq(got.categories[0], 3);
	ck_assert_int_eq(parse(OPTION(134, 14, 0, 0, 0, 3, 9, 4, 1, 1, 1, 4, 0, 8)), 0); /* behind one that is not known */
	ck_assert_uint_eq(got.level, 8);
}
END_TEST

START_TEST(truncated_at_every_byte)
{
	static const uint8_t all[] = {134, 16, 0, 0, 0, 3, 5, 10, 0, 9, 0, 66, 0, 64, 0, 1};
	for (size_t n = 1; n < sizeof(all); n++)
		ck_assert_int_eq(parse(all, n), -EINVAL);
	ck_assert_int_eq(parse(all, 0), -ENOENT);
}
END_TEST

START_TEST(written_is_read_again)
{
	uint8_t out[LABEL_CIPSO_MAX];
	struct saf_label l = {.level = 100};
	int n = label_to_cipso(&l, 3, out);
	ck_assert_int_eq(n, 12);
	for (unsigned c = 0; c < 256; c++) {
		struct saf_label one = {.level = 255};
		one.categories[c / 64] = 1ull << c % 64;
		n = label_to_cipso(&one, 3, out);
		ck_assert_int_gt(n, 0);
		ck_assert_int_eq(n % 4, 0);
		ck_assert_int_eq(parse(out, (size_t)n), 0);
		ck_assert_mem_eq(&got, &one, sizeof(one));
	}
	memset(l.categories, 0xff, sizeof(l.categories));
	ck_assert_int_eq(label_to_cipso(&l, 3, out), -ERANGE);
	l.categories[3] = 0;
	ck_assert_int_gt(label_to_cipso(&l, 3, out), 0);
	l.level = 0;
	ck_assert_int_eq(label_to_cipso(&l, 3, out), -ERANGE);
	l.level = 256;
	ck_assert_int_eq(label_to_cipso(&l, 3, out), -ERANGE);
}
END_TEST

/* The check of RFC 1662 appendix C: over data and its complemented CRC, low byte first, the remainder is 0xf0b8. */
START_TEST(calipso_has_its_shape)
{
	uint8_t out[LABEL_CALIPSO_MAX], text[64];
	struct saf_label l = {.level = 100, .categories = {1ull << 1, 1ull << 63}};
	int n = label_to_calipso(&l, 3, out);
	ck_assert_int_eq(n, 32);
	ck_assert_uint_eq(out[1], 3);
	ck_assert_mem_eq(out + 2, ((const uint8_t[]){7, 24, 0, 0, 0, 3, 4, 100}), 8);
	ck_assert_uint_eq(out[12], 0x40);
	ck_assert_uint_eq(out[27], 0x01);
	ck_assert_mem_eq(out + 28, ((const uint8_t[]){1, 2, 0, 0}), 4);
	memcpy(text, out + 2, 26); /* with the field's place as zero, then the field */
	text[8] = text[9] = 0;
	text[26] = out[10];
	text[27] = out[11];
	unsigned crc = 0xffff;
	for (size_t i = 0; i < 28; i++)
		for (int bit = 0; bit < 8; bit++) {
			unsigned x = (crc ^ (unsigned)text[i] >> bit) & 1;
			crc = x ? crc >> 1 ^ 0x8408u : crc >> 1;
		}
	ck_assert_uint_eq(crc, 0xf0b8);
	l.level = 0;
	ck_assert_int_eq(label_to_calipso(&l, 3, out), -ERANGE);
}
END_TEST

static void zones(struct zone_table *t)
{
	static const char *const rows[][2] = {{"192.0.2.0/24", "SECZONE"}, {"198.51.100.0/24", "MULTI"}, {"203.0.113.0/24", "BARE"}};
	struct prefix p;
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(prefix_parse(rows[i][0], &p), 0);
		ck_assert_int_eq(zone_add(t, &p, rows[i][1]), 0);
	}
}

static int ask(const struct label_source *s, const char *from, const uint8_t *options, size_t len, char label[SAF_USER_MAX])
{
	struct label_client c = {.uid = LABEL_UID_UNKNOWN, .options = options, .options_len = len};
	ck_assert_int_eq(addr_parse(from, &c.addr), 0);
	label[0] = 0;
	return label_of_client(s, &c, label);
}

START_TEST(label_of_who_calls)
{
	struct saf_box b;
	struct zone_table t = {0};
	char label[SAF_USER_MAX];
	box_labels(&b, "SETROPTS MLACTIVE(FAILURES)");
	zones(&t);
	struct label_source s = {.saf = b.saf, .zones = &t, .sysname = "SYS1", .tcpname = "TCPIP", .doi = 3};
	const uint8_t secret[] = {134, 10, 0, 0, 0, 3, 1, 4, 0, 100}, blue[] = {134, 11, 0, 0, 0, 3, 1, 5, 0, 100, 0x80}, odd[] = {134, 10, 0, 0, 0, 3, 1, 4, 0, 99};

	ck_assert_int_eq(ask(&s, "8.8.8.8", NULL, 0, label), -ENOENT);
	ck_assert_int_eq(ask(&s, "8.8.8.8", secret, sizeof(secret), label), -ENOENT); /* nobody vouches for it */
	ck_assert_int_eq(ask(&s, "203.0.113.1", secret, sizeof(secret), label), -ENOENT);
	ck_assert_int_eq(ask(&s, "192.0.2.1", blue, sizeof(blue), label), -EACCES); /* not dominated by SECRED */
	ck_assert_int_eq(ask(&s, "192.0.2.1", odd, sizeof(odd), label), -EACCES);   /* no such label */
	ck_assert_int_eq(ask(&s, "192.0.2.1", secret, sizeof(secret) - 1, label), -EACCES);
	ck_assert_int_eq(ask(&s, "192.0.2.1", NULL, 0, label), 0);
	ck_assert_str_eq(label, "SECRED");
	ck_assert_int_eq(ask(&s, "192.0.2.1", secret, sizeof(secret), label), 0);
	ck_assert_str_eq(label, "SECRET");
	ck_assert_int_eq(ask(&s, "198.51.100.1", blue, sizeof(blue), label), 0);
	ck_assert_str_eq(label, "SECBLUE");
	s.doi = 0;
	ck_assert_int_eq(ask(&s, "192.0.2.1", blue, sizeof(blue), label), 0);
	ck_assert_str_eq(label, "SECRED");
	zone_free(&t);
	box_close(&b);
}
END_TEST

START_TEST(label_of_local_users)
{
	struct saf_box b;
	struct zone_table t = {0};
	char label[SAF_USER_MAX] = "";
	box_labels(&b, "SETROPTS MLACTIVE(FAILURES)");
	struct label_source s = {.saf = b.saf, .zones = &t, .sysname = "SYS1", .tcpname = "TCPIP"};
	static const struct {
		int64_t uid;
		int rc;
		const char *label;
	} rows[] = {{LABEL_UID_UNKNOWN, -ENOENT, ""}, {9999, -ENOENT, ""}, {7004, -ENOENT, ""}, {7005, -ENOENT, ""}, {7001, 0, "SECRED"}, {7003, 0, "PUBLIC"}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct label_client c = {.local = true, .uid = rows[i].uid};
		label[0] = 0;
		ck_assert_int_eq(label_of_client(&s, &c, label), rows[i].rc);
		ck_assert_str_eq(label, rows[i].label);
	}
	ck_assert_int_eq(label_of_server(b.saf, 7004, label), -ENOENT);
	ck_assert_int_eq(label_of_server(b.saf, 7006, label), 0);
	ck_assert_str_eq(label, "SYSMULTI");
	box_close(&b);
}
END_TEST

START_TEST(saf_says_what_a_label_permits)
{
	struct saf_box b;
	box_labels(&b, "SETROPTS MLACTIVE(FAILURES)");
	ck_assert(saf_mls(b.saf));
	ck_assert(!saf_label_permits(b.saf, "", "SECRED", SAF_READ));
	ck_assert(!saf_label_permits(b.saf, "SECRED", "", SAF_READ));
	ck_assert(!saf_label_permits(b.saf, "NOSUCH", "NOSUCH", SAF_READ));
	ck_assert(!saf_label_permits(b.saf, "SECRED", "SECBLUE", SAF_UPDATE));
	ck_assert(!saf_label_permits(b.saf, "PUBLIC", "SECRED", SAF_UPDATE));
	ck_assert(saf_label_permits(b.saf, "SECRED", "PUBLIC", SAF_UPDATE)); /* without MLS dominance is enough */
	ck_assert(saf_label_permits(b.saf, "SECBLUE", "SYSMULTI", SAF_UPDATE));
	box_do(&b, (const char *const[]){"SETROPTS MLS(FAILURES)", NULL});
	ck_assert(saf_label_permits(b.saf, "SECRED", "PUBLIC", SAF_READ));
	ck_assert(!saf_label_permits(b.saf, "SECRED", "PUBLIC", SAF_UPDATE)); /* write-down */
	ck_assert(saf_label_permits(b.saf, "SECRED", "SECRED", SAF_UPDATE));
	box_do(&b, (const char *const[]){"SETROPTS NOCLASSACT(SECLABEL)", NULL});
	ck_assert(!saf_mls(b.saf));
	box_close(&b);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("label");
	TCase *t = tcase_create("label");
	tcase_add_test(t, malformed_is_no_label);
	tcase_add_test(t, each_tag_is_read);
	tcase_add_test(t, truncated_at_every_byte);
	tcase_add_test(t, written_is_read_again);
	tcase_add_test(t, calipso_has_its_shape);
	tcase_add_test(t, label_of_who_calls);
	tcase_add_test(t, label_of_local_users);
	tcase_add_test(t, saf_says_what_a_label_permits);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
