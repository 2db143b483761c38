/* What a run leaves to its successor (handover.h): the message is put together of what the tables hold, keys where they lie, and packed
 * straight into the memory file. */
#include "daemons/stack-core/handover.h"
#include "lib/base/xalloc.h"
#include "lib/daemon/fdstore.h"
#include "lib/daemon/notify.h"
#include "lib/log/log.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SET(m, field, value)                                                                                  \
	do {                                                                                                  \
		(m).has_##field = true;                                                                       \
		(m).field = (value);                                                                          \
	} while (0)

enum { BARRIER_MS = 2000 };

struct leaving {
	Stack__Handover m;
	size_t cap, cap_defences, cap_neighbours;
	struct core *k;
};

static Stack__HandoverSa *leave_sa(struct sa *sa)
{
	Stack__HandoverSa *m = xnew(Stack__HandoverSa);
	struct sa_counters c;

	stack__handover_sa__init(m);
	sa_sum(sa, &c);
	SET(*m, packets, atomic_load(&c.packets));
	SET(*m, bytes, atomic_load(&c.bytes));
	SET(*m, iv_base, sa->iv_base);
	SET(*m, seq, atomic_load(&sa->seq));
	if (sa->inbound) {
		SET(*m, replay_last, sa->replay.last);
		SET(*m, replay_ring, ((ProtobufCBinaryData){sizeof(sa->replay.ring), (uint8_t *)sa->replay.ring}));
	}
	return m;
}

/* The SA's own bytes, not copied. */
static void with_keys(Stack__SaHalf *h, struct sa *sa)
{
	SET(*h, encryption_key, ((ProtobufCBinaryData){sa->params->key_len, sa->params->key}));
	SET(*h, authentication_key, ((ProtobufCBinaryData){sa->params->auth_len, sa->params->auth_key}));
}

static void without_keys(Stack__SaHalf *h)
{
	if (!h)
		return;
	h->has_encryption_key = h->has_authentication_key = false;
	h->encryption_key = h->authentication_key = (ProtobufCBinaryData){0, NULL};
}

static void leave_generation(struct leaving *l, const struct tunnel *t, const struct generation *g)
{
	const struct sa_path *path = sa_outside(g->out);
	Stack__DynamicTunnel *m = (Stack__DynamicTunnel *)protobuf_c_message_unpack(&stack__dynamic_tunnel__descriptor, NULL, g->len, g->data);
	bool bundle = m && m->in_ah && m->out_ah && g->in->over && g->out->over;
	char text[ADDR_TEXT_MAX];

	if (!m || !m->in || !m->out || bundle != (g->in->over != NULL) || atomic_load(&g->in->expired) || atomic_load(&g->out->expired)) {
		if (m)
			stack__dynamic_tunnel__free_unpacked(m, NULL);
		return;
	}
	free(m->local);
	free(m->remote);
	m->local = xstrdup(addr_text(&path->src, text));
	m->remote = xstrdup(addr_text(&path->dst, text));
	if (path->udp) {
		SET(*m, local_port, path->sport);
		SET(*m, remote_port, path->dport);
	}
	SET(*m, installed_us, g->installed_us);
	SET(*m, outbound_ready, g->ready);
	with_keys(m->in, g->in);
	with_keys(m->out, g->out);
	if (bundle) {
		with_keys(m->in_ah, g->in->over);
		with_keys(m->out_ah, g->out->over);
	}
	Stack__HandoverTunnel *h = xnew(Stack__HandoverTunnel);
	stack__handover_tunnel__init(h);
	h->tunnel = m;
	h->in = leave_sa(g->in);
	h->out = leave_sa(g->out);
	if (bundle) {
		h->in_ah = leave_sa(g->in->over);
		h->out_ah = leave_sa(g->out->over);
	}
	SET(*h, in_use, t->out == g->out);
	if (l->m.n_tunnels == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 64;
		l->m.tunnels = xrealloc(l->m.tunnels, l->cap, sizeof(void *));
	}
	l->m.tunnels[l->m.n_tunnels++] = h;
}

/* Oldest first, and the one in use made ready last: so the successor installs them. */
static void leave_tunnel(struct leaving *l, const struct tunnel *t)
{
	const struct generation *gens[DYNAMIC_GENERATIONS_MAX], *in_use = NULL;
	unsigned n = 0;

	for (const struct generation *g = t->gens; g && n < DYNAMIC_GENERATIONS_MAX; g = g->older) {
		if (t->out && g->out == t->out)
			in_use = g;
		else
			gens[n++] = g;
	}
	while (n--)
		leave_generation(l, t, gens[n]);
	if (in_use)
		leave_generation(l, t, in_use);
}

static bool leave_defence(void *arg, const struct filter_rule *r)
{
	struct leaving *l = arg;

	if (l->m.n_defences == l->cap_defences) {
		l->cap_defences = l->cap_defences ? 2 * l->cap_defences : 64;
		l->m.defences = xrealloc(l->m.defences, l->cap_defences, sizeof(*l->m.defences));
	}
	l->m.defences[l->m.n_defences++] = (ProtobufCBinaryData){sizeof(struct filter_spec), (uint8_t *)(uintptr_t)filter_rule_spec(r)};
	return true;
}

static void leave_neighbour(void *arg, const struct neigh *n)
{
	struct leaving *l = arg;
	char text[ADDR_TEXT_MAX];
	uint8_t *mac;

	if (neigh_state(n) == NEIGH_INCOMPLETE || neigh_state(n) == NEIGH_FAILED)
		return;
	if (l->m.n_neighbours == l->cap_neighbours) {
		l->cap_neighbours = l->cap_neighbours ? 2 * l->cap_neighbours : 64;
		l->m.neighbours = xrealloc(l->m.neighbours, l->cap_neighbours, sizeof(void *));
	}
	Stack__HandoverNeighbour *m = xnew(Stack__HandoverNeighbour);
	stack__handover_neighbour__init(m);
	m->link = l->k->stack->links[n->link].name;
	m->address = xstrdup(addr_text(&n->addr, text));
	neigh_mac(n, mac = xcalloc(1, 6));
	SET(*m, mac, ((ProtobufCBinaryData){6, mac}));
	l->m.neighbours[l->m.n_neighbours++] = m;
}

static char **texts_of(const struct prefix *p, size_t n)
{
	char **list = xcalloc(n + 1, sizeof(*list)), text[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < n; i++)
		list[i] = xstrdup(prefix_text(&p[i], text));
	return list;
}

static void fill(struct leaving *l)
{
	struct stack *s = l->k->stack;
	const struct prefix *excludes;

	stack__handover__init(&l->m);
	SET(l->m, boot_id, l->k->boot_id);
	SET(l->m, stopped_us, core_now_us());
	l->m.version = (char *)(uintptr_t)RAVELIN_VERSION;
	for (struct tunnel *t = sadb_next(s->sadb, NULL); t; t = sadb_next(s->sadb, t))
		if (t->dynamic)
			leave_tunnel(l, t);
	(void)filter_each(s->filters, "defensive", leave_defence, l);
	for (size_t i = 0; i < l->m.n_defences / 2; i++) { /* newest first is how they are searched */
		ProtobufCBinaryData x = l->m.defences[i];
		l->m.defences[i] = l->m.defences[l->m.n_defences - 1 - i];
		l->m.defences[l->m.n_defences - 1 - i] = x;
	}
	neigh_each(s->neigh, leave_neighbour, l);
	SET(l->m, defence_size, sizeof(struct filter_spec));
	SET(l->m, mode, filter_get_mode(s->filters));
	l->m.n_excludes = filter_excludes(s->filters, &excludes);
	l->m.excludes = texts_of(excludes, l->m.n_excludes);
	l->m.n_host_routes = s->n_host_routes;
	l->m.host_routes = texts_of(s->host_routes, s->n_host_routes);
	handover_leave_counters(s, &l->m);
}

static void unfill(struct leaving *l)
{
	for (size_t i = 0; i < l->m.n_tunnels; i++) {
		Stack__HandoverTunnel *h = l->m.tunnels[i];
		without_keys(h->tunnel->in);
		without_keys(h->tunnel->out);
		without_keys(h->tunnel->in_ah);
		without_keys(h->tunnel->out_ah);
		stack__dynamic_tunnel__free_unpacked(h->tunnel, NULL);
		free(h->in);
		free(h->out);
		free(h->in_ah);
		free(h->out_ah);
		free(h);
	}
	for (size_t i = 0; i < l->m.n_neighbours; i++) {
		free(l->m.neighbours[i]->address);
		free(l->m.neighbours[i]->mac.data);
		free(l->m.neighbours[i]);
	}
	for (size_t i = 0; i < l->m.n_excludes; i++)
		free(l->m.excludes[i]);
	for (size_t i = 0; i < l->m.n_host_routes; i++)
		free(l->m.host_routes[i]);
	handover_unfill_counters(&l->m);
	free(l->m.neighbours);
	free(l->m.tunnels);
	free(l->m.defences);
	free(l->m.excludes);
	free(l->m.host_routes);
}

/* The file, or -errno. */
static int write_file(const Stack__Handover *m)
{
	struct handover_head head = {.len = protobuf_c_message_get_packed_size(&m->base)};
	size_t size = sizeof(head) + (size_t)head.len;
	int fd = memfd_create("ravelin-handover", MFD_CLOEXEC);

	memcpy(head.magic, HANDOVER_MAGIC, sizeof(head.magic));
	if (fd < 0)
		return -errno;
	uint8_t *map = size > HANDOVER_MAX || ftruncate(fd, (off_t)size) ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		close(fd);
		return -ENOMEM;
	}
	(void)protobuf_c_message_pack(&m->base, map + sizeof(head));
	memcpy(map, &head, sizeof(head));
	(void)munmap(map, size);
	return fd;
}

bool handover_prepare(struct core *k)
{
	if (notify_barrier(BARRIER_MS) <= 0)
		return false; /* nobody would keep it */
	k->boot_id = bus_server_boot_id(k->daemon->bus);
	daemon_close_bus(k->daemon);
	return true;
}

bool handover_leave(struct core *k)
{
	struct leaving l = {.k = k};

	fill(&l);
	int fd = write_file(&l.m);
	int r = fd < 0 ? fd : fdstore_keep(HANDOVER_FILE, fd);
	if (r > 0)
		r = notify_barrier(BARRIER_MS);
	if (r < 0)
		log_warning("the next run has to negotiate its tunnels anew", "error", log_errno(-r));
	if (fd >= 0)
		close(fd);
	unfill(&l);
	return r > 0;
}
