/* What the engine wants in the stack, as calls to it. Calls to one stack arrive in their order, so that "use it" needs not wait for the answer to
 * "install it". A call that fails because the stack is down is not repeated: when it is
 * back, all of its tunnels are negotiated anew (stack.c says why). */
#include "daemons/ikeD/iked.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <sys/random.h>

#define SET(m, field, value)                                                                                  \
	do {                                                                                                  \
		(m).has_##field = true;                                                                       \
		(m).field = (value);                                                                          \
	} while (0)

/* stack.DynamicTunnel with all the text it points to. */
struct install {
	Stack__DynamicTunnel t;
	Stack__Selector sel;
	Stack__SaHalf in, out, in_ah, out_ah;
	char local[ADDR_TEXT_MAX], remote[ADDR_TEXT_MAX], oa_local[ADDR_TEXT_MAX], oa_remote[ADDR_TEXT_MAX];
	char bounds[4][ADDR_TEXT_MAX];
};

static void fill_half(Stack__SaHalf *m, const struct ike_sa_half *h)
{
	stack__sa_half__init(m);
	SET(*m, spi, h->spi);
	m->has_encryption_key = h->enc_key_len > 0;
	m->encryption_key = (ProtobufCBinaryData){h->enc_key_len, (uint8_t *)h->enc_key};
	m->has_authentication_key = h->auth_key_len > 0;
	m->authentication_key = (ProtobufCBinaryData){h->auth_key_len, (uint8_t *)h->auth_key};
}

static void fill_selector(struct install *i, const struct selector *s)
{
	stack__selector__init(&i->sel);
	if (s->local.lo.family) {
		i->sel.local_low = (char *)addr_text(&s->local.lo, i->bounds[0]);
		i->sel.local_high = (char *)addr_text(&s->local.hi, i->bounds[1]);
	}
	if (s->remote.lo.family) {
		i->sel.remote_low = (char *)addr_text(&s->remote.lo, i->bounds[2]);
		i->sel.remote_high = (char *)addr_text(&s->remote.hi, i->bounds[3]);
	}
	if (s->protocol != POLICY_PROTO_ALL)
		SET(i->sel, protocol, s->protocol);
	SET(i->sel, local_port, s->local_port);
	SET(i->sel, remote_port, s->remote_port);
	i->t.selector = &i->sel;
}

static void fill_outer(struct install *i, const struct ike_child *c)
{
	i->t.local = (char *)addr_text(&c->path.local, i->local);
	i->t.remote = (char *)addr_text(&c->path.remote, i->remote);
	SET(i->t, udp, c->udp);
	if (c->udp) {
		SET(i->t, local_port, c->path.local_port);
		SET(i->t, remote_port, c->path.remote_port);
	}
	if (c->nat_oa_local.family)
		i->t.nat_oa_local = (char *)addr_text(&c->nat_oa_local, i->oa_local);
	if (c->nat_oa_remote.family)
		i->t.nat_oa_remote = (char *)addr_text(&c->nat_oa_remote, i->oa_remote);
	SET(i->t, tunnel_mode, c->tunnel);
	SET(i->t, df, c->df);
	SET(i->t, passthrough_dscp, c->dscp.pass);
	if (c->dscp.mapped) {
		i->t.has_outer_dscp = true;
		i->t.outer_dscp = (ProtobufCBinaryData){POLICY_DSCPS, (uint8_t *)c->dscp.outer};
	}
}

static void fill_life(Stack__DynamicTunnel *t, const struct ike_child *c)
{
	uint64_t now = iked_wall_us();
	SET(*t, soft_bytes, c->soft_bytes);
	SET(*t, hard_bytes, c->hard_bytes);
	SET(*t, soft_us, c->soft_s ? now + c->soft_s * 1000000u : 0);
	SET(*t, hard_us, c->hard_s ? now + c->hard_s * 1000000u : 0);
	SET(*t, vpn_life_us, c->vpn_life_s ? now + c->vpn_life_s * 1000000u : 0);
}

static void fill(struct install *i, const struct ike_child *c)
{
	Stack__DynamicTunnel *t = &i->t;
	stack__dynamic_tunnel__init(t);
	t->tunnel_id = (char *)c->tunnel_id;
	SET(*t, generation, c->generation);
	t->parent_id = (char *)c->parent_id;
	t->rule = (char *)c->rule;
	t->vpn_action = (char *)c->vpn_action;
	t->local_rule = (char *)c->local_rule;
	fill_selector(i, &c->sel);
	fill_outer(i, c);
	fill_life(t, c);
	SET(*t, esn, c->esn);
	SET(*t, protocol, c->proto);
	SET(*t, esp_transform, c->esp);
	SET(*t, key_bits, c->key_bits);
	SET(*t, auth, c->auth);
	SET(*t, pfs_group, c->pfs_group);
	SET(*t, initiator, c->initiator);
	fill_half(&i->in, &c->in);
	fill_half(&i->out, &c->out);
	t->in = &i->in;
	t->out = &i->out;
	if (c->bundle) {
		fill_half(&i->in_ah, &c->in_ah);
		fill_half(&i->out_ah, &c->out_ah);
		t->in_ah = &i->in_ah;
		t->out_ah = &i->out_ah;
	}
	t->has_owner_data = c->owner_len > 0;
	t->owner_data = (ProtobufCBinaryData){c->owner_len, (uint8_t *)c->owner_data};
}

struct pending {
	struct iked_stack *stack;
	const char *what;
	char id[16];
	uint32_t generation;
	uint64_t boot_id;
};

static struct pending *pending_new(struct iked_stack *s, const char *what, const char *id, uint32_t generation)
{
	struct pending *p = xnew(struct pending);
	*p = (struct pending){.stack = s, .what = what, .generation = generation, .boot_id = s->boot_id};
	(void)snprintf(p->id, sizeof(p->id), "%s", id);
	return p;
}

static int errno_of(enum bus_code code)
{
	switch (code) {
	case BUS_OK:
		return 0;
	case BUS_LIMIT:
		return -ENOSPC;
	case BUS_UNAVAILABLE:
		return -EHOSTDOWN;
	case BUS_NOT_AUTHORIZED:
		return -EACCES;
	default:
		return -EINVAL;
	}
}

static void installed(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply)
{
	struct pending *p = arg;
	struct iked_stack *s = p->stack;
	(void)reply;
	s->iked->counters.installs++;
	if (code != BUS_OK) {
		s->iked->counters.install_failures++;
		log_error("tunnel not installed", "stack", s->conf.name, "tunnel", p->id, "reason", text ? text : "");
	}
	if (s->engine) {
		ike_installed(s->engine, p->id, p->generation, errno_of(code), iked_now_us());
		iked_arm(s->iked);
	}
	free(p);
}

static int op_install(void *ctx, const struct ike_child *c)
{
	struct iked_stack *s = ctx;
	Stack__InstallTunnelRequest m = STACK__INSTALL_TUNNEL_REQUEST__INIT;
	struct install i;
	if (!s->client || !s->running)
		return -EHOSTDOWN;
	fill(&i, c);
	m.tunnel = &i.t;
	bus_client_call(s->client, "stack.InstallTunnel", &m.base, &stack__changed_reply__descriptor, IKED_DEADLINE_MS, installed,
		pending_new(s, "install", c->tunnel_id, c->generation));
	return -EINPROGRESS;
}

/* Ready, Remove, Move: nobody waits; a refusal is told. What the stack does not have (any more) is as good as removed. */
static void told(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply)
{
	struct pending *p = arg;
	(void)reply;
	if (code != BUS_OK && code != BUS_NOT_FOUND && code != BUS_UNAVAILABLE)
		log_error("stack refuses", "stack", p->stack->conf.name, "what", p->what, "tunnel", p->id, "reason", text ? text : "");
	free(p);
}

static void op_ready(void *ctx, const struct ike_child *c)
{
	struct iked_stack *s = ctx;
	Stack__ReadyTunnelRequest m = STACK__READY_TUNNEL_REQUEST__INIT;
	if (!s->client)
		return;
	m.tunnel_id = (char *)c->tunnel_id;
	SET(m, generation, c->generation);
	bus_client_call(s->client, "stack.ReadyTunnel", &m.base, &stack__changed_reply__descriptor, IKED_DEADLINE_MS, told,
		pending_new(s, "ready", c->tunnel_id, c->generation));
}

static void op_remove(void *ctx, const struct ike_child *c, const char *why)
{
	struct iked_stack *s = ctx;
	Stack__RemoveTunnelRequest m = STACK__REMOVE_TUNNEL_REQUEST__INIT;
	if (!s->client)
		return;
	m.tunnel_id = (char *)c->tunnel_id;
	SET(m, generation, c->generation);
	m.why = (char *)why;
	bus_client_call(s->client, "stack.RemoveTunnel", &m.base, &stack__changed_reply__descriptor, IKED_DEADLINE_MS, told,
		pending_new(s, "remove", c->tunnel_id, c->generation));
}

void tunnel_move(struct iked_stack *s, const struct ike_child *c, const struct ike_path *path)
{
	Stack__MoveTunnelRequest m = STACK__MOVE_TUNNEL_REQUEST__INIT;
	char local[ADDR_TEXT_MAX], remote[ADDR_TEXT_MAX];
	if (!s->client)
		return;
	m.tunnel_id = (char *)c->tunnel_id;
	m.local = (char *)addr_text(&path->local, local);
	m.remote = (char *)addr_text(&path->remote, remote);
	SET(m, local_port, path->local_port);
	SET(m, remote_port, path->remote_port);
	bus_client_call(s->client, "stack.MoveTunnel", &m.base, &stack__changed_reply__descriptor, IKED_DEADLINE_MS, told,
		pending_new(s, "move", c->tunnel_id, c->generation));
}

static int op_random(void *ctx, void *out, size_t len)
{
	(void)ctx;
	for (uint8_t *p = out; len;) { /* never short below 256 bytes, and never fails once the kernel's pool is ready */
		ssize_t n = getrandom(p, len, 0);
		if (n <= 0)
			return errno == EINTR ? -EAGAIN : -EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

void tunnel_ops(struct ike_ops *ops)
{
	*ops = (struct ike_ops){.send = sockets_send, .random = op_random, .install = op_install, .outbound_ready = op_ready,
		.remove = op_remove, .event = event_from_engine};
}

/* --- back: what a stack still holds --- */

static void copy(char *out, size_t size, const char *in)
{
	(void)snprintf(out, size, "%s", in ? in : "");
}

static int bound(const char *text, struct addr *ret)
{
	return text && *text ? addr_parse(text, ret) : 0;
}

static int selector_from(const Stack__Selector *m, struct selector *ret)
{
	*ret = (struct selector){.protocol = POLICY_PROTO_ALL};
	if (!m)
		return 0;
	if (m->has_protocol)
		ret->protocol = (uint16_t)m->protocol;
	ret->local_port = (uint16_t)m->local_port;
	ret->remote_port = (uint16_t)m->remote_port;
	return bound(m->local_low, &ret->local.lo) || bound(m->local_high, &ret->local.hi) || bound(m->remote_low, &ret->remote.lo) ||
			bound(m->remote_high, &ret->remote.hi)
		? -EINVAL
		: 0;
}

/* What is left of a time that the stack keeps by the wall clock; 0: there was none. */
static uint64_t left(uint64_t at_us, uint64_t wall_us)
{
	return !at_us ? 0 : at_us > wall_us + 1000000u ? (at_us - wall_us) / 1000000u : 1;
}

int tunnel_from_stack(const Stack__DynamicTunnel *t, uint64_t wall_us, struct ike_child *c)
{
	memset(c, 0, sizeof(*c));
	if (!t->tunnel_id || !t->generation || !t->in || !t->out || t->owner_data.len > IKE_OWNER_DATA_MAX ||
		selector_from(t->selector, &c->sel) || bound(t->local, &c->path.local) || bound(t->remote, &c->path.remote) ||
		bound(t->nat_oa_local, &c->nat_oa_local) || bound(t->nat_oa_remote, &c->nat_oa_remote))
		return -EINVAL;
	copy(c->tunnel_id, sizeof(c->tunnel_id), t->tunnel_id);
	copy(c->parent_id, sizeof(c->parent_id), t->parent_id);
	copy(c->rule, sizeof(c->rule), t->rule);
	copy(c->vpn_action, sizeof(c->vpn_action), t->vpn_action);
	copy(c->local_rule, sizeof(c->local_rule), t->local_rule);
	c->generation = t->generation;
	c->path.local_port = t->has_local_port && t->local_port ? (uint16_t)t->local_port : IKED_PORT;
	c->path.remote_port = t->has_remote_port && t->remote_port ? (uint16_t)t->remote_port : IKED_PORT;
	c->tunnel = t->tunnel_mode;
	c->udp = t->udp;
	c->esn = t->esn;
	c->initiator = t->initiator;
	c->proto = (uint8_t)t->protocol;
	c->esp = (uint16_t)t->esp_transform;
	c->key_bits = (uint16_t)t->key_bits;
	c->auth = (uint16_t)t->auth;
	c->pfs_group = (uint16_t)t->pfs_group;
	c->in.spi = t->in->spi;
	c->out.spi = t->out->spi;
	c->bundle = t->in_ah && t->out_ah;
	if (c->bundle) {
		c->in_ah.spi = t->in_ah->spi;
		c->out_ah.spi = t->out_ah->spi;
	}
	c->soft_s = left(t->soft_us, wall_us);
	c->hard_s = left(t->hard_us, wall_us);
	c->vpn_life_s = left(t->vpn_life_us, wall_us);
	c->soft_bytes = t->soft_bytes;
	c->hard_bytes = t->hard_bytes;
	c->df = t->df <= VPN_DF_SET ? (enum vpn_df)t->df : VPN_DF_PASS;
	c->dscp.pass = t->passthrough_dscp;
	c->dscp.mapped = t->outer_dscp.len == POLICY_DSCPS;
	if (c->dscp.mapped)
		memcpy(c->dscp.outer, t->outer_dscp.data, POLICY_DSCPS);
	if (t->owner_data.len)
		memcpy(c->owner_data, t->owner_data.data, t->owner_data.len);
	c->owner_len = (uint16_t)t->owner_data.len;
	return 0;
}
