/* uso: datagrams of ESP in UDP that follow each other, joined into one super-packet for the device or the kernel to cut (UDP_SEGMENT's
 * form): one system call's worth of work instead of forty. Only for links that take them. */
#pragma once
#include "daemons/stack-core/link/link.h"

enum { USO_FLOWS = 8, USO_SEGMENTS = 60, USO_BYTES = 64000 };

/* Joins what can be joined of @pkts, which are protected, routed and have p->out_link; returns how many are left. Order within a
 * flow is kept. */
unsigned uso_merge(struct pkt_pool *pool, const struct link *links, struct pkt **pkts, unsigned n);
/* The headers of a super-packet of datagrams with @mss bytes of payload each but the last; the checksum is left to whoever cuts it. */
void uso_finish(struct pkt *p, uint32_t mss);
