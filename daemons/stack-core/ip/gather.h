/* gather: UDP datagrams of the host's programs, which it hands over one by one, joined into super-packets before anything is decided
 * about them: as if the program had sent with UDP_SEGMENT. They are filtered, routed and encrypted as one; what is sent is the same. */
#pragma once
#include "daemons/stack-core/pkt.h"

enum { GATHER_FLOWS = 8, GATHER_SEGMENTS = 60, GATHER_BYTES = 60000, GATHER_HEADS = 24 };

/* Joins what can be joined of @pkts, which came from the TUN and are not parsed; returns how many are left. Order within a flow is kept;
 * none waits for another that is not there yet. At most GATHER_HEADS are made of one batch: encrypting them takes as many large buffers
 * again. */
unsigned gather(struct pkt_pool *pool, struct pkt **pkts, unsigned n);
