/* discover: the packets of ARP (RFC 826) and of neighbour discovery (RFC 4861): what to answer, what was heard. */
#pragma once
#include "daemons/stack-core/ip/neigh.h"
#include "daemons/stack-core/link/link.h"

enum discover_result { DISCOVER_DONE, DISCOVER_REPLY, DISCOVER_DROP };
enum { DISCOVER_FRAME_MAX = ETHER_HEADER + 40 + 32 };

struct discover_heard {
	bool valid;
	enum neigh_heard how;
	struct addr addr;
	uint8_t mac[6];
};

/* DISCOVER_REPLY: @p has become the answer, to be sent on @l; DISCOVER_DROP: p->drop is set. */
enum discover_result arp_handle(const struct link *l, struct pkt *p, struct discover_heard *heard);
enum discover_result nd_handle(const struct link *l, struct pkt *p, struct discover_heard *heard);
bool nd_is(const struct pkt *p); /* parsed; one of the five messages of RFC 4861 */
/* About @own, an address of ours: whether somebody has it (from nobody: RFC 5227 section 1.1, RFC 4862 section 5.4.2), or, @announce,
 * that we have. The frame's length. */
size_t discover_own(const struct link *l, const struct addr *own, bool announce, uint8_t frame[DISCOVER_FRAME_MAX]);
/* A request frame for @target into @frame; @mac NULL: to all. Its length, 0: there is no address to ask from. */
size_t discover_request(const struct link *l, const struct addr *target, const uint8_t *mac, uint8_t frame[DISCOVER_FRAME_MAX]);
