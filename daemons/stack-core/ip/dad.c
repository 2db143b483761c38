/* dad: see dad.h. One record an address, found by going through them: conflicts are rare, and what strangers can cause is bounded by
 * the ring they come by. */
#include "daemons/stack-core/ip/dad.h"
#include "daemons/stack-core/ip/discover.h"
#include "lib/base/xalloc.h"
#include <stdlib.h>

struct own {
	uint16_t link;
	unsigned index;	 /* in link->addrs */
	struct addr addr;
	unsigned probes; /* still to be sent */
	bool sure;
	uint64_t next_ms, told_ms;
};

struct dad {
	struct link *links;
	struct dad_hooks hooks;
	unsigned n;
	struct own own[];
};

struct dad *dad_new(struct link *links, unsigned n, const struct dad_hooks *hooks)
{
	unsigned all = 0;

	for (unsigned i = 0; i < n; i++)
		all += links[i].ethernet && links[i].dad_probes ? links[i].n_addrs : 0;
	struct dad *d = xcalloc(1, sizeof(*d) + all * sizeof(d->own[0]));
	d->links = links;
	d->hooks = *hooks;
	for (unsigned i = 0; i < n; i++)
		for (unsigned a = 0; links[i].ethernet && links[i].dad_probes && a < links[i].n_addrs; a++)
			d->own[d->n++] = (struct own){.link = (uint16_t)i, .index = a, .addr = links[i].addrs[a].addr, .probes = links[i].dad_probes};
	return d;
}

struct dad *dad_renew(struct dad *old, unsigned n)
{
	struct dad *d = dad_new(old->links, n, &old->hooks);

	for (unsigned i = 0; i < d->n; i++)
		for (unsigned k = 0; k < old->n; k++)
			if (old->own[k].link == d->own[i].link && addr_equal(&old->own[k].addr, &d->own[i].addr)) {
				unsigned index = d->own[i].index;
				d->own[i] = old->own[k];
				d->own[i].index = index;
			}
	free(old);
	return d;
}

void dad_forget(struct dad *d, uint16_t link)
{
	for (unsigned i = 0; i < d->n; i++)
		if (d->own[i].link == link)
			d->own[i--] = d->own[--d->n];
}

void dad_free(struct dad *d)
{
	free(d);
}

static const struct addr *address(const struct own *o)
{
	return &o->addr;
}

static void send(struct dad *d, const struct own *o, bool announce)
{
	uint8_t frame[DISCOVER_FRAME_MAX];
	size_t len = discover_own(&d->links[o->link], address(o), announce, frame);

	(void)link_send_frame(&d->links[o->link], frame, len); /* lost like any frame */
}

void dad_tick(struct dad *d, uint64_t now_ms)
{
	for (unsigned i = 0; i < d->n; i++) {
		struct own *o = &d->own[i];
		if (o->sure || now_ms < o->next_ms || link_refused(&d->links[o->link], o->index))
			continue;
		o->next_ms = now_ms + DAD_PROBE_MS;
		o->sure = !o->probes;
		send(d, o, o->sure);
		o->probes -= o->probes > 0;
	}
}

void dad_claimed(struct dad *d, uint16_t link, const struct addr *a, const uint8_t mac[6], uint64_t now_ms)
{
	for (unsigned i = 0; i < d->n; i++) {
		struct own *o = &d->own[i];
		if (o->link != link || !addr_equal(address(o), a) || link_refused(&d->links[link], o->index))
			continue;
		if (!o->sure)
			link_refuse(&d->links[link], o->index);
		else if (o->told_ms && now_ms < o->told_ms + DAD_DEFEND_MS)
			return;
		else
			send(d, o, true);
		o->told_ms = now_ms;
		d->hooks.conflict(d->hooks.arg, link, a, mac, !o->sure);
		return;
	}
}
