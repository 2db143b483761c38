/* Which profile covers a name: zos.md section 1, "Profiles", and the walk held against a plain matcher. */
#include "tests/unit/lib/saf/fixture.h"

static void define(const char *profile)
{
	char command[320];
	(void)snprintf(command, sizeof(command), "RDEFINE SERVAUTH %s UACC(NONE)", profile);
	racf_ok(command);
}

START_TEST(nothing_covers_without_a_profile)
{
	ck_assert_int_eq(may("IBMUSER", "COPY.PAPER.TEST", SAF_READ), SAF_NO_DECISION);
	define("COPY.PAPER.TEST");
	publish();
	ck_assert_int_eq(may("IBMUSER", "COPY.PAPER", SAF_READ), SAF_NO_DECISION);
	ck_assert_int_eq(may("IBMUSER", "COPY.PAPER.TESTS", SAF_READ), SAF_NO_DECISION);
	ck_assert_int_eq(may("IBMUSER", "COPY.PAPER.TES", SAF_READ), SAF_NO_DECISION);
	ck_assert_str_eq(covering("COPY.PAPER.TEST"), "COPY.PAPER.TEST");
}
END_TEST

/* IBM's sample, most specific first; each line is deleted when it has won, so that the next must win. */
START_TEST(the_sample_in_its_order)
{
	static const char *const order[] = {"COPY.PAPER.%", "COPY.PAPER.*", "COPY.PAPER.**", "COPY.PAPER%", "COPY.PAPER*", "COPY.PAPE%",
		"COPY.PAP*", "COPY.%APER", "COPY.*", "COPY.**", "COP*", "C%PY.**", "**"};
	/* For each a name that it covers, as does everything behind it that is listed in the next array. */
	for (int i = 12; i >= 0; i--)
		define(order[i]);
	define("COPY.PAPER.T");
	publish();
	ck_assert_str_eq(covering("COPY.PAPER.T"), "COPY.PAPER.T");
	racf_ok("RDELETE SERVAUTH COPY.PAPER.T");
	publish();
	static const char *const down[] = {"COPY.PAPER.%", "COPY.PAPER.*", "COPY.PAPER.**", "COPY.PAPER*", "COPY.PAP*", "COPY.*", "COPY.**", "COP*",
		"C%PY.**", "**"};
	for (size_t i = 0; i < sizeof(down) / sizeof(*down); i++) {
		char command[64];
		ck_assert_str_eq(covering("COPY.PAPER.T"), down[i]);
		(void)snprintf(command, sizeof(command), "RDELETE SERVAUTH %s", down[i]);
		racf_ok(command);
		publish();
	}
	ck_assert_str_eq(covering("COPY.PAPERX"), "COPY.PAPER%");
	ck_assert_str_eq(covering("COPY.PAPEX"), "COPY.PAPE%");
	ck_assert_str_eq(covering("COPY.XAPER"), "COPY.%APER");
	ck_assert_str_eq(covering("COPY.PAPER"), "COPY.PAPE%");
	ck_assert_str_eq(covering("COPY"), "");
}
END_TEST

START_TEST(what_the_stars_cover)
{
	define("AA.*");
	publish();
	ck_assert_str_eq(covering("AA"), "");
	ck_assert_str_eq(covering("AA.BB"), "AA.*");
	ck_assert_str_eq(covering("AA.B.C"), "AA.*");
	define("AA.**");
	define("X.*.Z");
	define("Y.DE*.F");
	define("Q.**.Z");
	define("W%");
	publish();
	ck_assert_str_eq(covering("AA"), "AA.**");
	ck_assert_str_eq(covering("AA.BB"), "AA.*");
	ck_assert_str_eq(covering("X.Z"), "");
	ck_assert_str_eq(covering("X.A.B.Z"), "");
	ck_assert_str_eq(covering("X.A.Z"), "X.*.Z");
	ck_assert_str_eq(covering("Y.DE.F"), "Y.DE*.F");
	ck_assert_str_eq(covering("Y.DEX.F"), "Y.DE*.F");
	ck_assert_str_eq(covering("Y.D.F"), "");
	ck_assert_str_eq(covering("Y.DE.X.F"), "");
	ck_assert_str_eq(covering("Q.Z"), "Q.**.Z");
	ck_assert_str_eq(covering("Q.A.B.Z"), "Q.**.Z");
	ck_assert_str_eq(covering("Q.A.B"), "");
	ck_assert_str_eq(covering("W."), "");
	ck_assert_str_eq(covering("W1"), "W%");
	ck_assert_str_eq(covering("W12"), "");
}
END_TEST

START_TEST(generics_off_is_discrete_only)
{
	define("EZB.**");
	define("EZB.A");
	racf_ok("SETROPTS NOGENERIC(SERVAUTH)");
	publish();
	ck_assert_str_eq(covering("EZB.B"), "");
	ck_assert_str_eq(covering("EZB.A"), "EZB.A");
	racf_ok("SETROPTS GENERIC(SERVAUTH)");
	publish();
	ck_assert_str_eq(covering("EZB.B"), "EZB.**");
}
END_TEST

/* A matcher without trie, and the order as zos.md says it. */
static bool plain_match(const char *p, const char *n, bool start)
{
	if (!strcmp(p, "**"))
		return true;
	if (!strncmp(p, "**.", 3)) {
		for (const char *at = n; at; at = strchr(at, '.') ? strchr(at, '.') + 1 : NULL)
			if (plain_match(p + 3, at, true))
				return true;
		return false;
	}
	if (!*n)
		return !*p || !strcmp(p, ".**") || (!start && !strcmp(p, "*")) || (!start && !strcmp(p, "*.**"));
	if (*p == '*') {
		if (start && *n == '.')
			return false;
		if (!p[1])
			return true;
		return plain_match(p + 1, n + strcspn(n, "."), false);
	}
	if (!*p || (*p == '%' ? *n == '.' : *p != *n))
		return false;
	return plain_match(p + 1, n + 1, *n == '.');
}

static int weight(const char *p)
{
	if (!*p)
		return 0;
	return *p == '%' ? 2 : *p != '*' ? 1 : p[1] == '*' ? 5 : p[1] ? 3 : 4;
}

static bool plain_better(const char *a, const char *b)
{
	while (*a && *a == *b && weight(a) == weight(b)) {
		a++;
		b++;
	}
	return weight(a) < weight(b) || (weight(a) == weight(b) && strcmp(a, b) < 0);
}

static unsigned random_profiles(char profiles[][64], unsigned want)
{
	static const char *const words[] = {"A", "B", "AB", "BA", "A%", "%", "%B", "*", "A*", "%*", "**", "**"};
	char command[128];
	unsigned n = 0;
	while (n < want) {
		char p[64] = "";
		unsigned stars = 0;
		for (long q = random() % 4 + 1; q > 0; q--) {
			const char *w = words[random() % 12];
			stars += !strcmp(w, "**");
			if (stars > 1)
				w = "*";
			(void)strcat(strcat(p, *p ? "." : ""), w);
		}
		(void)snprintf(command, sizeof(command), "RDEFINE SERVAUTH %s", p);
		if (strpbrk(p, "*%") && racf(command) <= RACF_WARNED)
			(void)snprintf(profiles[n++], 64, "%s", p);
	}
	return n;
}

START_TEST(walk_agrees_with_a_plain_matcher)
{
	static const char *const words[] = {"A", "B", "AB", "BA"};
	char profiles[24][64], name[64], command[128];
	srandom(20261125);
	for (unsigned round = 0; round < 40; round++) {
		unsigned n = random_profiles(profiles, round % 20 + 2);
		publish();
		for (unsigned i = 0; i < 300; i++) {
			const char *best = "";
			name[0] = 0;
			for (long q = random() % 5 + 1; q > 0; q--)
				(void)strcat(strcat(name, *name ? "." : ""), words[random() % 4]);
			for (unsigned k = 0; k < n; k++)
				if (plain_match(profiles[k], name, true) && (!*best || plain_better(profiles[k], best)))
					best = profiles[k];
			ck_assert_msg(!strcmp(covering(name), best), "%s: %s, expected %s", name, covering(name), best);
		}
		for (unsigned k = 0; k < n; k++) {
			(void)snprintf(command, sizeof(command), "RDELETE SERVAUTH %.63s", profiles[k]);
			racf_ok(command);
		}
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("specificity");
	TCase *t = tcase_create("names");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, nothing_covers_without_a_profile);
	tcase_add_test(t, the_sample_in_its_order);
	tcase_add_test(t, what_the_stars_cover);
	tcase_add_test(t, generics_off_is_discrete_only);
	tcase_add_test(t, walk_agrees_with_a_plain_matcher);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
