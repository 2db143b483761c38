/* ipsec -m: manual tunnels of a stack. */
#include "cli/ipsec/report.h"
#include "cli/ipsec/run.h"
#include "lib/base/xalloc.h"
#include "proto/common.pb-c.h"
#include "proto/stack.pb-c.h"
#include <inttypes.h>

static bool wanted(const struct ipsec_command *c, const Stack__Sa *s)
{
	if (!s->tunnel_id || s->tunnel_id[0] != 'M')
		return false;
	bool named = !c->nnames && !c->nids;
	for (unsigned i = 0; i < c->nnames && !named; i++)
		named = s->name && !strcmp(s->name, c->names[i]);
	for (unsigned i = 0; i < c->nids && !named; i++)
		named = !strcmp(s->tunnel_id, c->ids[i]);
	return named;
}

static void sa_fields(struct report *r, const Stack__Sa *s)
{
	report_field(r, true, "TunnelID", "%s", s->tunnel_id);
	report_field(r, true, "VpnActionName", "%s", s->name ? s->name : "");
	report_field(r, true, "State", "%s", s->state ? s->state : "");
	report_field(r, true, "Direction", "%s", s->direction ? s->direction : "");
	report_field(r, true, "LocalEndpoint", "%s", s->local ? s->local : "");
	report_field(r, true, "RemoteEndpoint", "%s", s->remote ? s->remote : "");
	report_field(r, false, "HowToEncap", "%s", s->mode ? s->mode : "");
	report_field(r, false, "HowToEncrypt", "%s", s->encryption ? s->encryption : "n/a");
	report_field(r, false, "HowToAuth", "%s", s->protocol ? s->protocol : "");
	report_field(r, false, "AuthAlgorithm", "%s", s->authentication ? s->authentication : "n/a");
	report_field(r, false, "Spi", "0x%08x", s->spi);
	report_field(r, false, "ReplayWindow", "%u", s->replay_window);
	if (s->path_mtu) {
		report_field(r, true, "PathMTU", "%u", s->path_mtu);
		report_field(r, true, "PathMTUAge", "%us", s->path_mtu_age_s);
	}
	report_field(r, true, "Packets", "%" PRIu64, s->packets);
	report_field(r, true, "Bytes", "%" PRIu64, s->bytes);
	report_field(r, false, "AuthenticationFailures", "%" PRIu64, s->auth_failed);
	report_field(r, false, "ReplayedPackets", "%" PRIu64, s->replayed);
}

static int manual_display(struct ipsec_command *c)
{
	Common__Empty m = COMMON__EMPTY__INIT;
	ProtobufCMessage *reply = NULL;
	int rc = run_stack_call(c, "stack.Sas", &m.base, &stack__sas_reply__descriptor, &reply);
	if (rc)
		return rc;
	const Stack__SasReply *sas = (const Stack__SasReply *)reply;
	struct report r = {0};
	struct json j;
	json_init(&j);
	json_open(&j, '[');
	if (!c->json) {
		report_heading(&r, c, c->stack, "Manual tunnel", "Display");
		report_source("Stack", "Current", sas->n_sas);
	}
	for (size_t i = 0; i < sas->n_sas; i++) {
		if (!wanted(c, sas->sas[i]))
			continue;
		if (c->json) {
			bus_json(&j, &sas->sas[i]->base);
			continue;
		}
		sa_fields(&r, sas->sas[i]);
		report_entry(&r);
	}
	json_close(&j, ']');
	if (c->json)
		(void)puts(j.buf);
	else
		report_end(&r);
	json_fini(&j);
	protobuf_c_message_free_unpacked(reply, NULL);
	return RUN_DONE;
}

static int switch_one(struct ipsec_command *c, const char *name)
{
	Stack__TunnelRequest m = STACK__TUNNEL_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	m.name = (char *)name;
	m.has_activate = true;
	m.activate = c->function == IPSEC_ACTIVATE;
	int rc = run_stack_call(c, "stack.Tunnel", &m.base, &stack__changed_reply__descriptor, &reply);
	if (rc)
		return rc;
	if (c->json)
		run_json(reply);
	else
		(void)printf("Tunnel %s %s\n", name, m.activate ? "activated" : "deactivated");
	protobuf_c_message_free_unpacked(reply, NULL);
	return RUN_DONE;
}

int run_manual(struct ipsec_command *c)
{
	if (c->function == IPSEC_DISPLAY)
		return manual_display(c);
	int worst = RUN_DONE;
	for (unsigned i = 0; i < c->nnames + c->nids; i++) {
		int rc = switch_one(c, i < c->nnames ? c->names[i] : c->ids[i - c->nnames]);
		worst = rc > worst ? rc : worst;
	}
	return worst;
}
