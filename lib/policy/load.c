/* From files to a policy, and its end. */
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include "lib/policy/build.h"
#include <stdatomic.h>
#include <strings.h>
#include <sys/stat.h>

static bool has_stmt(const struct conf_node *n, const char *name)
{
	for (; n; n = n->next)
		if (!strcasecmp(n->stmt->name, name) || has_stmt(n->children, name))
			return true;
	return false;
}

/* Whoever can read a shared key can be either end. */
static int check_mode(struct conf *c, const char *path)
{
	struct stat st;
	if (!has_stmt(conf_root(c), "SharedKey"))
		return 0;
	if (stat(path, &st) < 0) {
		int err = errno;
		(void)conf_file_error(c, "its mode cannot be read: %s", strerror(err));
		return -err;
	}
	if (!(st.st_mode & (S_IRWXO | S_IWGRP)))
		return 0;
	(void)conf_file_error(c, "found mode %04o, expected 0640 or less: it holds a SharedKey", (unsigned)(st.st_mode & 07777));
	return -EPERM;
}

int ipsec_policy_read(const char *path, struct conf **ret)
{
	int rc = conf_parse_file(&ipsec_policy_spec, path, ret);
	return rc ? rc : check_mode(*ret, path);
}

static int filter_policy_build(struct build *b)
{
	struct ipsec_policy *p = b->p;
	struct conf_node *top = build_block(b, "IpFilterPolicy");
	if (!top)
		return conf_file_error(b->file.conf, "found no IpFilterPolicy, expected one");
	p->filter_logging = build_word(top, "FilterLogging", 1);
	p->pre_decap = build_word(top, "PreDecap", 0);
	p->discard_icmp = build_word(top, "ImplicitDiscardAction", 0);
	p->allow_on_demand = build_word(top, "AllowOnDemand", 0);
	int rc = vpn_actions_build(b);
	rc = start_actions_build(b) < 0 ? -EINVAL : rc;
	return build_members(b, top, "IpFilter", filter_rule_build) < 0 ? -EINVAL : rc;
}

static int others_build(struct build *b)
{
	struct ipsec_policy *p = b->p;
	struct conf_node *n;
	size_t at = 0;
	int rc = 0;
	struct policy_when unused; /* what no rule names is looked at, too */
	while ((n = build_each(b, "IpTimeCondition", &at)))
		rc = when_build(n, &unused) < 0 ? -EINVAL : rc;
	for (at = 0; build_each(b, "IpManVpnAction", &at);)
		p->n_manual++;
	p->manual = xcalloc(p->n_manual, sizeof(struct conf_node *));
	p->n_manual = 0;
	for (at = 0; (n = build_each(b, "IpManVpnAction", &at));)
		p->manual[p->n_manual++] = n;
	return local_policy_build(b) < 0 ? -EINVAL : rc;
}

int ipsec_policy_build(struct conf *file, struct conf *common, struct ipsec_policy **ret)
{
	static _Atomic uint64_t generation;
	struct build b = {.p = xnew(struct ipsec_policy)};
	int rc = index_build(file, &b.file);
	if (common && index_build(common, &b.common) < 0)
		rc = -EINVAL;
	rc = filter_policy_build(&b) < 0 ? -EINVAL : rc;
	rc = kex_policy_build(&b) < 0 ? -EINVAL : rc;
	rc = others_build(&b) < 0 ? -EINVAL : rc;
	free(b.file.v);
	free(b.common.v);
	if (rc) {
		ipsec_policy_free(b.p);
		return rc;
	}
	b.p->conf = file;
	b.p->common = common;
	b.p->generation = atomic_fetch_add(&generation, 1) + 1;
	*ret = b.p;
	return 0;
}

static void first_error(struct errbuf *err, const struct conf *c, const struct conf *common)
{
	unsigned n = conf_error_count(c), all = n + (common ? conf_error_count(common) : 0);
	if (all > 1)
		(void)err_set(err, EINVAL, "%.200s (and %u more)", n ? conf_error(c, 0) : conf_error(common, 0), all - 1);
	else if (all)
		(void)err_set(err, EINVAL, "%s", n ? conf_error(c, 0) : conf_error(common, 0));
}

int ipsec_policy_load(const char *path, const char *common_path, struct errbuf *err, struct ipsec_policy **ret)
{
	struct conf *c = NULL, *common = NULL;
	int rc = ipsec_policy_read(path, &c);
	if (common_path) {
		int other = ipsec_policy_read(common_path, &common);
		rc = rc ? rc : other;
	}
	if (!rc)
		rc = ipsec_policy_build(c, common, ret);
	if (rc) {
		first_error(err, c, common);
		conf_free(c);
		conf_free(common);
	}
	return rc;
}

void ipsec_policy_free(struct ipsec_policy *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_rules; i++) {
		free(p->rules[i].sources);
		free(p->rules[i].dests);
		free(p->rules[i].services);
		policy_whens_fini(&p->rules[i].when);
	}
	for (size_t i = 0; i < p->n_kex_rules; i++)
		kex_rule_fini(&p->kex_rules[i]);
	for (size_t i = 0; i < p->n_local_rules; i++)
		policy_whens_fini(&p->local_rules[i].when);
	for (size_t i = 0; i < p->n_vpn_actions; i++)
		free(p->vpn_actions[i].offers);
	free(p->rules);
	free(p->kex_rules);
	free(p->local_rules);
	free(p->vpn_actions);
	free(p->start_actions);
	free(p->manual);
	conf_free(p->conf);
	conf_free(p->common);
	free(p);
}
