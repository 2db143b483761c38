/* ipsec -k: phase 1 security associations ("IKE tunnels") of a stack, as ikeD has them; -o: the ports behind a NAT that it knows of. */
#include "cli/ipsec/report.h"
#include "cli/ipsec/run.h"
#include "lib/base/xalloc.h"
#include "proto/common.pb-c.h"
#include "proto/ike.pb-c.h"
#include <inttypes.h>
#include <strings.h>

static void id_fields(struct report *r, const Ike__Tunnel *t)
{
	report_field(r, true, "TunnelID", "%s", report_or(t->tunnel_id, ""));
	report_field(r, true, "Generation", "%u", t->generation);
	report_field(r, false, "IKEVersion", "1.0");
	report_field(r, true, "KeyExchangeRuleName", "%s", report_or(t->rule, "n/a"));
	report_field(r, false, "KeyExchangeActionName", "%s", report_or(t->action, "n/a"));
	report_field(r, true, "LocalEndpoint", "%s", report_or(t->local, ""));
	report_field(r, false, "LocalIDType", "%s", report_or(t->local_id_type, "n/a"));
	report_field(r, false, "LocalID", "%s", report_or(t->local_id, "n/a"));
	report_field(r, true, "RemoteEndpoint", "%s", report_or(t->remote, ""));
	report_field(r, false, "RemoteIDType", "%s", report_or(t->remote_id_type, "n/a"));
	report_field(r, false, "RemoteID", "%s", report_or(t->remote_id, "n/a"));
	report_field(r, false, "ExchangeMode", "%s", t->aggressive ? "Aggressive" : "Main");
	report_field(r, true, "State", "%s", report_or(t->state, ""));
}

static void algorithm_fields(struct report *r, const Ike__Tunnel *t)
{
	report_field(r, false, "AuthenticationAlgorithm", "%s", report_or(t->hash, "n/a"));
	report_field(r, false, "EncryptionAlgorithm", "%s", report_or(t->encryption, "n/a"));
	if (t->key_bits)
		report_field(r, false, "KeyLength", "%u", t->key_bits);
	else
		report_field(r, false, "KeyLength", "n/a");
	report_field(r, false, "PseudoRandomFunction", "%s", report_or(t->prf, "n/a"));
	report_field(r, false, "DiffieHellmanGroup", "%u", t->group);
	report_field(r, false, "AuthenticationMethod", "%s", report_or(t->authentication, "n/a"));
	report_field(r, false, "InitiatorCookie", "0x%s", report_or(t->icookie, ""));
	report_field(r, false, "ResponderCookie", "0x%s", report_or(t->rcookie, ""));
}

static void life_fields(struct report *r, const Ike__Tunnel *t)
{
	char when[32];
	if (t->life_kb)
		report_field(r, false, "Lifesize", "%" PRIu64 "K", t->life_kb);
	else
		report_field(r, false, "Lifesize", "0K");
	report_field(r, false, "CurrentByteCount", "%" PRIu64 "b", t->bytes);
	report_field(r, false, "Lifetime", "%" PRIu64 "m", t->life_s / 60);
	report_field(r, false, "LifetimeRefresh", "%s", report_time(t->refresh_us, when));
	report_field(r, true, "LifetimeExpires", "%s", report_time(t->expires_us, when));
	report_field(r, true, "Role", "%s", t->initiator ? "Initiator" : "Responder");
	report_field(r, true, "AssociatedDynamicTunnels", "%u", t->children);
	report_field(r, false, "NATTSupportLevel", "%s", t->nat_t ? "RFC" : "None");
	report_field(r, false, "NATInFrntLclScEndPt", "%s", report_yes(t->nat_local));
	report_field(r, false, "NATInFrntRmtScEndPt", "%s", report_yes(t->nat_remote));
	report_field(r, false, "zOSCanInitiateP1SA", "%s", report_yes(!t->nat_remote));
	report_field(r, false, "AllowNat", "%s", report_yes(t->nat_t));
	report_field(r, false, "RmtNAPTDetected", "%s", report_yes(t->nat_remote && t->remote_port != 4500 && t->remote_port != 500));
	if (t->nat_t)
		report_field(r, false, "RmtUdpEncapPort", "%u", t->remote_port);
	else
		report_field(r, false, "RmtUdpEncapPort", "n/a");
}

/* -e: a line for each dynamic tunnel behind its IKE tunnel; in JSON all of it. */
static int cascade(struct ipsec_command *c, struct report *r, struct json *j, const char *parent)
{
	Ike__ListRequest m = IKE__LIST_REQUEST__INIT;
	char after[16] = "";
	m.stack = c->stack;
	m.parent = (char *)parent;
	do {
		ProtobufCMessage *reply = NULL;
		m.after = after[0] ? after : NULL;
		int rc = run_call("ikeD", "ike.DynTunnels", &m.base, &ike__dyn_tunnels_reply__descriptor, &reply);
		if (rc)
			return rc;
		const Ike__DynTunnelsReply *d = (const Ike__DynTunnelsReply *)reply;
		for (size_t i = 0; i < d->n_tunnels; i++) {
			if (c->json)
				bus_json(j, &d->tunnels[i]->base);
			else
				report_field(r, false, "AssociatedTunnelID", "%s", report_or(d->tunnels[i]->tunnel_id, ""));
		}
		(void)snprintf(after, sizeof(after), "%s", d->next ? d->next : "");
		protobuf_c_message_free_unpacked(reply, NULL);
	} while (after[0]);
	return RUN_DONE;
}

static int print_json(struct ipsec_command *c, struct json *j, const Ike__Tunnel *t)
{
	int rc = RUN_DONE;
	json_open(j, '{');
	bus_json_members(j, &t->base);
	if (c->cascade) {
		json_key(j, "dynamic_tunnels");
		json_open(j, '[');
		rc = cascade(c, NULL, j, report_or(t->tunnel_id, ""));
		json_close(j, ']');
	}
	json_close(j, '}');
	return rc;
}

static int print_page(struct ipsec_command *c, struct report *r, struct json *j, const ProtobufCMessage *reply)
{
	const Ike__TunnelsReply *t = (const Ike__TunnelsReply *)reply;
	for (size_t i = 0; i < t->n_tunnels; i++) {
		if (c->json) {
			int nested = print_json(c, j, t->tunnels[i]);
			if (nested)
				return nested;
			continue;
		}
		id_fields(r, t->tunnels[i]);
		algorithm_fields(r, t->tunnels[i]);
		life_fields(r, t->tunnels[i]);
		int rc = c->cascade ? cascade(c, r, j, report_or(t->tunnels[i]->tunnel_id, "")) : RUN_DONE;
		if (rc)
			return rc;
		report_entry(r);
	}
	return RUN_DONE;
}

static uint64_t total(const ProtobufCMessage *reply)
{
	return ((const Ike__TunnelsReply *)reply)->total;
}

static const char *next(const ProtobufCMessage *reply)
{
	return ((const Ike__TunnelsReply *)reply)->next;
}

int run_pages(struct ipsec_command *c, const struct ipsec_pages *p)
{
	Ike__ListRequest m = IKE__LIST_REQUEST__INIT;
	struct report r = {0};
	struct json j;
	char after[24] = "";
	bool first = true;
	int rc;
	m.stack = c->stack;
	m.n_ids = c->nids;
	m.ids = (char **)c->ids;
	m.local_rule = (char *)c->local_rule;
	json_init(&j);
	json_open(&j, '[');
	do {
		ProtobufCMessage *reply = NULL;
		m.after = after[0] ? after : NULL;
		rc = run_call("ikeD", p->method, &m.base, p->reply, &reply);
		if (rc)
			break;
		if (first && !c->json) {
			report_heading(&r, c, c->stack, p->primary, p->function);
			report_source(p->source, "Current", p->total(reply));
		}
		first = false;
		rc = p->page(c, &r, &j, reply);
		(void)snprintf(after, sizeof(after), "%s", report_or(p->next(reply), ""));
		protobuf_c_message_free_unpacked(reply, NULL);
	} while (!rc && after[0]);
	json_close(&j, ']');
	if (!rc && c->json)
		(void)puts(j.buf);
	else if (!rc)
		report_end(&r);
	json_fini(&j);
	return rc;
}

void run_tunnel_ids(const struct ipsec_command *c, char *all, char **out)
{
	for (unsigned i = 0; i < c->nids; i++)
		out[i] = strcasecmp(c->ids[i], "all") ? (char *)c->ids[i] : all;
}

int run_tunnel_change(struct ipsec_command *c, size_t n, char *const *ids)
{
	ProtobufCMessage *reply = NULL;
	int rc;
	if (c->function == IPSEC_REFRESH) {
		Ike__RefreshRequest m = IKE__REFRESH_REQUEST__INIT;
		m.stack = c->stack;
		m.n_ids = n;
		m.ids = (char **)ids;
		rc = run_call("ikeD", "ike.Refresh", &m.base, &ike__changed_reply__descriptor, &reply);
	} else {
		Ike__DeactivateRequest m = IKE__DEACTIVATE_REQUEST__INIT;
		m.stack = c->stack;
		m.n_ids = n;
		m.ids = (char **)ids;
		m.has_cascade = true;
		m.cascade = c->cascade;
		rc = run_call("ikeD", "ike.Deactivate", &m.base, &ike__changed_reply__descriptor, &reply);
	}
	if (rc)
		return rc;
	const Ike__ChangedReply *r = (const Ike__ChangedReply *)reply;
	if (c->json)
		run_json(reply);
	else
		(void)printf("%u tunnel%s %s\n", r->changed, r->changed == 1 ? "" : "s",
			c->function == IPSEC_REFRESH ? "being refreshed" : "deactivated");
	for (size_t i = 0; i < r->n_unknown; i++)
		(void)fprintf(stderr, "ipsec: stack %s has no tunnel %s\n", c->stack, r->unknown[i]);
	rc = r->n_unknown ? RUN_FAILED : RUN_DONE;
	protobuf_c_message_free_unpacked(reply, NULL);
	return rc;
}

int run_ike(struct ipsec_command *c)
{
	char *ids[IPSEC_NAMES_MAX], all[] = "K*";
	int rc = run_ike_stack(c);
	if (rc)
		return rc;
	if (c->function == IPSEC_DISPLAY)
		return run_pages(c, &(struct ipsec_pages){"IKE tunnel", c->cascade ? "Display (cascade)" : "Display", "IKED", "ike.Tunnels",
					    &ike__tunnels_reply__descriptor, print_page, total, next});
	run_tunnel_ids(c, all, ids);
	return run_tunnel_change(c, c->nids, ids);
}

int run_ike_stack(struct ipsec_command *c)
{
	if (c->stack[0])
		return RUN_DONE;
	Common__Empty m = COMMON__EMPTY__INIT;
	ProtobufCMessage *reply = NULL;
	int rc = run_call("ikeD", "ike.DefaultStack", &m.base, &ike__stack_reply__descriptor, &reply);
	if (rc)
		return rc;
	const char *name = ((const Ike__StackReply *)reply)->stack;
	rc = ipsec_stack_name(name ? name : "", c->stack, NULL) ? run_failed(BUS_NOT_FOUND, "no default stack") : RUN_DONE;
	protobuf_c_message_free_unpacked(reply, NULL);
	return rc;
}

int run_natt(struct ipsec_command *c)
{
	Ike__ListRequest m = IKE__LIST_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	int rc = run_ike_stack(c);
	m.stack = c->stack;
	rc = rc ? rc : run_call("ikeD", "ike.NatPorts", &m.base, &ike__nat_ports_reply__descriptor, &reply);
	if (rc)
		return rc;
	const Ike__NatPortsReply *p = (const Ike__NatPortsReply *)reply;
	struct report r = {0};
	if (c->json) {
		run_json(reply);
	} else {
		report_heading(&r, c, c->stack, "NATT Port Trans", "Display");
		report_source("IKED", "Current", p->total);
		for (size_t i = 0; i < p->n_ports; i++) {
			report_field(&r, true, "TunnelID", "%s", report_or(p->ports[i]->tunnel_id, ""));
			report_field(&r, true, "RmtIpAddress", "%s", report_or(p->ports[i]->remote, ""));
			report_field(&r, true, "RmtUdpEncapPort", "%u", p->ports[i]->remote_port);
			report_field(&r, true, "LclIpAddress", "%s", report_or(p->ports[i]->local, ""));
			report_field(&r, true, "LclUdpEncapPort", "%u", p->ports[i]->local_port);
			report_field(&r, true, "AssociatedDynamicTunnels", "%u", p->ports[i]->tunnels);
			report_entry(&r);
		}
		report_end(&r);
	}
	protobuf_c_message_free_unpacked(reply, NULL);
	return RUN_DONE;
}
