/* tunnels: the methods of ikeD: a generation of a tunnel comes, is made ready, moves, goes; and what there is. Keys are in the
 * first request only; what is kept beside the SAs, and given back, is the request without them. */
#include "daemons/stack-core/core.h"
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include "proto/stack.pb-c.h"
#include <ctype.h>
#include <string.h>

#define SET(m, field, value)                                                                                  \
	do {                                                                                                  \
		(m).has_##field = true;                                                                       \
		(m).field = (value);                                                                          \
	} while (0)

enum { OWNER_DATA_MAX = 2048, REPLAY_WINDOW = 1024, LIST_TUNNELS = 128, LIST_TUNNELS_MAX = 256, LIST_BYTES = 800000 };

static struct core *core_of(const struct bus_call *call)
{
	struct daemon *d = bus_call_user(call);
	return d->state;
}

/* --- what a request says --- */

static bool cipher_of(const Stack__DynamicTunnel *t, struct sa_params *p)
{
	switch (t->esp_transform) { /* IANA IPSEC ESP Transform Identifiers */
	case 0:
	case 11:
		p->cipher = CIPHER_NULL;
		return true;
	case 2:
		p->cipher = CIPHER_DES_CBC;
		return true;
	case 3:
		p->cipher = CIPHER_3DES_CBC;
		return true;
	case 12:
		p->cipher = CIPHER_AES_CBC;
		return true;
	case 20:
		p->cipher = CIPHER_AES_GCM;
		return true;
	default:
		return false;
	}
}

static bool auth_of(const Stack__DynamicTunnel *t, struct sa_params *p)
{
	static const enum crypto_auth known[] = {[0] = AUTH_NONE, [1] = AUTH_HMAC_MD5_96, [2] = AUTH_HMAC_SHA1_96, [5] = AUTH_HMAC_SHA2_256_128,
		[6] = AUTH_HMAC_SHA2_384_192, [7] = AUTH_HMAC_SHA2_512_256, [9] = AUTH_AES128_XCBC_96};
	uint32_t a = t->auth; /* IANA IPSEC Authentication Algorithm */

	if (a >= sizeof(known) / sizeof(*known) || (a && known[a] == AUTH_NONE))
		return false;
	p->auth = known[a];
	return true;
}

static const char *half_of(const Stack__DynamicTunnel *t, const Stack__SaHalf *h, struct sa_params *p)
{
	if (!h || !h->has_spi)
		return "in and out with spi are needed";
	if (h->encryption_key.len > SA_KEY_MAX || h->authentication_key.len > SA_KEY_MAX)
		return "a key is too long";
	p->spi = h->spi;
	p->key_len = (uint8_t)h->encryption_key.len;
	if (p->key_len)
		memcpy(p->key, h->encryption_key.data, p->key_len);
	p->auth_len = (uint8_t)h->authentication_key.len;
	if (p->auth_len)
		memcpy(p->auth_key, h->authentication_key.data, p->auth_len);
	if (t->key_bits && p->cipher != CIPHER_NULL &&
		t->key_bits / 8 + (p->cipher == CIPHER_AES_GCM ? CRYPTO_SALT : 0u) != p->key_len)
		return "the encryption key is not of key_bits";
	return NULL;
}

static bool field_addr(const char *text, struct addr *ret)
{
	return text && addr_parse(text, ret) == 0;
}

static const char *path_of(const Stack__DynamicTunnel *t, struct sa_path *ret)
{
	*ret = (struct sa_path){.udp = t->udp};
	if (!field_addr(t->local, &ret->src) || !field_addr(t->remote, &ret->dst) || ret->src.family != ret->dst.family)
		return "local and remote: expected two addresses of one family";
	if (t->udp && (!t->local_port || !t->remote_port || t->local_port > 65535 || t->remote_port > 65535))
		return "local_port and remote_port: expected 1 to 65535";
	if (t->udp) {
		ret->sport = (uint16_t)t->local_port;
		ret->dport = (uint16_t)t->remote_port;
	}
	return NULL;
}

static const char *params_of(const Stack__DynamicTunnel *t, const struct sa_path *path, struct sa_params *in, struct sa_params *out)
{
	struct sa_params p = {.mode = t->tunnel_mode ? SA_TUNNEL : SA_TRANSPORT, .esn = t->esn, .udp = path->udp, .keep_dscp = t->passthrough_dscp,
		.hard_bytes = t->hard_bytes, .src = path->src, .dst = path->dst, .sport = path->sport, .dport = path->dport};
	const char *wrong;

	if (t->protocol != 2 && t->protocol != 3)
		return "protocol: expected 2 (AH) or 3 (ESP)";
	p.proto = t->protocol == 2 ? SA_AH : SA_ESP;
	if (!cipher_of(t, &p) || !auth_of(t, &p))
		return "esp_transform or auth: no such algorithm here";
	if (t->df > 2)
		return "df: expected 0 to 2";
	p.df = (enum sa_df)t->df;
	*out = *in = p;
	in->src = p.dst;
	in->dst = p.src;
	in->sport = p.dport;
	in->dport = p.sport;
	in->replay = REPLAY_WINDOW;
	if ((t->nat_oa_remote && *t->nat_oa_remote && !field_addr(t->nat_oa_remote, &in->oa_src)) ||
		(t->nat_oa_local && *t->nat_oa_local && !field_addr(t->nat_oa_local, &in->oa_dst)))
		return "nat_oa_local, nat_oa_remote: expected addresses";
	if ((wrong = half_of(t, t->in, in)))
		return wrong;
	return half_of(t, t->out, out);
}

/* Neither of them: every address of the family outside. */
static bool side_of(const char *low, const char *high, uint8_t family, struct addr *lo, struct addr *hi)
{
	if ((low && *low) || (high && *high))
		return field_addr(low, lo) && field_addr(high, hi);
	*lo = *hi = (struct addr){.family = family};
	memset(hi->b, 0xff, addr_len(hi));
	return true;
}

static const char *protect_of(const Stack__DynamicTunnel *t, const struct sa_path *path, struct filter_protect *ret)
{
	const Stack__Selector *s = t->selector;

	memset(ret, 0, sizeof(*ret));
	if (!s || !side_of(s->local_low, s->local_high, path->src.family, &ret->local_lo, &ret->local_hi) ||
		!side_of(s->remote_low, s->remote_high, path->src.family, &ret->remote_lo, &ret->remote_hi))
		return "selector: expected a low and a high address for each side, or none";
	if (s->local_port > 65535 || s->remote_port > 65535 || s->protocol > FILTER_PROTO_ANY)
		return "selector: port or protocol out of range";
	ret->proto = s->has_protocol ? (uint16_t)s->protocol : FILTER_PROTO_ANY;
	ret->local_port = (uint16_t)s->local_port;
	ret->remote_port = (uint16_t)s->remote_port;
	(void)snprintf(ret->rule, sizeof(ret->rule), "%s", t->rule);
	ret->natt = path->udp;
	/* In transport mode packets show the NAT's address, while the selector may name what is behind it. */
	if (path->udp && !t->tunnel_mode && ((t->nat_oa_remote && *t->nat_oa_remote) || (t->nat_oa_local && *t->nat_oa_local))) {
		ret->natt_local = path->src;
		ret->natt_remote = path->dst;
	}
	return NULL;
}

static const char *names_of(const Stack__DynamicTunnel *t)
{
	size_t n = t && t->tunnel_id ? strlen(t->tunnel_id) : 0;

	if (!n || n >= sizeof(((struct tunnel *)0)->id))
		return "tunnel_id: expected 1 to 15 characters";
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)t->tunnel_id[i]))
			return "tunnel_id: expected letters and digits";
	if (t->tunnel_id[0] == 'M')
		return "tunnel_id: M is for manual tunnels";
	if (!t->generation)
		return "generation: expected 1 or more";
	if (!t->rule || !*t->rule || strlen(t->rule) >= FILTER_NAME_MAX)
		return "rule: expected a name of at most 64 characters";
	if (t->owner_data.len > OWNER_DATA_MAX)
		return "owner_data is too long";
	return NULL;
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

static int generation_new(struct core *k, Stack__DynamicTunnel *t, const struct sa_params *in, const struct sa_params *out, struct errbuf *e,
	struct generation **ret)
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
	int r = sa_new(in, true, workers, e, &g->in);
	if (!r)
		r = sa_new(out, false, workers, e, &g->out);
	if (r < 0) {
		generation_free(g);
		return r;
	}
	sa_forget_keys(g->in);
	sa_forget_keys(g->out);
	forget_keys(t->in);
	forget_keys(t->out);
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

static int install(struct core *k, Stack__DynamicTunnel *m, const struct sa_params *in, const struct sa_params *out, struct filter_protect *p,
	struct errbuf *e)
{
	struct generation *g;
	struct tunnel *t;
	bool made;
	int r = generation_new(k, m, in, out, e, &g);

	if (r < 0)
		return r;
	r = dynamic_install(k->stack->sadb, m->tunnel_id, m->rule, g, e, &t, &made);
	if (r < 0)
		return r;
	r = protect(k, t, p, e);
	if (r < 0) {
		(void)dynamic_remove(k->stack->sadb, t, m->generation);
		return r;
	}
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
	struct sa_params in, out;
	struct filter_protect p;
	struct sa_path path;
	struct errbuf e = {""};
	const char *wrong = names_of(m);

	if (!wrong)
		wrong = path_of(m, &path);
	if (!wrong)
		wrong = protect_of(m, &path, &p);
	if (!wrong)
		wrong = params_of(m, &path, &in, &out);
	struct tunnel *t = wrong ? NULL : sadb_find(k->stack->sadb, m->tunnel_id);
	if (wrong) {
		bus_fail(call, BUS_INVALID, "%s", wrong);
	} else if (t && dynamic_generation(t, m->generation)) {
		SET(reply, changed, 0);
		bus_reply(call, &reply.base);
	} else {
		int r = install(k, m, &in, &out, &p, &e);
		SET(reply, changed, 1);
		if (r < 0)
			bus_fail(call, code_of(r), "%s", e.text);
		else
			bus_reply(call, &reply.base);
	}
	secret_wipe(&in, sizeof(in));
	secret_wipe(&out, sizeof(out));
	if (m) {
		forget_keys(m->in);
		forget_keys(m->out);
	}
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
	SET(reply, total, dynamic_count(db));
	bus_reply(call, &reply.base);
	for (size_t i = 0; i < l.n; i++)
		row_free(&l.rows[i]);
	free(l.rows);
	free(l.list);
}
