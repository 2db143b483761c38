/* cut: one packet into many. IPv4 fragments (RFC 791) and the segments of TCP and UDP super-packets, which hosts leave for the
 * NIC to cut and which we cut when the way goes through ESP or onto a link that takes them no other way. */
#pragma once
#include "daemons/stack-core/pkt.h"

/* Does what a link's virtio_net_hdr said of @p, parsed, fit what @p is? Checksums are filled in after filters have decided: into the
 * transport protocol's field for it, or into what is behind that header (a packet in it may have one), and never into what filters read.
 * What is only one segment is made an ordinary packet, and SCTP gets its CRC. A virtual machine writes such headers itself. False: p->drop says why. */
bool cut_sound(struct pkt *p);

/* Each piece comes to @emit, which owns it. */
typedef void (*cut_fn)(void *arg, struct pkt *piece);

/* Fills in the transport checksum that a host left to the NIC. */
void cut_checksum(struct pkt *p);
/* Length of the longest segment of a super-packet, with headers; 0: not one we understand. */
uint32_t cut_segment_len(const struct pkt *p);
/* Bytes before the payload of a super-packet, 0 when it is nothing to cut. */
uint32_t cut_header_len(const struct pkt *p);
/* Packets that @p is on a wire, for it may be a super-packet: what is lost counts as so many. It need not be parsed. */
uint32_t cut_packets(const struct pkt *p);
/* The segment of @p whose payload begins @at (a multiple of gso_size) bytes behind the headers, written to @to; its length. */
uint32_t cut_segment(const struct pkt *p, uint32_t header, uint32_t at, uint8_t *to);
/* Both leave @p to the caller; false: nothing or not all could be made, p->drop says why, and of a super-packet @p is what was not made. */
bool cut_segments(struct pkt_pool *pool, struct pkt *p, cut_fn emit, void *arg);
bool cut_fragments4(struct pkt_pool *pool, struct pkt *p, uint32_t mtu, cut_fn emit, void *arg);
