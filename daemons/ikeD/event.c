/* What happened, told three ways: on the bus for programs, in the log for people, and as SMF 119 records 73 to 76 (zos.md section 15) for
 * those who ask for them with SMF119. What a stranger can cause is limited in the first two, with a count of what was left out. */
#include "daemons/ikeD/iked.h"
#include "lib/log/log.h"

#define EVENTS "SERVAUTH", "EZB.NETMGMT.{sysname}.IKED.EVENTS"

const struct bus_event iked_events[] = {
	{"ike.sa.up", &ike__sa_event__descriptor, EVENTS},
	{"ike.sa.refreshed", &ike__sa_event__descriptor, EVENTS},
	{"ike.sa.down", &ike__sa_event__descriptor, EVENTS},
	{"ike.sa.failed", &ike__sa_event__descriptor, EVENTS},
	{"ike.peer.dead", &ike__sa_event__descriptor, EVENTS},
	{"ike.peer.moved", &ike__sa_event__descriptor, EVENTS},
	{"ike.rule.replaced", &ike__sa_event__descriptor, EVENTS},
	{"ike.protocol.error", &ike__trouble__descriptor, EVENTS},
	{"ike.flood", &ike__trouble__descriptor, EVENTS},
	{"ike.stack.ready", &ike__stack_event__descriptor, EVENTS},
	{"ike.stack.lost", &ike__stack_event__descriptor, EVENTS},
	{0},
};

enum { TROUBLE_BURST = 20, TROUBLE_MS = 1000 };

static const struct kind {
	const char *topic, *says;
	enum log_level level;
	unsigned smf, subtype;
	bool limited, course; /* course: logged with IkeSyslogLevel 2 only */
} kinds[] = {
	[IKE_P1_UP] = {"ike.sa.up", "phase 1 security association up", LOG_L_NOTICE, SMF_IKE_TUNNEL, 73},
	[IKE_P1_REFRESHED] = {"ike.sa.refreshed", "phase 1 security association refreshed", LOG_L_INFO, SMF_IKE_TUNNEL, 73},
	[IKE_P1_FAILED] = {"ike.sa.failed", "phase 1 negotiation failed", LOG_L_WARNING, .limited = true},
	[IKE_P1_DOWN] = {"ike.sa.down", "phase 1 security association down", LOG_L_NOTICE, SMF_IKE_TUNNEL, 74},
	[IKE_P2_UP] = {"ike.sa.up", "dynamic tunnel up", LOG_L_NOTICE, SMF_DYN_TUNNEL, 75},
	[IKE_P2_REFRESHED] = {"ike.sa.refreshed", "dynamic tunnel refreshed", LOG_L_INFO, SMF_DYN_TUNNEL, 75},
	[IKE_P2_FAILED] = {"ike.sa.failed", "phase 2 negotiation failed", LOG_L_WARNING, .limited = true},
	[IKE_P2_DOWN] = {"ike.sa.down", "dynamic tunnel down", LOG_L_NOTICE, SMF_DYN_TUNNEL, 76},
	[IKE_PEER_DEAD] = {"ike.peer.dead", "peer is dead", LOG_L_WARNING},
	[IKE_PEER_MOVED] = {"ike.peer.moved", "peer's address changed", LOG_L_NOTICE},
	[IKE_RULE_REPLACED] = {"ike.rule.replaced", "KeyExchangeRule replaced", LOG_L_INFO, .course = true},
	[IKE_PROTOCOL_ERROR] = {"ike.protocol.error", "protocol error", LOG_L_WARNING, .limited = true},
	[IKE_FLOOD] = {"ike.flood", "flood of first messages", LOG_L_WARNING, .limited = true},
};

struct rows {
	struct iked_tunnel_view tunnel;
	struct iked_dyn_view dyn;
	char local[ADDR_TEXT_MAX], remote[ADDR_TEXT_MAX];
};

static void audit_tunnel(struct json *j, const Ike__Tunnel *t)
{
	json_kv_str(j, "tunnel_id", t->tunnel_id);
	json_kv_u64(j, "generation", t->generation);
	json_kv_str(j, "key_exchange_rule", t->rule);
	json_kv_str(j, "key_exchange_action", t->action);
	json_kv_str(j, "local_endpoint", t->local);
	json_kv_str(j, "local_id", t->local_id);
	json_kv_str(j, "remote_endpoint", t->remote);
	json_kv_str(j, "remote_id", t->remote_id);
	json_kv_str(j, "exchange_mode", t->aggressive ? "Aggressive" : "Main");
	json_kv_str(j, "role", t->initiator ? "Initiator" : "Responder");
	json_kv_str(j, "encryption", t->encryption);
	json_kv_u64(j, "key_length", t->key_bits);
	json_kv_str(j, "authentication", t->hash);
	json_kv_u64(j, "dh_group", t->group);
	json_kv_str(j, "authentication_method", t->authentication);
	json_kv_str(j, "initiator_cookie", t->icookie);
	json_kv_str(j, "responder_cookie", t->rcookie);
	json_kv_u64(j, "lifetime", t->life_s);
	json_kv_u64(j, "expires_us", t->expires_us);
}

static void audit_dyn(struct json *j, const Ike__DynTunnel *t)
{
	json_kv_str(j, "tunnel_id", t->tunnel_id);
	json_kv_u64(j, "generation", t->generation);
	json_kv_str(j, "parent_tunnel_id", t->parent_id);
	json_kv_str(j, "filter_rule", t->rule);
	json_kv_str(j, "vpn_action", t->vpn_action);
	json_kv_str(j, "local_dyn_vpn_rule", t->local_rule);
	json_kv_str(j, "local_endpoint", t->local);
	json_kv_str(j, "remote_endpoint", t->remote);
	json_kv_str(j, "local_addresses", t->local_addresses);
	json_kv_str(j, "remote_addresses", t->remote_addresses);
	json_kv_str(j, "encapsulation", t->tunnel_mode ? "Tunnel" : "Transport");
	json_kv_str(j, "how_to_auth", t->ipsec_protocol);
	json_kv_str(j, "encryption", t->encryption);
	json_kv_u64(j, "key_length", t->key_bits);
	json_kv_str(j, "authentication", t->authentication);
	json_kv_u64(j, "inbound_spi", t->in_spi);
	json_kv_u64(j, "outbound_spi", t->out_spi);
	if (t->has_in_ah_spi) {
		json_kv_u64(j, "inbound_ah_spi", t->in_ah_spi);
		json_kv_u64(j, "outbound_ah_spi", t->out_ah_spi);
	}
	json_kv_u64(j, "pfs_group", t->pfs_group);
	json_kv_u64(j, "expires_us", t->expires_us);
}

static void audit_event(struct iked_stack *s, const struct ike_event *e, const struct kind *k, const struct rows *r)
{
	if (!k->subtype || !(s->iked->conf->smf & k->smf))
		return;
	struct json *j = audit_begin(s->iked->daemon->audit, AUDIT_TCPIP, k->subtype, 0);
	json_kv_str(j, "stack", s->conf.name);
	json_kv_str(j, "action", k->topic + 7);
	if (e->child)
		audit_dyn(j, &r->dyn.msg);
	else if (e->p1)
		audit_tunnel(j, &r->tunnel.msg);
	json_kv_str(j, "reason", e->text ? e->text : "");
	(void)audit_commit(s->iked->daemon->audit);
	s->iked->counters.audit_records++;
}

static void log_event(struct iked_stack *s, const struct ike_event *e, const struct kind *k, const struct rows *r, uint32_t suppressed)
{
	char line[120];
	if (k->course && !(s->iked->conf->syslog_level & 2))
		return;
	(void)snprintf(line, sizeof(line), "%s%s%s", e->message ? e->message : "", e->message ? " " : "", k->says);
	log_line(k->level, line, "stack", s->conf.name, "tunnel",
		e->child ? r->dyn.msg.tunnel_id : e->p1 ? r->tunnel.msg.tunnel_id : "", "local", r->local, "remote", r->remote,
		"text", e->text ? e->text : "", suppressed ? "suppressed" : (char *)0, log_u64(suppressed), (char *)0);
}

static void publish_sa(struct iked_stack *s, const struct ike_event *e, const struct kind *k, struct rows *r)
{
	Ike__SaEvent m = IKE__SA_EVENT__INIT;
	m.stack = s->conf.name;
	m.has_phase = true;
	m.phase = e->child ? 2 : 1;
	m.message = (char *)e->message;
	m.text = (char *)e->text;
	m.tunnel = e->p1 ? &r->tunnel.msg : NULL;
	m.dynamic_tunnel = e->child ? &r->dyn.msg : NULL;
	if (e->path) {
		m.local = r->local;
		m.remote = r->remote;
		m.has_remote_port = true;
		m.remote_port = e->path->remote_port;
	}
	bus_publish(s->iked->daemon->bus, k->topic, &m.base);
}

static void publish_trouble(struct iked_stack *s, const struct ike_event *e, const struct kind *k, struct rows *r, uint32_t suppressed)
{
	Ike__Trouble m = IKE__TROUBLE__INIT;
	m.stack = s->conf.name;
	m.message = (char *)e->message;
	m.text = (char *)e->text;
	if (e->path) {
		m.local = r->local;
		m.remote = r->remote;
		m.has_remote_port = true;
		m.remote_port = e->path->remote_port;
	}
	m.has_suppressed = suppressed != 0;
	m.suppressed = suppressed;
	bus_publish(s->iked->daemon->bus, k->topic, &m.base);
}

/* Whoever waits for it, and the stack where it concerns it. */
static void act(struct iked_stack *s, const struct ike_event *e)
{
	const struct ike_child *c = e->child ? e->child->child : NULL;
	if (c && e->kind == IKE_P2_UP)
		methods_outcome(s, c->tunnel_id, true, e->text);
	if (c && (e->kind == IKE_P2_FAILED || e->kind == IKE_P2_DOWN))
		methods_outcome(s, c->tunnel_id, false, e->text);
	if (c && e->kind == IKE_PEER_MOVED)
		tunnel_move(s, c, e->path ? e->path : &c->path);
}

void event_from_engine(void *stack, const struct ike_event *e)
{
	struct iked_stack *s = stack;
	const struct kind *k = &kinds[e->kind];
	bool trouble = e->kind == IKE_PROTOCOL_ERROR || e->kind == IKE_FLOOD;
	uint32_t suppressed = 0;
	struct rows r;
	if (k->limited && !log_limit_ok(&s->trouble[trouble], loop_now_ms(), TROUBLE_BURST, TROUBLE_MS, &suppressed)) {
		act(s, e);
		return;
	}
	r.local[0] = r.remote[0] = '\0';
	const struct ike_path *path = e->path ? e->path : e->child ? &e->child->child->path : e->p1 ? &e->p1->path : NULL;
	if (path) {
		(void)addr_text(&path->local, r.local);
		(void)addr_text(&path->remote, r.remote);
	}
	if (e->p1)
		view_tunnel(s, e->p1, &r.tunnel);
	if (e->child)
		view_dyn(s, e->child, &r.dyn);
	audit_event(s, e, k, &r);
	log_event(s, e, k, &r, suppressed);
	if (trouble)
		publish_trouble(s, e, k, &r, suppressed);
	else
		publish_sa(s, e, k, &r);
	act(s, e);
}

void event_stack(struct iked_stack *s, const char *topic, uint32_t resumed, uint32_t renegotiated)
{
	Ike__StackEvent m = IKE__STACK_EVENT__INIT;
	m.stack = s->conf.name;
	m.has_resumed = m.has_renegotiated = true;
	m.resumed = resumed;
	m.renegotiated = renegotiated;
	bus_publish(s->iked->daemon->bus, topic, &m.base);
}
