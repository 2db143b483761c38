/* A policy's rules as simple filters, each of one family and one direction (policy.h). */
#include "daemons/stack-core/filter/policy.h"
#include "daemons/stack-core/filter/build.h"
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include <string.h>

/* "All" is every IPv4 and every IPv6 address. */
static size_t families(const struct addr_range *r, struct addr_range out[2])
{
	size_t n = 0;
	if (r->lo.family) {
		out[0] = *r;
		return 1;
	}
	for (uint8_t family = 4; family <= 6; family = (uint8_t)(family + 2))
		out[n++] = addr_range_prefix(&(struct prefix){.addr.family = family});
	return n;
}

static uint8_t grain_of(const struct start_action *s)
{
	return (uint8_t)((s->local_ip_packet ? FILTER_GRAIN_LOCAL_IP : 0) | (s->remote_ip_packet ? FILTER_GRAIN_REMOTE_IP : 0) |
			 (s->local_port_packet ? FILTER_GRAIN_LOCAL_PORT : 0) |
			 (s->remote_port_packet ? FILTER_GRAIN_REMOTE_PORT : 0) | (s->protocol_packet ? FILTER_GRAIN_PROTOCOL : 0));
}

/* What all filters of the rule have in common. */
static void base_of(const struct policy_rule *r, struct filter_spec *f)
{
	static const uint8_t actions[] = {
		[POLICY_PERMIT] = FILTER_PERMIT, [POLICY_DENY] = FILTER_DENY, [POLICY_IPSEC] = FILTER_IPSEC};
	filter_spec_init(f, 4, false);
	f->action = actions[r->action];
	f->log = r->logging == POLICY_LOG_ALL || (r->logging == POLICY_LOG_PERMIT && r->action != POLICY_DENY) ||
		 (r->logging == POLICY_LOG_DENY && r->action == POLICY_DENY);
	f->discard_icmp = r->discard_icmp && r->action == POLICY_DENY;
	(void)snprintf(f->name, sizeof(f->name), "%s", r->name);
	(void)snprintf(f->group, sizeof(f->group), "%s", r->group);
	if (r->manual)
		(void)snprintf(f->vpn, sizeof(f->vpn), "%s", r->manual);
	if (!r->vpn)
		return;
	(void)snprintf(f->vpn, sizeof(f->vpn), "%s", r->vpn->name);
	(void)snprintf(f->start, sizeof(f->start), "%s", r->start->name);
	f->anchor = true;
	f->on_demand = r->start->allow_on_demand && r->vpn->initiation != VPN_REMOTE_ONLY;
	f->grain = grain_of(r->start);
}

static void service_of(const struct policy_service *s, struct filter_spec *f)
{
	f->opaque = s->protocol == POLICY_PROTO_OPAQUE;
	f->proto = f->opaque ? FILTER_PROTO_ANY : s->protocol;
	f->a = (struct filter_range){s->source_lo, s->source_hi};
	f->b = (struct filter_range){s->dest_lo, s->dest_hi};
	f->inbound = !s->outbound;
	f->fragments_only = s->fragments_only;
	f->scope = (uint8_t)((s->routing & POLICY_LOCAL ? PKT_LOCAL : 0) | (s->routing & POLICY_ROUTED ? PKT_ROUTED : 0));
	f->secclass = s->secclass;
}

/* The filters of one source, one destination and one service: both directions, where it has both. */
static int pair_build(const struct filter_spec *base, const struct addr_range *src, const struct addr_range *dst,
	const struct policy_service *s, struct specs *out, uint32_t *ext, struct errbuf *err)
{
	struct filter_spec f = *base, m;
	f.family = src->lo.family;
	f.src_lo = src->lo;
	f.src_hi = src->hi;
	f.dst_lo = dst->lo;
	f.dst_hi = dst->hi;
	service_of(s, &f);
	f.ext = ++*ext;
	int rc = specs_add(out, &f, err);
	if (rc || !s->inbound || !s->outbound)
		return rc;
	filter_spec_mirror(&f, &m);
	m.ext = ++*ext;
	return specs_add(out, &m, err);
}

/* The rule's time conditions beside the filters; their number among them, 0: it has none. */
static uint16_t timing_of(const struct policy_rule *r, struct policy *p)
{
	if (!r->when.n)
		return 0;
	if (!(p->n_timings & (p->n_timings - 1)))
		p->timings = xrealloc(p->timings, p->n_timings ? 2 * p->n_timings : 1, sizeof(*p->timings));
	struct policy_timing *t = &p->timings[p->n_timings++];
	memset(t, 0, sizeof(*t));
	policy_whens_copy(&t->when, &r->when);
	(void)policy_whens_text(&t->when, t->text, sizeof(t->text));
	return (uint16_t)p->n_timings; /* at most POLICY_RULES_MAX */
}

/* Every source with every destination and service, numbered in this order (FilterNameExtension). */
static int rule_split(const struct policy_rule *r, uint16_t timing, struct specs *out, struct errbuf *err)
{
	struct filter_spec base;
	uint32_t ext = 0;
	int rc = 0;
	base_of(r, &base);
	base.timing = timing;
	for (size_t i = 0; i < r->n_sources; i++) {
		struct addr_range src[2], dst[2];
		size_t n_src = families(&r->sources[i], src);
		for (size_t a = 0; a < n_src; a++)
			for (size_t k = 0; k < r->n_dests; k++) {
				size_t n_dst = families(&r->dests[k], dst);
				for (size_t z = 0; z < n_dst; z++)
					for (size_t s = 0; !rc && s < r->n_services && src[a].lo.family == dst[z].lo.family; s++)
						rc = pair_build(&base, &src[a], &dst[z], &r->services[s], out, &ext, err);
			}
	}
	return rc;
}

static int build_tunnels(const struct ipsec_policy *p, struct policy *ret)
{
	int rc = 0;
	ret->tunnels = xcalloc(p->n_manual, sizeof(*ret->tunnels));
	for (size_t i = 0; i < p->n_manual; i++) {
		if (manual_build(p->manual[i], &ret->tunnels[ret->n_tunnels]) < 0)
			rc = -EINVAL;
		else
			ret->n_tunnels++;
	}
	return rc;
}

int policy_build(const struct ipsec_policy *p, struct policy *ret)
{
	struct policy made = {.loaded = true, .logging = p->filter_logging, .predecap = p->pre_decap,
		.discard_icmp = p->discard_icmp};
	struct specs out = {0};
	struct errbuf e;
	int rc = build_tunnels(p, &made);
	for (size_t i = 0; i < p->n_rules; i++)
		if (rule_split(&p->rules[i], timing_of(&p->rules[i], &made), &out, &e) < 0) {
			rc = conf_file_error(p->conf, "IpFilterRule '%s': %s", p->rules[i].name, e.text);
			break;
		}
	made.rules = out.v;
	made.n = out.n;
	if (rc)
		policy_fini(&made);
	else
		*ret = made;
	return rc;
}

void policy_fini(struct policy *p)
{
	free(p->rules);
	if (p->tunnels)
		secret_wipe(p->tunnels, p->n_tunnels * sizeof(*p->tunnels));
	free(p->tunnels);
	for (size_t i = 0; i < p->n_timings; i++)
		policy_whens_fini(&p->timings[i].when);
	free(p->timings);
	*p = (struct policy){0};
}

bool policy_follow(struct policy *p, time_t now)
{
	bool changed = false;
	if (!policy_clock_due(&p->clock, now))
		return false;
	tzset();
	p->clock = (struct policy_clock){.last = now};
	for (size_t i = 0; i < p->n_timings; i++) {
		struct policy_timing *t = &p->timings[i];
		time_t next = policy_times_next(&t->when, now);
		bool asleep = !policy_times_active(&t->when, now);
		changed |= asleep != t->asleep;
		t->asleep = asleep;
		if (next && (!p->clock.next || next < p->clock.next))
			p->clock.next = next;
	}
	return changed;
}

struct filter_spec *policy_awake(const struct policy *p, size_t *ret_n)
{
	struct filter_spec *v = xcalloc(p->n + 1, sizeof(*v));
	*ret_n = 0;
	for (size_t i = 0; i < p->n; i++)
		if (!policy_asleep(p, &p->rules[i]))
			v[(*ret_n)++] = p->rules[i];
	return v;
}
