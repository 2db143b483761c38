/* Why filter/ drops a packet: a part of the one list in drop.h. X(NAME, "stage", "help"). */
#pragma once

#define FILTER_DROP_REASONS(X)                                                                        \
	X(FILTER_DEFENSIVE, "filter", "denied by a defensive filter")                                 \
	X(FILTER_POLICY, "filter", "denied by a filter rule of the policy")                           \
	X(FILTER_IMPLICIT, "filter", "no rule matched: the implicit deny")                            \
	X(FILTER_NO_TUNNEL, "filter", "the rule asks for a tunnel that does not exist")               \
	X(FILTER_TUNNEL_MISMATCH, "filter", "came in clear or through another tunnel than its rule's")
