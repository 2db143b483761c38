/* p1_ids: the message ids that were used under a phase 1 SA (RFC 2408 3.1), as an open hash table. */
#include "lib/base/xalloc.h"
#include "lib/ike/engine.h"

static unsigned id_slot(const struct p1 *p, uint32_t id)
{
	uint64_t key = (id ^ p->ike->key[0]) * UINT64_C(0x9e3779b97f4a7c15);

	for (unsigned i = (unsigned)(key >> 40) & (p->cap_ids - 1);; i = (i + 1) & (p->cap_ids - 1)) {
		if (!p->ids[i] || p->ids[i] == id)
			return i;
	}
}

bool p1_id_used(const struct p1 *p, uint32_t id)
{
	return !id || (p->cap_ids && p->ids[id_slot(p, id)] == id);
}

static void ids_grow(struct p1 *p)
{
	uint32_t *old = p->ids;
	unsigned n = p->cap_ids;

	p->cap_ids = n ? 2 * n : 16;
	p->ids = xcalloc(p->cap_ids, sizeof(*p->ids));
	for (unsigned i = 0; i < n; i++)
		if (old[i])
			p->ids[id_slot(p, old[i])] = old[i];
	free(old);
}

bool p1_id_use(struct p1 *p, uint32_t id)
{
	if (p1_id_used(p, id) || p->n_ids >= IKE_IDS_MAX)
		return false;
	if (4 * (p->n_ids + 1) > 3 * p->cap_ids)
		ids_grow(p);
	p->ids[id_slot(p, id)] = id;
	if (++p->n_ids == IKE_IDS_MAX / 2 && p->step == P1_DONE)
		timer_set(p->ike, &p->life, p->ike->now);
	return true;
}
