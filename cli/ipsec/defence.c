/* ipsec -F: defensive filters, kept by defmgrD. */
#include "cli/ipsec/report.h"
#include "cli/ipsec/run.h"
#include "lib/base/xalloc.h"
#include <inttypes.h>

static void print_pending(size_t n, char *const *stacks)
{
	for (size_t i = 0; i < n; i++)
		(void)printf("Stack %s does not answer: kept for it, in force when it runs\n", stacks[i]);
}

static int defence_add(struct ipsec_command *c)
{
	Defmgr__AddRequest m = DEFMGR__ADD_REQUEST__INIT;
	Defmgr__Filter *filters[] = {&c->filter};
	ProtobufCMessage *reply = NULL;
	m.stack = c->global ? NULL : c->stack;
	m.n_filters = 1;
	m.filters = filters;
	int rc = run_call("defmgrD", c->global ? "defmgr.AddGlobal" : "defmgr.Add", &m.base, &defmgr__add_reply__descriptor, &reply);
	if (rc)
		return rc;
	const Defmgr__AddReply *r = (const Defmgr__AddReply *)reply;
	if (c->json) {
		run_json(reply);
	} else {
		(void)printf("Filter %s added%s\n", c->filter.name, c->global ? " (global)" : "");
		print_pending(r->n_pending, r->pending);
	}
	protobuf_c_message_free_unpacked(reply, NULL);
	return RUN_DONE;
}

static int print_changed(const struct ipsec_command *c, ProtobufCMessage *reply, const char *verb)
{
	const Defmgr__ChangeReply *r = (const Defmgr__ChangeReply *)reply;
	if (c->json) {
		run_json(reply);
	} else {
		(void)printf("%u filter%s %s%s\n", r->changed, r->changed == 1 ? "" : "s", verb, c->global ? " (global)" : "");
		print_pending(r->n_pending, r->pending);
	}
	protobuf_c_message_free_unpacked(reply, NULL);
	return RUN_DONE;
}

static int defence_update(struct ipsec_command *c)
{
	Defmgr__UpdateRequest m = DEFMGR__UPDATE_REQUEST__INIT;
	const Defmgr__Filter *f = &c->filter;
	ProtobufCMessage *reply = NULL;
	m.stack = c->global ? NULL : c->stack;
	m.name = f->name;
	m.has_mode = f->has_mode;
	m.mode = f->mode;
	m.has_log = f->has_log;
	m.log = f->log;
	m.has_loglimit = f->has_loglimit;
	m.loglimit = f->loglimit;
	m.has_lifetime_min = f->has_lifetime_min;
	m.lifetime_min = f->lifetime_min;
	int rc = run_call("defmgrD", c->global ? "defmgr.UpdateGlobal" : "defmgr.Update", &m.base, &defmgr__change_reply__descriptor,
		&reply);
	return rc ? rc : print_changed(c, reply, "updated");
}

static int defence_delete(struct ipsec_command *c)
{
	Defmgr__DeleteRequest m = DEFMGR__DELETE_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	m.stack = c->global ? NULL : c->stack;
	m.n_names = c->nnames;
	m.names = (char **)c->names;
	m.has_all = m.all = c->all;
	int rc = run_call("defmgrD", c->global ? "defmgr.DeleteGlobal" : "defmgr.Delete", &m.base, &defmgr__change_reply__descriptor,
		&reply);
	return rc ? rc : print_changed(c, reply, "deleted");
}

/* --- display --- */

struct pages {
	ProtobufCMessage **replies;
	size_t n;
	const Defmgr__Filter **filters;
	size_t nfilters;
};

static void pages_free(struct pages *p)
{
	for (size_t i = 0; i < p->n; i++)
		protobuf_c_message_free_unpacked(p->replies[i], NULL);
	free(p->replies);
	free(p->filters);
}

static int pages_get(const struct ipsec_command *c, struct pages *p)
{
	Defmgr__ListRequest m = DEFMGR__LIST_REQUEST__INIT;
	m.stack = c->global ? NULL : (char *)c->stack;
	m.n_names = c->nnames;
	m.names = (char **)c->names;
	m.has_limit = true;
	m.limit = 1000;
	do {
		ProtobufCMessage *reply = NULL;
		int rc = run_call("defmgrD", c->global ? "defmgr.ListGlobal" : "defmgr.List", &m.base,
			&defmgr__list_reply__descriptor, &reply);
		if (rc)
			return rc;
		const Defmgr__ListReply *r = (const Defmgr__ListReply *)reply;
		p->replies = xrealloc(p->replies, p->n + 1, sizeof(*p->replies));
		p->replies[p->n++] = reply;
		p->filters = xrealloc(p->filters, p->nfilters + r->n_filters, sizeof(*p->filters));
		for (size_t i = 0; i < r->n_filters; i++)
			p->filters[p->nfilters++] = r->filters[i];
		m.has_after = r->has_next;
		m.after = r->next;
	} while (m.has_after);
	return RUN_DONE;
}

/* IPv4 inbound, IPv4 outbound, IPv6 inbound, IPv6 outbound; newest first inside each. */
static unsigned group(const Defmgr__Filter *f)
{
	return (strchr(f->source, ':') ? 2u : 0u) + (f->direction == DEFMGR__FILTER__DIRECTION__OUTBOUND);
}

static int in_order(const void *a, const void *b)
{
	const Defmgr__Filter *x = *(const Defmgr__Filter *const *)a, *y = *(const Defmgr__Filter *const *)b;
	if (group(x) != group(y))
		return group(x) < group(y) ? -1 : 1;
	return x->id > y->id ? -1 : x->id < y->id;
}

static void address_fields(struct report *r, const char *const names[5], const char *prefix, bool has_ports,
	uint32_t low, uint32_t high)
{
	const char *slash = strchr(prefix, '/');
	report_field(r, true, names[0], "%.*s", (int)(slash ? slash - prefix : (long)strlen(prefix)), prefix);
	report_field(r, true, names[1], "%s", slash ? slash + 1 : "n/a");
	report_field(r, false, names[2], "n/a");
	if (!has_ports)
		report_field(r, true, names[3], "All");
	else
		report_field(r, true, names[3], "%u", low);
	if (has_ports && high != low)
		report_field(r, false, names[4], "%u", high);
	else
		report_field(r, false, names[4], "n/a");
}

static void number_or_all(struct report *r, const char *name, bool has, uint32_t v)
{
	if (has)
		report_field(r, false, name, "%u", v);
	else
		report_field(r, false, name, "All");
}

static void defence_fields(struct report *r, const Defmgr__Filter *f)
{
	static const char *const scopes[] = {"", "Local", "Routed", "Both"};
	static const char *const source[] = {
		"SourceAddress", "SourceAddressPrefix", "SourceAddressRange", "SourcePort", "SourcePortRange"};
	static const char *const dest[] = {"DestinationAddress", "DestinationAddressPrefix", "DestinationAddressRange",
		"DestinationPort", "DestinationPortRange"};
	char text[32];
	report_field(r, true, "FilterName", "%s", f->name);
	report_field(r, true, "FilterNameExtension", "%u", f->extension);
	report_field(r, false, "GroupName", "n/a");
	report_field(r, false, "LocalStartActionName", "n/a");
	report_field(r, false, "VpnActionName", "n/a");
	report_field(r, false, "TunnelID", "0x00");
	report_field(r, true, "Type", "Defensive");
	report_field(r, true, "DefensiveType", "%s", f->global ? "Global" : "Stack");
	report_field(r, true, "State", "Active");
	report_field(r, true, "Action", "Defensive %s", f->mode == DEFMGR__FILTER__MODE__SIMULATE ? "Simulate" : "Block");
	report_field(r, true, "Scope", "%s", f->routing <= DEFMGR__FILTER__ROUTING__EITHER ? scopes[f->routing] : "");
	report_field(r, true, "Direction", "%s", f->direction == DEFMGR__FILTER__DIRECTION__INBOUND ? "Inbound" : "Outbound");
	report_field(r, false, "OnDemand", "n/a");
	report_field(r, false, "SecurityClass", "%u", f->secclass);
	report_field(r, false, "Logging", "%s", f->log || f->mode == DEFMGR__FILTER__MODE__SIMULATE ? "All" : "None");
	report_field(r, false, "LogLimit", "%u", f->loglimit);
	report_field(r, true, "Protocol", "%s", report_protocol(f->protocol, text));
	bool icmp = f->protocol && !strncmp(f->protocol, "icmp", 4);
	bool ospf = f->protocol && !strcmp(f->protocol, "ospf");
	if (icmp) {
		number_or_all(r, "ICMPType", f->has_type, f->type);
		number_or_all(r, "ICMPCode", f->has_code, f->code);
	} else {
		report_field(r, false, "ICMPType", "n/a");
		report_field(r, false, "ICMPCode", "n/a");
	}
	if (ospf)
		number_or_all(r, "OSPFType", f->has_type, f->type);
	else
		report_field(r, false, "OSPFType", "n/a");
	address_fields(r, source, f->source, f->has_source_port_low, f->source_port_low, f->source_port_high);
	address_fields(r, dest, f->destination, f->has_dest_port_low, f->dest_port_low, f->dest_port_high);
	report_field(r, false, "CreateTime", "%s", report_time(f->added_us, text));
	report_field(r, false, "UpdateTime", "%s", report_time(f->updated_us, text));
	report_field(r, false, "FragmentsOnly", "%s", f->fragments_only ? "Yes" : "No");
	if (f->has_matches)
		report_field(r, true, "FilterMatches", "%" PRIu64, f->matches);
	else
		report_field(r, true, "FilterMatches", "n/a");
	report_field(r, true, "LifetimeExpires", "%s", report_time(f->expires_us, text));
	report_field(r, false, "AddedBy", "%s", f->user ? f->user : "");
}

static void display_json(const struct pages *p)
{
	struct json j;
	json_init(&j);
	json_open(&j, '[');
	for (size_t i = 0; i < p->nfilters; i++)
		bus_json(&j, &p->filters[i]->base);
	json_close(&j, ']');
	(void)puts(j.buf);
	json_fini(&j);
}

static int defence_display(struct ipsec_command *c)
{
	struct pages p = {0};
	struct report r;
	int rc = pages_get(c, &p);
	if (rc) {
		pages_free(&p);
		return rc;
	}
	qsort(p.filters, p.nfilters, sizeof(*p.filters), in_order);
	if (c->json) {
		display_json(&p);
		pages_free(&p);
		return RUN_DONE;
	}
	const Defmgr__ListReply *first = (const Defmgr__ListReply *)p.replies[0];
	report_heading(&r, c, c->global ? "*ALL*" : c->stack, "Defensive Filt", c->global ? "display (global)" : "Display");
	report_source(c->global ? "Defense Manager" : "Stack", c->global ? "Global" : "Current", first->total);
	if (first->mode)
		report_extra("Defensive Mode", first->mode);
	for (size_t i = 0; i < first->n_excludes; i++)
		report_extra("Exclusion Address", first->excludes[i]);
	for (size_t i = 0; i < p.nfilters; i++) {
		defence_fields(&r, p.filters[i]);
		report_entry(&r);
	}
	report_end(&r);
	pages_free(&p);
	return RUN_DONE;
}

int run_defence(struct ipsec_command *c)
{
	int rc = run_default_stack(c, true);
	if (rc)
		return rc;
	switch (c->function) {
	case IPSEC_ADD:
		return defence_add(c);
	case IPSEC_UPDATE:
		return defence_update(c);
	case IPSEC_DELETE:
		return defence_delete(c);
	default:
		return defence_display(c);
	}
}
