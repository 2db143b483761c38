/* The decision order and the specificity order of zos.md section 1, refusals first. */
#include "tests/unit/lib/saf/support.h"

static const char *const users[] = {"ADDGROUP (OPS SEC)", "ADDUSER (ANN BOB RES REV)", "ALTUSER RES RESTRICTED", "ALTUSER REV REVOKE",
	"CONNECT BOB GROUP(OPS)", "CONNECT BOB GROUP(SEC)", NULL};

START_TEST(no_class_no_profile_no_decision)
{
	struct saf_box b;
	box_open(&b);
	box_do(&b, users);
	ck_assert_int_eq(box_ask(&b, "ANN", "EZB.X", SAF_READ).rc, SAF_NO_DECISION);
	box_do(&b, (const char *const[]){"RDEFINE SERVAUTH EZB.X UACC(ALTER)", "SETROPTS NOCLASSACT(SERVAUTH)", NULL});
	ck_assert_int_eq(box_ask(&b, "ANN", "EZB.X", SAF_READ).rc, SAF_NO_DECISION);
	box_do(&b, (const char *const[]){"SETROPTS CLASSACT(SERVAUTH)", NULL});
	ck_assert_int_eq(box_ask(&b, "ANN", "EZB.X", SAF_READ).rc, SAF_ALLOWED);
	box_close(&b);
}
END_TEST

START_TEST(who_is_refused)
{
	struct saf_box b;
	struct saf_decision d;
	struct saf_subject who;
	char text[SAF_REASON_MAX];
	box_open(&b);
	box_do(&b, users);
	box_do(&b, (const char *const[]){"RDEFINE SERVAUTH EZB.** UACC(READ)", NULL});
	ck_assert_int_eq(box_ask(&b, "NOBODY", "EZB.A", SAF_READ).rc, SAF_REFUSED);
	ck_assert_int_eq(box_ask(&b, "REV", "EZB.A", SAF_READ).rc, SAF_REFUSED);
	ck_assert_int_eq(box_ask(&b, "RES", "EZB.A", SAF_READ).rc, SAF_REFUSED);
	d = box_ask(&b, "ANN", "EZB.A", SAF_UPDATE);
	ck_assert_int_eq(d.rc, SAF_REFUSED);
	ck_assert_int_eq(d.allowed, SAF_READ);
	ck_assert(d.audit && d.generic);
	ck_assert_int_eq(saf_user_by_name(b.saf, "ANN", &who, NULL), 0);
	ck_assert_str_eq(saf_reason(b.saf, &who, "SERVAUTH", "EZB.A", &d, text),
		"ICH408I USER(ANN) GROUP(SYS1) NAME(####################) EZB.A CL(SERVAUTH) INSUFFICIENT ACCESS AUTHORITY FROM EZB.** (G)"
		" ACCESS INTENT(UPDATE) ACCESS ALLOWED(READ)");
	ck_assert_int_eq(box_ask(&b, "ANN", "EZB.A", SAF_READ).rc, SAF_ALLOWED);
	/* A level of NONE is no question, and a name past the limit is no resource. */
	char big[SAF_RESOURCE_MAX + 8];
	memset(big, 'A', sizeof(big));
	big[sizeof(big) - 1] = 0;
	ck_assert_int_eq(saf_check(b.saf, &who, "SERVAUTH", "EZB.A", SAF_NONE, &d), SAF_REFUSED);
	ck_assert_int_eq(saf_check(b.saf, &who, "SERVAUTH", big, SAF_READ, &d), SAF_REFUSED);
	box_close(&b);
}
END_TEST

START_TEST(own_entry_then_groups_then_star_then_uacc)
{
	struct saf_box b;
	box_open(&b);
	box_do(&b, users);
	box_do(&b, (const char *const[]){"RDEF SERVAUTH R.1 UACC(CONTROL)", "PE R.1 CL(SERVAUTH) ID(BOB) AC(NONE)", "PE R.1 CL(SERVAUTH) ID(OPS) AC(ALTER)",
			 "RDEF SERVAUTH R.2 UACC(ALTER)", "PE R.2 CL(SERVAUTH) ID(OPS) AC(READ)", "PE R.2 CL(SERVAUTH) ID(SEC) AC(UPDATE)",
			 "RDEF SERVAUTH R.3 UACC(NONE)", "PE R.3 CL(SERVAUTH) ID(*) AC(READ)", "RDEF SERVAUTH R.4 UACC(UPDATE)",
			 "PE R.4 CL(SERVAUTH) ID(RES) AC(READ)", "RDEF SERVAUTH R.5 WARNING", NULL});
	ck_assert_int_eq(box_ask(&b, "BOB", "R.1", SAF_READ).rc, SAF_REFUSED);
	ck_assert_int_eq(box_ask(&b, "ANN", "R.1", SAF_CONTROL).rc, SAF_ALLOWED);
	ck_assert_int_eq(box_ask(&b, "BOB", "R.2", SAF_CONTROL).rc, SAF_REFUSED);
	ck_assert_int_eq(box_ask(&b, "BOB", "R.2", SAF_UPDATE).allowed, SAF_UPDATE);
	ck_assert_int_eq(box_ask(&b, "RES", "R.3", SAF_READ).rc, SAF_REFUSED);
	ck_assert_int_eq(box_ask(&b, "ANN", "R.3", SAF_READ).rc, SAF_ALLOWED);
	ck_assert_int_eq(box_ask(&b, "RES", "R.4", SAF_UPDATE).rc, SAF_REFUSED);
	ck_assert_int_eq(box_ask(&b, "RES", "R.4", SAF_READ).rc, SAF_ALLOWED);
	struct saf_decision d = box_ask(&b, "ANN", "R.5", SAF_READ);
	ck_assert_int_eq(d.rc, SAF_ALLOWED);
	ck_assert(d.warning && d.audit);
	ck_assert_int_eq(d.qualifier, 3);
	box_close(&b);
}
END_TEST

/* IBM's sample, from most to least specific: taking each away uncovers the next. */
START_TEST(specificity_order)
{
	static const char *const order[] = {"COPY.PAPER.TEST", "COPY.PAPER.%EST", "COPY.PAPER.*", "COPY.PAPER.**", "COPY.PAPE%.TEST", "COPY.PAPE*.TEST",
		"COPY.PAPE*", "COPY.PAP*", "COPY.%APER.TEST", "COPY.*.TEST", "COPY.*", "COPY.**.TEST", "COPY.**", "%OPY.PAPER.TEST", "*.PAPER.TEST", "**"};
	const size_t n = sizeof(order) / sizeof(*order);
	struct saf_box b;
	char command[300];
	box_open(&b);
	for (size_t i = n; i-- > 0;) {
		(void)snprintf(command, sizeof(command), "RDEFINE SERVAUTH %s UACC(READ)", order[i]);
		box_do(&b, (const char *const[]){command, NULL});
	}
	for (size_t i = 0; i < n; i++) {
		ck_assert_str_eq(box_ask(&b, "IBMUSER", "COPY.PAPER.TEST", SAF_READ).profile, order[i]);
		(void)snprintf(command, sizeof(command), "RDELETE SERVAUTH %s", order[i]);
		box_do(&b, (const char *const[]){command, NULL});
	}
	ck_assert_int_eq(box_ask(&b, "IBMUSER", "COPY.PAPER.TEST", SAF_READ).rc, SAF_NO_DECISION);
	box_close(&b);
}
END_TEST

START_TEST(what_generics_cover)
{
	static const struct {
		const char *profile, *resource;
		bool covers;
	} t[] = {{"AA.*", "AA", false}, {"AA.*", "AA.B", true}, {"AA.*", "AA.B.C", true}, {"AA.**", "AA", true}, {"AA.**", "AAB", false},
		{"AA.*.D", "AA.B.D", true}, {"AA.*.D", "AA.B.C.D", false}, {"AA.*.D", "AA.D", false}, {"AA.**.D", "AA.D", true}, {"AA.**.D", "AA.B.C.D", true},
		{"AA.**.D", "AA.B.C", false}, {"AA.B%", "AA.B", false}, {"AA.B%", "AA.BC", true}, {"AA.B%", "AA.BCD", false}, {"AA.B%.C", "AA.B.C", false},
		{"AA.B*", "AA.B", true}, {"AA.B*", "AA.BC.D", true}, {"AA.B*", "AA.CB", false}, {"AA.B*.D", "AA.BX.D", true}, {"AA.B*.D", "AA.BX.Y.D", false},
		{"**", "X.Y.Z", true}, {"**.Z", "Z", true}, {"**.Z", "X.Y.Z", true}, {"**.Z", "X.Y", false}, {"%%", "AB", true}, {"%%", "A.B", false}};
	struct saf_box b;
	char command[300];
	box_open(&b);
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		(void)snprintf(command, sizeof(command), "RDEFINE SERVAUTH %s UACC(READ)", t[i].profile);
		box_do(&b, (const char *const[]){command, NULL});
		ck_assert_msg((box_ask(&b, "IBMUSER", t[i].resource, SAF_READ).rc == SAF_ALLOWED) == t[i].covers, "%s on %s", t[i].profile, t[i].resource);
		(void)snprintf(command, sizeof(command), "RDELETE SERVAUTH %s", t[i].profile);
		box_do(&b, (const char *const[]){command, NULL});
	}
	box_close(&b);
}
END_TEST

START_TEST(generics_off_and_discrete_with_star)
{
	struct saf_box b;
	char text[2048];
	box_open(&b);
	box_do(&b, (const char *const[]){"SETROPTS NOGENERIC(SERVAUTH)", NULL});
	ck_assert_int_eq(box_run(&b, "RDEFINE SERVAUTH EZB.* UACC(READ)", text), 4);
	ck_assert_ptr_nonnull(strstr(text, "is a discrete profile"));
	box_do(&b, (const char *const[]){"SETROPTS GENERIC(SERVAUTH)", NULL});
	ck_assert_int_eq(box_ask(&b, "IBMUSER", "EZB.A", SAF_READ).rc, SAF_NO_DECISION);
	box_do(&b, (const char *const[]){"RDEFINE SERVAUTH EZA.* UACC(READ)", NULL});
	ck_assert_int_eq(box_ask(&b, "IBMUSER", "EZA.A", SAF_READ).rc, SAF_ALLOWED);
	box_do(&b, (const char *const[]){"SETROPTS NOGENERIC(SERVAUTH)", NULL});
	ck_assert_int_eq(box_ask(&b, "IBMUSER", "EZA.A", SAF_READ).rc, SAF_NO_DECISION);
	box_close(&b);
}
END_TEST

START_TEST(audit_settings)
{
	struct saf_box b;
	box_open(&b);
	box_do(&b, users);
	box_do(&b, (const char *const[]){"RDEF SERVAUTH A.1 UACC(READ) AUDIT(ALL(READ))", "RDEF SERVAUTH A.2 UACC(READ) AUDIT(NONE)",
			 "RDEF SERVAUTH A.3 UACC(READ) AUDIT(FAILURES(CONTROL))", NULL});
	ck_assert(box_ask(&b, "ANN", "A.1", SAF_READ).audit);
	ck_assert(box_ask(&b, "ANN", "A.1", SAF_UPDATE).audit);
	ck_assert(!box_ask(&b, "ANN", "A.2", SAF_UPDATE).audit);
	ck_assert(!box_ask(&b, "ANN", "A.3", SAF_UPDATE).audit);
	ck_assert(box_ask(&b, "ANN", "A.3", SAF_CONTROL).audit);
	box_do(&b, (const char *const[]){"SETROPTS LOGOPTIONS(ALWAYS(SERVAUTH))", NULL});
	ck_assert(box_ask(&b, "ANN", "A.2", SAF_READ).audit);
	box_do(&b, (const char *const[]){"SETROPTS LOGOPTIONS(NEVER(SERVAUTH))", NULL});
	ck_assert(!box_ask(&b, "ANN", "A.1", SAF_UPDATE).audit);
	box_close(&b);
}
END_TEST

START_TEST(labels)
{
	struct saf_box b;
	box_open(&b);
	box_do(&b, users);
	ck_assert_int_eq(box_run(&b, "RDEFINE SECLABEL NOLEVEL SECLEVEL(TOP)", NULL), 8);
	box_do(&b, (const char *const[]){"RDEF SECDATA SECLEVEL ADDMEM(LOW/10 HIGH/100)", "RDEF SECDATA CATEGORY ADDMEM(RED BLUE)",
			 "RDEF SECLABEL L SECLEVEL(LOW)", "RDEF SECLABEL HR SECLEVEL(HIGH) ADDCATEGORY(RED)", "ALU ANN SECLABEL(HR)", "ALU BOB SECLABEL(L)",
			 "RDEF SERVAUTH Z.1 UACC(READ) SECLABEL(HR)", "RDEF SERVAUTH Z.2 UACC(READ) SECLABEL(SYSMULTI)", NULL});
	ck_assert_int_eq(box_ask(&b, "BOB", "Z.1", SAF_READ).rc, SAF_ALLOWED); /* class SECLABEL is not active */
	box_do(&b, (const char *const[]){"SETROPTS CLASSACT(SECLABEL)", NULL});
	struct saf_decision d = box_ask(&b, "BOB", "Z.1", SAF_READ);
	ck_assert_int_eq(d.rc, SAF_REFUSED);
	ck_assert_int_eq(d.qualifier, 7);
	ck_assert_int_eq(box_ask(&b, "IBMUSER", "Z.1", SAF_READ).rc, SAF_REFUSED); /* no label at all */
	ck_assert_int_eq(box_ask(&b, "ANN", "Z.1", SAF_READ).rc, SAF_ALLOWED);
	ck_assert_int_eq(box_ask(&b, "BOB", "Z.2", SAF_READ).rc, SAF_ALLOWED);
	box_do(&b, (const char *const[]){"ALU BOB SECLABEL(SYSHIGH)", NULL}); /* SERVAUTH is an equal MAC class: dominance is not enough */
	ck_assert_int_eq(box_ask(&b, "BOB", "Z.1", SAF_READ).rc, SAF_REFUSED);
	box_close(&b);
}
END_TEST

START_TEST(commands_are_all_or_nothing)
{
	static const char *const bad[] = {"ADDUSER TOOLONGNAME", "ADDUSER X DFLTGRP(NONE)", "ADDUSER X OMVS(UID(4294967296))", "ADDUSER X OMVS(SHELL(1))",
		"ADDUSER X FROB(1)", "ADDUSER (X", "ADDUSER X NAME('open", "RDEFINE SERVAUTH A..B", "RDEFINE SERVAUTH A*B.C", "RDEFINE SERVAUTH **.A.**",
		"RDEFINE SERVAUTH X UACC(SOME)", "RDEFINE NOCLASS X", "PERMIT NONE CLASS(SERVAUTH) ID(IBMUSER)", "CONNECT IBMUSER GROUP(NONE)", "FROB", "DELUSER IBMUSER",
		"SETROPTS", "SETROPTS CLASSACT(NOCLASS)", "PASSWORD USER(X) PASSWORD(Y)", "RDEFINE PTKTDATA A SSIGNON(KEYMASKED(12))", "ADDUSER X )"};
	struct saf_box b;
	char text[2048];
	struct saf_subject who;
	box_open(&b);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		ck_assert_msg(box_run(&b, bad[i], text) > 4, "%s was accepted", bad[i]);
		ck_assert_msg(strlen(text) > 10, "%s: no message", bad[i]);
	}
	box_do(&b, (const char *const[]){"ADDGROUP ONLY", NULL});
	ck_assert_int_eq(saf_user_by_name(b.saf, "X", &who, NULL), -ENOENT);
	ck_assert_int_eq(box_ask(&b, "IBMUSER", "X", SAF_READ).rc, SAF_NO_DECISION);
	box_close(&b);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("saf");
	TCase *t = tcase_create("decide");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, no_class_no_profile_no_decision);
	tcase_add_test(t, who_is_refused);
	tcase_add_test(t, own_entry_then_groups_then_star_then_uacc);
	tcase_add_test(t, specificity_order);
	tcase_add_test(t, what_generics_cover);
	tcase_add_test(t, generics_off_and_discrete_with_star);
	tcase_add_test(t, audit_settings);
	tcase_add_test(t, labels);
	tcase_add_test(t, commands_are_all_or_nothing);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
