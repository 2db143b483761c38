/* What tests say about a pair of engines. */
#pragma once
#include "tests/support/check_main.h"
#include "tests/unit/lib/ike/pair.h"

#define UP(n)                                                                                                                        \
	ck_assert_msg(pair_up(n), "no traffic flows\nleft:\n%sright:\n%s", (n)->peer[0].log, (n)->peer[1].log)
#define SAYS(n, who, words)                                                                                                          \
	ck_assert_msg(strstr((n)->peer[who].log, words) != NULL, "expected '%s' in\n%s", words, (n)->peer[who].log)

/* The left end asks, and a second later traffic flows both ways. */
static inline struct pair *begin(const struct pair_policy *l, const struct pair_policy *r)
{
	char id[16];
	struct pair *n = pair_new(l, r, NULL, NULL);
	ck_assert_int_eq(pair_activate(n, 0, id), 0);
	ck_assert_str_eq(id, "Y1");
	pair_pass(n, PAIR_SECOND);
	UP(n);
	return n;
}

/* How many SA pairs its stack has. */
static inline unsigned there(const struct pair_peer *p)
{
	unsigned k = 0;
	for (size_t i = 0; i < p->n_children; i++)
		k += p->children[i].there;
	return k;
}

/* Not one second without a way for packets in both directions. */
static inline void always_up(struct pair *n, unsigned seconds)
{
	for (unsigned s = 0; s < seconds; s++) {
		unsigned lost;
		pair_pass(n, PAIR_SECOND);
		ck_assert_msg(pair_flows(n, 0, &lost) && !lost && pair_flows(n, 1, &lost) && !lost, "at %u s\nleft:\n%sright:\n%s", s,
			n->peer[0].log, n->peer[1].log);
	}
}
