/* session: who opens connections, for scan events and against SYN floods.
 *
 * Three tables, shared by the workers and without locks, remember little of much: openings of the last minute (half, a word a flow),
 * sources that have proved to be where they say (known), and datagrams that went out (sent), so that answers to them are no probes.
 * A newer entry overwrites an older one in its place: memory does not grow, and what a flood overwrites is only forgotten.
 *
 * SYN floods. A port is under attack when over FLOOD_OPEN of the SYNs of the last seconds led to nothing and those are most of them.
 * Then a SYN passes only from a known source. Another one is answered, without any state, with a SYN-ACK whose acknowledgment number is a
 * cookie instead of the one expected: a real client answers that with a reset that carries the cookie as its sequence number (RFC 9293
 * section 3.10.7.3) and goes on opening; it is known from then on and its next SYN (Linux sends it at once, others within a second) passes.
 * Why not SYN cookies: a stack that forwards would have to translate sequence numbers of every connection until its end, and would lose them
 * all when it restarts. Why not random early drop alone: at a million spoofed SYNs a second what is left for a real client is nothing.
 * A source that has completed a connection in the last minutes is known without being asked. */
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ids/regulate.h"
#include "daemons/stack-core/ip/parse.h"
#include "lib/base/xalloc.h"

enum { HALF_LIFE_S = 64, KNOWN_MINUTES = 10, SENT_S = 60, COOKIE_S = 64, PERIOD_S = 2, FLOOD_OPEN = 256, FLOOD_STAYS_S = 10, PORT_FRESH_S = 16 };

void session_init(struct ids *ids)
{
	ids->half = xcalloc(1u << HALF_BITS, sizeof(*ids->half));
	ids->known = xcalloc(1u << KNOWN_BITS, sizeof(*ids->known));
	ids->sent = xcalloc(1u << SENT_BITS, sizeof(*ids->sent));
	ids->port_s = xcalloc(65536, sizeof(*ids->port_s));
	ids->listeners = xcheck(aligned_alloc(64, LISTENERS * sizeof(*ids->listeners)));
	memset(ids->listeners, 0, LISTENERS * sizeof(*ids->listeners));
	hash_key_init(&ids->cookie_key);
}

void session_fini(struct ids *ids)
{
	free(ids->half);
	free(ids->known);
	free(ids->sent);
	free(ids->port_s);
	free(ids->listeners);
}

static uint64_t hash_of(const struct hash_key *key, const struct addr *a, uint16_t aport, const struct addr *b, uint16_t bport)
{
	uint64_t w[HASH_WORDS] = {0};
	memcpy(w, a->b, 16);
	memcpy(w + 2, b->b, 16);
	w[4] = (uint64_t)aport << 32 | (uint64_t)bport << 8 | a->family;
	return hash_words(key, w, HASH_WORDS);
}

uint64_t session_hash(const struct ids *ids, const struct addr *a, uint16_t aport, const struct addr *b, uint16_t bport)
{
	return hash_of(&ids->key, a, aport, b, bport);
}

/* A word: 46 bits of the hash, 2 of state, 16 of the second. */
static uint64_t word_of(uint64_t hash, unsigned state, uint32_t now_s)
{
	return hash >> 18 << 18 | (uint64_t)state << 16 | (now_s & 0xffff);
}

static uint32_t now_s(const struct ids_worker *w)
{
	return (uint32_t)(w->now_ms / 1000);
}

static _Atomic uint64_t *half_at(struct ids *ids, uint64_t hash)
{
	return &ids->half[hash & ((1u << HALF_BITS) - 1)];
}

static void half_put(struct ids_worker *w, uint64_t hash, enum half_state state)
{
	atomic_store_explicit(half_at(w->ids, hash), word_of(hash, state, now_s(w)), memory_order_relaxed);
}

static enum half_state half_find(struct ids_worker *w, uint64_t hash)
{
	uint64_t v = atomic_load_explicit(half_at(w->ids, hash), memory_order_relaxed);
	if (v >> 18 != hash >> 18)
		return HALF_NONE;
	enum half_state state = (enum half_state)(v >> 16 & 3);
	uint16_t age = (uint16_t)(now_s(w) - (uint32_t)(v & 0xffff));
	return state != HALF_DONE && age > HALF_LIFE_S ? HALF_NONE : state;
}

/* --- sources that are real --- */

static uint64_t source_hash(const struct ids *ids, const struct addr *a)
{
	return hash_of(&ids->key, a, 0, a, 1);
}

static void known_put(struct ids_worker *w, const struct addr *a)
{
	uint64_t h = source_hash(w->ids, a);
	atomic_store_explicit(&w->ids->known[h & ((1u << KNOWN_BITS) - 1)], word_of(h, 1, now_s(w) / 60), memory_order_relaxed);
}

static bool known(struct ids_worker *w, const struct addr *a)
{
	uint64_t h = source_hash(w->ids, a), v = atomic_load_explicit(&w->ids->known[h & ((1u << KNOWN_BITS) - 1)], memory_order_relaxed);
	return v >> 18 == h >> 18 && (v >> 16 & 3) == 1 && (uint16_t)(now_s(w) / 60 - (uint32_t)(v & 0xffff)) <= KNOWN_MINUTES;
}

/* --- ports that are attacked --- */

static struct listener *listener_of(struct ids_worker *w, const struct addr *dst, uint16_t port)
{
	uint64_t tag = hash_of(&w->ids->key, dst, port, dst, port) | 1;
	struct listener *set = &w->ids->listeners[(tag >> 8) % (LISTENERS / LISTENER_WAYS) * LISTENER_WAYS], *oldest = set;
	for (unsigned i = 0; i < LISTENER_WAYS; i++) {
		if (atomic_load_explicit(&set[i].tag, memory_order_relaxed) == tag)
			return &set[i];
		if (atomic_load_explicit(&set[i].period, memory_order_relaxed) < atomic_load_explicit(&oldest->period, memory_order_relaxed) &&
			!atomic_load_explicit(&set[i].until_s, memory_order_relaxed))
			oldest = &set[i];
	}
	if (atomic_load_explicit(&oldest->until_s, memory_order_relaxed))
		return NULL; /* all four are under attack: this one waits */
	oldest->addr = *dst;
	oldest->port = port;
	atomic_store_explicit(&oldest->syn, 0, memory_order_relaxed);
	atomic_store_explicit(&oldest->done, 0, memory_order_relaxed);
	atomic_store_explicit(&oldest->dropped, 0, memory_order_relaxed);
	atomic_store_explicit(&oldest->period, now_s(w) / PERIOD_S, memory_order_relaxed);
	atomic_store_explicit(&oldest->tag, tag, memory_order_release);
	return oldest;
}

/* What happened is half as much every two seconds. */
static void decay(struct listener *l, uint32_t period)
{
	uint32_t was = atomic_load_explicit(&l->period, memory_order_relaxed), by = period - was;
	if (!by || !atomic_compare_exchange_strong_explicit(&l->period, &was, period, memory_order_relaxed, memory_order_relaxed))
		return;
	by = by > 31 ? 31 : by;
	atomic_store_explicit(&l->syn, atomic_load_explicit(&l->syn, memory_order_relaxed) >> by, memory_order_relaxed);
	atomic_store_explicit(&l->done, atomic_load_explicit(&l->done, memory_order_relaxed) >> by, memory_order_relaxed);
}

static void resolved(struct ids_worker *w, const struct addr *dst, uint16_t port)
{
	struct listener *l = listener_of(w, dst, port);
	if (l)
		atomic_fetch_add_explicit(&l->done, 1, memory_order_relaxed);
}

/* One more SYN; true: the port is under attack. */
static bool attacked(struct ids_worker *w, const struct pkt *p, struct listener *l)
{
	decay(l, now_s(w) / PERIOD_S);
	uint32_t syn = atomic_fetch_add_explicit(&l->syn, 1, memory_order_relaxed) + 1, done = atomic_load_explicit(&l->done, memory_order_relaxed);
	uint32_t until = atomic_load_explicit(&l->until_s, memory_order_relaxed);
	if (syn > done && syn - done > FLOOD_OPEN && syn / 2 > done) {
		atomic_store_explicit(&l->until_s, now_s(w) + FLOOD_STAYS_S, memory_order_relaxed);
		atomic_store_explicit(&w->ids->defended_s, now_s(w), memory_order_relaxed);
		if (!until)
			attack_flood_began(w, p);
		return true;
	}
	return until > now_s(w);
}

static uint32_t cookie(const struct ids_worker *w, const struct pkt *p, uint32_t epoch)
{
	uint64_t h = hash_of(&w->ids->cookie_key, &p->src, p->sport, &p->dst, p->dport);
	uint64_t words[2] = {h, epoch};
	return (uint32_t)(hash_words(&w->ids->cookie_key, words, 2) >> 16);
}

static bool challenge(struct ids_worker *w, struct pkt *p, struct listener *l, struct ids_answer *ret)
{
	atomic_fetch_add_explicit(&l->dropped, 1, memory_order_relaxed);
	uint32_t c = cookie(w, p, now_s(w) / COOKIE_S);
	*ret = (struct ids_answer){true, TCP_SYN | TCP_ACK, c ^ 0x5a5a5a5au, c};
	bump(&w->challenged);
	attack_flood(w, p);
	return false;
}

static bool proves(struct ids_worker *w, const struct pkt *p, uint32_t seq)
{
	uint32_t epoch = now_s(w) / COOKIE_S, last = atomic_load_explicit(&w->ids->defended_s, memory_order_relaxed);
	return last && now_s(w) - last <= COOKIE_S && (seq == cookie(w, p, epoch) || seq == cookie(w, p, epoch - 1));
}

/* --- segments --- */

static bool regulated(const struct ids_worker *w, uint16_t port)
{
	return w->policy && w->policy->tr_tcp && ids_port(&w->policy->tr_ports, port);
}

static bool syn_in(struct ids_worker *w, struct pkt *p, bool home, struct ids_answer *ret)
{
	struct listener *l = listener_of(w, &p->dst, p->dport);
	if (l && attacked(w, p, l) && !p->sa_in && !known(w, &p->src))
		return challenge(w, p, l, ret);
	if (home && regulated(w, p->dport) && !tr_open(w, p, ret)) {
		resolved(w, &p->dst, p->dport);
		return false;
	}
	half_put(w, session_hash(w->ids, &p->src, p->sport, &p->dst, p->dport), HALF_OPENED);
	atomic_store_explicit(&w->ids->port_s[p->dport], (uint16_t)now_s(w) | 1, memory_order_relaxed);
	return true;
}

/* The server's part, seen on its way out or through: @trusted when it is this host's. */
static void reply(struct ids_worker *w, const struct pkt *p, uint8_t flags, bool trusted)
{
	uint64_t h = session_hash(w->ids, &p->dst, p->dport, &p->src, p->sport);
	enum half_state state = half_find(w, h);
	if (!(flags & TCP_RST)) {
		if (state == HALF_OPENED)
			half_put(w, h, HALF_ANSWERED);
		return;
	}
	if (state == HALF_OPENED) {
		half_put(w, h, HALF_DONE);
		resolved(w, &p->src, p->sport);
		probe_back(w, p, p->sport < 1024 ? IDS_VERY : IDS_POSSIBLY, IDS_PROBE_SCAN_CLOSED);
	} else if (state == HALF_NONE && trusted && !(flags & TCP_ACK)) {
		probe_back(w, p, IDS_POSSIBLY, IDS_PROBE_SCAN_STRAY);
	}
}

static bool rst_in(struct ids_worker *w, struct pkt *p, const uint8_t *l4, uint8_t flags)
{
	uint64_t h = session_hash(w->ids, &p->src, p->sport, &p->dst, p->dport);
	if (!(flags & TCP_ACK) && proves(w, p, ip_get32(l4 + 4))) {
		known_put(w, &p->src);
		bump(&w->proven);
		p->drop = DROP_IDS_ANSWER;
		return false;
	}
	if (half_find(w, h) == HALF_ANSWERED) {
		half_put(w, h, HALF_DONE);
		resolved(w, &p->dst, p->dport);
		probe_event(w, p, IDS_TCP, IDS_POSSIBLY, IDS_PROBE_SCAN_RESET);
	} else {
		reply(w, p, flags, false);
	}
	return true;
}

static void ack_in(struct ids_worker *w, struct pkt *p)
{
	uint16_t fresh = atomic_load_explicit(&w->ids->port_s[p->dport], memory_order_relaxed);
	if (!fresh || (uint16_t)((uint16_t)now_s(w) - fresh + 1) > PORT_FRESH_S)
		return; /* nobody opens anything there: segments of connections are not looked up */
	uint64_t h = session_hash(w->ids, &p->src, p->sport, &p->dst, p->dport);
	if (half_find(w, h) != HALF_ANSWERED)
		return;
	half_put(w, h, HALF_DONE);
	resolved(w, &p->dst, p->dport);
	known_put(w, &p->src);
	probe_event(w, p, IDS_TCP, IDS_NORMAL, IDS_PROBE_SCAN_OPEN);
}

static void icmp_in(struct ids_worker *w, const struct pkt *p)
{
	bool group = p->l2_group || ip_is_multicast(&p->dst);
	uint8_t t = p->icmp_type;
	if (p->family == 4 ? t == 8 : t == 128)
		probe_event(w, p, IDS_ICMP, group ? IDS_VERY : IDS_NORMAL, IDS_PROBE_SCAN_ICMP);
	else if (p->family == 4 && (t == 13 || t == 15 || t == 17))
		probe_event(w, p, IDS_ICMP, group || t == 17 ? IDS_VERY : IDS_POSSIBLY, IDS_PROBE_SCAN_ICMP);
}

bool ids_session_in(struct ids_worker *w, struct pkt *p, bool home, struct ids_answer *ret)
{
	ret->send = false;
	if (p->opaque)
		return true;
	if (p->proto == IPPROTO_IP_ICMP || p->proto == IP_ICMP6) {
		if (home)
			icmp_in(w, p);
		return true;
	}
	if (p->proto == IP_UDP)
		return !home || !w->policy || !w->policy->tr_udp || tr_datagram(w, p);
	if (p->proto != IP_TCP)
		return true;
	const uint8_t *l4 = pkt_data(p) + p->l4_off;
	uint8_t flags = l4[13];
	if ((flags & (TCP_FIN | TCP_RST)) && regulated(w, p->dport))
		tr_close(w, &p->src, p->sport, &p->dst, p->dport, flags, true);
	if (!(flags & (TCP_SYN | TCP_ACK | TCP_RST)))
		probe_event(w, p, IDS_TCP, IDS_VERY, IDS_PROBE_SCAN_FLAGS);
	else if (flags & TCP_RST)
		return rst_in(w, p, l4, flags);
	else if ((flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		return syn_in(w, p, home, ret);
	else if (flags & TCP_SYN)
		reply(w, p, flags, false);
	else
		ack_in(w, p);
	return true;
}

/* --- datagrams that went out --- */

static _Atomic uint64_t *sent_at(struct ids *ids, uint64_t hash)
{
	return &ids->sent[hash & ((1u << SENT_BITS) - 1)];
}

bool session_sent(struct ids_worker *w, const struct addr *us, uint16_t port, const struct addr *peer, uint16_t pport)
{
	uint64_t h = session_hash(w->ids, us, port, peer, pport), v = atomic_load_explicit(sent_at(w->ids, h), memory_order_relaxed);
	return v >> 18 == h >> 18 && (uint16_t)(now_s(w) - (uint32_t)(v & 0xffff)) <= SENT_S;
}

void session_refused(struct ids_worker *w, const struct pkt *p)
{
	half_put(w, session_hash(w->ids, &p->src, p->sport, &p->dst, p->dport), HALF_DONE);
	resolved(w, &p->dst, p->dport);
}

void ids_session_out(struct ids_worker *w, struct pkt *p)
{
	if (p->opaque)
		return;
	if (p->proto == IP_TCP) {
		uint8_t flags = pkt_data(p)[p->l4_off + 13];
		if ((flags & TCP_RST) || (flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK))
			reply(w, p, flags, true);
		else if (flags & TCP_SYN) /* opened from here: what its server sends late is no probe */
			half_put(w, session_hash(w->ids, &p->dst, p->dport, &p->src, p->sport), HALF_DONE);
		if ((flags & (TCP_FIN | TCP_RST)) && regulated(w, p->sport))
			tr_close(w, &p->dst, p->dport, &p->src, p->sport, flags, false);
	} else if (!closed_looked_for(w)) {
		return;
	} else if (p->proto == IP_UDP) {
		uint64_t h = session_hash(w->ids, &p->src, p->sport, &p->dst, p->dport);
		atomic_store_explicit(sent_at(w->ids, h), word_of(h, 1, now_s(w)), memory_order_relaxed);
	} else {
		closed_told(w, p);
	}
}

void session_floods_end(struct ids *ids, uint32_t s, flood_end_fn fn, void *arg)
{
	for (unsigned i = 0; i < LISTENERS; i++) {
		struct listener *l = &ids->listeners[i];
		uint32_t until = atomic_load_explicit(&l->until_s, memory_order_relaxed);
		if (!until || until > s || !atomic_compare_exchange_strong(&l->until_s, &until, 0))
			continue;
		fn(arg, l);
		atomic_store_explicit(&l->dropped, 0, memory_order_relaxed);
	}
}

unsigned ids_floods(const struct ids *ids, struct ids_flood *ret, unsigned max)
{
	unsigned n = 0;
	for (unsigned i = 0; i < LISTENERS && n < max; i++) {
		const struct listener *l = &ids->listeners[i];
		if (atomic_load(&l->until_s))
			ret[n++] = (struct ids_flood){l->addr, l->port, atomic_load(&l->dropped)};
	}
	return n;
}
