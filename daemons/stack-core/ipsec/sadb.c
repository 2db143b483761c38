/* sadb: tunnels by index and inbound SAs by (protocol, SPI, destination).
 *
 * Readers are the packet workers, under RCU; the control thread alone changes it. The hash is over
 * protocol and SPI, which the receiver chooses itself, so nobody outside can build long chains; it
 * is keyed all the same. An SA whose destination is "any" is found by SPI alone. */
#include "daemons/stack-core/ipsec/sa.h"
#include "lib/base/xalloc.h"
#include <openssl/rand.h>
#include <urcu-qsbr.h>
#include <urcu/rculfhash.h>
#include <urcu/compiler.h>

enum { BUCKETS = 4096 };

struct sa_node {
	struct cds_lfht_node node;
	uint32_t spi;
	uint8_t proto;
	struct addr dst;
	struct sa *sa;
};

struct sadb {
	struct cds_lfht *table;
	uint64_t seed;
	unsigned workers;
	unsigned next_id[2]; /* manual, dynamic */
	uint32_t top;	     /* indices below have been used */
	struct tunnel *tunnels[SADB_TUNNELS_MAX];
};

struct key {
	uint32_t spi;
	uint8_t proto;
	const struct addr *dst;
};

static unsigned long hash(const struct sadb *db, uint8_t proto, uint32_t spi)
{
	uint64_t h = ((uint64_t)proto << 32 | spi) ^ db->seed;
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return (unsigned long)(h ^ h >> 32);
}

static int match(struct cds_lfht_node *node, const void *key)
{
	const struct sa_node *n = caa_container_of(node, struct sa_node, node);
	const struct key *k = key;

	return n->spi == k->spi && n->proto == k->proto &&
	       (!n->dst.family || !k->dst->family || addr_equal(&n->dst, k->dst));
}

struct sadb *sadb_new(unsigned workers)
{
	struct sadb *db = xnew(struct sadb);

	db->workers = workers;
	db->table = xcheck(cds_lfht_new(BUCKETS, BUCKETS, 0, 0, NULL));
	if (RAND_bytes((unsigned char *)&db->seed, sizeof(db->seed)) != 1)
		abort();
	return db;
}

unsigned sadb_workers(const struct sadb *db)
{
	return db->workers;
}

struct sa *sadb_lookup(struct sadb *db, const struct addr *dst, uint8_t proto, uint32_t spi)
{
	struct key k = {spi, proto, dst};
	struct cds_lfht_iter iter;

	cds_lfht_lookup(db->table, hash(db, proto, spi), match, &k, &iter);
	struct cds_lfht_node *node = cds_lfht_iter_get_node(&iter);
	return node ? caa_container_of(node, struct sa_node, node)->sa : NULL;
}

struct tunnel *sadb_tunnel(struct sadb *db, uint32_t index)
{
	return index < SADB_TUNNELS_MAX ? rcu_dereference(db->tunnels[index]) : NULL;
}

static int free_index(const struct sadb *db, struct errbuf *err, uint32_t *ret)
{
	for (uint32_t i = 0; i < SADB_TUNNELS_MAX; i++) {
		if (!db->tunnels[i]) {
			*ret = i;
			return 0;
		}
	}
	return err_set(err, ENOSPC, "%d tunnels exist: no more", SADB_TUNNELS_MAX);
}

static int add(struct sadb *db, struct tunnel *t, struct errbuf *err)
{
	struct sa *in = t->in;

	if (sadb_find(db, t->name))
		return err_set(err, EEXIST, "tunnel %s exists", t->name);
	if (sadb_lookup(db, &in->dst, in->proto, in->spi))
		return err_set(
			err, EEXIST, "tunnel %s: inbound SPI %u is in use", t->name, in->spi);
	return free_index(db, err, &t->index);
}

static void link_in(struct sadb *db, struct sa *in)
{
	struct sa_node *n = xnew(struct sa_node);

	n->spi = in->spi;
	n->proto = in->proto;
	n->dst = in->dst;
	n->sa = in;
	cds_lfht_node_init(&n->node);
	in->node = n;
	cds_lfht_add(db->table, hash(db, in->proto, in->spi), &n->node);
}

static void tunnel_free(struct tunnel *t)
{
	free(t->in->node);
	sa_free(t->in);
	sa_free(t->out);
	free(t);
}

int sadb_add(struct sadb *db, char kind, const char *name, struct sa *in, struct sa *out,
	bool active, struct errbuf *err, struct tunnel **ret)
{
	struct tunnel *t = xnew(struct tunnel);

	(void)snprintf(t->name, sizeof(t->name), "%s", name);
	t->in = in;
	t->out = out;
	atomic_init(&t->active, active);
	t->initial = active;
	int r = add(db, t, err);
	if (r < 0) {
		tunnel_free(t);
		return r;
	}
	(void)snprintf(t->id, sizeof(t->id), "%c%u", kind, ++db->next_id[kind == 'Y']);
	in->tunnel = out->tunnel = t;
	if (t->index >= db->top)
		db->top = t->index + 1;
	link_in(db, in);
	rcu_assign_pointer(db->tunnels[t->index], t);
	if (ret)
		*ret = t;
	return 0;
}

void sadb_remove(struct sadb *db, struct tunnel *t)
{
	atomic_store(&t->active, false);
	rcu_assign_pointer(db->tunnels[t->index], NULL);
	(void)cds_lfht_del(db->table, &t->in->node->node);
	synchronize_rcu();
	tunnel_free(t);
}

void sadb_free(struct sadb *db)
{
	if (!db)
		return;
	for (struct tunnel *t; (t = sadb_next(db, NULL));)
		sadb_remove(db, t);
	(void)cds_lfht_destroy(db->table, NULL);
	free(db);
}

struct tunnel *sadb_next(struct sadb *db, const struct tunnel *after)
{
	for (uint32_t i = after ? after->index + 1 : 0; i < db->top; i++) {
		if (db->tunnels[i])
			return db->tunnels[i];
	}
	return NULL;
}

struct tunnel *sadb_find(struct sadb *db, const char *name_or_id)
{
	for (struct tunnel *t = NULL; (t = sadb_next(db, t));) {
		if (!strcmp(t->name, name_or_id) || !strcmp(t->id, name_or_id))
			return t;
	}
	return NULL;
}

void sadb_activate(struct tunnel *t, bool active)
{
	atomic_store(&t->active, active);
}
