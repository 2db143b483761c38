/* checksum: sums 8 bytes at a time with end-around carry, or 64 in vectors (RFC 1071 section 2: byte order does not matter, words may be
 * wider). */
#include "daemons/stack-core/ip/checksum.h"
#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

typedef uint64_t words __attribute__((vector_size(32)));

static inline uint64_t add_carry(uint64_t sum, uint64_t word)
{
	sum += word;
	return sum + (sum < word);
}

/* Many bytes: 32-bit words into 64-bit sums, eight at a time, without carries to look after. */
static inline __attribute__((always_inline)) uint64_t many(const uint8_t *p, size_t len)
{
	words a = {0}, b = {0}, x, y, low = {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff};

	for (; len >= 64; p += 64, len -= 64) {
		memcpy(&x, p, sizeof(x));
		memcpy(&y, p + 32, sizeof(y));
		a += (x & low) + (x >> 32);
		b += (y & low) + (y >> 32);
	}
	a += b;
	return a[0] + a[1] + a[2] + a[3]; /* each far below 2^62: no carry is lost */
}

#ifdef __x86_64__
static __attribute__((target("avx2"))) uint64_t many_avx2(const uint8_t *p, size_t len)
{
	return many(p, len);
}

static bool avx2;
static __attribute__((constructor)) void find_avx2(void)
{
	__builtin_cpu_init();
	avx2 = __builtin_cpu_supports("avx2");
}
#endif

static uint64_t sum_many(const uint8_t *p, size_t len)
{
#ifdef __x86_64__
	if (avx2)
		return many_avx2(p, len);
#endif
	return many(p, len);
}

uint64_t csum_add(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t word;

	if (len >= 128) {
		sum = add_carry(sum, sum_many(p, len));
		p += len & ~(size_t)63;
		len &= 63;
	}
	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&word, p, 8);
		sum = add_carry(sum, word);
	}
	if (len) {
		word = 0;
		memcpy(&word, p, len);
		sum = add_carry(sum, word);
	}
	return sum;
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

/* Four bits at a time: packets of SCTP that come without it are few. */
uint32_t csum_sctp(const uint8_t *data, size_t len)
{
	static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
		0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= data[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}
