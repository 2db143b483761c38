/* quote: the packet that an ICMP error is about (RFC 792, RFC 4443 section 2.4): its header and what came back behind it. A router wrote
 * it down, or whoever pretends to be one. The one reader of it, for filters (RFC 4301 section 6.2) and for the path MTU of tunnels
 * (section 8.2); in a library of its own, so that neither needs links and routes for it. */
#pragma once
#include "daemons/stack-core/pkt.h"

struct quote {
	uint8_t proto; /* behind IPv6 extension headers; AH and ESP are none of those here */
	bool fragment; /* the first of its packet */
	bool df;	/* nobody may cut it on its way: set, or IPv6 */
	uint32_t total; /* length that its header claims */
	const uint8_t *l4; /* what follows its headers, in the error itself */
	uint32_t left;	/* bytes of it that came back */
	struct addr src, dst;
};

/* An error, not a question or an answer, and not a later fragment: IPv4 types 3, 11, 12, IPv6 types 1 to 4. Source quench (4) is
 * none: nobody may send it any more (RFC 6633), so nothing is done for it. */
bool quote_is_error(const struct pkt *p);
/* @p: an error, parsed. False: what is in it is no packet of @p's family, is a later fragment, or its headers are not all there; 8 bytes
 * or more follow an IPv4 header. */
bool quote_read(const struct pkt *p, struct quote *ret);
/* The selectors of the packet in the error @p, with source and destination reversed, as if the answer to it went the way of @p (RFC 4301
 * section 6.2); direction, scope, class and tunnel are those of @p. False: there is too little of it, or no host that sends
 * nothing else than IP would have sent it and got this error. */
bool quote_reversed(const struct pkt *p, struct pkt *ret);
