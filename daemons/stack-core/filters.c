/* filters: the methods about filters: display, traffic test, the switch between profile and policy, and defmgrD's defences. */
#include "daemons/stack-core/core.h"
#include "lib/base/xalloc.h"
#include "proto/stack.pb-c.h"
#include <string.h>
#include <strings.h>

#define SET(m, field, value)                                                                                  \
	do {                                                                                                  \
		(m).has_##field = true;                                                                       \
		(m).field = (value);                                                                          \
	} while (0)

enum { FILTERS_DEFAULT = 500, FILTERS_LIMIT = 1000, DEFEND_MAX = 20000 };

static struct core *core_of(const struct bus_call *call)
{
	struct daemon *d = bus_call_user(call);
	return d->state;
}

struct row {
	Stack__Filter m;
	char src[2 * ADDR_TEXT_MAX], dst[2 * ADDR_TEXT_MAX], proto[32], a[16], b[16];
};

/* One page of a display: rows @after to @after + @limit, and how many there are in all. */
struct page {
	struct core *core;
	struct row *rows;
	Stack__Filter **list;
	uint64_t after, seen;
	unsigned limit, n;
};

static const char *type_text(const struct filter_rule *r)
{
	const struct filter_spec *s = filter_rule_spec(r);

	if (filter_rule_kind(r) == FILTER_DEFENSIVE)
		return "Defensive";
	if (s->action != FILTER_IPSEC)
		return "Generic";
	switch (filter_rule_natt(r)) {
	case FILTER_NATT_ANCHOR:
		return "NATT Anchor";
	case FILTER_NATT_DYNAMIC:
		return "NATT Dynamic";
	default:
		return filter_rule_kind(r) == FILTER_DYNAMIC ? "Dynamic" : s->anchor ? "Dynamic Anchor" : "Manual";
	}
}

static const char *action_text(const struct filter_rule *r)
{
	const struct filter_spec *s = filter_rule_spec(r);

	if (filter_rule_kind(r) == FILTER_DEFENSIVE)
		return s->action == FILTER_SIMULATE ? "Defensive Simulate" : "Defensive Block";
	return s->action == FILTER_DENY ? "Deny" : "Permit";
}

/* What a filter says of itself, whether it is in force or not. */
static void fill_spec(const struct core *k, struct row *row, const struct filter_spec *s)
{
	stack__filter__init(&row->m);
	row->m.name = (char *)s->name;
	SET(row->m, extension, s->ext);
	row->m.direction = s->inbound ? (char *)"Inbound" : (char *)"Outbound";
	row->m.scope = s->scope == PKT_LOCAL ? (char *)"Local" : s->scope == PKT_ROUTED ? (char *)"Routed" : (char *)"Both";
	row->m.source = (char *)filter_addrs_text(&s->src_lo, &s->src_hi, row->src);
	row->m.destination = (char *)filter_addrs_text(&s->dst_lo, &s->dst_hi, row->dst);
	row->m.protocol = (char *)filter_proto_text(s->proto, row->proto);
	if (ipproto_typed(s->proto)) {
		row->m.icmp_type = (char *)filter_range_text(&s->a, 255, row->a);
		row->m.icmp_code = (char *)filter_range_text(&s->b, 255, row->b);
	} else if (ipproto_ports(s->proto)) {
		row->m.source_port = (char *)filter_range_text(&s->a, 65535, row->a);
		row->m.dest_port = (char *)filter_range_text(&s->b, 65535, row->b);
	}
	SET(row->m, secclass, s->secclass);
	SET(row->m, fragments_only, s->fragments_only);
	row->m.logging = s->log ? (char *)"All" : (char *)"None";
	SET(row->m, id, s->id);
	SET(row->m, family, s->family);
	SET(row->m, opaque, s->opaque);
	if (*s->group)
		row->m.group = (char *)s->group;
	if (*s->start)
		row->m.local_start_action = (char *)s->start;
	if (s->anchor)
		SET(row->m, on_demand, s->on_demand);
	if (s->timing && s->timing <= k->conf->policy.n_timings)
		row->m.time_condition = k->conf->policy.timings[s->timing - 1].text;
}

static void fill(struct page *page, struct row *row, const struct filter_rule *r)
{
	const struct filter_spec *s = filter_rule_spec(r);
	const struct tunnel *t;

	fill_spec(page->core, row, s);
	row->m.type = (char *)type_text(r);
	row->m.action = (char *)action_text(r);
	SET(row->m, matches, filter_matches(page->core->stack->filters, r));
	if (s->action == FILTER_DENY && filter_rule_kind(r) != FILTER_DEFENSIVE)
		row->m.discard_action = s->discard_icmp ? (char *)"ICMP" : (char *)"Silent";
	if (filter_rule_kind(r) == FILTER_DEFENSIVE) {
		SET(row->m, expires_us, s->expires_us);
		SET(row->m, loglimit, s->loglimit);
		SET(row->m, global, s->global);
	}
	if (s->action != FILTER_IPSEC)
		return;
	row->m.vpn_action = (char *)s->vpn;
	t = filter_tunnel(r) == UINT32_MAX ? NULL : sadb_tunnel(page->core->stack->sadb, filter_tunnel(r));
	row->m.tunnel_id = t ? (char *)t->id : (char *)"0x00";
}

static bool add_row(void *arg, const struct filter_rule *r)
{
	struct page *page = arg;

	if (page->seen++ < page->after || page->n == page->limit)
		return true;
	fill(page, &page->rows[page->n], r);
	page->list[page->n] = &page->rows[page->n].m;
	page->n++;
	return true;
}

/* After the policy's filters, those of it that sleep. */
static void add_sleeping(struct page *page)
{
	const struct policy *p = &page->core->conf->policy;

	for (size_t i = 0; i < p->n; i++) {
		const struct filter_spec *s = &p->rules[i];
		if (!policy_asleep(p, s) || page->seen++ < page->after || page->n == page->limit)
			continue;
		struct row *row = &page->rows[page->n];
		fill_spec(page->core, row, s);
		row->m.type = s->action != FILTER_IPSEC ? (char *)"Generic" : s->anchor ? (char *)"Dynamic Anchor" : (char *)"Manual";
		row->m.action = s->action == FILTER_DENY ? (char *)"Deny" : (char *)"Permit";
		if (s->action == FILTER_IPSEC)
			row->m.vpn_action = (char *)s->vpn;
		SET(row->m, inactive, true);
		page->list[page->n++] = &row->m;
	}
}

static void page_open(struct page *page, struct core *k, uint64_t after, unsigned limit)
{
	memset(page, 0, sizeof(*page));
	page->core = k;
	page->after = after;
	page->limit = limit;
	page->rows = xcalloc(limit, sizeof(*page->rows));
	page->list = xcalloc(limit, sizeof(*page->list));
}

static void page_reply(struct bus_call *call, struct page *page)
{
	static const char *const modes[] = {"Active", "Simulate", "Inactive"};
	const struct filter_set *fs = page->core->stack->filters;
	Stack__FiltersReply reply = STACK__FILTERS_REPLY__INIT;
	char text[FILTER_EXCLUDES_MAX][PREFIX_TEXT_MAX], *exclusions[FILTER_EXCLUDES_MAX];
	const struct prefix *excludes;

	reply.n_exclusions = filter_excludes(fs, &excludes);
	reply.exclusions = exclusions;
	for (size_t i = 0; i < reply.n_exclusions; i++)
		exclusions[i] = (char *)prefix_text(&excludes[i], text[i]);
	reply.defensive_mode = (char *)modes[filter_get_mode(fs)];
	SET(reply, logging, filter_logging(fs));
	SET(reply, predecap, filter_predecap(fs));
	reply.n_filters = page->n;
	reply.filters = page->list;
	reply.source = filter_in_force(page->core->stack->filters) == FILTER_POLICY ? (char *)"Stack Policy" : (char *)"Stack Profile";
	SET(reply, total, (uint32_t)page->seen);
	if (page->after + page->n < page->seen)
		SET(reply, next, page->after + page->n);
	bus_reply(call, &reply.base);
}

static void page_close(struct page *page)
{
	free(page->rows);
	free(page->list);
}

void method_filters(struct bus_call *call, const ProtobufCMessage *request)
{
	const Stack__FiltersRequest *q = (const Stack__FiltersRequest *)request;
	struct core *k = core_of(call);
	unsigned limit = q->has_limit && q->limit ? q->limit : FILTERS_DEFAULT;
	struct page page;

	page_open(&page, k, q->has_after ? q->after : 0, limit < FILTERS_LIMIT ? limit : FILTERS_LIMIT);
	if (filter_each(k->stack->filters, q->kind && *q->kind ? q->kind : "current", add_row, &page) < 0)
		bus_fail(call, BUS_INVALID, "kind: expected current, policy, profile or defensive");
	else {
		if (q->kind && !strcasecmp(q->kind, "policy"))
			add_sleeping(&page);
		page_reply(call, &page);
	}
	page_close(&page);
}

void method_traffic(struct bus_call *call, const ProtobufCMessage *request)
{
	const Stack__TrafficTestRequest *q = (const Stack__TrafficTestRequest *)request;
	struct filter_traffic t = {.proto = FILTER_PROTO_ANY, .sport = -1, .dport = -1, .inbound = true, .outbound = true};
	struct core *k = core_of(call);
	struct page page;

	if (!q->source || !q->destination || addr_parse(q->source, &t.src) < 0 || addr_parse(q->destination, &t.dst) < 0 ||
		t.src.family != t.dst.family) {
		bus_fail(call, BUS_INVALID, "source and destination: expected two addresses of one family");
		return;
	}
	if ((q->has_protocol && q->protocol > FILTER_PROTO_ANY) || q->source_port > 65535 || q->dest_port > 65535) {
		bus_fail(call, BUS_INVALID, "protocol or port out of range");
		return;
	}
	if (q->direction && *q->direction) {
		t.inbound = !strcasecmp(q->direction, "in") || !strcasecmp(q->direction, "inbound");
		t.outbound = !strcasecmp(q->direction, "out") || !strcasecmp(q->direction, "outbound");
		if (!t.inbound && !t.outbound) {
			bus_fail(call, BUS_INVALID, "direction: expected in or out");
			return;
		}
	}
	t.proto = q->has_protocol ? (uint16_t)q->protocol : FILTER_PROTO_ANY;
	t.sport = q->has_source_port ? (int)q->source_port : -1;
	t.dport = q->has_dest_port ? (int)q->dest_port : -1;
	page_open(&page, k, 0, FILTERS_LIMIT);
	if (filter_test(k->stack->filters, &t, add_row, &page) < 0)
		bus_fail(call, BUS_INVALID, "such traffic does not exist");
	else
		page_reply(call, &page);
	page_close(&page);
}

void method_switch(struct bus_call *call, const ProtobufCMessage *request)
{
	const Stack__SwitchRequest *q = (const Stack__SwitchRequest *)request;
	struct core *k = core_of(call);
	Stack__ChangedReply reply = STACK__CHANGED_REPLY__INIT;
	enum filter_source was = filter_in_force(k->stack->filters), want;

	if (q->to && !strcasecmp(q->to, "default"))
		want = FILTER_PROFILE;
	else if (q->to && !strcasecmp(q->to, "policy"))
		want = FILTER_POLICY;
	else {
		bus_fail(call, BUS_INVALID, "to: expected default or policy");
		return;
	}
	int r = core_switch(k, want);
	if (r < 0) {
		bus_fail(call, BUS_INTERNAL, "the choice cannot be remembered: %s", strerror(-r));
		return;
	}
	SET(reply, changed, filter_in_force(k->stack->filters) != was);
	bus_reply(call, &reply.base);
}

static bool prefix_field(const char *text, uint8_t family, struct prefix *ret)
{
	return prefix_parse(text, ret) == 0 && ret->addr.family == family;
}

/* NULL, or what is wrong. */
static const char *defence_spec(const Stack__Defence *d, struct filter_spec *s)
{
	struct prefix p;

	if (d->family != 4 && d->family != 6)
		return "family: expected 4 or 6";
	filter_spec_init(s, (uint8_t)d->family, d->inbound);
	if (!d->has_id || !d->name || strlen(d->name) >= sizeof(s->name))
		return "id and a name of at most 64 characters are needed";
	if (d->source && *d->source) {
		if (!prefix_field(d->source, s->family, &p))
			return "source: expected a prefix of the filter's family";
		filter_spec_source(s, &p);
	}
	if (d->destination && *d->destination) {
		if (!prefix_field(d->destination, s->family, &p))
			return "destination: expected a prefix of the filter's family";
		filter_spec_dest(s, &p);
	}
	if (d->has_protocol && d->protocol > 255)
		return "protocol: expected 0 to 255";
	if (d->source_port_low > 65535 || d->source_port_high > 65535 || d->dest_port_low > 65535 || d->dest_port_high > 65535 ||
		d->type > 255 || d->code > 255 || d->secclass > 255 || d->routing > 3)
		return "port, type, code, secclass or routing out of range";
	s->id = d->id;
	memcpy(s->name, d->name, strlen(d->name) + 1);
	s->ext = d->extension;
	s->action = d->simulate ? FILTER_SIMULATE : FILTER_DENY;
	s->scope = d->routing ? (uint8_t)d->routing : PKT_LOCAL | PKT_ROUTED;
	s->secclass = (uint8_t)d->secclass;
	s->fragments_only = d->fragments_only;
	s->opaque = d->opaque;
	s->log = d->log;
	s->global = d->global;
	s->loglimit = d->loglimit;
	s->proto = d->has_protocol ? (uint16_t)d->protocol : FILTER_PROTO_ANY;
	s->expires_us = d->expires_us;
	if (d->has_type)
		s->a = (struct filter_range){(uint16_t)d->type, (uint16_t)d->type};
	else if (d->has_source_port_low)
		s->a = (struct filter_range){(uint16_t)d->source_port_low,
			(uint16_t)(d->has_source_port_high ? d->source_port_high : d->source_port_low)};
	if (d->has_code)
		s->b = (struct filter_range){(uint16_t)d->code, (uint16_t)d->code};
	else if (d->has_dest_port_low)
		s->b = (struct filter_range){(uint16_t)d->dest_port_low,
			(uint16_t)(d->has_dest_port_high ? d->dest_port_high : d->dest_port_low)};
	return NULL;
}

static const char *defend_specs(const Stack__DefendRequest *q, struct filter_spec *specs, struct prefix *excludes, size_t *ret_at)
{
	struct errbuf e;

	for (size_t i = 0; i < q->n_add; i++) {
		*ret_at = i;
		const char *wrong = defence_spec(q->add[i], &specs[i]);
		if (wrong)
			return wrong;
		if (filter_spec_check(&specs[i], &e) < 0)
			return "contradicts itself";
	}
	for (size_t i = 0; i < q->n_excludes; i++) {
		*ret_at = i;
		if (prefix_parse(q->excludes[i], &excludes[i]) != 0)
			return "excludes: expected a prefix";
	}
	return NULL;
}

void method_defend(struct bus_call *call, const ProtobufCMessage *request)
{
	const Stack__DefendRequest *q = (const Stack__DefendRequest *)request;
	struct core *k = core_of(call);
	Stack__DefendReply reply = STACK__DEFEND_REPLY__INIT;
	struct errbuf e = {""};
	size_t at = 0;

	if (q->n_add > DEFEND_MAX || q->n_remove > FILTER_DEFENCES_MAX || q->n_excludes > FILTER_EXCLUDES_MAX) {
		bus_fail(call, BUS_LIMIT, "at most %d filters and %d exclusions in one request", DEFEND_MAX, FILTER_EXCLUDES_MAX);
		return;
	}
	struct filter_spec *specs = xcalloc(q->n_add, sizeof(*specs));
	struct prefix *excludes = xcalloc(q->n_excludes, sizeof(*excludes));
	const char *wrong = defend_specs(q, specs, excludes, &at);
	if (wrong) {
		bus_fail(call, BUS_INVALID, "entry %zu: %s", at, wrong);
	} else {
		struct filter_defend d = {specs, q->n_add, q->remove, q->n_remove, q->reset, q->set_excludes, excludes, q->n_excludes};
		int r = filter_defend(k->stack->filters, &d, core_now_us(), &e);
		if (r < 0) {
			bus_fail(call, r == -ENOSPC ? BUS_LIMIT : BUS_INVALID, "%s", e.text);
		} else {
			SET(reply, installed, filter_defences(k->stack->filters));
			bus_reply(call, &reply.base);
		}
	}
	free(specs);
	free(excludes);
}

void method_matches(struct bus_call *call, const ProtobufCMessage *request)
{
	const Stack__DefenceMatchesRequest *q = (const Stack__DefenceMatchesRequest *)request;
	struct core *k = core_of(call);
	Stack__DefenceMatchesReply reply = STACK__DEFENCE_MATCHES_REPLY__INIT;
	uint64_t *ids = xcalloc(q->n_ids, sizeof(*ids)), *matches = xcalloc(q->n_ids, sizeof(*matches));
	size_t n = 0;

	for (size_t i = 0; i < q->n_ids; i++) {
		const struct filter_rule *r = filter_defence_find(k->stack->filters, q->ids[i]);
		if (!r)
			continue;
		ids[n] = q->ids[i];
		matches[n++] = filter_matches(k->stack->filters, r);
	}
	reply.n_ids = reply.n_matches = n;
	reply.ids = ids;
	reply.matches = matches;
	bus_reply(call, &reply.base);
	free(ids);
	free(matches);
}
