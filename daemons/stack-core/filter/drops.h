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
	X(FILTER_HOLD_FULL, "filter", "too many packets wait for tunnels")                         \
	X(FILTER_HOLD_TIME, "filter", "waited for its tunnel in vain")
