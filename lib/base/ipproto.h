/* ipproto: the protocols above IP that policy and displays name (IANA protocol-numbers), and what their headers show. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { IPPROTO_ALL = 256 };

/* By number or name (tcp, udp, icmp, icmpv6, ospf, igmp, esp, ah, ip, ipip, ipv6, gre, sctp, mipv6; "*" and "all" give
 * IPPROTO_ALL): 0 or -EINVAL. */
int ipproto_parse(const char *text, uint16_t *ret);
const char *ipproto_name(unsigned proto); /* as z/OS prints it, "TCP"; NULL: it has no name here */
bool ipproto_typed(unsigned proto);	   /* shows type and code instead of ports */
bool ipproto_ports(unsigned proto);
