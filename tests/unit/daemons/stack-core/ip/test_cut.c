/* What a link's offload header says is believed only as far as it fits the packet. */
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/cut.h"
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ip/parse.h"
#include "tests/support/check_main.h"
#include <string.h>

enum { PAYLOAD = 100 };

static uint8_t bytes[400];

/* From a machine that claims what is in the fields, with @pad bytes behind its end. */
static struct pkt packet(uint8_t family, uint8_t proto, uint32_t pad)
{
	struct addr a = {family, {10, 1}}, b = {family, {10, 2}};
	uint32_t ip = family == 4 ? IP4_HEADER : IP6_HEADER, len = ip + PAYLOAD;

	memset(bytes, 1, sizeof(bytes));
	if (family == 4)
		ip4_write(bytes, &a, &b, proto, 64, 0, len, 1, true);
	else
		ip6_write(bytes, &a, &b, proto, 64, 0, PAYLOAD);
	bytes[ip + 12] = 0x50; /* TCP: no options */
	if (proto == IP_UDP)
		ip_put16(bytes + ip + 4, PAYLOAD);
	struct pkt p = {.buf = bytes, .size = sizeof(bytes), .len = len + pad};
	ck_assert(ip_parse(&p));
	ck_assert_uint_eq(p.len, len);
	return p;
}

static bool partial(struct pkt p, uint32_t start, uint32_t offset)
{
	p.csum_partial = true;
	p.csum_start = (uint16_t)start;
	p.csum_offset = (uint16_t)offset;
	bool good = cut_sound(&p);
	if (p.drop != (good ? 0 : DROP_LINK_FRAME))
		ck_abort_msg("reason %u", p.drop);
	return good;
}

/* Every place that a checksum could be written to. */
START_TEST(checksums)
{
	static const uint8_t protos[] = {IP_TCP, IP_UDP, IP_SCTP, IP_ESP};

	for (unsigned i = 0; i < 8; i++) {
		uint8_t family = i & 1 ? 4 : 6, proto = protos[i / 2];
		struct pkt p = packet(family, proto, 50);
		uint32_t own = proto == IP_TCP ? 16 : 6, header = proto == IP_TCP ? 20 : 8;
		for (uint32_t start = 0; start < p.len + 60; start++)
			for (uint32_t offset = 0; offset < 30; offset++) {
				uint32_t field = start + offset - p.l4_off;
				bool inside = start >= p.l4_off && start + offset + 2 <= p.len;
				bool want = proto == IP_TCP || proto == IP_UDP ? inside && (field == own || (start > p.l4_off && field >= header))
									     : inside && field >= 4;
				if (partial(p, start, offset) != want)
					ck_abort_msg("%u: %u + %u", proto, start, offset);
			}
		ck_assert(!partial(p, UINT16_MAX, UINT16_MAX));
		p.fragment = true;
		ck_assert(!partial(p, p.l4_off, own));
	}
}
END_TEST

static uint16_t super(struct pkt p, unsigned type, uint16_t size)
{
	uint32_t payload = p.len - p.l4_off - (p.proto == IP_TCP ? (bytes[p.l4_off + 12] >> 4) * 4u : 8u);

	p.gso_type = (uint16_t)type;
	p.gso_size = size;
	ck_assert(cut_sound(&p) == !p.drop);
	if (!p.drop) {
		ck_assert_uint_eq(p.gso_size, payload > size ? size : 0);
		ck_assert_uint_eq(p.gso_type, payload > size ? type : 0);
	}
	return p.drop;
}

START_TEST(super_packets)
{
	static const unsigned types[] = {PKT_GSO_TCP4, PKT_GSO_TCP6, PKT_GSO_UDP_L4, PKT_GSO_UDP, 2, 7};

	for (unsigned i = 0; i < 6; i++) {
		uint8_t family = i & 1 ? 4 : 6, proto = i / 2 == 0 ? IP_TCP : i / 2 == 1 ? IP_UDP : IP_SCTP;
		struct pkt p = packet(family, proto, 0);
		for (unsigned t = 0; t < 6; t++) {
			unsigned fits = proto == IP_TCP ? (family == 4 ? PKT_GSO_TCP4 : PKT_GSO_TCP6) : proto == IP_UDP ? PKT_GSO_UDP_L4 : 0;
			ck_assert_uint_eq(super(p, types[t], 50), types[t] == fits ? 0 : DROP_IP_SEGMENT);
		}
	}
	struct pkt p = packet(4, IP_TCP, 0);
	ck_assert_uint_eq(super(p, PKT_GSO_TCP4 | PKT_GSO_ECN, 50), 0);
	bytes[IP4_HEADER + 12] = 0x40; /* header shorter than it is */
	ck_assert_uint_eq(super(p, PKT_GSO_TCP4, 50), DROP_IP_SEGMENT);
	bytes[IP4_HEADER + 12] = 0xf0; /* 60 bytes: 40 are left */
	ck_assert_uint_eq(super(p, PKT_GSO_TCP4, 50), 0);
	p.len = IP4_HEADER + 60; /* nothing to cut */
	ck_assert_uint_eq(super(p, PKT_GSO_TCP4, 50), 0);
	p.len--; /* not even the header */
	ck_assert_uint_eq(super(p, PKT_GSO_TCP4, 50), DROP_IP_SEGMENT);
	p = packet(4, IP_UDP, 0);
	p.len = IP4_HEADER + 8;
	ck_assert_uint_eq(super(p, PKT_GSO_UDP_L4, 50), 0);
	p = packet(4, IP_UDP, 0);
	for (unsigned size = PAYLOAD - 8 - 2; size <= PAYLOAD - 8 + 2; size++)
		ck_assert_uint_eq(super(p, PKT_GSO_UDP_L4, (uint16_t)size), 0);
	ck_assert_uint_eq(super(p, PKT_GSO_UDP_L4, UINT16_MAX), 0);
	p = packet(4, IP_UDP, 0);
	p.fragment = true;
	ck_assert_uint_eq(super(p, PKT_GSO_UDP_L4, 50), DROP_IP_SEGMENT);
}
END_TEST

/* A host that leaves it to its NIC: nobody behind us would know that it is no sum. */
START_TEST(sctp)
{
	for (unsigned i = 0; i < 2; i++) {
		struct pkt p = packet(i ? 4 : 6, IP_SCTP, 0);
		uint8_t *l4 = bytes + p.l4_off;
		memset(l4 + 8, 0, 4);
		uint32_t crc = csum_sctp(l4, PAYLOAD), was = 0;
		memset(l4 + 8, 0x77, 4);
		p.csum_partial = true;
		p.csum_start = p.l4_off;
		p.csum_offset = 8;
		ck_assert(cut_sound(&p) && !p.csum_partial);
		for (unsigned k = 0; k < 4; k++)
			was |= (uint32_t)l4[8 + k] << 8 * k;
		ck_assert_uint_eq(was, crc);
	}
	struct pkt p = packet(4, IP_SCTP, 0); /* shorter than a header: as any other protocol */
	p.len = IP4_HEADER + 11;
	p.csum_partial = true;
	p.csum_start = p.l4_off;
	p.csum_offset = 8;
	ck_assert(cut_sound(&p) && p.csum_partial);
}
END_TEST

/* What is lost counts as what it would have been on a wire, parsed or not. */
START_TEST(how_many_packets)
{
	for (unsigned i = 0; i < 4; i++) {
		uint8_t family = i & 1 ? 4 : 6, proto = i & 2 ? IP_TCP : IP_UDP;
		struct pkt p = packet(family, proto, 0);
		uint32_t payload = PAYLOAD - (proto == IP_TCP ? 20 : 8);
		ck_assert_uint_eq(cut_packets(&p), 1);
		p.gso_type = proto == IP_UDP ? PKT_GSO_UDP_L4 : family == 4 ? PKT_GSO_TCP4 : PKT_GSO_TCP6;
		for (p.gso_size = 8; p.gso_size < 200; p.gso_size++)
			ck_assert_uint_eq(cut_packets(&p), (payload + p.gso_size - 1) / p.gso_size);
		struct pkt raw = {.buf = bytes, .size = sizeof(bytes), .len = 100, .gso_size = 30, .gso_type = p.gso_type};
		ck_assert_uint_eq(cut_packets(&raw), 4);
		raw.len = 0;
		ck_assert_uint_eq(cut_packets(&raw), 1);
	}
}
END_TEST

static struct pkt *pieces[16];
static unsigned n_pieces;

static void keep(void *arg, struct pkt *piece)
{
	(void)arg;
	pieces[n_pieces++] = piece;
}

/* Buffers run out on the way: what was made goes on, and the rest is what is lost. */
START_TEST(the_rest_that_was_not_made)
{
	struct pkt p = packet(4, IP_UDP, 0);

	p.gso_type = PKT_GSO_UDP_L4;
	p.gso_size = 10; /* ten packets of 92 bytes, the last of two */
	for (unsigned room = 0; room < 12; room++) {
		struct pkt_pool *pool = pkt_pool_new(12, 1);
		struct pkt *taken[12], q = p;
		for (unsigned i = room; i < 12; i++)
			taken[i] = pkt_alloc(pool);
		n_pieces = 0;
		ck_assert(cut_segments(pool, &q, keep, NULL) == (room >= 10));
		ck_assert_uint_eq(n_pieces, room < 10 ? room : 10);
		if (room < 10) {
			ck_assert_uint_eq(q.drop, DROP_IP_FRAG_ROOM);
			ck_assert_uint_eq(cut_packets(&q), 10 - room);
		}
		for (unsigned i = 0; i < n_pieces; i++)
			pkt_free(pool, pieces[i]);
		for (unsigned i = room; i < 12; i++)
			pkt_free(pool, taken[i]);
		pkt_pool_free(pool);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("cut");
	TCase *t = tcase_create("cut");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, checksums);
	tcase_add_test(t, super_packets);
	tcase_add_test(t, sctp);
	tcase_add_test(t, how_many_packets);
	tcase_add_test(t, the_rest_that_was_not_made);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
