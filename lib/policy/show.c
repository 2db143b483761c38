/* A policy as JSON: every reference resolved, every default filled in, no key. */
#include "lib/base/json.h"
#include "lib/policy/ipsec.h"

static void kv_range(struct json *j, const char *key, const struct addr_range *r)
{
	char text[RANGE_TEXT_MAX];
	json_kv_str(j, key, addr_range_text(r, text));
}

static void kv_addr(struct json *j, const char *key, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];
	if (a->family)
		json_kv_str(j, key, addr_text(a, text));
}

static void kv_life(struct json *j, const char *key, const struct life *l)
{
	json_key(j, key);
	json_open(j, '{');
	json_kv_u64(j, "proposed", l->proposed);
	json_kv_u64(j, "low", l->lo);
	json_kv_u64(j, "high", l->hi);
	json_close(j, '}');
}

static const char *suite_name(enum policy_suite s)
{
	return s == SUITE_VPN_A ? "VPN-A" : s == SUITE_VPN_B ? "VPN-B" : NULL;
}

static void ranges(struct json *j, const char *key, const struct addr_range *v, size_t n)
{
	char text[RANGE_TEXT_MAX];
	json_key(j, key);
	json_open(j, '[');
	for (size_t i = 0; i < n; i++)
		json_str(j, addr_range_text(&v[i], text));
	json_close(j, ']');
}

static void service(struct json *j, const struct policy_service *s)
{
	static const char *const routings[] = {"", "Local", "Routed", "Either"};
	json_open(j, '{');
	json_kv_str(j, "name", s->name);
	if (s->protocol == POLICY_PROTO_ALL || s->protocol == POLICY_PROTO_OPAQUE)
		json_kv_str(j, "protocol", s->protocol == POLICY_PROTO_ALL ? "all" : "opaque");
	else
		json_kv_u64(j, "protocol", s->protocol);
	json_kv_u64(j, "source_low", s->source_lo);
	json_kv_u64(j, "source_high", s->source_hi);
	json_kv_u64(j, "dest_low", s->dest_lo);
	json_kv_u64(j, "dest_high", s->dest_hi);
	json_kv_bool(j, "inbound", s->inbound);
	json_kv_bool(j, "outbound", s->outbound);
	json_kv_str(j, "routing", routings[s->routing]);
	json_kv_u64(j, "security_class", s->secclass);
	json_kv_bool(j, "fragments_only", s->fragments_only);
	json_close(j, '}');
}

static void start(struct json *j, const struct start_action *s)
{
	json_key(j, "local_start_action");
	json_open(j, '{');
	json_kv_str(j, "name", s->name);
	json_kv_bool(j, "on_demand", s->allow_on_demand);
	json_kv_str(j, "local_ip", s->local_ip_packet ? "Packet" : "Rule");
	json_kv_str(j, "remote_ip", s->remote_ip_packet ? "Packet" : "Rule");
	json_kv_str(j, "local_port", s->local_port_packet ? "Packet" : "Rule");
	json_kv_str(j, "remote_port", s->remote_port_packet ? "Packet" : "Rule");
	json_kv_str(j, "protocol", s->protocol_packet ? "Packet" : "Rule");
	kv_addr(j, "local_endpoint", &s->local_endpoint);
	kv_addr(j, "remote_endpoint", &s->remote_endpoint);
	json_close(j, '}');
}

static void rule(struct json *j, const struct policy_rule *r)
{
	static const char *const actions[] = {"Permit", "Deny", "IpSec"}, *const logs[] = {"None", "Permit", "Deny", "All"};
	json_open(j, '{');
	json_kv_str(j, "name", r->name);
	json_kv_str(j, "group", *r->group ? r->group : NULL);
	json_kv_str(j, "action", actions[r->action]);
	json_kv_str(j, "logging", logs[r->logging]);
	json_kv_bool(j, "discard_icmp", r->discard_icmp);
	ranges(j, "sources", r->sources, r->n_sources);
	ranges(j, "destinations", r->dests, r->n_dests);
	json_key(j, "services");
	json_open(j, '[');
	for (size_t i = 0; i < r->n_services; i++)
		service(j, &r->services[i]);
	json_close(j, ']');
	json_kv_str(j, "manual_vpn_action", r->manual);
	json_kv_str(j, "dynamic_vpn_action", r->vpn ? r->vpn->name : NULL);
	if (r->start)
		start(j, r->start);
	policy_whens_json(&r->when, r->asleep, j);
	json_close(j, '}');
}

static void data_offer(struct json *j, const struct data_offer *o)
{
	json_open(j, '{');
	json_kv_str(j, "name", o->name);
	json_kv_str(j, "suite", suite_name(o->suite));
	json_kv_str(j, "encapsulation", o->tunnel ? "Tunnel" : "Transport");
	json_kv_str(j, "protocol", o->ah ? o->esp ? "AH+ESP" : "AH" : "ESP");
	json_kv_u64(j, "esp", o->esp);
	json_kv_u64(j, "key_length", o->key_bits);
	json_kv_u64(j, "authentication", o->auth);
	json_kv_bool(j, "extended_sequence_numbers", o->esn);
	json_kv_bool(j, "udp_encapsulation", o->udp);
	kv_life(j, "seconds", &o->seconds);
	kv_life(j, "kilobytes", &o->kbytes);
	json_close(j, '}');
}

static void vpn(struct json *j, const struct vpn_action *a)
{
	static const char *const who[] = {"Either", "LocalOnly", "RemoteOnly"}, *const df[] = {"Pass", "Clear", "Set"};
	char dscp[POLICY_DSCP_TEXT];
	json_open(j, '{');
	json_kv_str(j, "name", a->name);
	json_kv_str(j, "initiation", who[a->initiation]);
	json_kv_u64(j, "initiate_with_pfs", a->initiate_pfs);
	json_key(j, "acceptable_pfs");
	json_open(j, '[');
	for (size_t i = 0; i < a->n_acceptable_pfs; i++)
		json_u64(j, a->acceptable_pfs[i]);
	json_close(j, ']');
	json_kv_u64(j, "vpn_life_seconds", a->vpn_life_s);
	json_kv_str(j, "df", df[a->df]);
	json_kv_bool(j, "pass_dscp", a->dscp.pass);
	json_kv_str(j, "outer_dscp", policy_dscp_text(&a->dscp, dscp));
	json_key(j, "offers");
	json_open(j, '[');
	for (size_t i = 0; i < a->n_offers; i++)
		data_offer(j, &a->offers[i]);
	json_close(j, ']');
	json_close(j, '}');
}

static void endpoint(struct json *j, const char *key, const struct kex_endpoint *e)
{
	json_key(j, key);
	json_open(j, '{');
	json_kv_str(j, "name", e->name);
	json_kv_u64(j, "identity_type", e->identity.type);
	json_kv_str(j, "identity", e->identity.type ? e->identity.text : NULL);
	kv_range(j, "location", &e->location);
	json_key(j, "ca_labels");
	json_open(j, '[');
	for (size_t i = 0; i < e->n_ca_labels; i++)
		json_str(j, e->ca_labels[i]);
	json_close(j, ']');
	json_close(j, '}');
}

static void kex_offer(struct json *j, const struct kex_offer *o)
{
	json_open(j, '{');
	json_kv_str(j, "name", o->name);
	json_kv_str(j, "suite", suite_name(o->suite));
	json_kv_u64(j, "encryption", o->enc);
	json_kv_u64(j, "key_length", o->key_bits);
	json_kv_u64(j, "hash", o->hash);
	json_kv_bool(j, "xcbc", o->xcbc);
	json_kv_str(j, "authentication", o->auth == IKE_AUTH_PSK ? "PresharedKey" : "RsaSignature");
	json_kv_u64(j, "group", o->group);
	kv_life(j, "seconds", &o->seconds);
	kv_life(j, "kilobytes", &o->kbytes);
	json_close(j, '}');
}

static void kex_rule(struct json *j, const struct kex_rule *r)
{
	static const char *const modes[] = {"DoNot", "Main", "Aggressive", "Either"};
	json_open(j, '{');
	json_kv_str(j, "name", r->name);
	endpoint(j, "local", &r->local);
	endpoint(j, "remote", &r->remote);
	json_kv_str(j, "action", r->action.name);
	json_kv_str(j, "initiate", modes[r->action.initiate]);
	json_kv_str(j, "respond", modes[r->action.respond]);
	json_kv_bool(j, "allow_nat", r->action.allow_nat);
	json_kv_bool(j, "filter_by_identity", r->action.filter_by_identity);
	json_kv_bool(j, "shared_key", r->shared_key_len != 0);
	json_key(j, "offers");
	json_open(j, '[');
	for (size_t i = 0; i < r->action.n_offers; i++)
		kex_offer(j, &r->action.offers[i]);
	json_close(j, ']');
	policy_whens_json(&r->when, r->asleep, j);
	json_close(j, '}');
}

static void local_rule(struct json *j, const struct ipsec_policy *p, const struct local_vpn_rule *r)
{
	const struct policy_rule *anchor;
	struct selector s;
	json_open(j, '{');
	json_kv_str(j, "name", r->name);
	kv_range(j, "local", &r->local_ip);
	kv_range(j, "remote", &r->remote_ip);
	json_kv_u64(j, "local_port", r->local_port);
	json_kv_u64(j, "remote_port", r->remote_port);
	json_kv_u64(j, "protocol", r->protocol);
	json_kv_bool(j, "auto_activate", r->auto_activate);
	kv_addr(j, "local_endpoint", &r->local_endpoint);
	kv_addr(j, "remote_endpoint", &r->remote_endpoint);
	json_kv_str(j, "anchor", policy_local_anchor(p, r, &anchor, &s) ? NULL : anchor->name);
	policy_whens_json(&r->when, r->asleep, j);
	json_close(j, '}');
}

static void list(struct json *j, const char *key)
{
	json_key(j, key);
	json_open(j, '[');
}

void ipsec_policy_json(const struct ipsec_policy *p, struct json *j)
{
	json_open(j, '{');
	json_kv_bool(j, "pre_decap", p->pre_decap);
	json_kv_bool(j, "filter_logging", p->filter_logging);
	json_kv_bool(j, "allow_on_demand", p->allow_on_demand);
	json_kv_bool(j, "implicit_discard_icmp", p->discard_icmp);
	list(j, "filter_rules");
	for (size_t i = 0; i < p->n_rules; i++)
		rule(j, &p->rules[i]);
	json_close(j, ']');
	list(j, "manual_vpn_actions");
	for (size_t i = 0; i < p->n_manual; i++)
		json_str(j, conf_str(p->manual[i], "name"));
	json_close(j, ']');
	list(j, "dynamic_vpn_actions");
	for (size_t i = 0; i < p->n_vpn_actions; i++)
		vpn(j, &p->vpn_actions[i]);
	json_close(j, ']');
	json_kv_bool(j, "allow_nat", p->allow_nat);
	json_kv_u64(j, "nat_keepalive_seconds", p->nat_keepalive_s);
	list(j, "key_exchange_rules");
	for (size_t i = 0; i < p->n_kex_rules; i++)
		kex_rule(j, &p->kex_rules[i]);
	json_close(j, ']');
	list(j, "local_vpn_rules");
	for (size_t i = 0; i < p->n_local_rules; i++)
		local_rule(j, p, &p->local_rules[i]);
	json_close(j, ']');
	json_close(j, '}');
}
