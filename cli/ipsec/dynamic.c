/* ipsec -y: phase 2 security associations ("dynamic tunnels") of a stack: as the stack has them, with its counts, or (-b) as ikeD does. */
#include "cli/ipsec/report.h"
#include "cli/ipsec/run.h"
#include "lib/base/xalloc.h"
#include "proto/ike.pb-c.h"
#include <inttypes.h>
#include <strings.h>
#include <time.h>

enum { ACTIVATE_WAIT_MS = 8000 };

/* "All", one address, "a/len" or "low-high" as Base, Prefix and Range. */
static void address_fields(struct report *r, const char *base, const char *prefix, const char *range, const char *text)
{
	char first[64];
	const char *slash = text ? strchr(text, '/') : NULL, *dash = text ? strchr(text, '-') : NULL;
	size_t n = !text ? 0 : slash ? (size_t)(slash - text) : dash ? (size_t)(dash - text) : strlen(text);
	(void)snprintf(first, sizeof(first), "%.*s", (int)n, text ? text : "");
	report_field(r, true, base, "%s", report_or(first, "All"));
	report_field(r, slash != NULL, prefix, "%s", slash ? slash + 1 : "n/a");
	report_field(r, dash != NULL, range, "%s", dash ? dash + 1 : "n/a");
}

static void id_fields(struct report *r, const Ike__DynTunnel *t)
{
	report_field(r, true, "TunnelID", "%s", report_or(t->tunnel_id, ""));
	report_field(r, true, "Generation", "%u", t->generation);
	report_field(r, false, "IKEVersion", "1.0");
	report_field(r, false, "ParentIKETunnelID", "%s", report_or(t->parent_id, "n/a"));
	report_field(r, true, "VpnActionName", "%s", report_or(t->vpn_action, "n/a"));
	report_field(r, false, "LocalDynVpnRule", "%s", report_or(t->local_rule, "n/a"));
	report_field(r, true, "State", "%s", report_or(t->state, ""));
	report_field(r, false, "HowToEncap", "%s", t->tunnel_mode ? "Tunnel" : "Transport");
	report_field(r, true, "LocalEndpoint", "%s", report_or(t->local, ""));
	report_field(r, true, "RemoteEndpoint", "%s", report_or(t->remote, ""));
	address_fields(r, "LocalAddressBase", "LocalAddressPrefix", "LocalAddressRange", t->local_addresses);
	address_fields(r, "RemoteAddressBase", "RemoteAddressPrefix", "RemoteAddressRange", t->remote_addresses);
}

static void spi_field(struct report *r, const char *name, bool there, uint32_t spi)
{
	if (there)
		report_field(r, false, name, "0x%08X", spi);
	else
		report_field(r, false, name, "n/a");
}

static void algorithm_fields(struct report *r, const Ike__DynTunnel *t)
{
	bool ah = t->ipsec_protocol && !strcmp(t->ipsec_protocol, "AH"), auth = t->authentication && strcmp(t->authentication, "n/a");
	bool both = t->has_in_ah_spi;
	report_field(r, false, "HowToEncrypt", "%s", ah ? "None" : report_or(t->encryption, "n/a"));
	if (t->key_bits)
		report_field(r, false, "KeyLength", "%u", t->key_bits);
	else
		report_field(r, false, "KeyLength", "n/a");
	report_field(r, false, "HowToAuth", "%s", both ? "AH" : report_or(t->ipsec_protocol, "n/a"));
	report_field(r, false, "AuthAlgorithm", "%s", report_or(t->authentication, "n/a"));
	spi_field(r, "AuthInboundSpi", ah || auth, both ? t->in_ah_spi : t->in_spi);
	spi_field(r, "AuthOutboundSpi", ah || auth, both ? t->out_ah_spi : t->out_spi);
	spi_field(r, "EncryptInboundSpi", !ah, t->in_spi);
	spi_field(r, "EncryptOutboundSpi", !ah, t->out_spi);
	report_field(r, false, "ExtendedSequenceNumbers", "%s", report_yes(t->esn));
	if (t->pfs_group)
		report_field(r, false, "DiffieHellmanGroup", "%u", t->pfs_group);
	else
		report_field(r, false, "DiffieHellmanGroup", "None");
}

static void port_field(struct report *r, const char *name, uint32_t port)
{
	if (port)
		report_field(r, false, name, "%u", port);
	else
		report_field(r, false, name, "All");
}

static void traffic_fields(struct report *r, const Ike__DynTunnel *t)
{
	char number[16], protocol[24];
	(void)snprintf(number, sizeof(number), "%u", t->protocol);
	report_field(r, true, "Protocol", "%s", report_protocol(t->has_protocol ? number : "all", protocol));
	port_field(r, "LocalPort", t->local_data_port);
	port_field(r, "RemotePort", t->remote_data_port);
	if (!t->has_out_packets)
		return; /* ikeD does not count packets */
	report_field(r, true, "OutboundPackets", "%" PRIu64, t->out_packets);
	report_field(r, false, "OutboundBytes", "%" PRIu64, t->out_bytes);
	report_field(r, true, "InboundPackets", "%" PRIu64, t->in_packets);
	report_field(r, false, "InboundBytes", "%" PRIu64, t->in_bytes);
}

static void life_fields(struct report *r, const Ike__DynTunnel *t)
{
	char when[32];
	report_field(r, false, "Lifesize", "%" PRIu64 "K", t->life_bytes / 1024);
	report_field(r, false, "LifesizeRefresh", "%" PRIu64 "K", t->refresh_bytes / 1024);
	if (t->has_out_bytes)
		report_field(r, false, "CurrentByteCount", "%" PRIu64 "b", t->out_bytes + t->in_bytes);
	report_field(r, false, "LifetimeRefresh", "%s", report_time(t->refresh_us, when));
	report_field(r, true, "LifetimeExpires", "%s", report_time(t->expires_us, when));
	report_field(r, false, "CurrentTime", "%s", report_time((uint64_t)time(NULL) * 1000000u, when));
	report_field(r, false, "VPNLifeExpires", "%s", report_time(t->vpn_expires_us, when));
}

static void nat_fields(struct report *r, const Ike__DynTunnel *t)
{
	report_field(r, false, "UdpEncapMode", "%s", report_yes(t->udp));
	if (t->udp)
		report_field(r, false, "RmtUdpEncapPort", "%u", t->remote_port);
	else
		report_field(r, false, "RmtUdpEncapPort", "n/a");
	report_field(r, false, "SrcNATOARcvd", "%s", report_or(t->nat_oa_local, "n/a"));
	report_field(r, false, "DstNATOARcvd", "%s", report_or(t->nat_oa_remote, "n/a"));
	report_field(r, false, "PassthroughDF", "%s", report_or(t->df, "n/a"));
	report_field(r, false, "PassthroughDSCP", "%s", report_yes(t->passthrough_dscp));
	if (t->outer_dscp && *t->outer_dscp)
		report_field(r, false, "OuterDSCP", "%s", t->outer_dscp);
}

/* As routers said of the way outside; n/a: none did, or -b. */
static void path_fields(struct report *r, const Ike__DynTunnel *t)
{
	if (t->path_mtu) {
		report_field(r, true, "PathMTU", "%u", t->path_mtu);
		report_field(r, true, "PathMTUAge", "%us", t->path_mtu_age_s);
	} else {
		report_field(r, false, "PathMTU", "n/a");
	}
}

static int print_page(struct ipsec_command *c, struct report *r, struct json *j, const ProtobufCMessage *reply)
{
	const Ike__DynTunnelsReply *t = (const Ike__DynTunnelsReply *)reply;
	for (size_t i = 0; i < t->n_tunnels; i++) {
		if (c->json) {
			bus_json(j, &t->tunnels[i]->base);
			continue;
		}
		id_fields(r, t->tunnels[i]);
		algorithm_fields(r, t->tunnels[i]);
		traffic_fields(r, t->tunnels[i]);
		life_fields(r, t->tunnels[i]);
		nat_fields(r, t->tunnels[i]);
		path_fields(r, t->tunnels[i]);
		report_entry(r);
	}
	return RUN_DONE;
}

static uint64_t total(const ProtobufCMessage *reply)
{
	return ((const Ike__DynTunnelsReply *)reply)->total;
}

static const char *next(const ProtobufCMessage *reply)
{
	return ((const Ike__DynTunnelsReply *)reply)->next;
}

static int dynamic_display(struct ipsec_command *c)
{
	return run_pages(c, &(struct ipsec_pages){"Dynamic tunnel", "Display", c->iked_view ? "IKED" : "Stack",
				    c->iked_view ? "ike.DynTunnels" : "ike.StackTunnels", &ike__dyn_tunnels_reply__descriptor, print_page,
				    total, next});
}

static int activate(struct ipsec_command *c)
{
	Ike__ActivateRequest m = IKE__ACTIVATE_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	m.stack = c->stack;
	m.local_rule = (char *)c->local_rule;
	m.has_wait_ms = true;
	m.wait_ms = ACTIVATE_WAIT_MS;
	int rc = run_call("ikeD", "ike.Activate", &m.base, &ike__activate_reply__descriptor, &reply);
	if (rc)
		return rc;
	const Ike__ActivateReply *r = (const Ike__ActivateReply *)reply;
	if (c->json)
		run_json(reply);
	else
		(void)printf("Tunnel %s: %s\n", report_or(r->tunnel_id, ""), report_or(r->state, ""));
	protobuf_c_message_free_unpacked(reply, NULL);
	return RUN_DONE;
}

/* -l: the tunnels of a LocalDynVpnRule. */
static int change_by_rule(struct ipsec_command *c)
{
	Ike__ListRequest m = IKE__LIST_REQUEST__INIT;
	char *ids[IPSEC_NAMES_MAX];
	ProtobufCMessage *reply = NULL;
	size_t n = 0;
	m.stack = c->stack;
	m.n_ids = c->nids;
	m.ids = (char **)c->ids;
	m.local_rule = (char *)c->local_rule;
	int rc = run_call("ikeD", "ike.DynTunnels", &m.base, &ike__dyn_tunnels_reply__descriptor, &reply);
	if (rc)
		return rc;
	const Ike__DynTunnelsReply *t = (const Ike__DynTunnelsReply *)reply;
	for (; n < t->n_tunnels && n < IPSEC_NAMES_MAX; n++)
		ids[n] = t->tunnels[n]->tunnel_id;
	rc = n ? run_tunnel_change(c, n, ids) : run_failed(BUS_NOT_FOUND, "no tunnel of that LocalDynVpnRule");
	protobuf_c_message_free_unpacked(reply, NULL);
	return rc;
}

int run_dynamic(struct ipsec_command *c)
{
	char *ids[IPSEC_NAMES_MAX], all[] = "Y*";
	int rc = run_ike_stack(c);
	if (rc)
		return rc;
	if (c->function == IPSEC_DISPLAY)
		return dynamic_display(c);
	if (c->function == IPSEC_ACTIVATE)
		return activate(c);
	if (c->local_rule)
		return change_by_rule(c);
	run_tunnel_ids(c, all, ids);
	return run_tunnel_change(c, c->nids, ids);
}
