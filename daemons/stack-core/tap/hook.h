/* hook: what stages call. Included by worker.h; a stage whose packets are not watched pays for one load and one branch. */
#pragma once
#include "daemons/stack-core/tap/tap.h"

static inline bool tap_on(const struct tap_worker *t)
{
	return __builtin_expect(t->set != NULL, 0);
}

static inline void tap_stage(struct tap_worker *t, enum tap_stage stage, struct pkt *p)
{
	if (tap_on(t))
		tap_see(t, stage, p, &(struct tap_note){0});
}

/* @v: what a filter decided about it. */
static inline void tap_verdict(struct tap_worker *t, enum tap_stage stage, struct pkt *p, const struct filter_verdict *v)
{
	if (tap_on(t))
		tap_see(t, stage, p, &(struct tap_note){.verdict = v});
}

static inline void tap_route(struct tap_worker *t, struct pkt *p, uint8_t kind)
{
	if (tap_on(t))
		tap_see(t, TAP_ROUTE, p, &(struct tap_note){.route = kind});
}

static inline void tap_drop(struct tap_worker *t, struct pkt *p, unsigned reason)
{
	if (tap_on(t))
		tap_see(t, TAP_DROP, p, &(struct tap_note){.reason = reason});
}

/* A batch that was protected; what could not be is told when it is dropped. */
static inline void tap_protected(struct tap_worker *t, struct pkt *const *pkts, struct sa *const *sas, unsigned n)
{
	if (tap_on(t))
		for (unsigned i = 0; i < n; i++)
			if (!pkts[i]->drop)
				tap_see(t, TAP_IPSEC_OUT, pkts[i], &(struct tap_note){.sa = sas[i]});
}
