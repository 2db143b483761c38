/* KeyExchangePolicy: rules, their ends, and the actions with what they inherit. */
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include "lib/policy/build.h"
#include "lib/policy/secretkey.h"
#include <strings.h>

static uint8_t identity_type(const char *word, const struct addr_range *range)
{
	return !strcasecmp(word, "Fqdn")	 ? IKE_ID_FQDN
	       : !strcasecmp(word, "UserAtFqdn") ? IKE_ID_USER_FQDN
	       : !strcasecmp(word, "X500dn")	 ? IKE_ID_DER_DN
	       : range->lo.family == 6		 ? IKE_ID_IPV6
						 : IKE_ID_IPV4;
}

static int identity_build(struct conf_node *at, bool local, struct ike_identity *id)
{
	const char *type = conf_str(at, "type"), *value = conf_str(at, "value");
	struct errbuf e;
	int rc = local ? ident_from_text(type, value, &id->id, &e) : ident_pattern_new(type, value, &id->pattern, &e);
	if (rc < 0)
		return conf_node_error(at, "found Identity %s '%.80s', expected %s: %s", type, value,
			local ? "who this end is" : "an identity or a pattern", e.text);
	if (!strcasecmp(type, "IpAddr"))
		(void)addr_range_parse(value, &id->range);
	id->type = identity_type(type, &id->range);
	(void)snprintf(id->text, sizeof(id->text), "%s", value);
	return 0;
}

/* Without Identity this end is where it is. */
static int identity_of_place(struct conf_node *n, struct kex_endpoint *e)
{
	char text[RANGE_TEXT_MAX];
	if (!addr_range_single(&e->location))
		return conf_node_error(n, "found no Identity in LocalSecurityEndpoint, expected one, or a Location of one address");
	(void)ident_from_addr(&e->location.lo, &e->identity.id);
	e->identity.range = e->location;
	e->identity.type = e->identity.id.type;
	(void)snprintf(e->identity.text, sizeof(e->identity.text), "%s", addr_range_text(&e->location, text));
	return 0;
}

static int labels_build(struct conf_node *n, struct kex_endpoint *e)
{
	for (struct conf_node *at = conf_child(n, "CaLabel"); at; at = conf_next(at, "CaLabel")) {
		if (e->n_ca_labels == BUILD_LABELS_MAX)
			return conf_node_error(at, "found more than %d CaLabel, expected at most so many", BUILD_LABELS_MAX);
		e->ca_labels = xrealloc(e->ca_labels, e->n_ca_labels + 1, sizeof(*e->ca_labels));
		e->ca_labels[e->n_ca_labels++] = xstrdup(conf_str(at, "label"));
	}
	return 0;
}

/* The statement @kind of @rule, written in it or named; NULL with the error recorded. */
static struct conf_node *part(struct build *b, struct conf_node *rule, const char *kind)
{
	char ref[40];
	(void)snprintf(ref, sizeof(ref), "%.32sRef", kind);
	struct conf_node *here = conf_child(rule, kind), *named = conf_child(rule, ref);
	if (here && named) {
		(void)conf_node_error(named, "found %s beside %s, expected one of them", ref, kind);
		return NULL;
	}
	if (here || named)
		return here ? here : build_ref(b, named, kind);
	(void)conf_node_error(rule, "found no %s in KeyExchangeRule '%s', expected one or a reference", kind, conf_str(rule, "name"));
	return NULL;
}

static int endpoint_build(struct build *b, struct conf_node *rule, bool local, struct kex_endpoint *e)
{
	struct conf_node *n = part(b, rule, local ? "LocalSecurityEndpoint" : "RemoteSecurityEndpoint"), *id;
	bool given;
	if (!n)
		return -EINVAL;
	build_name(e->name, n);
	int rc = range_of_child(b, n, "Location", &e->location, &given);
	if ((id = conf_child(n, "Identity")))
		rc = id->values[0].op && id->values[1].op && !identity_build(id, local, &e->identity) ? rc : -EINVAL;
	else if (local && !rc)
		rc = identity_of_place(n, e);
	return local ? rc : labels_build(n, e) < 0 ? -EINVAL : rc;
}

static enum ike_mode mode_of(const struct conf_node *n, const char *word, const enum ike_mode *words, enum ike_mode dflt)
{
	const struct conf_node *at = conf_child(n, word);
	return at && at->values[0].op ? words[at->values[0].u] : dflt;
}

/* @up: the policy's, for what @n leaves out. */
static int modes(struct conf_node *n, const struct kex_action *up, struct kex_action *a)
{
	static const enum ike_mode initiates[] = {IKE_MODE_MAIN, IKE_MODE_AGGRESSIVE, IKE_MODE_DONOT},
				   responds[] = {IKE_MODE_EITHER, IKE_MODE_MAIN, IKE_MODE_AGGRESSIVE};
	struct conf_node *later = conf_child(n, "HowToRespondIKEv1");
	a->initiate = mode_of(n, "HowToInitiate", initiates, up->initiate);
	a->respond = mode_of(n, later ? "HowToRespondIKEv1" : "HowToRespond", responds, up->respond);
	a->allow_nat = build_word(n, "AllowNat", up->allow_nat);
	if (later && conf_child(n, "HowToRespond"))
		return conf_node_error(later, "found HowToRespondIKEv1 beside HowToRespond, expected one of them");
	return 0;
}

static int action_build(struct build *b, struct conf_node *rule, struct kex_action *a)
{
	struct conf_node *n = part(b, rule, "KeyExchangeAction");
	if (!n)
		return -EINVAL;
	build_name(a->name, n);
	int rc = modes(n, &b->inherited, a);
	a->filter_by_identity = build_word(n, "FilterByIdentity", 0);
	return kex_offers_build(b, n, a) < 0 ? -EINVAL : rc;
}

static int key_build(struct conf_node *rule, struct kex_rule *r)
{
	struct conf_node *at = conf_child(rule, "SharedKey");
	if (at && shared_key_parse((enum key_form)conf_uint(at, "form"), conf_str(at, "key"), r->shared_key, sizeof(r->shared_key),
			&r->shared_key_len) < 0)
		return conf_node_error(at, "found a SharedKey %s that is not of its form, expected %s", conf_str(at, "form"),
			conf_uint(at, "form") == KEY_HEX ? "two hexadecimal digits for each byte" : "printable ASCII text");
	for (size_t i = 0; i < r->action.n_offers; i++)
		if (!at && r->action.offers[i].auth == IKE_AUTH_PSK)
			return conf_node_error(rule, "found no SharedKey in KeyExchangeRule '%s', whose offer %zu says PresharedKey, expected one",
				r->name, i + 1);
	return 0;
}

static struct kex_rule *rule_new(struct ipsec_policy *p)
{
	if (!(p->n_kex_rules & (p->n_kex_rules - 1))) { /* no copy of a key stays behind */
		size_t room = p->n_kex_rules ? 2 * p->n_kex_rules : 1;
		struct kex_rule *more = xcalloc(room, sizeof(*more));
		if (p->n_kex_rules) {
			memcpy(more, p->kex_rules, p->n_kex_rules * sizeof(*more));
			secret_wipe(p->kex_rules, p->n_kex_rules * sizeof(*more));
		}
		free(p->kex_rules);
		p->kex_rules = more;
	}
	struct kex_rule *r = &p->kex_rules[p->n_kex_rules++];
	memset(r, 0, sizeof(*r));
	return r;
}

static int kex_rule_build(struct build *b, struct conf_node *rule, const char *group)
{
	(void)group;
	if (b->p->n_kex_rules == POLICY_RULES_MAX) {
		(void)conf_node_error(rule, "found more than %d rules, expected at most so many", POLICY_RULES_MAX);
		return -E2BIG;
	}
	struct kex_rule *r = rule_new(b->p);
	build_name(r->name, rule);
	int rc = endpoint_build(b, rule, true, &r->local);
	rc = endpoint_build(b, rule, false, &r->remote) < 0 ? -EINVAL : rc;
	rc = action_build(b, rule, &r->action) < 0 ? -EINVAL : rc;
	rc = whens_of_rule(b, rule, &r->when) < 0 ? -EINVAL : rc;
	if (!rc && r->local.location.lo.family && r->remote.location.lo.family &&
		r->local.location.lo.family != r->remote.location.lo.family)
		rc = conf_node_error(rule, "found Locations of different families in KeyExchangeRule '%s', expected the same", r->name);
	return rc ? rc : key_build(rule, r);
}

static void endpoint_fini(struct kex_endpoint *e)
{
	ident_pattern_free(e->identity.pattern);
	for (size_t i = 0; i < e->n_ca_labels; i++)
		free(e->ca_labels[i]);
	free(e->ca_labels);
}

void kex_rule_fini(struct kex_rule *r)
{
	endpoint_fini(&r->local);
	endpoint_fini(&r->remote);
	free(r->action.offers);
	policy_whens_fini(&r->when);
	secret_wipe(r, sizeof(*r));
}

int kex_policy_build(struct build *b)
{
	static const struct kex_action zos = {.initiate = IKE_MODE_MAIN, .respond = IKE_MODE_EITHER};
	struct conf_node *top = build_block(b, "KeyExchangePolicy"), *at;
	b->p->nat_keepalive_s = 20;
	if (!top)
		return 0;
	int rc = modes(top, &zos, &b->inherited);
	b->p->allow_nat = b->inherited.allow_nat;
	if ((at = conf_child(top, "NatKeepAliveInterval")))
		b->p->nat_keepalive_s = (uint32_t)conf_uint(at, "seconds");
	return build_members(b, top, "KeyExchange", kex_rule_build) < 0 ? -EINVAL : rc;
}
