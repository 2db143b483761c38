/* Why filter/ drops a packet: a part of the one list in drop.h. X(NAME, "stage", "help"). */
#pragma once

#define FILTER_DROP_REASONS(X)                                                                     \
	X(FILTER_DEFENSIVE, "filter", "denied by a defensive filter")                              \
	X(FILTER_DENY, "filter", "denied by a filter rule")                                        \
	X(FILTER_IMPLICIT, "filter", "denied: no filter rule permits it")                          \
	X(FILTER_CLEAR, "filter", "came in clear where the rule asks for IPSec (RFC 4301 5.2)")    \
	X(FILTER_TUNNEL, "filter", "came through another tunnel than its rule's (RFC 4301 5.2)")   \
	X(FILTER_NO_TUNNEL, "filter", "the rule's tunnel does not exist")                          \
	X(FILTER_INACTIVE, "filter", "the rule's tunnel is not active")                            \
	X(FILTER_ICMP_QUOTE, "filter", "ICMP error of a tunnel that returns too little, or no packet a host would send") \
	X(FILTER_ICMP_RETURNED, "filter", "ICMP error about a packet that is not of its tunnel (RFC 4301 6.2)") \
	X(FILTER_HOLD_FULL, "filter", "too many packets wait for tunnels")                         \
	X(FILTER_HOLD_TIME, "filter", "waited for its tunnel in vain")
