/* pmtu: one word a tunnel, "until << 16 | MTU", so that a rekeyed tunnel keeps what its path is like, and what strangers can make
 * us remember is bounded by what we have tunnels. */
#include "daemons/stack-core/ipsec/pmtu.h"
#include "daemons/stack-core/ip/quote.h"
#include "daemons/stack-core/ipsec/iphdr.h"
#include "daemons/stack-core/ipsec/sadb.h"

enum { ICMP4 = 1, ICMP6 = 58, UDP = 17, NATT = 4500, ERROR_HEADER = 8, SPI_END = 8, UDP_SPI_END = 12 };

/* The protected packet that a message is about. */
struct returned {
	struct quote q;
	uint8_t proto; /* SA_ESP or SA_AH, also in UDP */
	bool udp;
	uint16_t sport, dport;
	uint32_t spi;
};

static bool is_too_big(const struct pkt *p)
{
	return !p->fragment && (p->family == 4 ? p->proto == ICMP4 && p->icmp_type == 3 && p->icmp_code == 4
					       : p->proto == ICMP6 && p->icmp_type == 2);
}

static bool checksum_good(const struct pkt *p, const uint8_t *m, uint32_t len)
{
	uint8_t pseudo[40] = {0};
	uint32_t sum = iphdr_sum(m, len);

	if (p->family == 6) {
		memcpy(pseudo, p->src.b, 16);
		memcpy(pseudo + 16, p->dst.b, 16);
		put32(pseudo + 32, len);
		pseudo[39] = ICMP6;
		sum += iphdr_sum(pseudo, sizeof(pseudo));
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum == 0xffff;
}

/* False: not ESP, AH or ESP in UDP. */
static bool read_returned(const struct pkt *p, struct returned *r)
{
	const uint8_t *l4;

	if (!quote_read(p, &r->q) || r->q.left < SPI_END)
		return false;
	l4 = r->q.l4;
	r->proto = r->q.proto;
	if (r->proto == SA_ESP || r->proto == SA_AH) {
		r->spi = get32(l4 + (r->proto == SA_AH ? 4 : 0));
		return true;
	}
	r->sport = get16(l4);
	r->dport = get16(l4 + 2);
	if (r->proto != UDP || r->q.left < UDP_SPI_END || (r->sport != NATT && r->dport != NATT))
		return false;
	r->udp = true;
	r->proto = SA_ESP;
	r->spi = get32(l4 + 8);
	return r->spi != 0; /* 0: IKE */
}

/* What a router would have said that only knows RFC 792: the next step of RFC 1191 section 7 below the packet's length. */
static uint32_t plateau(uint32_t total)
{
	static const uint32_t steps[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, PMTU_LEAST4};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (steps[i] < total)
			return steps[i];
	return 0;
}

/* 0: no router says that. */
static uint32_t plausible(uint8_t family, uint32_t said, const struct quote *q)
{
	if (family == 4 && !said)
		said = plateau(q->total);
	if (!q->df || said >= q->total)
		return 0;
	if (family == 6)
		return said < PMTU_LEAST6 ? PMTU_LEAST6 : said;
	return said < PMTU_LEAST4 ? 0 : said;
}

static struct sa *sa_of(struct sadb *db, const struct returned *r)
{
	struct sa *sa = sadb_outbound(db, &r->q.dst, r->proto, r->spi);

	if (!sa)
		return NULL;
	const struct sa_path *path = sa_outside(sa);
	if ((path->src.family && !addr_equal(&path->src, &r->q.src)) || path->udp != r->udp)
		return NULL;
	return r->udp && (path->sport != r->sport || path->dport != r->dport) ? NULL : sa;
}

static enum pmtu_heard learn(struct tunnel *t, uint32_t mtu, uint64_t now_ms)
{
	uint64_t old = atomic_load_explicit(&t->pmtu, memory_order_relaxed), until = old >> 16;
	uint32_t known = now_ms < until ? (uint32_t)(old & 0xffff) : 0;

	if (known && (mtu > known || now_ms + PMTU_MS < until + PMTU_CHANGE_MS))
		return PMTU_KNOWN;
	uint64_t word = (now_ms + PMTU_MS) << 16 | mtu;
	if (!atomic_compare_exchange_strong_explicit(&t->pmtu, &old, word, memory_order_relaxed, memory_order_relaxed))
		return PMTU_KNOWN; /* another worker was told at the same moment; the next packet will tell again */
	return mtu == known ? PMTU_KNOWN : PMTU_LEARNT;
}

enum pmtu_heard pmtu_hear(struct sadb *db, const struct pkt *p, uint64_t now_ms)
{
	const uint8_t *m = pkt_data(p) + p->l4_off;
	uint32_t len = p->len - p->l4_off;
	struct returned r = {0};

	if (!is_too_big(p) || len < ERROR_HEADER || !read_returned(p, &r))
		return PMTU_FOREIGN;
	struct sa *sa = sa_of(db, &r);
	if (!sa)
		return r.udp ? PMTU_FOREIGN : PMTU_STRANGER;
	uint32_t mtu = plausible(p->family, p->family == 4 ? get16(m + 6) : get32(m + 4), &r.q);
	if (!addr_equal(&p->dst, &r.q.src) || !mtu || !checksum_good(p, m, len))
		return PMTU_IMPLAUSIBLE;
	return learn(sa->tunnel, mtu, now_ms);
}

uint32_t pmtu_known(const struct tunnel *t, uint64_t now_ms)
{
	uint64_t word = atomic_load_explicit(&t->pmtu, memory_order_relaxed);

	return now_ms < word >> 16 ? (uint32_t)(word & 0xffff) : 0;
}

uint64_t pmtu_age_ms(const struct tunnel *t, uint64_t now_ms)
{
	uint64_t until = atomic_load_explicit(&t->pmtu, memory_order_relaxed) >> 16, told = until < PMTU_MS ? 0 : until - PMTU_MS;

	return now_ms < until && now_ms > told ? now_ms - told : 0;
}

uint32_t pmtu_limit(const struct tunnel *t, uint32_t mtu, uint64_t now_ms)
{
	uint32_t known = pmtu_known(t, now_ms);

	return known && known < mtu ? known : mtu;
}
