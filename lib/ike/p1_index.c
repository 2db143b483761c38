/* p1_index: phase 1 SAs by their cookies, by their two ends, by their number. */
#include "lib/ike/engine.h"
#include <stdlib.h>

struct p1_list *p1_cookies(struct ike *k, const uint8_t icookie[IKE_COOKIE])
{
	return &k->by_cookie[ike_digest(k, icookie, IKE_COOKIE) % IKE_BUCKETS];
}

/* An initiator's first messages carry no responder cookie; the SA is the one whose responder cookie is not known to it yet. */
struct p1 *p1_find(struct ike *k, const uint8_t icookie[IKE_COOKIE], const uint8_t rcookie[IKE_COOKIE])
{
	struct p1 *p;

	LIST_FOREACH(p, p1_cookies(k, icookie), hash)
	{
		if (memcmp(p->icookie, icookie, IKE_COOKIE))
			continue;
		if (!memcmp(p->rcookie, rcookie, IKE_COOKIE))
			return p;
		/* A responder's SA and the first message again; or our first message is being answered. */
		if (isakmp_cookie_zero(rcookie) ? !p->initiator : p->initiator && isakmp_cookie_zero(p->rcookie))
			return p;
	}
	return NULL;
}

struct p1_list *p1_pairs(struct ike *k, const struct addr *local, const struct addr *remote)
{
	uint8_t both[32];

	memcpy(both, local->b, 16);
	memcpy(both + 16, remote->b, 16);
	return &k->by_pair[ike_digest(k, both, sizeof(both)) % IKE_BUCKETS];
}

struct p1 *p1_by_id(struct ike *k, const char *id)
{
	unsigned long n = *id == 'K' ? strtoul(id + 1, NULL, 10) : 0;
	struct p1 *p;

	LIST_FOREACH(p, &k->by_number[n % IKE_BUCKETS], by_number)
		if (n && p->number == n)
			return p;
	return NULL;
}

struct p1 *p1_between(struct ike *k, const struct addr *local, const struct addr *remote)
{
	struct p1 *p;

	LIST_FOREACH(p, p1_pairs(k, local, remote), pair)
		if (p->step == P1_DONE && addr_equal(&p->path.local, local) && addr_equal(&p->path.remote, remote))
			return p;
	return NULL;
}

struct p1 *p1_under_way(struct ike *k, const struct ike_path *path)
{
	struct p1 *p;

	LIST_FOREACH(p, p1_pairs(k, &path->local, &path->remote), pair)
		if (p->step != P1_DONE && !p->replaces && addr_equal(&p->path.local, &path->local) &&
			addr_equal(&p->path.remote, &path->remote))
			return p;
	return NULL;
}
