/* esp: what ESP (RFC 4303) and AH (RFC 4302) do to batches of packets, in tunnel and transport
 * mode, IPv4 and IPv6.
 *
 * Both calls take up to PKT_BATCH packets, work in place and leave each packet either transformed
 * or with p->drop set (p->drop must be 0 before). Packets are never super-packets (gso_size 0) and
 * inbound ones never fragments.
 *
 * After ipsec_in: off/len = the inner packet, sa_in = the tunnel's index + 1; the caller parses it
 * afresh. After ipsec_out: the packet is the protected one, and family, proto, src, dst, tos,
 * l4_off, opaque describe it.
 *
 * Room needed: sa_overhead() in front and behind together; PKT_HEADROOM and PKT_TAILROOM are
 * enough. */
#pragma once
#include "daemons/stack-core/ipsec/sa.h"
#include "daemons/stack-core/ipsec/notice.h"
#include "daemons/stack-core/pkt.h"

struct ipsec_worker;

/* @index is the worker's number, < sadb_workers(). Borrows @db. */
struct ipsec_worker *ipsec_worker_new(struct sadb *db, unsigned index);
void ipsec_worker_free(struct ipsec_worker *w);
/* With p->encap the packet is UDP that carries ESP (RFC 3948). */
void ipsec_in(struct ipsec_worker *w, struct pkt **pkts, unsigned n);
/* @sas[i]: the outbound SA for @pkts[i], from sadb_tunnel(); NULL drops. Neighbours of the same SA
 * share one batch of numbers. */
void ipsec_out(struct ipsec_worker *w, struct pkt **pkts, struct sa *const *sas, unsigned n);

/* ESP in UDP in tunnel mode, many packets in one buffer (esp_slots.c). */
enum { ESP_SLOTS_MAX = 128 };
struct esp_slot {
	uint8_t *inner; /* the inner packet; before it is opened: the ESP packet */
	uint32_t len;
	uint32_t tunnel; /* opened: its index + 1 */
	uint16_t drop;	 /* opened: 0 or why not */
};
bool ipsec_takes_slots(const struct sa *sa); /* outbound */
uint32_t ipsec_slot_front(const struct sa *sa);		     /* bytes of a slot before its inner packet */
uint32_t ipsec_slot_tail(const struct sa *sa, uint32_t len); /* and behind one of @len bytes */
/* Seals the inner packets, which lie with room around them in @out: its off and len are those of the slots. Then they are those of
 * the whole packet, and out->family ... l4_off describe it; the caller makes it a super-packet. Or the reason to drop. */
int ipsec_out_slots(struct ipsec_worker *w, struct sa *sa, struct pkt *out, const struct esp_slot *slots, unsigned n);
/* Inbound: is there an SA for @p with this SPI, and one that ipsec_in_slots opens? */
bool ipsec_opens_slots(struct ipsec_worker *w, const struct pkt *p, uint32_t spi);
/* Opens the super-packet @p (gso_size is set, p->len not more than its bytes); how many slots it has, 0: it is malformed. */
unsigned ipsec_in_slots(struct ipsec_worker *w, struct pkt *p, struct esp_slot *slots);

/* What the packets of this worker told: the control thread takes it. False: nothing. */
bool ipsec_notice(struct ipsec_worker *w, struct ipsec_notice *ret);
/* Is there an SA for this UDP datagram that says it carries ESP? No: the peer, or we, have forgotten something. */
bool ipsec_knows(struct ipsec_worker *w, const struct pkt *p, uint32_t spi);
uint64_t ipsec_notices_lost(const struct ipsec_worker *w);
