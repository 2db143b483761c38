/* gro: TCP segments of a flow that came one by one, joined into a super-packet before a link that takes those. What the other side of the
 * tunnel had to cut, the host gets whole: one write instead of forty. */
#pragma once
#include "daemons/stack-core/link/link.h"

enum { GRO_FLOWS = 16, GRO_BYTES = 60000, GRO_DATAGRAMS = 64 };

/* Joins what can be joined of @pkts, in place; returns how many are left. Order within a flow is kept. */
unsigned gro_merge(struct pkt_pool *pool, const struct link *links, struct pkt **pkts, unsigned n);

/* The same for packets that lie one behind the other in a buffer and have not been parsed (gro_pieces.c). */
struct gro_piece {
	uint8_t *data;
	uint32_t len;
};
struct gro_run {
	uint32_t header, l4, mss;
	uint8_t proto;
};
/* How many of @pieces, from the first on, would be one super-packet; 1: it stays alone, and *ret is not to be used. @udp: the way takes
 * super-packets of UDP, too. */
unsigned gro_run(const struct gro_piece *pieces, unsigned n, bool udp, struct gro_run *ret);
/* Makes @p that super-packet, parsed: where they lie, if they are in its buffer in this order, else (it is large) by copying all. False:
 * p->drop says why. */
bool gro_join(struct pkt *p, const struct gro_piece *pieces, unsigned n, const struct gro_run *r);
