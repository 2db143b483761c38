/* probe: a scan event leaves the worker: only of a class that some rule counts, and each probe of a source once in a while. */
#include "daemons/stack-core/ids/worker.h"

enum { SEEN_SHIFT_MS = 14 }; /* sixteen seconds */

static bool seen(struct ids_worker *w, const struct addr *src, const struct addr *dst, uint16_t port, unsigned class)
{
	uint64_t h = session_hash(w->ids, src, (uint16_t)(w->now_ms >> SEEN_SHIFT_MS), dst, (uint16_t)(port ^ class << 14)) | 1;
	uint64_t *at = &w->seen[h >> 8 & (SEEN - 1)];
	bool same = *at == h;
	*at = h;
	return same;
}

static bool counts(const struct ids_worker *w, enum ids_protocol proto, enum ids_class class)
{
	return w->policy && ids_sensitive(w->policy->scan_level[proto], class);
}

void probe_event(struct ids_worker *w, const struct pkt *p, enum ids_protocol proto, enum ids_class class, unsigned probe)
{
	struct ids_event *e;
	if (!counts(w, proto, class) || seen(w, &p->src, &p->dst, p->dport, class) || !(e = post_next(w, p, IDS_EV_SCAN, probe)))
		return;
	e->what = (uint8_t)class;
	e->protocol = (uint8_t)proto;
	post_commit(w);
	w->told = true;
}

void probe_back(struct ids_worker *w, const struct pkt *p, enum ids_class class, unsigned probe)
{
	struct ids_event *e;
	if (!counts(w, IDS_TCP, class) || seen(w, &p->dst, &p->src, p->sport, class) || !(e = post_next(w, p, IDS_EV_SCAN, probe)))
		return;
	e->src = p->dst;
	e->dst = p->src;
	e->sport = p->dport;
	e->dport = p->sport;
	e->what = (uint8_t)class;
	e->protocol = IDS_TCP;
	post_commit(w);
	w->told = true;
}
