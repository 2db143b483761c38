/* tunnels: the methods of ikeD: a generation of a tunnel comes, is made ready, moves, goes; and what there is. Keys are in the
 * first request only; what is kept beside the SAs, and given back, is the request without them. The SAs keep them for a
 * successor (handover.h). */
#include "daemons/stack-core/tunnels.h"
#include "daemons/stack-core/ipsec/pmtu.h"
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include "proto/stack.pb-c.h"
#include <string.h>

#define SET(m, field, value)                                                                                  \
	do {                                                                                                  \
		(m).has_##field = true;                                                                       \
		(m).field = (value);                                                                          \
	} while (0)

enum { LIST_TUNNELS = 128, LIST_TUNNELS_MAX = 256, LIST_BYTES = 800000 };

static struct core *core_of(const struct bus_call *call)
{
	struct daemon *d = bus_call_user(call);
	return d->state;
}

/* --- install --- */

static uint64_t deadline(uint64_t at_us, uint64_t now_us)
{
	return !at_us ? 0 : loop_now_ms() + (at_us > now_us ? (at_us - now_us) / 1000 : 0);
}

static void forget_keys(Stack__SaHalf *h)
{
	if (h && h->encryption_key.data)
		secret_wipe(h->encryption_key.data, h->encryption_key.len);
	if (h && h->authentication_key.data)
		secret_wipe(h->authentication_key.data, h->authentication_key.len);
	if (h) {
		h->has_encryption_key = h->has_authentication_key = false;
		h->encryption_key.len = h->authentication_key.len = 0;
	}
}

static void forget_all_keys(Stack__DynamicTunnel *t)
{
	forget_keys(t->in);
	forget_keys(t->out);
	forget_keys(t->in_ah);
	forget_keys(t->out_ah);
}

static int generation_new(struct core *k, Stack__DynamicTunnel *t, const struct tunnel_sas *sas, struct errbuf *e, struct generation **ret)
{
	uint64_t now = core_now_us();
	unsigned workers = sadb_workers(k->stack->sadb);
	struct generation *g = xnew(struct generation);

	g->number = t->generation;
	g->soft_bytes = t->soft_bytes;
	g->hard_bytes = t->hard_bytes;
	g->soft_ms = deadline(t->soft_us, now);
	g->hard_ms = deadline(t->hard_us, now);
	g->installed_us = now;
	int r = sa_new_bundle(&sas->in, sas->bundle ? &sas->in_ah : NULL, true, workers, e, &g->in);
	if (!r)
		r = sa_new_bundle(&sas->out, sas->bundle ? &sas->out_ah : NULL, false, workers, e, &g->out);
	if (r < 0) {
		generation_free(g);
		return r;
	}
	forget_all_keys(t);
	g->len = protobuf_c_message_get_packed_size(&t->base);
	g->data = xcalloc(1, g->len);
	(void)protobuf_c_message_pack(&t->base, g->data);
	*ret = g;
	return 0;
}

/* The filters of the tunnel: made, or made anew when the selector is another one. */
static int protect(struct core *k, struct tunnel *t, struct filter_protect *p, struct errbuf *e)
{
	struct filter_dynamic *d, *old = t->filters;

	p->tunnel = t->index;
	if (old && filter_dynamic_same(old, p))
		return 0;
	int r = filter_dynamic_add(k->stack->filters, p, e, &d);
	if (r < 0)
		return r;
	if (old)
		filter_dynamic_remove(k->stack->filters, old);
	t->filters = d;
	if (t->out)
		filter_dynamic_ready(k->stack->filters, d);
	return 0;
}

static unsigned take_down(struct core *k, struct tunnel *t, uint32_t number, const char *why)
{
	unsigned n = 0, all = 0;

	for (const struct generation *g = t->gens; g; g = g->older, all++) {
		if (number && g->number != number)
			continue;
		tunnels_audit(k, t, g, false, why);
		n++;
	}
	if (n == all) {
		if (t->in)
			events_tunnel(k, t, why);
		if (t->filters)
			filter_dynamic_remove(k->stack->filters, t->filters);
		t->filters = NULL;
	}
	return n ? dynamic_remove(k->stack->sadb, t, number) : 0;
}

static bool make_ready(struct core *k, struct tunnel *t, struct generation *g)
{
	bool first = !t->out;

	if (atomic_load(&g->out->expired) || !dynamic_ready(t, g))
		return false;
	filter_dynamic_ready(k->stack->filters, t->filters);
	stack_kick(k->stack); /* packets may be waiting for it */
	if (first)
		events_tunnel(k, t, NULL);
	return true;
}

int tunnels_install(struct core *k, Stack__DynamicTunnel *m, const struct tunnel_sas *sas, struct filter_protect *p, struct errbuf *e,
	struct tunnel **ret_tunnel, struct generation **ret_generation)
{
	bool made;
	int r = generation_new(k, m, sas, e, ret_generation);

	if (!r)
		r = dynamic_install(k->stack->sadb, m->tunnel_id, m->rule, *ret_generation, e, ret_tunnel, &made);
	if (r < 0)
		return r;
	r = protect(k, *ret_tunnel, p, e);
	if (r < 0)
		(void)dynamic_remove(k->stack->sadb, *ret_tunnel, m->generation);
	return r;
}

static int install(struct core *k, Stack__DynamicTunnel *m, const struct tunnel_sas *sas, struct filter_protect *p, struct errbuf *e)
{
	struct generation *g;
	struct tunnel *t;
	int r = tunnels_install(k, m, sas, p, e, &t, &g);

	if (r < 0)
		return r;
	tunnels_audit(k, t, g, true, NULL);
	if (m->outbound_ready)
		(void)make_ready(k, t, g);
	return 0;
}

static enum bus_code code_of(int r)
{
	return r == -ENOENT ? BUS_NOT_FOUND : r == -EEXIST ? BUS_EXISTS : r == -ENOSPC ? BUS_LIMIT : BUS_INVALID;
}

void method_install(struct bus_call *call, const ProtobufCMessage *request)
{
	Stack__DynamicTunnel *m = ((const Stack__InstallTunnelRequest *)request)->tunnel;
	struct core *k = core_of(call);
	Stack__ChangedReply reply = STACK__CHANGED_REPLY__INIT;
	struct tunnel_sas sas;
	struct filter_protect p;
	struct errbuf e = {""};
	const char *wrong = tunnels_request(m, &sas, &p);

	struct tunnel *t = wrong ? NULL : sadb_find(k->stack->sadb, m->tunnel_id);
	if (wrong) {
		bus_fail(call, BUS_INVALID, "%s", wrong);
	} else if (t && dynamic_generation(t, m->generation)) {
		SET(reply, changed, 0);
		bus_reply(call, &reply.base);
	} else {
		int r = install(k, m, &sas, &p, &e);
		SET(reply, changed, 1);
		if (r < 0)
			bus_fail(call, code_of(r), "%s", e.text);
		else
			bus_reply(call, &reply.base);
	}
	secret_wipe(&sas, sizeof(sas));
	if (m)
		forget_all_keys(m);
}

/* --- ready, remove, move --- */

static struct tunnel *asked(struct bus_call *call, struct core *k, const char *id)
{
	struct tunnel *t = id ? sadb_find(k->stack->sadb, id) : NULL;

	if (t && t->dynamic)
		return t;
	bus_fail(call, BUS_NOT_FOUND, "there is no dynamic tunnel %s", id ? id : "");
	return NULL;
}

void method_ready(struct bus_call *call, const ProtobufCMessage *request)
{
	const Stack__ReadyTunnelRequest *q = (const Stack__ReadyTunnelRequest *)request;
	struct core *k = core_of(call);
	struct tunnel *t = asked(call, k, q->tunnel_id);
	Stack__ChangedReply reply = STACK__CHANGED_REPLY__INIT;
	struct generation *g = t ? dynamic_generation(t, q->generation) : NULL;

	if (!t)
		return;
	if (!g) {
		bus_fail(call, BUS_NOT_FOUND, "%s has no generation %u", t->id, q->generation);
		return;
	}
	SET(reply, changed, make_ready(k, t, g));
	bus_reply(call, &reply.base);
}

void method_remove(struct bus_call *call, const ProtobufCMessage *request)
{
	const Stack__RemoveTunnelRequest *q = (const Stack__RemoveTunnelRequest *)request;
	struct core *k = core_of(call);
	Stack__ChangedReply reply = STACK__CHANGED_REPLY__INIT;
	struct tunnel *t = q->tunnel_id ? sadb_find(k->stack->sadb, q->tunnel_id) : NULL;

	SET(reply, changed, t && t->dynamic ? take_down(k, t, q->generation, q->why && *q->why ? q->why : "removed") : 0);
	bus_reply(call, &reply.base);
}

void method_move(struct bus_call *call, const ProtobufCMessage *request)
{
	const Stack__MoveTunnelRequest *q = (const Stack__MoveTunnelRequest *)request;
	struct core *k = core_of(call);
	struct tunnel *t = asked(call, k, q->tunnel_id);
	Stack__ChangedReply reply = STACK__CHANGED_REPLY__INIT;

	if (!t)
		return;
	struct sa_path path = *sa_outside(t->gens->out);
	bool bad = (q->local && *q->local && addr_parse(q->local, &path.src) < 0) || (q->remote && *q->remote && addr_parse(q->remote, &path.dst) < 0);
	if (bad || path.src.family != path.dst.family || path.dst.family != sa_outside(t->gens->out)->dst.family) {
		bus_fail(call, BUS_INVALID, "local, remote: expected addresses of the family that the tunnel has");
		return;
	}
	if (q->local_port > 65535 || q->remote_port > 65535) {
		bus_fail(call, BUS_INVALID, "local_port, remote_port: expected 1 to 65535");
		return;
	}
	path.sport = q->local_port ? (uint16_t)q->local_port : path.sport;
	path.dport = q->remote_port ? (uint16_t)q->remote_port : path.dport;
	dynamic_move(t, &path);
	SET(reply, changed, 1);
	bus_reply(call, &reply.base);
}

/* --- what there is --- */

struct row {
	Stack__DynamicTunnel *m;
	char local[ADDR_TEXT_MAX], remote[ADDR_TEXT_MAX];
	char *own_local, *own_remote, *own_state;
};

static const char *state_of(const struct tunnel *t, const struct generation *g)
{
	if (atomic_load(&g->in->expired) || atomic_load(&g->out->expired))
		return "Expired";
	if (t->out == g->out)
		return "Active";
	return g->ready ? "Shadow" : "Installed";
}

/* What was said at installation, with what has come of it since. */
static bool row_fill(struct row *row, const struct tunnel *t, const struct generation *g)
{
	Stack__DynamicTunnel *m = (Stack__DynamicTunnel *)protobuf_c_message_unpack(&stack__dynamic_tunnel__descriptor, NULL, g->len, g->data);
	const struct sa_path *path = sa_outside(g->out);
	struct sa_counters in, out;

	if (!m)
		return false;
	row->m = m;
	row->own_local = m->local;
	row->own_remote = m->remote;
	row->own_state = m->state;
	m->local = (char *)addr_text(&path->src, row->local);
	m->remote = (char *)addr_text(&path->dst, row->remote);
	m->state = (char *)state_of(t, g);
	if (path->udp) {
		SET(*m, local_port, path->sport);
		SET(*m, remote_port, path->dport);
	}
	sa_sum(g->in, &in);
	sa_sum(g->out, &out);
	SET(*m, installed_us, g->installed_us);
	uint64_t now = loop_now_ms();
	uint32_t mtu = pmtu_known(t, now);
	if (mtu) {
		SET(*m, path_mtu, mtu);
		SET(*m, path_mtu_age_s, (uint32_t)(pmtu_age_ms(t, now) / 1000));
	}
	SET(*m, outbound_ready, g->ready);
	SET(*m, in_packets, atomic_load(&in.packets));
	SET(*m, in_bytes, atomic_load(&in.bytes));
	SET(*m, out_packets, atomic_load(&out.packets));
	SET(*m, out_bytes, atomic_load(&out.bytes));
	SET(*m, filtered, t->filters && filter_dynamic_placed(t->filters));
	return true;
}

static void row_free(struct row *row)
{
	row->m->local = row->own_local;
	row->m->remote = row->own_remote;
	row->m->state = row->own_state;
	stack__dynamic_tunnel__free_unpacked(row->m, NULL);
}

struct listing {
	struct row *rows;
	Stack__DynamicTunnel **list;
	size_t n, bytes;
};

static void list_tunnel(struct listing *l, const struct tunnel *t)
{
	for (const struct generation *g = t->gens; g; g = g->older) {
		if (!row_fill(&l->rows[l->n], t, g))
			continue;
		l->list[l->n] = l->rows[l->n].m;
		l->n++;
		l->bytes += g->len + 200;
	}
}

void method_dynamic(struct bus_call *call, const ProtobufCMessage *request)
{
	const Stack__DynamicTunnelsRequest *q = (const Stack__DynamicTunnelsRequest *)request;
	struct core *k = core_of(call);
	struct sadb *db = k->stack->sadb;
	unsigned limit = !q->limit ? LIST_TUNNELS : q->limit < LIST_TUNNELS_MAX ? q->limit : LIST_TUNNELS_MAX;
	size_t most = (size_t)limit * DYNAMIC_GENERATIONS_MAX;
	struct listing l = {.rows = xcalloc(most, sizeof(struct row)), .list = xcalloc(most, sizeof(void *))};
	Stack__DynamicTunnelsReply reply = STACK__DYNAMIC_TUNNELS_REPLY__INIT;
	bool one = q->tunnel_id && *q->tunnel_id;
	struct tunnel *t = one ? sadb_find(db, q->tunnel_id) : sadb_from(db, q->after < SADB_TUNNELS_MAX ? (uint32_t)q->after : SADB_TUNNELS_MAX);

	for (unsigned n = 0; t; t = one ? NULL : sadb_next(db, t)) {
		if (!t->dynamic)
			continue;
		if (n++ == limit || l.bytes > LIST_BYTES) {
			SET(reply, next, t->index);
			break;
		}
		list_tunnel(&l, t);
	}
	reply.n_tunnels = l.n;
	reply.tunnels = l.list;
	SET(reply, boot_id, bus_server_boot_id(k->daemon->bus));
	if (k->heir_of)
		SET(reply, heir_of, k->heir_of);
	SET(reply, total, dynamic_count(db));
	bus_reply(call, &reply.base);
	for (size_t i = 0; i < l.n; i++)
		row_free(&l.rows[i]);
	free(l.rows);
	free(l.list);
}
