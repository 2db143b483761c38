/* quote: what an ICMP error says of the packet that it is about (RFC 792, RFC 4443). Inside filter/ only. */
#pragma once
#include "daemons/stack-core/pkt.h"

/* An error, not a question or an answer, and not a later fragment: IPv4 types 3, 11, 12, IPv6 types 1 to 4. Source quench (4) is
 * none: nobody may send it any more (RFC 6633), so nothing is done for it. */
bool quote_is_error(const struct pkt *p);
/* The selectors of the packet in the error @p, with source and destination reversed, as if the answer to it went the way of @p (RFC 4301
 * section 6.2); direction, scope, class and tunnel are those of @p. False: there is too little of it, or no host that sends
 * nothing else than IP would have sent it and got this error. */
bool quote_reversed(const struct pkt *p, struct pkt *ret);
