/* A stack's life, as ikeD sees it. It is asked for a sign of life (common.Ping, whose boot id tells one run from the next) and its events are
 * listened to. A run that is new to us is asked which tunnels it holds:
 *
 *   ikeD was restarted    the tunnels are in the stack and not in the engine: the engine resumes them and goes on owning them
 *   the stack was         the engine has tunnels that the stack lost. Their keys must not be installed again: the sequence numbers would begin
 *                         anew, which a counter mode cipher does not survive and the peer's replay window would not let pass. Each
 *                         is negotiated anew, and the peer told about the old one by the engine. A run that took over the tunnels of
 *                         the one before says so, and nothing has to be done
 *
 * Addresses come from stack.Links, again every few seconds, as a reload of the stack may change them without telling. */
#include "daemons/ikeD/iked.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"

enum { PING_MS = 500, PING_DEADLINE_MS = 2000, LINKS_MS = 5000, RETRY_MS = 5000 };

static void ask_links(struct iked_stack *s);

static void stack_lost(struct iked_stack *s)
{
	if (s->running) {
		log_notice("stack lost", "stack", s->conf.name);
		s->iked->counters.stack_lost++;
		event_stack(s, "ike.stack.lost", 0, 0);
	}
	s->running = s->ready = false;
	s->boot_id = 0;
}

static void refused(struct iked_stack *s, const char *what, const char *text)
{
	if (!s->refuses)
		log_error("stack refuses", "stack", s->conf.name, "what", what, "reason", text ? text : "");
	s->refuses = true;
	s->retry_ms = loop_now_ms() + RETRY_MS;
}

/* --- which tunnels it holds --- */

/* The generations of a tunnel come newest first, and are taken oldest first, as they were made: so the engine has all of them, and a peer
 * that deletes one does not leave another without an owner. */
static void resume_page(struct iked_stack *s, const Stack__DynamicTunnelsReply *r)
{
	uint64_t wall = iked_wall_us(), now = iked_now_us();
	for (size_t i = r->n_tunnels; i-- > 0;) {
		const Stack__DynamicTunnel *t = r->tunnels[i];
		struct ike_child c;
		int rc = tunnel_from_stack(t, wall, &c);
		if (!rc)
			rc = ike_resume(s->engine, &c, now);
		if (rc)
			log_warning("tunnel cannot be resumed; it lives until it expires", "stack", s->conf.name, "tunnel",
				t->tunnel_id ? t->tunnel_id : "", "error", log_errno(rc));
		else
			s->resumed++;
		explicit_bzero(&c, sizeof(c));
	}
}

static void stack_ready(struct iked_stack *s)
{
	s->asking = s->refuses = false;
	s->ready = true;
	s->children_boot_id = s->boot_id;
	s->iked->counters.resumed += s->resumed;
	s->iked->counters.renegotiated += s->renegotiated;
	event_stack(s, "ike.stack.ready", s->resumed, s->renegotiated);
	log_notice("EZD1058I stack is ready for IKE", "stack", s->conf.name, "resumed", log_u64(s->resumed), "renegotiated",
		log_u64(s->renegotiated));
	s->resumed = s->renegotiated = 0;
	if (s->n_sockets)
		start_autos(s, iked_now_us());
	iked_arm(s->iked);
}

/* The run that had them is gone. */
static void renegotiate_all(struct iked_stack *s)
{
	const struct ike_child_info *c;
	char (*lost)[16] = NULL, after[16] = "";
	size_t n = 0, cap = 0;
	while ((c = ike_child_next(s->engine, after[0] ? after : NULL))) {
		(void)snprintf(after, sizeof(after), "%s", c->child->tunnel_id);
		if (c->state != IKE_CHILD_DONE)
			continue;
		if (n == cap) {
			cap = cap ? 2 * cap : 64;
			lost = xrealloc(lost, cap, sizeof(*lost));
		}
		memcpy(lost[n++], after, sizeof(after));
	}
	for (size_t i = 0; i < n; i++)
		if (!ike_refresh(s->engine, lost[i], iked_now_us()))
			s->renegotiated++;
	free(lost);
}

static void ask_tunnels(struct iked_stack *s, uint64_t after);

static void tunnels_answered(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply)
{
	struct iked_stack *s = arg;
	const Stack__DynamicTunnelsReply *r = (const Stack__DynamicTunnelsReply *)reply;
	if (code != BUS_OK) {
		s->asking = false;
		if (code != BUS_UNAVAILABLE)
			refused(s, "stack.DynamicTunnels", text);
		return;
	}
	if (!s->children_boot_id)
		resume_page(s, r);
	else if (s->children_boot_id != s->boot_id && r->heir_of != s->children_boot_id)
		renegotiate_all(s);
	if (!s->children_boot_id && r->has_next)
		ask_tunnels(s, r->next);
	else
		stack_ready(s);
}

/* Pages of what it holds; of interest only when we are new ourselves, else the answer says that it talks to us. */
static void ask_tunnels(struct iked_stack *s, uint64_t after)
{
	Stack__DynamicTunnelsRequest m = STACK__DYNAMIC_TUNNELS_REQUEST__INIT;
	m.has_after = after != 0;
	m.after = after;
	m.has_limit = s->children_boot_id != 0;
	m.limit = 1;
	s->asking = true;
	bus_client_call(s->client, "stack.DynamicTunnels", &m.base, &stack__dynamic_tunnels_reply__descriptor, IKED_DEADLINE_MS,
		tunnels_answered, s);
}

/* --- which addresses it has --- */

static unsigned addresses_of(const Stack__LinksReply *r, struct addr out[IKED_ADDRS_MAX])
{
	unsigned n = 0;
	for (size_t i = 0; i < r->n_links; i++)
		for (size_t k = 0; k < r->links[i]->n_addresses && n < IKED_ADDRS_MAX; k++) {
			char text[PREFIX_TEXT_MAX];
			struct addr a;
			bool twice = false;
			(void)snprintf(text, sizeof(text), "%.*s", (int)strcspn(r->links[i]->addresses[k], "/"), r->links[i]->addresses[k]);
			if (addr_parse(text, &a) || (a.family == 6 && a.b[0] == 0xfe && (a.b[1] & 0xc0) == 0x80))
				continue;
			for (unsigned j = 0; j < n && !twice; j++)
				twice = addr_equal(&a, &out[j]);
			if (!twice)
				out[n++] = a;
		}
	return n;
}

static void links_answered(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply)
{
	struct iked_stack *s = arg;
	struct addr addrs[IKED_ADDRS_MAX];
	bool first = !s->n_sockets;
	s->linking = false;
	if (code != BUS_OK) {
		if (code != BUS_UNAVAILABLE)
			refused(s, "stack.Links", text);
		return;
	}
	sockets_set(s, addrs, addresses_of((const Stack__LinksReply *)reply, addrs));
	if (first && s->ready)
		start_autos(s, iked_now_us());
	iked_arm(s->iked);
}

static void ask_links(struct iked_stack *s)
{
	Common__Empty m = COMMON__EMPTY__INIT;
	if (s->linking)
		return;
	s->linking = true;
	s->links_ms = loop_now_ms() + LINKS_MS;
	bus_client_call(s->client, "stack.Links", &m.base, &stack__links_reply__descriptor, IKED_DEADLINE_MS, links_answered, s);
}

/* --- is it there --- */

static void stack_seen(void *arg, uint64_t boot_id)
{
	struct iked_stack *s = arg;
	bool again = s->running && !s->ready && !s->asking && loop_now_ms() >= s->retry_ms;
	if (boot_id == s->boot_id && !again)
		return;
	if (boot_id != s->boot_id) {
		stack_lost(s); /* it was back before its silence was noticed */
		s->refuses = s->asking = false;
	}
	s->boot_id = boot_id;
	s->running = true;
	ask_links(s);
	if (!s->asking)
		ask_tunnels(s, 0);
}

static void stack_silent(void *arg)
{
	struct iked_stack *s = arg;
	if (s->running)
		stack_lost(s);
}

/* --- what it tells --- */

/* The peer's protected packets come from elsewhere, as the stack has verified: what goes to it has to follow, and must not wait until it
 * has something to say by IKE (RFC 3947 section 5.3's mapping that has changed). */
static void moved(struct iked_stack *s, const Stack__TunnelEvent *m)
{
	const struct ike_child_info *c;
	char after[16] = "";
	struct addr remote;
	if (!m->tunnel_id || !m->remote || addr_parse(m->remote, &remote) || !m->remote_port || m->remote_port > UINT16_MAX)
		return;
	while ((c = ike_child_next(s->engine, after[0] ? after : NULL)) && strcmp(c->child->tunnel_id, m->tunnel_id))
		(void)snprintf(after, sizeof(after), "%s", c->child->tunnel_id);
	if (!c)
		return;
	struct ike_path path = c->child->path;
	path.remote = remote;
	path.remote_port = (uint16_t)m->remote_port;
	log_notice("peer's address changed", "stack", s->conf.name, "tunnel", m->tunnel_id, "remote", m->remote, "port", log_u64(m->remote_port));
	tunnel_move(s, c->child, &path);
}

static void tunnel_event(struct iked_stack *s, const char *what, const Stack__TunnelEvent *m)
{
	static const struct {
		const char *topic;
		enum ike_stack_event event;
	} known[] = {{"soft", IKE_SOFT}, {"hard", IKE_HARD}, {"traffic", IKE_TRAFFIC}};
	if (!strcmp(what, "moved"))
		moved(s, m);
	for (size_t i = 0; m->tunnel_id && i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(what, known[i].topic))
			ike_stack_said(s->engine, m->tunnel_id, m->generation, known[i].event, NULL, iked_now_us());
}

static void unknown_spi(struct iked_stack *s, const Stack__UnknownSpi *m)
{
	uint16_t port = m->udp ? IKED_NAT_PORT : IKED_PORT;
	struct ike_path path = {.local_port = port, .remote_port = m->udp && m->remote_port ? (uint16_t)m->remote_port : port};
	if (m->local && m->remote && !addr_parse(m->local, &path.local) && !addr_parse(m->remote, &path.remote))
		ike_stack_said(s->engine, NULL, 0, IKE_UNKNOWN_SPI, &path, iked_now_us());
}

static const ProtobufCMessageDescriptor *body_of(const char *topic)
{
	if (!strcmp(topic, "stack.acquire"))
		return &stack__acquire__descriptor;
	if (!strncmp(topic, "stack.tunnel.", 13))
		return &stack__tunnel_event__descriptor;
	return !strcmp(topic, "stack.spi.unknown") ? &stack__unknown_spi__descriptor : NULL;
}

static void on_event(void *arg, const struct bus_event_info *info, const void *body, size_t len)
{
	struct iked_stack *s = arg;
	struct errbuf e;
	const ProtobufCMessageDescriptor *d = body && info->topic ? body_of(info->topic) : NULL;
	ProtobufCMessage *m = d ? bus_unpack(d, body, len, &e) : NULL;
	if (!m)
		return;
	if (d == &stack__acquire__descriptor)
		start_acquire(s, (const Stack__Acquire *)m);
	else if (d == &stack__tunnel_event__descriptor)
		tunnel_event(s, info->topic + 13, (const Stack__TunnelEvent *)m);
	else
		unknown_spi(s, (const Stack__UnknownSpi *)m);
	bus_unpack_free(m);
	iked_arm(s->iked);
}

/* Rules come in force and go with their time conditions; the engine takes it as a new policy. */
static void follow_clock(struct iked_stack *s, uint64_t now)
{
	if (!ipsec_policy_follow(s->conf.policy, time(NULL)))
		return;
	log_notice("time conditions: other rules are in force", "stack", s->conf.name);
	ike_policy(s->engine, s->conf.policy, now);
}

void iked_stacks_tick(void *arg)
{
	struct iked *k = arg;
	uint64_t now = iked_now_us();
	for (unsigned i = 0; i < k->n_stacks; i++) {
		struct iked_stack *s = k->stacks[i];
		bus_pulse_ask(s->pulse);
		if (s->running && loop_now_ms() >= s->links_ms)
			ask_links(s);
		sockets_keepalive(s, now);
		follow_clock(s, now);
		start_autos(s, now);
	}
	methods_expire(k, now);
	iked_arm(k);
	loop_timer_set(k->tick, PING_MS);
}

/* --- its life --- */

static struct ike_limits limits_of(const struct iked_conf *c)
{
	return (struct ike_limits){.half_open_total = c->half_open, .half_open_source = c->half_open_source, .retries = c->retries,
		.retry_first_us = c->init_wait_s * 1000000ull, .dpd_idle_us = c->dpd_interval_s * 1000000ull,
		.dpd_timeout_us = c->dpd_timeout_s * 1000000ull};
}

int iked_stack_new(struct iked *k, const struct iked_stack_conf *c, struct iked_stack **ret, struct errbuf *e)
{
	static const char *const topics[] = {"stack.started", "stack.heartbeat", "stack.acquire", "stack.tunnel.", "stack.spi.unknown", NULL};
	struct iked_stack *s = xnew(struct iked_stack);
	char name[BUS_NAME_MAX];
	s->iked = k;
	s->conf = *c;
	(void)ipsec_policy_follow(s->conf.policy, time(NULL));
	tunnel_ops(&s->ops);
	struct ike_config config = {.ops = &s->ops, .ctx = s, .limits = limits_of(k->conf), .policy = s->conf.policy, .signer = k->narrow,
		.esn_allowed = k->conf->esn};
	int rc = ike_new(&config, iked_now_us(), &s->engine);
	if (rc) {
		free(s);
		return err_set(e, -rc, "stack %s: the engine does not start: %s", c->name, log_errno(rc));
	}
	start_autos_reset(s);
	(void)snprintf(name, sizeof(name), "stack-core@%s", c->name);
	const struct bus_pulse_spec spec = {name, topics, PING_DEADLINE_MS, stack_seen, stack_silent, on_event, s};
	s->pulse = bus_pulse_new(k->daemon->loop, &spec);
	s->client = bus_pulse_client(s->pulse);
	*ret = s;
	return 0;
}

void iked_stack_policy(struct iked_stack *s, struct iked_stack_conf *c)
{
	struct ipsec_policy *old = s->conf.policy;
	s->conf = *c;
	(void)ipsec_policy_follow(s->conf.policy, time(NULL));
	ike_policy(s->engine, s->conf.policy, iked_now_us());
	ipsec_policy_free(old);
	start_autos_reset(s);
}

void iked_stack_free(struct iked_stack *s)
{
	methods_end(s->iked, s);
	sockets_close(s);
	s->client = NULL; /* the engine's last wishes are not heard any more: its tunnels stay in the stack */
	ike_free(s->engine);
	s->engine = NULL;
	s->running = false;
	bus_pulse_free(s->pulse);
	ipsec_policy_free(s->conf.policy);
	free(s->autos);
	free(s);
}
