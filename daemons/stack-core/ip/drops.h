/* Why the link, IP and filter-enforcing stages drop a packet: a part of the one list in drop.h. X(NAME, "stage", "help"). */
#pragma once

#define IP_DROP_REASONS(X)                                                                                \
	X(LINK_FRAME, "link-rx", "frame too short, or with offload fields that make no sense")            \
	X(LINK_TYPE, "link-rx", "frame of a protocol that is not IPv4, IPv6 or ARP")                      \
	X(LINK_VLAN, "link-rx", "frame of a VLAN that no interface on the device has")                    \
	X(LINK_OTHER_HOST, "link-rx", "frame for another station's address")                              \
	X(LINK_NO_BUFFER, "link-rx", "no packet buffer was free")                                         \
	X(LINK_OVERRUN, "link-rx", "the workers were behind and the device's queue full")                  \
	X(LINK_TX, "link-tx", "the device took no more packets")                                          \
	X(LINK_DOWN, "link-tx", "the device is gone or down")                                             \
	X(IP_SHORT, "parse", "packet shorter than its headers say")                                       \
	X(IP_VERSION, "parse", "IP version is not the one of the frame")                                  \
	X(IP_HEADER, "parse", "IPv4 header length or options malformed")                                  \
	X(IP_CHECKSUM, "parse", "IPv4 header checksum wrong")                                             \
	X(IP_OVERLAP, "ip", "fragment that overlaps another one of its packet, or came twice")  \
	X(IP_FRAG_WAIT, "ip", "fragments that wait for the first one of their packet: no room for more") \
	X(IP_REASS_TIME, "ip", "packets whose fragments did not all come in time")              \
	X(IP_FRAGMENT, "parse", "fragment offset or length impossible")                                   \
	X(IP_TINY_FRAGMENT, "parse", "fragment that hides or overwrites the transport header (RFC 1858)") \
	X(IP_EXTENSION, "parse", "IPv6 extension header malformed or too many")                           \
	X(IP_L4_SHORT, "parse", "transport header cut off")                                               \
	X(IP_SOURCE, "parse", "source address that no host may use")                                      \
	X(IP_MARTIAN, "parse", "address that does not belong on a wire (RFC 6890, RFC 1812 5.3.7)")       \
	X(IP_SPOOFED, "parse", "one of this stack's own addresses as source, from outside")               \
	X(IP_REVERSE_PATH, "parse", "source address that this link does not lead to (URPF, RFC 3704)")    \
	X(IP_REDIRECT, "parse", "ICMP redirect: routes are configured, and no stranger changes them")     \
	X(IP_SOURCE_ROUTE, "parse", "source route or type 0 routing header (RFC 5095)")                   \
	X(IP_MULTICAST, "route", "multicast or broadcast, which is not forwarded")                        \
	X(IP_LINK_LOCAL, "route", "link-local address beyond its link")                                   \
	X(IP_NO_ROUTE, "route", "no route to the destination")                                            \
	X(IP_FORWARD_OFF, "route", "forwarding is off (NODATAGRAMFWD)")                                   \
	X(IP_TTL, "route", "TTL or hop limit used up")                                                    \
	X(IP_TOO_BIG, "route", "too big for the next link and may not be fragmented")                     \
	X(IP_FRAG_ROOM, "route", "no buffer for fragments or segments")                                   \
	X(IP_SEGMENT, "route", "super-packet that cannot be cut into segments")                           \
	X(IP_LOOP, "route", "protected packet would be protected without end")                            \
	X(IP_UNREACHABLE, "local", "nothing here takes this protocol or port")                            \
	X(IP_ICMP_CHECKSUM, "local", "ICMP checksum wrong")                                               \
	X(IP_ICMP_IGNORED, "local", "ICMP message that needs no answer")                                  \
	X(ICMP_LIMITED, "icmp", "ICMP answer held back by the rate limit")                                \
	X(ICMP_LIMITED_HOST, "icmp", "ICMP answer held back: that host has had its share")                \
	X(ICMP_NO_SOURCE, "icmp", "no address of ours to answer from")                                    \
	X(ARP_MALFORMED, "neighbour", "ARP packet malformed")                                             \
	X(ARP_IGNORED, "neighbour", "ARP packet that does not concern us")                                \
	X(ARP_CONFLICT, "neighbour", "another station claims an address of ours")                         \
	X(ND_MALFORMED, "neighbour", "neighbour discovery message malformed (RFC 4861 7.1)")              \
	X(ND_REDIRECT, "neighbour", "redirect of neighbour discovery: never honoured")                    \
	X(ND_IGNORED, "neighbour", "neighbour discovery message that does not concern us")                \
	X(NEIGH_QUEUE, "neighbour", "queue of packets waiting for a link address is full")                \
	X(NEIGH_TIMEOUT, "neighbour", "the next hop did not answer")                                      \
	X(NEIGH_RING, "neighbour", "the control thread is behind: neighbour message lost")
