/* ahead: key pairs made before they are needed, in moments when nothing else is to be done (ike_prepare): of the groups that the policy
 * names, so many that a burst of negotiations, as after a restart of the other ends, finds them ready. A pair is for one exchange all
 * the same, whichever role takes it; what is left over is cleansed with the engine, or when the policy does not name its group any
 * more. Pairs that wait are secrets of negotiations to come: of those that were, none is kept. */
#include "lib/ike/engine.h"

enum { AHEAD = 128, AHEAD_BIG = 16, BIG_BYTES = 256, GROUPS_MAX = 32 };

static void name_group(bool wanted[GROUPS_MAX], uint16_t group)
{
	if (group < GROUPS_MAX)
		wanted[group] = true;
}

void ahead_policy(struct ike *k)
{
	const struct ipsec_policy *p = k->c.policy;
	bool wanted[GROUPS_MAX] = {false};

	for (size_t i = 0; i < p->n_kex_rules; i++)
		for (size_t o = 0; o < p->kex_rules[i].action.n_offers; o++)
			name_group(wanted, p->kex_rules[i].action.offers[o].group);
	for (size_t i = 0; i < p->n_rules; i++) {
		const struct vpn_action *v = p->rules[i].vpn;
		for (size_t g = 0; v && g < v->n_acceptable_pfs; g++)
			name_group(wanted, v->acceptable_pfs[g]);
		if (v)
			name_group(wanted, v->initiate_pfs);
	}
	for (uint16_t g = 1; g < GROUPS_MAX; g++)
		dh_pool_want(k->pool, g, !wanted[g] ? 0 : dh_public_len(g) > BIG_BYTES ? AHEAD_BIG : AHEAD);
}

bool ike_prepare(struct ike *k)
{
	return dh_pool_work(k->pool);
}

bool ike_unprepared(const struct ike *k)
{
	return dh_pool_lacks(k->pool);
}
