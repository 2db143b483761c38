/* What the tests of the filters share: packets and filters from text. */
#pragma once
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/filter/filter.h"
#include "tests/support/check_main.h"
#include <stdio.h>
#include <string.h>
#include <urcu/urcu-qsbr.h>

static inline struct addr an_addr(const char *text)
{
	struct addr a;
	ck_assert_int_eq(addr_parse(text, &a), 0);
	return a;
}

static inline struct pkt a_packet(
	const char *src, const char *dst, uint8_t proto, uint16_t sport, uint16_t dport)
{
	struct pkt p = {.proto = proto,
		.sport = sport,
		.dport = dport,
		.src = an_addr(src),
		.dst = an_addr(dst),
		.len = 60,
		.inbound = true,
		.scope = PKT_LOCAL,
		.secclass = 255};
	p.family = p.src.family;
	return p;
}

/* A filter of everything inbound of @src's family, from @src to @dst ("*": all). */
static inline struct filter_spec a_filter(
	uint64_t id, const char *name, uint8_t action, const char *src, const char *dst)
{
	struct filter_spec s;
	struct prefix p;
	filter_spec_init(&s, strchr(src, ':') || strchr(dst, ':') ? 6 : 4, true);
	s.id = id;
	s.action = action;
	(void)snprintf(s.name, sizeof(s.name), "%s", name);
	if (strcmp(src, "*")) {
		ck_assert_int_eq(prefix_parse(src, &p), 0);
		filter_spec_source(&s, &p);
	}
	if (strcmp(dst, "*")) {
		ck_assert_int_eq(prefix_parse(dst, &p), 0);
		filter_spec_dest(&s, &p);
	}
	return s;
}

static inline int defend_one(struct filter_set *fs, const struct filter_spec *s, uint64_t now_us)
{
	struct errbuf e;
	return filter_defend(fs, &(struct filter_defend){.add = s, .n_add = 1}, now_us, &e);
}

static inline struct filter_verdict decide(struct filter_worker *w, struct pkt p)
{
	struct filter_verdict v;
	filter_check(w, &p, &v);
	/* Not ck_assert: Check writes down each one, and these are called by the million. */
	if (p.drop != v.drop || !v.rule || (v.action == FILTER_DENY) != (v.drop != DROP_NONE))
		ck_abort_msg("verdict contradicts itself: drop %u and %u, action %d", p.drop,
			v.drop, v.action);
	return v;
}

static inline const char *name_of(const struct filter_rule *r)
{
	return r ? filter_rule_spec(r)->name : "-";
}

static inline void permit_all(struct filter_set *fs)
{
	struct filter_spec s[2] = {a_filter(0, "PERMIT", FILTER_PERMIT, "*", "*"),
		a_filter(0, "PERMIT6", FILTER_PERMIT, "::/0", "*")};
	ck_assert_int_eq(filter_install(fs, FILTER_POLICY,
				 &(struct filter_install){
					 .rules = s, .n = 2, .loaded = true, .logging = true},
				 NULL),
		0);
}
