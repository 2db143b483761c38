/* Why ids/ drops a packet: a part of the one list in drop.h. X(NAME, "stage", "help"). */
#pragma once

#define IDS_DROP_REASONS(X)                                                                        \
	X(IDS_MALFORMED, "ids", "flags or lengths that cannot be right")                           \
	X(IDS_FLOOD, "ids", "SYN of an unproven source to a port under a SYN flood")               \
	X(IDS_OUTBOUND_RAW, "ids", "a program here sent a protocol that it may not")               \
	X(IDS_REDIRECT, "ids", "ICMP redirect")                                                    \
	X(IDS_ECHO, "ids", "datagram between two ports that echo")                                 \
	X(IDS_FRAGMENT, "ids", "fragment that a real path does not make")                          \
	X(IDS_OPTION, "ids", "IPv4 option that policy restricts")                                  \
	X(IDS_PROTOCOL, "ids", "IPv4 protocol that policy restricts")                              \
	X(IDS_OUTBOUND_RAW6, "ids", "a program here sent an IPv6 next header that it may not")     \
	X(IDS_NEXT_HEADER, "ids", "IPv6 next header that policy restricts")                        \
	X(IDS_HOP_OPTION, "ids", "IPv6 hop-by-hop option that policy restricts")                   \
	X(IDS_DEST_OPTION, "ids", "IPv6 destination option that policy restricts")                 \
	X(IDS_HIDING, "ids", "data in fields that have to be zero")                                \
	X(IDS_TR_TCP, "ids", "connection over the limit of its port or host")                      \
	X(IDS_TR_UDP, "ids", "datagram to a receive queue that is over its limit")                 \
	X(IDS_ANSWER, "ids", "answer that proved a source real")
