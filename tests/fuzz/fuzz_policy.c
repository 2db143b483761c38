/* A policy file, from its text to filters in a set: whatever it says, it is refused with a message, or every filter of it is a sound
 * one and every question to it has an answer. The first 0x01 byte ends the stack's file and begins the common one. */
#include "daemons/stack-core/filter/policy.h"
#include "lib/base/json.h"
#include "lib/base/xalloc.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void filters(const struct ipsec_policy *from)
{
	struct policy p;
	if (policy_build(from, &p) < 0) { /* a manual tunnel may be unsound, and then says so */
		if (!conf_error_count(from->conf) && !(from->common && conf_error_count(from->common)))
			abort();
		return;
	}
	static struct filter_set *fs; /* one for all: its end waits for readers */
	struct filter_install i = {.rules = p.rules, .n = p.n, .loaded = true};
	if (!fs)
		fs = filter_set_new();
	if (filter_install(fs, FILTER_POLICY, &i, NULL) < 0)
		abort();
	policy_fini(&p);
}

static void questions(const struct ipsec_policy *p)
{
	struct json j;
	size_t from = 0;
	for (size_t i = 0; i < p->n_local_rules; i++) {
		const struct policy_rule *rule;
		struct selector s;
		if (!policy_local_anchor(p, &p->local_rules[i], &rule, &s) && (!rule->vpn || !rule->start))
			abort();
	}
	for (size_t i = 0; i < p->n_kex_rules; i++) {
		const struct kex_rule *r = &p->kex_rules[i];
		if (policy_kex_rule(p, &r->local.location.lo, &r->remote.location.lo, &from) && from > p->n_kex_rules)
			abort();
		(void)policy_identity_match(&r->remote.identity, r->local.identity.id.type, r->local.identity.id.data,
			r->local.identity.id.len);
	}
	json_init(&j);
	ipsec_policy_json(p, &j);
	json_fini(&j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf *c = NULL, *common = NULL;
	struct ipsec_policy *p = NULL;
	const uint8_t *cut = size ? memchr(data, 1, size) : NULL;
	size_t n = cut ? (size_t)(cut - data) : size;
	int rc = conf_parse(&ipsec_policy_spec, "f", (const char *)data, n, &c);
	if (cut && conf_parse(&ipsec_policy_spec, "common", (const char *)cut + 1, size - n - 1, &common) < 0)
		rc = -EINVAL;
	if (!rc)
		rc = ipsec_policy_build(c, common, &p);
	if (rc) {
		if (!conf_error_count(c) && !(common && conf_error_count(common)))
			abort();
		conf_free(c);
		conf_free(common);
		return 0;
	}
	filters(p);
	questions(p);
	ipsec_policy_free(p);
	return 0;
}
