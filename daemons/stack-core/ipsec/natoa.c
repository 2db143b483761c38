/* natoa: see natoa.h; the update is RFC 1624's. */
#include "daemons/stack-core/ipsec/natoa.h"
#include "daemons/stack-core/ipsec/iphdr.h"

enum { TCP = 6, UDP = 17 };

/* ~old sum + what is new - what was old, in ones' complement. */
static uint32_t exchange(uint32_t sum, const struct addr *was, const struct addr *is)
{
	for (size_t i = 0; was->family && i < addr_len(was); i += 2)
		sum += (uint16_t)~get16(was->b + i) + (uint32_t)get16(is->b + i);
	return sum;
}

void natoa_fix(const struct sa_params *sa, uint8_t *d, uint32_t hdr_len, uint32_t len, uint8_t next)
{
	uint32_t at = hdr_len + (next == TCP ? 16 : 6);

	if ((next != TCP && next != UDP) || at + 2 > len)
		return;
	uint16_t old = get16(d + at);
	if (next == UDP && !old)
		return; /* it has none */
	struct addr src = iphdr_src(d), dst = iphdr_dst(d);
	if ((sa->oa_src.family && sa->oa_src.family != src.family) || (sa->oa_dst.family && sa->oa_dst.family != dst.family))
		return;
	uint32_t sum = exchange(exchange((uint16_t)~old, &sa->oa_src, &src), &sa->oa_dst, &dst);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	uint16_t fixed = (uint16_t)~sum;
	put16(d + at, fixed || next == TCP ? fixed : 0xffff);
}
