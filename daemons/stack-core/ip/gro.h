/* gro: TCP segments of a flow that came one by one, joined into a super-packet before a link that takes those. What the other side of the
 * tunnel had to cut, the host gets whole: one write instead of forty. */
#pragma once
#include "daemons/stack-core/link/link.h"

enum { GRO_FLOWS = 16, GRO_BYTES = 60000 };

/* Joins what can be joined of @pkts, in place; returns how many are left. Order within a flow is kept. */
unsigned gro_merge(struct pkt_pool *pool, const struct link *links, struct pkt **pkts, unsigned n);
