/* Fragments in any order and form: what comes out is a packet, and no buffer is lost. Records of 8 bytes: what (family, more,
 * through which tunnel, time passes), id, offset (2 bytes, in 8s), length (2 bytes), two bytes for the header. */
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/ip/reass.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORD = 8, SMALL = 8, LARGE = REASS_PACKETS + 2, BYTES = 1400 };

static void must(bool good)
{
	if (!good)
		abort();
}

static uint32_t header(uint8_t *h, const uint8_t *rec, uint32_t len)
{
	struct addr a4 = {4, {10, 0, 0, 1}}, b4 = {4, {10, 0, 0, 2}}, a6 = {6, {0x20, 1, [15] = 1}}, b6 = {6, {0x20, 1, [15] = 2}};
	uint32_t off = (uint32_t)ip_get16(rec + 2) & 0x1fff;

	if (rec[0] & 1) {
		uint32_t options = rec[6] % 11 * 4;
		memset(h, 1, 20 + options);
		ip4_write(h, &a4, &b4, IP_UDP, 64, 0, 20 + options + len, rec[1], false);
		h[0] = (uint8_t)(0x45 + options / 4);
		ip_put16(h + 6, off | (rec[0] & 2 ? 0x2000 : 0));
		ip4_checksum(h);
		return 20 + options;
	}
	uint32_t more = rec[6] % 3 * 8; /* destination options in front */
	ip6_write(h, &a6, &b6, more ? 60 : 44, 64, 0, more + 8 + len);
	memset(h + 40, 0, more + 8);
	if (more) {
		h[40] = 44;
		h[41] = (uint8_t)(more / 8 - 1);
	}
	h[40 + more] = rec[7];
	ip_put16(h + 42 + more, off * 8 | (rec[0] >> 1 & 1));
	h[47 + more] = rec[1];
	return 48 + more;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pkt_pool *pool = pkt_pool_new(SMALL, LARGE);
	struct reass *r = reass_new();
	uint64_t now = 1;

	for (; size >= RECORD; data += RECORD, size -= RECORD) {
		struct pkt *p = pkt_alloc(pool);
		uint32_t len = ip_get16(data + 4) % BYTES;
		uint16_t drop;
		must(p != NULL);
		uint32_t head = header(pkt_data(p), data, len);
		memset(pkt_data(p) + head, data[7], len);
		p->len = head + len;
		p->sa_in = data[0] >> 2 & 1;
		now += data[0] & 0x80 ? 1000 : 1;
		if (!ip_parse(p) || !p->fragment) {
			pkt_free(pool, p);
			continue;
		}
		struct pkt *whole = reass_add(r, pool, p, now, &drop);
		must(!whole || !drop);
		if (whole) {
			must(whole->off + whole->len <= whole->size && whole->len <= 65535 + IP6_HEADER);
			(void)ip_parse(whole);
			must(!whole->fragment || whole->drop || whole->family == 6);
			pkt_free(pool, whole);
		}
		(void)reass_expire(r, pool, now);
		must(reass_waiting(r) <= REASS_PACKETS && pkt_pool_available(pool) == SMALL);
	}
	must(reass_expire(r, pool, now + REASS_MS) <= REASS_PACKETS && !reass_waiting(r));
	for (unsigned i = 0; i < LARGE; i++)
		must(pkt_alloc_large(pool) != NULL);
	reass_free(r);
	pkt_pool_free(pool);
	return 0;
}
