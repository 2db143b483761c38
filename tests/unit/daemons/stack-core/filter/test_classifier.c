/* The classifier against a linear matcher that was written from zos.md alone: a million random
 * packets over random rule sets of none to 4000 rules, whose values come from small pools, so that rules
 * overlap and packets hit. Between packets defences come and go and the policy is replaced in part. Each
 * packet is asked thrice: past the flow cache, through it, and again, when the cache must have it; and a
 * third of the packets are of a flow that was seen before, often before a change, so that a cache which
 * outlives what it was made of is found out. */
#include "tests/unit/daemons/stack-core/filter/support.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { PART = 10 }; /* of the packets: each costs many times as much, and what sanitizers see repeats itself */
#else
enum { PART = 1 };
#endif
enum { MAX = 4000, FLOWS = 1024, CHANGE_DEFENCE = 16, CHANGE_POLICY = 2500 };

static uint32_t seed = 12345;
static uint32_t rnd(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static struct addr rnd_addr(uint8_t family)
{
	struct addr a = {.family = family};
	if (family == 4) {
		a.b[0] = 10;
		a.b[1] = (uint8_t)rnd(2);
		a.b[2] = (uint8_t)rnd(3);
		a.b[3] = (uint8_t)rnd(8);
		return a;
	}
	a.b[0] = 0x20;
	a.b[5] = (uint8_t)rnd(2);
	a.b[7] = (uint8_t)rnd(3);
	a.b[9] = (uint8_t)rnd(2);
	a.b[15] = (uint8_t)rnd(8);
	return a;
}

static void rnd_side(uint8_t family, struct addr *lo, struct addr *hi)
{
	static const uint8_t len4[] = {0, 8, 15, 16, 23, 24, 26, 29, 30, 31, 32, 32},
			     len6[] = {0, 16, 45, 48, 60, 64, 72, 80, 121, 126, 127, 128};
	if (!rnd(5)) { /* a range */
		struct addr a = rnd_addr(family), b = rnd_addr(family);
		bool swap = memcmp(a.b, b.b, 16) > 0;
		*lo = swap ? b : a;
		*hi = swap ? a : b;
		return;
	}
	unsigned len = (family == 4 ? len4 : len6)[rnd(12)];
	*lo = *hi = rnd_addr(family);
	for (unsigned bit = len; bit < (family == 4 ? 32u : 128u); bit++) {
		lo->b[bit / 8] = (uint8_t)(lo->b[bit / 8] & ~(0x80u >> bit % 8));
		hi->b[bit / 8] = (uint8_t)(hi->b[bit / 8] | 0x80u >> bit % 8);
	}
}

static uint16_t rnd_port(void)
{
	static const uint16_t pool[] = {
		0, 1, 8, 53, 80, 255, 256, 257, 511, 512, 1024, 40000, 65535};
	return pool[rnd(13)];
}

static struct filter_range rnd_range(uint16_t max)
{
	uint16_t a = (uint16_t)(rnd_port() % (max + 1u)), b = (uint16_t)(rnd_port() % (max + 1u));
	switch (rnd(3)) {
	case 0:
		return (struct filter_range){0, UINT16_MAX};
	case 1:
		return (struct filter_range){a, a};
	default:
		return a < b ? (struct filter_range){a, b} : (struct filter_range){b, a};
	}
}

/* ICMP and ICMPv6 have a type and a code where others have ports. */
static bool typed(unsigned proto)
{
	return proto == 1 || proto == 58;
}

static struct filter_spec rnd_filter(uint64_t id)
{
	static const uint16_t protos[] = {FILTER_PROTO_ANY, 6, 58, 17, 1, 50};
	struct filter_spec s;
	uint8_t family = rnd(2) ? 4 : 6;
	filter_spec_init(&s, family, rnd(2));
	s.id = id;
	(void)snprintf(s.name, sizeof(s.name), "F%u", (unsigned)id);
	rnd_side(family, &s.src_lo, &s.src_hi);
	rnd_side(family, &s.dst_lo, &s.dst_hi);
	s.proto = protos[rnd(6)];
	s.scope = (uint8_t)(1 + rnd(3));
	s.secclass = (uint8_t)(rnd(4) ? 0 : rnd(3));
	s.fragments_only = !rnd(8);
	if (s.proto == 6 || s.proto == 17 || typed(s.proto)) {
		s.a = rnd_range(typed(s.proto) ? 255 : 65535);
		s.b = rnd_range(typed(s.proto) ? 255 : 65535);
	} else {
		s.opaque = !rnd(6);
	}
	return s;
}

static struct pkt rnd_packet(void)
{
	static const uint8_t protos[] = {6, 17, 1, 50, 47, 58};
	uint8_t family = rnd(2) ? 4 : 6;
	struct pkt p = {.family = family,
		.src = rnd_addr(family),
		.dst = rnd_addr(family),
		.proto = protos[rnd(6)],
		.inbound = rnd(2),
		.scope = rnd(2) ? PKT_LOCAL : PKT_ROUTED,
		.secclass = (uint8_t)rnd(4),
		.fragment = !rnd(6)};
	p.opaque = (p.fragment && rnd(2)) || p.proto == 50;
	p.told = p.fragment && p.opaque && p.proto != 50 && rnd(2); /* its first fragment told */
	if (typed(p.proto) && !pkt_hidden(&p)) {
		p.icmp_type = (uint8_t)rnd_port();
		p.icmp_code = (uint8_t)rnd_port();
	} else if (p.proto != 47 && !pkt_hidden(&p)) {
		p.sport = rnd_port();
		p.dport = rnd_port();
	}
	return p;
}

/* The reference. */
static bool naive(const struct filter_spec *s, const struct pkt *p)
{
	if (s->family != p->family || s->inbound != p->inbound || !(s->scope & p->scope))
		return false;
	if (s->secclass && s->secclass != p->secclass)
		return false;
	bool hidden = p->opaque && !p->told;
	if ((s->fragments_only && !p->fragment) || (s->opaque && !hidden))
		return false;
	if (s->proto != FILTER_PROTO_ANY && s->proto != p->proto)
		return false;
	unsigned max = typed(s->proto) ? 255 : 65535, a = typed(s->proto) ? p->icmp_type : p->sport,
		 b = typed(s->proto) ? p->icmp_code : p->dport;
	bool any = !s->a.lo && s->a.hi >= max && !s->b.lo && s->b.hi >= max;
	if (!any && (hidden || a < s->a.lo || a > s->a.hi || b < s->b.lo || b > s->b.hi))
		return false;
	return memcmp(p->src.b, s->src_lo.b, 16) >= 0 && memcmp(p->src.b, s->src_hi.b, 16) <= 0 &&
	       memcmp(p->dst.b, s->dst_lo.b, 16) >= 0 && memcmp(p->dst.b, s->dst_hi.b, 16) <= 0;
}

static struct filter_spec policy[MAX], defence[MAX]; /* defences oldest first; id 0: gone */
static unsigned n_policy, n_defence;

static void expect(const struct pkt *p, const char **rule, const char **simulated)
{
	*rule = "SYSDEFAULTDENYRULE";
	*simulated = "-";
	for (unsigned i = n_defence; i-- > 0;) {
		if (!defence[i].id || !naive(&defence[i], p))
			continue;
		if (defence[i].action == FILTER_DENY) {
			*rule = defence[i].name;
			return;
		}
		if (!strcmp(*simulated, "-"))
			*simulated = defence[i].name;
	}
	for (unsigned i = 0; i < n_policy; i++)
		if (naive(&policy[i], p)) {
			*rule = policy[i].name;
			return;
		}
}

static void change_defences(struct filter_set *fs)
{
	unsigned at = rnd(n_defence);
	if (defence[at].id && rnd(2)) {
		ck_assert_int_eq(
			filter_defend(fs,
				&(struct filter_defend){.remove = &defence[at].id, .n_remove = 1},
				1, NULL),
			0);
		defence[at].id = 0;
		return;
	}
	if (!defence[at].id)
		return;
	uint8_t action = rnd(2) ? FILTER_DENY : FILTER_SIMULATE;
	uint64_t id = defence[at].id;
	defence[at] = rnd_filter(id); /* replaced in its place */
	defence[at].action = action;
	ck_assert_int_eq(defend_one(fs, &defence[at], 1), 0);
}

/* Some rules are others, the rest stay what and where they are. */
static void change_policy(struct filter_set *fs, unsigned one_in)
{
	for (unsigned i = 0; i < n_policy; i++) {
		if (rnd(one_in))
			continue;
		policy[i] = rnd_filter(100000 + i);
		policy[i].action = rnd(2) ? FILTER_DENY : FILTER_PERMIT;
	}
	ck_assert_int_eq(
		filter_install(fs, FILTER_POLICY,
			&(struct filter_install){.rules = policy, .n = n_policy, .loaded = true},
			NULL),
		0);
}

static struct pkt flows[FLOWS];
static unsigned n_flows;

static struct pkt next_packet(void)
{
	if (n_flows == FLOWS && !rnd(3))
		return flows[rnd(FLOWS)];
	struct pkt p = rnd_packet();
	if (n_flows < FLOWS)
		flows[n_flows++] = p;
	else
		flows[rnd(FLOWS)] = p;
	return p;
}

static void compare(struct filter_worker *plain, struct filter_worker *cached, struct pkt p)
{
	const char *rule, *simulated;

	expect(&p, &rule, &simulated);
	for (unsigned k = 0; k < 3; k++) {
		struct filter_verdict v = decide(k ? cached : plain, p);
		if (strcmp(name_of(v.rule), rule) || strcmp(name_of(v.simulated), simulated) ||
			(k == 2 && !v.cached))
			ck_abort_msg("asked for the %u. time, of %u rules: %s, simulated %s; expected %s, %s",
				k, n_policy, name_of(v.rule), name_of(v.simulated), rule, simulated);
	}
}

/* How many of the packets the flow cache knew when it was asked for the first time. */
static uint64_t round_of(unsigned rules, unsigned packets)
{
	struct filter_set *fs = filter_set_new();
	struct filter_worker *plain = filter_worker_new(fs, 0),
			     *cached = filter_worker_new(fs, 4096);
	struct filter_worker_stats stats;

	filter_worker_now(plain, 5);
	filter_worker_now(cached, 5);
	n_flows = 0;
	n_policy = rules;
	n_defence = 1 + rules / 4;
	change_policy(fs, 1);
	for (unsigned i = 0; i < n_defence; i++) {
		defence[i] = rnd_filter(1 + i);
		defence[i].action = rnd(2) ? FILTER_DENY : FILTER_SIMULATE;
	}
	ck_assert_int_eq(
		filter_defend(
			fs, &(struct filter_defend){.add = defence, .n_add = n_defence}, 1, NULL),
		0);
	for (unsigned i = 0; i < packets; i++) {
		if (i % CHANGE_DEFENCE == 0)
			change_defences(fs);
		if (i % CHANGE_POLICY == CHANGE_POLICY - 1)
			change_policy(fs, 8);
		compare(plain, cached, next_packet());
		urcu_qsbr_quiescent_state();
	}
	filter_worker_stats(cached, &stats);
	filter_set_free(fs);
	return stats.hits - packets;
}

START_TEST(agrees_with_the_linear_matcher)
{
	static const struct {
		unsigned rules, packets, rounds;
	} sizes[] = {{0, 2500, 8}, {1, 10000, 4}, {2, 10000, 8}, {5, 15000, 8}, {10, 20000, 10}, {20, 20000, 8}, {40, 20000, 8},
		{100, 10000, 8}, {300, 10000, 4}, {600, 10000, 4}, {1500, 10000, 4}, {4000, 20000, 1}};
	uint64_t packets = 0, known = 0;

	urcu_qsbr_register_thread();
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (unsigned k = 0; k < sizes[i].rounds; k++) {
			known += round_of(sizes[i].rules, sizes[i].packets / PART);
			packets += sizes[i].packets / PART;
		}
	urcu_qsbr_unregister_thread();
	ck_assert_msg(packets * PART >= 1000000, "%llu packets", (unsigned long long)packets);
	/* Or the cache forgot everything at each change, and was not tried. */
	ck_assert_msg(known > packets / 20, "%llu of %llu were known", (unsigned long long)known, (unsigned long long)packets);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("classifier");
	TCase *t = tcase_create("differential");
	tcase_set_timeout(t, 110);
	tcase_add_test(t, agrees_with_the_linear_matcher);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
