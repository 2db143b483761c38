/* checksum: sums 8 bytes at a time with end-around carry (RFC 1071 section 2: byte order does not matter, words may be wider). */
#include "daemons/stack-core/ip/checksum.h"
#include <arpa/inet.h>
#include <string.h>

static inline uint64_t add_carry(uint64_t sum, uint64_t word)
{
	sum += word;
	return sum + (sum < word);
}

uint64_t csum_add(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t a = sum, b = 0, word;

	while (len >= 16) {
		memcpy(&word, p, 8);
		a = add_carry(a, word);
		memcpy(&word, p + 8, 8);
		b = add_carry(b, word);
		p += 16;
		len -= 16;
	}
	if (len >= 8) {
		memcpy(&word, p, 8);
		a = add_carry(a, word);
		p += 8;
		len -= 8;
	}
	if (len) {
		word = 0;
		memcpy(&word, p, len);
		b = add_carry(b, word);
	}
	return add_carry(a, b);
}

uint16_t csum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

uint64_t csum_pseudo(const struct addr *src, const struct addr *dst, uint8_t proto, uint32_t len)
{
	uint32_t tail[2] = {htonl(len), htonl(proto)};
	uint64_t sum = csum_add(0, src->b, addr_len(src));

	sum = csum_add(sum, dst->b, addr_len(dst));
	return csum_add(sum, tail, sizeof(tail));
}

void csum_update(uint8_t *field, uint16_t from, uint16_t to)
{
	uint16_t old;

	memcpy(&old, field, 2);
	uint32_t sum = (uint16_t)~old + (uint32_t)(uint16_t)~from + to;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	uint16_t new_sum = (uint16_t)~sum;
	memcpy(field, &new_sum, 2);
}
