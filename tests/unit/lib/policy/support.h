/* What the tests of lib/policy share: a text read and resolved, and what its errors must say. */
#pragma once
#include "lib/base/xalloc.h"
#include "lib/policy/ipsec.h"
#include "tests/support/check_main.h"

#define ACTIONS                                                                                                        \
	"IpGenericFilterAction permit { IpFilterAction Permit }\n"                                                     \
	"IpGenericFilterAction deny { IpFilterAction Deny\n IpFilterLogging Yes }\n"                                   \
	"IpGenericFilterAction ipsec { IpFilterAction IpSec }\n"                                                       \
	"IpService all { Protocol all\n Routing Either }\n"
#define EMPTY "IpFilterPolicy { }\n"

/* NULL when it is refused; then the errors are in *@c and *@common, and the caller frees those. @other NULL: no common file. */
static inline struct ipsec_policy *built2(const char *text, const char *other, struct conf **c, struct conf **common)
{
	struct ipsec_policy *p = NULL;
	*common = NULL;
	if (other)
		ck_assert_int_eq(conf_parse(&ipsec_policy_spec, "common", other, strlen(other), common), 0);
	if (!conf_parse(&ipsec_policy_spec, "f", text, strlen(text), c) && !ipsec_policy_build(*c, *common, &p))
		ck_assert_uint_eq(conf_error_count(*c), 0);
	return p;
}

static inline struct ipsec_policy *accepted2(const char *text, const char *other)
{
	struct conf *c, *common;
	struct ipsec_policy *p = built2(text, other, &c, &common);
	ck_assert_msg(p != NULL, "%s", conf_error_count(c) ? conf_error(c, 0) : conf_error(common, 0));
	return p;
}

static inline struct ipsec_policy *accepted(const char *text)
{
	return accepted2(text, NULL);
}

/* @message must be among the errors. */
static inline void refused(const char *text, const char *message)
{
	struct conf *c, *common;
	bool found = false;
	ck_assert_msg(!built2(text, NULL, &c, &common), "accepted, expected: %s", message);
	for (unsigned i = 0; i < conf_error_count(c); i++)
		found = found || !strcmp(conf_error(c, i), message);
	ck_assert_msg(found, "expected: %s\n     got: %s", message, conf_error_count(c) ? conf_error(c, 0) : "nothing");
	conf_free(c);
}

/* Cut off at any byte it is refused, or is a policy: with a message, without a crash. @whole: nothing shorter is complete. */
static inline void cut_everywhere(const char *text, size_t whole)
{
	for (size_t n = 0; n < strlen(text); n++) {
		struct conf *c;
		struct ipsec_policy *p = NULL;
		int rc = conf_parse(&ipsec_policy_spec, "f", text, n, &c);
		if (!rc)
			rc = ipsec_policy_build(c, NULL, &p);
		ck_assert_msg(rc || n >= whole, "accepted at %zu", n);
		if (rc) {
			ck_assert_uint_gt(conf_error_count(c), 0);
			conf_free(c);
		}
		ipsec_policy_free(p);
	}
}
