/* The successor's side of handover.h: take, wipe, go on. handover_leave.c is the other. */
#include "daemons/stack-core/handover.h"
#include "daemons/stack-core/tunnels.h"
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include "lib/daemon/fdstore.h"
#include "lib/log/log.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const struct link_store handover_store = {fdstore_take, fdstore_keep, fdstore_forget};

Stack__Handover *handover_read(const uint8_t *map, size_t size)
{
	struct handover_head h;

	if (size < sizeof(h))
		return NULL;
	memcpy(&h, map, sizeof(h));
	if (memcmp(h.magic, HANDOVER_MAGIC, sizeof(h.magic)) || h.len > size - sizeof(h))
		return NULL;
	return (Stack__Handover *)protobuf_c_message_unpack(&stack__handover__descriptor, NULL, (size_t)h.len, map + sizeof(h));
}

Stack__Handover *handover_take(void)
{
	int fd = fdstore_take(HANDOVER_FILE);
	Stack__Handover *h = NULL;
	struct stat st;

	if (fd < 0)
		return NULL;
	if (!fstat(fd, &st) && st.st_size > 0 && st.st_size <= HANDOVER_MAX) {
		uint8_t *map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map != MAP_FAILED) {
			h = handover_read(map, (size_t)st.st_size);
			secret_wipe(map, (size_t)st.st_size); /* the manager's copy is this memory, too */
			(void)munmap(map, (size_t)st.st_size);
		}
	}
	close(fd);
	(void)fdstore_forget(HANDOVER_FILE);
	if (!h)
		log_warning("what the last run left cannot be read: tunnels are negotiated anew");
	return h;
}

static void wipe_half(Stack__SaHalf *h)
{
	if (h && h->encryption_key.data)
		secret_wipe(h->encryption_key.data, h->encryption_key.len);
	if (h && h->authentication_key.data)
		secret_wipe(h->authentication_key.data, h->authentication_key.len);
}

void handover_end(Stack__Handover *h)
{
	for (size_t i = 0; h && i < h->n_tunnels; i++) {
		if (!h->tunnels[i]->tunnel)
			continue;
		wipe_half(h->tunnels[i]->tunnel->in);
		wipe_half(h->tunnels[i]->tunnel->out);
	}
	if (h)
		stack__handover__free_unpacked(h, NULL);
}

void handover_routes(struct core *k, const Stack__Handover *h)
{
	struct stack *s = k->stack;

	for (size_t i = 0; i < h->n_host_routes && s->n_host_routes < STACK_HOST_ROUTES_MAX; i++)
		if (!prefix_parse(h->host_routes[i], &s->host_routes[s->n_host_routes]))
			s->n_host_routes++;
}

/* --- tunnels --- */

static void sa_continue(struct sa *sa, const Stack__HandoverSa *from)
{
	atomic_store(&sa->counters[0].packets, from->packets);
	atomic_store(&sa->counters[0].bytes, from->bytes);
	if (!sa->inbound || from->replay_ring.len != sizeof(sa->replay.ring))
		return;
	sa->replay.last = from->replay_last;
	memcpy(sa->replay.ring, from->replay_ring.data, sizeof(sa->replay.ring));
}

static int tunnel_continue(struct core *k, const Stack__HandoverTunnel *h, struct errbuf *e)
{
	struct filter_protect protect;
	struct tunnel_sas sas;
	struct generation *g;
	struct tunnel *t;

	if (!h->tunnel || !h->in || !h->out)
		return err_set(e, EINVAL, "incomplete");
	uint64_t installed = h->tunnel->installed_us;
	bool ready = h->tunnel->outbound_ready;
	const char *wrong = tunnels_request(h->tunnel, &sas, &protect);
	if (!wrong && sas.bundle && (!h->in_ah || !h->out_ah))
		wrong = "incomplete";
	sas.in.first_seq = h->in->replay_last;
	sas.out.first_seq = h->out->seq;
	sas.out.iv_base = h->out->iv_base;
	if (!wrong && sas.bundle) {
		sas.in_ah.first_seq = h->in_ah->replay_last;
		sas.out_ah.first_seq = h->out_ah->seq;
	}
	int r = wrong ? err_set(e, EINVAL, "%s", wrong) : tunnels_install(k, h->tunnel, &sas, &protect, e, &t, &g);
	secret_wipe(&sas, sizeof(sas));
	if (r < 0)
		return r;
	g->installed_us = installed;
	sa_continue(g->in, h->in);
	sa_continue(g->out, h->out);
	if (g->in->over) {
		sa_continue(g->in->over, h->in_ah);
		sa_continue(g->out->over, h->out_ah);
	}
	if (ready && dynamic_ready(t, g))
		filter_dynamic_ready(k->stack->filters, t->filters);
	return 0;
}

static void defences(struct core *k, const Stack__Handover *h)
{
	struct filter_defend d = {.set_excludes = true, .n_add = h->n_defences};
	struct prefix excludes[FILTER_EXCLUDES_MAX];
	struct filter_spec *add;
	struct errbuf e = {""};

	if (!h->version || strcmp(h->version, RAVELIN_VERSION) || h->defence_size != sizeof(*add) || h->n_defences > FILTER_DEFENCES_MAX)
		return; /* defmgrD knows them */
	for (size_t i = 0; i < h->n_excludes && d.n_excludes < FILTER_EXCLUDES_MAX; i++)
		d.n_excludes += !prefix_parse(h->excludes[i], &excludes[d.n_excludes]);
	d.add = add = xcalloc(d.n_add + 1, sizeof(*add));
	d.excludes = excludes;
	for (size_t i = 0; i < d.n_add; i++)
		if (h->defences[i].len == sizeof(*add))
			memcpy(&add[i], h->defences[i].data, sizeof(*add));
	if (filter_defend(k->stack->filters, &d, core_now_us(), &e) < 0)
		log_warning("defensive filters of the last run are not in force until defmgrD installs them", "reason", e.text);
	else
		filter_set_mode(k->stack->filters, (enum filter_mode)(h->mode <= FILTER_MODE_INACTIVE ? h->mode : FILTER_MODE_ACTIVE));
	free(add);
}

static void neighbours(struct core *k, const Stack__Handover *h)
{
	struct stack *s = k->stack;
	struct addr a;

	for (size_t i = 0; i < h->n_neighbours; i++) {
		const Stack__HandoverNeighbour *n = h->neighbours[i];
		for (unsigned l = 0; n->link && n->address && n->mac.len == 6 && l < s->n_links; l++)
			if (!strcmp(s->links[l].name, n->link) && !addr_parse(n->address, &a) && link_on_net(&s->links[l], &a))
				(void)neigh_hear(s->neigh, (uint16_t)l, &a, n->mac.data, NEIGH_ASKED, loop_now_ms());
	}
}

bool handover_tunnels(struct core *k, Stack__Handover *h)
{
	size_t failed = 0;

	handover_counters(k->stack, h);
	neighbours(k, h);
	defences(k, h);
	for (size_t i = 0; i < h->n_tunnels; i++) {
		struct errbuf e = {""};
		if (!tunnel_continue(k, h->tunnels[i], &e))
			continue;
		failed++;
		log_warning("tunnel of the last run is not continued", "tunnel",
			h->tunnels[i]->tunnel && h->tunnels[i]->tunnel->tunnel_id ? h->tunnels[i]->tunnel->tunnel_id : "", "reason", e.text);
	}
	log_notice("took over from the last run", "stack", k->stack->name, "generations", log_u64(h->n_tunnels - failed), "defences",
		log_u64(filter_defences(k->stack->filters)), "pause_ms", log_u64((core_now_us() - h->stopped_us) / 1000));
	return !failed;
}
