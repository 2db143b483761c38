/* ipsec -f: the filters in force in a stack; -t: which of them a packet would meet; -i: its interfaces. */
#include "cli/ipsec/report.h"
#include "cli/ipsec/run.h"
#include "lib/base/xalloc.h"
#include "proto/common.pb-c.h"
#include "proto/stack.pb-c.h"
#include <inttypes.h>

static void filter_fields(struct report *r, const Stack__Filter *f)
{
	char text[24], when[32];
	bool defensive = f->type && !strcmp(f->type, "Defensive");
	report_field(r, true, "FilterName", "%s", report_or(f->name, ""));
	report_field(r, true, "FilterNameExtension", "%u", f->extension);
	report_field(r, false, "GroupName", "%s", report_or(f->group, "n/a"));
	report_field(r, false, "LocalStartActionName", "%s", report_or(f->local_start_action, "n/a"));
	report_field(r, true, "VpnActionName", "%s", report_or(f->vpn_action, "n/a"));
	report_field(r, true, "TunnelID", "%s", report_or(f->tunnel_id, "0x00"));
	report_field(r, true, "Type", "%s", report_or(f->type, "Generic"));
	report_field(r, false, "DefensiveType", "%s", !defensive ? "n/a" : f->global ? "Global" : "Stack");
	report_field(r, true, "State", "%s", f->inactive ? "Inactive" : "Active");
	report_field(r, true, "Action", "%s", report_or(f->action, ""));
	report_field(r, true, "Scope", "%s", report_or(f->scope, "Both"));
	report_field(r, true, "Direction", "%s", report_or(f->direction, ""));
	report_field(r, false, "OnDemand", "%s", !f->has_on_demand ? "n/a" : f->on_demand ? "Yes" : "No");
	report_field(r, false, "SecurityClass", "%u", f->secclass);
	report_field(r, false, "Logging", "%s", report_or(f->logging, "None"));
	if (defensive)
		report_field(r, false, "LogLimit", "%u", f->loglimit);
	else
		report_field(r, false, "LogLimit", "n/a");
	report_field(r, true, "Protocol", "%s", report_protocol(f->protocol, text));
	report_field(r, false, "ICMPType", "%s", report_or(f->icmp_type, "n/a"));
	report_field(r, false, "ICMPCode", "%s", report_or(f->icmp_code, "n/a"));
	report_field(r, true, "SourceAddress", "%s", report_or(f->source, "All"));
	report_field(r, true, "SourcePort", "%s", report_or(f->source_port, "All"));
	report_field(r, true, "DestinationAddress", "%s", report_or(f->destination, "All"));
	report_field(r, true, "DestinationPort", "%s", report_or(f->dest_port, "All"));
	report_field(r, false, "DiscardAction", "%s", report_or(f->discard_action, "n/a"));
	report_field(r, false, "TimeCondition", "%s", report_or(f->time_condition, "n/a"));
	report_field(r, false, "FragmentsOnly", "%s", f->fragments_only ? "Yes" : "No");
	report_field(r, true, "FilterMatches", "%" PRIu64, f->matches);
	report_field(r, false, "LifetimeExpires", "%s", report_time(f->expires_us, when));
}

static bool wanted(const struct ipsec_command *c, const Stack__Filter *f)
{
	bool named = !c->nnames && !c->nids;
	for (unsigned i = 0; i < c->nnames && !named; i++)
		named = f->name && !strcmp(f->name, c->names[i]);
	for (unsigned i = 0; i < c->nids && !named; i++)
		named = f->tunnel_id && !strcmp(f->tunnel_id, c->ids[i]);
	return named;
}

static void print_filters(struct report *r, const struct ipsec_command *c, const Stack__FiltersReply *reply, struct json *j)
{
	for (size_t i = 0; i < reply->n_filters; i++) {
		if (!wanted(c, reply->filters[i]))
			continue;
		if (c->json) {
			bus_json(j, &reply->filters[i]->base);
			continue;
		}
		filter_fields(r, reply->filters[i]);
		report_entry(r);
	}
}

static void filter_heading(struct report *r, struct ipsec_command *c, const Stack__FiltersReply *reply)
{
	static const char *const scopes[][2] = {{"current", "Current"}, {"policy", "Policy"}, {"profile", "Profile"}};
	const char *scope = "Current";
	for (size_t i = 0; c->kind && i < 3; i++)
		if (!strcmp(c->kind, scopes[i][0]))
			scope = scopes[i][1];
	report_heading(r, c, c->stack, "Filter", "Display");
	report_source(report_or(reply->source, "Stack Policy"), scope, reply->total);
	(void)printf("Logging:  %-15s Predecap: %-20s DVIPSec:  No\n", reply->logging ? "On" : "Off", reply->predecap ? "On" : "Off");
	report_extra("Defensive Mode", report_or(reply->defensive_mode, "n/a"));
	for (size_t i = 0; i < reply->n_exclusions; i++)
		report_extra("Exclusion Address", reply->exclusions[i]);
}

static int filter_display(struct ipsec_command *c)
{
	Stack__FiltersRequest m = STACK__FILTERS_REQUEST__INIT;
	struct report r = {0};
	struct json j;
	bool first = true;
	json_init(&j);
	json_open(&j, '[');
	m.kind = (char *)(c->kind ? c->kind : "current");
	do {
		ProtobufCMessage *reply = NULL;
		int rc = run_stack_call(c, "stack.Filters", &m.base, &stack__filters_reply__descriptor, &reply);
		if (rc) {
			json_fini(&j);
			return rc;
		}
		const Stack__FiltersReply *f = (const Stack__FiltersReply *)reply;
		if (first && !c->json)
			filter_heading(&r, c, f);
		first = false;
		print_filters(&r, c, f, &j);
		m.has_after = f->has_next;
		m.after = f->next;
		protobuf_c_message_free_unpacked(reply, NULL);
	} while (m.has_after);
	json_close(&j, ']');
	if (c->json)
		(void)puts(j.buf);
	else
		report_end(&r);
	json_fini(&j);
	return RUN_DONE;
}

int run_filter(struct ipsec_command *c)
{
	if (c->function == IPSEC_DISPLAY)
		return filter_display(c);
	Stack__SwitchRequest m = STACK__SWITCH_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	m.to = (char *)(c->function == IPSEC_DEFAULT ? "default" : "policy");
	int rc = run_stack_call(c, "stack.FilterSwitch", &m.base, &stack__changed_reply__descriptor, &reply);
	if (rc)
		return rc;
	if (c->json)
		run_json(reply);
	else
		(void)printf("Stack %s: %s filters are in force\n", c->stack, c->function == IPSEC_DEFAULT ? "default" : "policy");
	protobuf_c_message_free_unpacked(reply, NULL);
	return RUN_DONE;
}

int run_traffic(struct ipsec_command *c)
{
	Stack__TrafficTestRequest m = STACK__TRAFFIC_TEST_REQUEST__INIT;
	const struct ipsec_traffic *t = &c->traffic;
	ProtobufCMessage *reply = NULL;
	m.source = (char *)t->source;
	m.destination = (char *)t->destination;
	m.has_protocol = m.has_source_port = m.has_dest_port = true;
	m.protocol = t->protocol;
	m.source_port = t->source_port;
	m.dest_port = t->dest_port;
	m.direction = (char *)t->direction;
	int rc = run_stack_call(c, "stack.TrafficTest", &m.base, &stack__filters_reply__descriptor, &reply);
	if (rc)
		return rc;
	if (c->json) {
		run_json(reply);
	} else {
		struct report r;
		const Stack__FiltersReply *f = (const Stack__FiltersReply *)reply;
		report_heading(&r, c, c->stack, "IP Traffic Test", "Display");
		report_source(report_or(f->source, "Stack Policy"), "n/a", f->n_filters);
		print_filters(&r, c, f, NULL);
		report_end(&r);
	}
	protobuf_c_message_free_unpacked(reply, NULL);
	return RUN_DONE;
}

static void print_links(struct report *r, const Stack__LinksReply *links)
{
	for (size_t i = 0; i < links->n_links; i++) {
		const Stack__Link *l = links->links[i];
		for (size_t k = 0; k < (l->n_addresses ? l->n_addresses : 1); k++) {
			report_field(r, true, "InterfaceName", "%s", report_or(l->name, ""));
			report_field(r, true, "Address", "%s", l->n_addresses ? l->addresses[k] : "n/a");
			report_field(r, true, "InterfaceType", "%s", report_or(l->type, ""));
			report_field(r, false, "Device", "%s", report_or(l->device, "n/a"));
			report_field(r, true, "InterfaceStatus", "%s", l->up ? "Active" : "Inactive");
			report_field(r, false, "DVIPSec", "No");
			report_entry(r);
		}
	}
}

int run_interface(struct ipsec_command *c)
{
	Common__Empty m = COMMON__EMPTY__INIT;
	ProtobufCMessage *reply = NULL;
	int rc = run_stack_call(c, "stack.Links", &m.base, &stack__links_reply__descriptor, &reply);
	if (rc)
		return rc;
	if (c->json) {
		run_json(reply);
	} else {
		struct report r;
		const Stack__LinksReply *links = (const Stack__LinksReply *)reply;
		report_heading(&r, c, c->stack, "Interface", "Display");
		report_source("Stack", "Current", links->n_links);
		print_links(&r, links);
		report_end(&r);
	}
	protobuf_c_message_free_unpacked(reply, NULL);
	return RUN_DONE;
}
