/* tunnel_index: which tunnels there are between two ends, which one protects the same as another, and whose it is. */
#include "lib/ike/tunnel.h"

static void put(uint8_t **at, const void *p, size_t len)
{
	memcpy(*at, p, len);
	*at += len;
}

static struct tunnel_list *same_bucket(struct ike *k, const struct ike_child *c)
{
	uint8_t key[6 * sizeof(struct addr) + 6], *at = key;
	const struct addr *all[] = {&c->path.local, &c->path.remote, &c->sel.local.lo, &c->sel.local.hi, &c->sel.remote.lo, &c->sel.remote.hi};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		put(&at, all[i], sizeof(struct addr));
	put(&at, &c->sel.protocol, 2);
	put(&at, &c->sel.local_port, 2);
	put(&at, &c->sel.remote_port, 2);
	return &k->by_same[ike_digest(k, key, (size_t)(at - key)) % IKE_BUCKETS];
}

struct tunnel_list *tunnels_at(struct ike *k, const struct ike_path *path)
{
	uint8_t key[2 * sizeof(struct addr)], *at = key;

	put(&at, &path->local, sizeof(path->local));
	put(&at, &path->remote, sizeof(path->remote));
	return &k->by_ends[ike_digest(k, key, sizeof(key)) % IKE_BUCKETS];
}

bool tunnel_ends_equal(const struct ike_path *a, const struct ike_path *b)
{
	return addr_equal(&a->local, &b->local) && addr_equal(&a->remote, &b->remote);
}

bool tunnels_between(struct ike *k, const struct ike_path *path)
{
	struct tunnel *t;

	LIST_FOREACH(t, tunnels_at(k, path), ends)
		if (t->live && tunnel_ends_equal(&t->child.path, path))
			return true;
	return false;
}

bool tunnel_belongs(const struct tunnel *t, const struct p1 *p)
{
	const struct ike_child *c = &t->child;

	return t->live && tunnel_ends_equal(&c->path, &p->path) && c->owner_len == 1 + p->peer.len && c->owner_data[0] == p->peer.type &&
		!memcmp(c->owner_data + 1, p->peer.data, p->peer.len);
}

static bool range_equal(const struct addr_range *a, const struct addr_range *b)
{
	return addr_equal(&a->lo, &b->lo) && addr_equal(&a->hi, &b->hi);
}

struct tunnel *tunnel_same(struct ike *k, const struct ike_child *c)
{
	struct tunnel *t;

	LIST_FOREACH(t, same_bucket(k, c), same) {
		const struct ike_child *o = &t->child;
		if (!t->dead && addr_equal(&o->path.local, &c->path.local) && addr_equal(&o->path.remote, &c->path.remote) &&
			range_equal(&o->sel.local, &c->sel.local) && range_equal(&o->sel.remote, &c->sel.remote) &&
			o->sel.protocol == c->sel.protocol && o->sel.local_port == c->sel.local_port &&
			o->sel.remote_port == c->sel.remote_port)
			return t;
	}
	return NULL;
}

void tunnel_link(struct tunnel *t)
{
	LIST_INSERT_HEAD(same_bucket(t->ike, &t->child), t, same);
	LIST_INSERT_HEAD(tunnels_at(t->ike, &t->child.path), t, ends);
}

void tunnel_unlink(struct tunnel *t)
{
	LIST_REMOVE(t, same);
	LIST_REMOVE(t, ends);
}
