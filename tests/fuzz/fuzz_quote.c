/* ICMP errors by strangers, as the filters and the path MTU of tunnels read them. Byte 0 of the input: bit 0 IPv6, bit 1 checksums are made
 * right first, bit 2 source, destination and SPI of the returned packet are made those of a tunnel of ours; the rest is what
 * follows the header of the error. What is read lies in the packet, and both readers agree. */
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/ip/quote.h"
#include "daemons/stack-core/ipsec/pmtu.h"
#include "daemons/stack-core/ipsec/sadb.h"
#include <stdlib.h>
#include <string.h>
#include <urcu-qsbr.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TUNNELS = 4, SPI = 0x1234, MAX = 2000 };

static const struct addr us[2] = {{4, {192, 0, 2, 1}}, {6, {0x20, 1, [15] = 1}}}, peer[2] = {{4, {192, 0, 2, 2}}, {6, {0x20, 1, [15] = 2}}},
			 router[2] = {{4, {192, 0, 2, 7}}, {6, {0x20, 1, [15] = 7}}};
static struct sadb *db;
static struct tunnel *tunnels[TUNNELS];
static uint64_t now_ms = 1000000;

static void demand(bool good)
{
	if (!good)
		abort();
}

/* Of either family, bare and in UDP. */
static void make(void)
{
	rcu_register_thread();
	db = sadb_new(1);
	for (unsigned i = 0; i < TUNNELS; i++) {
		struct errbuf e;
		struct sa *in, *out;
		struct sa_params p = {.proto = SA_ESP, .mode = SA_TUNNEL, .spi = SPI + i, .cipher = CIPHER_AES_GCM, .key_len = 20, .replay = 64,
			.src = us[i & 1], .dst = peer[i & 1], .udp = i & 2, .sport = 4500, .dport = 4500}, q = p;
		char name[2] = {(char)('a' + i), 0};
		p.key[0] = (uint8_t)(i + 1);
		q.key[0] = (uint8_t)(i + 99);
		q.src = p.dst;
		q.dst = p.src;
		demand(!sa_new(&q, true, 1, &e, &in) && !sa_new(&p, false, 1, &e, &out) && !sadb_add(db, 'M', name, in, out, true, &e, &tunnels[i]));
	}
}

static void ours(uint8_t *q, uint32_t len, unsigned v6)
{
	uint32_t at = v6 ? 8 : 12, each = v6 ? 16 : 4;

	if (len < at + 2 * each + 12)
		return;
	memcpy(q + at, us[v6].b, each);
	memcpy(q + at + each, peer[v6].b, each);
	ip_put32(q + at + 2 * each + (q[v6 ? 6 : 9] == IP_UDP ? 8 : 0), SPI + v6 + (q[v6 ? 6 : 9] == IP_UDP ? 2 : 0));
}

static void read_it(const struct pkt *p)
{
	struct quote q;
	struct pkt r;
	bool read = quote_read(p, &q), reversed = quote_reversed(p, &r);

	demand(read || !reversed);
	if (read) {
		demand(q.l4 >= pkt_data(p) + p->l4_off + 8 && q.l4 + q.left == pkt_data(p) + p->len);
		demand(q.src.family == p->family && q.dst.family == p->family && (p->family == 4 || q.df));
	}
	if (reversed)
		demand(r.proto == q.proto && r.fragment == q.fragment && addr_equal(&r.src, &q.dst) && addr_equal(&r.dst, &p->dst));
}

static void learn(const struct pkt *p)
{
	uint32_t before[TUNNELS], least = p->family == 4 ? PMTU_LEAST4 : PMTU_LEAST6;
	enum pmtu_heard heard;

	for (unsigned i = 0; i < TUNNELS; i++)
		before[i] = pmtu_known(tunnels[i], now_ms);
	heard = pmtu_hear(db, p, now_ms);
	for (unsigned i = 0; i < TUNNELS; i++) {
		uint32_t after = pmtu_known(tunnels[i], now_ms);
		if (after != before[i])
			demand(heard == PMTU_LEARNT && after >= least && (!before[i] || after < before[i]));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned v6 = size ? data[0] & 1 : 0;
	uint32_t header = v6 ? IP6_HEADER : IP4_HEADER, len = size ? (uint32_t)size - 1 : 0;

	if (!db)
		make();
	if (!size || len > MAX)
		return 0;
	uint8_t *b = malloc(header + len);
	demand(b != NULL);
	if (v6)
		ip6_write(b, &router[1], &us[1], IP_ICMP6, 64, 0, len);
	else
		ip4_write(b, &router[0], &us[0], IPPROTO_IP_ICMP, 64, 0, header + len, 0, false);
	memcpy(b + header, data + 1, len);
	if ((data[0] & 4) && len > 8)
		ours(b + header + 8, len - 8, v6);
	if ((data[0] & 2) && len >= 4) {
		memset(b + header + 2, 0, 2);
		uint16_t sum = csum_fold(csum_add(v6 ? csum_pseudo(&router[1], &us[1], IP_ICMP6, len) : 0, b + header, len));
		memcpy(b + header + 2, &sum, 2);
	}
	struct pkt p = {.buf = b, .size = header + len, .len = header + len};
	now_ms += PMTU_CHANGE_MS;
	if (ip_parse(&p) && quote_is_error(&p)) {
		read_it(&p);
		learn(&p);
	}
	free(b);
	return 0;
}
