/* What the last run of a stack left to this one: any bytes. It is taken, as far as it makes sense, or refused; tunnels that are taken go on
 * where their numbers ended. Byte 0 of the input: bit 0 the rest is the file as it is, else the message in it; bit 1 what depends on the
 * program that wrote it (version, size of a defence) is made that of this one. */
#include "daemons/stack-core/handover.h"
#include "lib/log/log.h"
#include <stdlib.h>
#include <string.h>
#include <urcu-qsbr.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct core core;

static void demand(bool good)
{
	if (!good)
		abort();
}

static struct addr address(const char *text)
{
	struct addr a;
	demand(addr_parse(text, &a) == 0);
	return a;
}

static unsigned no_rx(void *arg, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	(void)arg, (void)pool, (void)out, (void)max;
	return 0;
}

static void no_tx(void *arg, const struct pkt *p)
{
	(void)arg, (void)p;
}

static void anchor(struct filter_spec *f, uint8_t family, const char *name)
{
	filter_spec_init(f, family, false);
	f->action = FILTER_IPSEC;
	f->anchor = true;
	(void)snprintf(f->name, sizeof(f->name), "%s", name);
	(void)snprintf(f->vpn, sizeof(f->vpn), "vpn");
}

static void make(void)
{
	struct filter_spec rules[4];
	struct filter_install i = {.rules = rules, .n = 4, .loaded = true};
	struct errbuf e;

	rcu_register_thread();
	log_set_level(LOG_L_ERROR);
	core.stack = stack_new("FUZZ", 1);
	core.stack->n_links = 1;
	struct link *l = &core.stack->links[0];
	(void)snprintf(l->name, sizeof(l->name), "WIRE");
	l->type = LINK_MEMORY;
	l->ethernet = true;
	l->addrs[0] = (struct prefix){address("192.0.2.1"), 24};
	l->addrs[1] = (struct prefix){address("2001:db8::1"), 64};
	l->n_addrs = 2;
	l->memory = (struct link_memory){no_rx, no_tx, NULL};
	demand(stack_open(core.stack, &e) == 0);
	anchor(&rules[0], 4, "Net");
	filter_spec_mirror(&rules[0], &rules[1]);
	anchor(&rules[2], 6, "Six");
	filter_spec_mirror(&rules[2], &rules[3]);
	demand(filter_install(core.stack->filters, FILTER_POLICY, &i, &e) == 0);
	filter_switch(core.stack->filters, FILTER_POLICY);
}

static Stack__Handover *message(const uint8_t *data, size_t size)
{
	struct handover_head head = {.len = size};
	uint8_t *file = malloc(sizeof(head) + size);

	demand(file != NULL);
	memcpy(head.magic, HANDOVER_MAGIC, sizeof(head.magic));
	memcpy(file, &head, sizeof(head));
	memcpy(file + sizeof(head), data, size);
	Stack__Handover *h = handover_read(file, sizeof(head) + size);
	free(file);
	return h;
}

static void as_ours(Stack__Handover *h)
{
	free(h->version);
	demand((h->version = strdup(RAVELIN_VERSION)) != NULL);
	h->defence_size = sizeof(struct filter_spec);
	for (size_t i = 0; i < h->n_defences; i++) {
		struct filter_spec s;
		size_t n = h->defences[i].len < sizeof(s) ? h->defences[i].len : sizeof(s);
		filter_spec_init(&s, 4, true);
		if (n)
			memcpy(&s, h->defences[i].data, n);
		free(h->defences[i].data);
		demand((h->defences[i].data = malloc(sizeof(s))) != NULL);
		memcpy(h->defences[i].data, &s, h->defences[i].len = sizeof(s));
	}
}

/* Was a generation like this one left, with these numbers? */
static bool was_left(const Stack__Handover *h, const struct tunnel *t, const struct generation *g)
{
	for (size_t i = 0; i < h->n_tunnels; i++) {
		const Stack__HandoverTunnel *l = h->tunnels[i];
		if (l->tunnel && l->in && l->out && l->tunnel->tunnel_id && !strcmp(l->tunnel->tunnel_id, t->id) && l->tunnel->generation == g->number &&
			l->out->seq == atomic_load(&g->out->seq) && l->in->replay_last == g->in->replay.last)
			return true;
	}
	return false;
}

static void inspect(const Stack__Handover *h)
{
	for (struct tunnel *t = sadb_next(core.stack->sadb, NULL); t; t = sadb_next(core.stack->sadb, t)) {
		demand(t->dynamic && t->filters && t->gens);
		for (const struct generation *g = t->gens; g; g = g->older)
			demand(g->in->inbound && !g->out->inbound && was_left(h, t, g));
	}
	demand(core.stack->n_host_routes <= STACK_HOST_ROUTES_MAX && filter_defences(core.stack->filters) <= h->n_defences);
}

static void clear(void)
{
	struct filter_defend none = {.reset = true, .set_excludes = true};
	struct tunnel *t;
	struct errbuf e;

	while ((t = sadb_next(core.stack->sadb, NULL))) {
		filter_dynamic_remove(core.stack->filters, t->filters);
		demand(dynamic_remove(core.stack->sadb, t, 0) > 0);
	}
	demand(filter_defend(core.stack->filters, &none, 1, &e) == 0);
	core.stack->n_host_routes = 0;
	rcu_quiescent_state();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!core.stack)
		make();
	if (!size)
		return 0;
	Stack__Handover *h = data[0] & 1 ? handover_read(data + 1, size - 1) : message(data + 1, size - 1);
	if (!h)
		return 0;
	if (data[0] & 2)
		as_ours(h);
	handover_routes(&core, h);
	bool whole = handover_tunnels(&core, h);
	inspect(h);
	demand(!whole || dynamic_count(core.stack->sadb) <= h->n_tunnels);
	clear();
	handover_end(h);
	return 0;
}
