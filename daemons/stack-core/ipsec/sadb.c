/* sadb: tunnels by index and inbound SAs by (protocol, SPI, destination).
 *
 * Readers are the packet workers, under RCU; the control thread alone changes it, and what it does for a
 * dynamic tunnel costs the same whatever their number: free indices are a list, ids a tree, and nothing is
 * waited for (rcu callbacks free). The hash is over protocol and SPI, which the receiver chooses itself, so
 * nobody outside can build long chains; it is keyed all the same. It leaves the destination out, so that an
 * SA which moves to another address stays where it is. An SA whose destination is "any" is found by SPI alone. */
#include "daemons/stack-core/ipsec/sadb.h"
#include "daemons/stack-core/ipsec/dynamic.h"
#include "lib/base/xalloc.h"
#include <openssl/rand.h>
#include <pthread.h>
#include <search.h>
#include <string.h>

enum { BUCKETS = 65536 };

struct sadb {
	_Atomic(struct sa *) bucket[BUCKETS];
	_Atomic(struct sa *) out[BUCKETS]; /* outbound SAs: for ICMP errors about their packets */
	uint64_t seed;
	unsigned workers;
	unsigned next_id[2]; /* manual, dynamic */
	struct tunnel *manual;
	void *dynamic; /* tsearch tree, by id */
	uint32_t top;  /* indices below have been used */
	pthread_mutex_t lock;
	uint32_t n_free, free[SADB_TUNNELS_MAX];
	_Atomic(struct tunnel *) tunnels[SADB_TUNNELS_MAX];
};

static _Atomic(struct sa *) *bucket(struct sadb *db, bool inbound, uint8_t proto, uint32_t spi)
{
	uint64_t h = ((uint64_t)proto << 32 | spi) ^ db->seed;
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return &(inbound ? db->bucket : db->out)[h >> 32 & (BUCKETS - 1)];
}

struct sadb *sadb_new(unsigned workers)
{
	struct sadb *db = xnew(struct sadb);

	db->workers = workers;
	pthread_mutex_init(&db->lock, NULL);
	if (RAND_bytes((unsigned char *)&db->seed, sizeof(db->seed)) != 1)
		abort();
	return db;
}

unsigned sadb_workers(const struct sadb *db)
{
	return db->workers;
}

/* As addr_equal; without loading at once what was just stored in parts. */
static bool same(const struct addr *a, const struct addr *b)
{
	if (a->family != b->family)
		return false;
	return a->family == 4 ? !memcmp(a->b, b->b, 4) : !memcmp(a->b, b->b, 16);
}

static struct sa *lookup(struct sadb *db, bool inbound, const struct addr *dst, uint8_t proto, uint32_t spi)
{
	struct sa *sa = atomic_load_explicit(bucket(db, inbound, proto, spi), memory_order_acquire);

	for (; sa; sa = atomic_load_explicit(&sa->next, memory_order_acquire)) {
		if (sa->spi != spi || sa->proto != proto)
			continue;
		const struct addr *own = &sa_outside(sa)->dst;
		if (!own->family || !dst->family || same(own, dst))
			return sa;
	}
	return NULL;
}

struct sa *sadb_lookup(struct sadb *db, const struct addr *dst, uint8_t proto, uint32_t spi)
{
	return lookup(db, true, dst, proto, spi);
}

struct sa *sadb_outbound(struct sadb *db, const struct addr *dst, uint8_t proto, uint32_t spi)
{
	return lookup(db, false, dst, proto, spi);
}

bool sadb_taken(struct sadb *db, const struct sa *in)
{
	for (; in; in = in->over)
		if (sadb_lookup(db, &sa_outside(in)->dst, in->proto, in->spi))
			return true;
	return false;
}

static void enter(struct sadb *db, struct sa *s)
{
	_Atomic(struct sa *) *head = bucket(db, s->inbound, s->proto, s->spi);

	atomic_store_explicit(&s->next, atomic_load_explicit(head, memory_order_relaxed), memory_order_relaxed);
	atomic_store_explicit(head, s, memory_order_release);
}

static void take_out(struct sadb *db, struct sa *s)
{
	_Atomic(struct sa *) *at = bucket(db, s->inbound, s->proto, s->spi);
	struct sa *sa;

	while ((sa = atomic_load_explicit(at, memory_order_relaxed)) && sa != s)
		at = &sa->next;
	if (sa) /* a reader that stands on it still finds what follows */
		atomic_store_explicit(at, atomic_load_explicit(&s->next, memory_order_relaxed), memory_order_release);
}

void sadb_link(struct sadb *db, struct sa *in, struct sa *out)
{
	for (; in; in = in->over)
		enter(db, in);
	for (; out; out = out->over)
		enter(db, out);
}

void sadb_unlink(struct sadb *db, struct sa *in, struct sa *out)
{
	for (; in; in = in->over)
		take_out(db, in);
	for (; out; out = out->over)
		take_out(db, out);
}

struct tunnel *sadb_tunnel(struct sadb *db, uint32_t index)
{
	return index < SADB_TUNNELS_MAX ? atomic_load_explicit(&db->tunnels[index], memory_order_acquire) : NULL;
}

static bool take_index(struct sadb *db, uint32_t *ret)
{
	bool ok = true;

	pthread_mutex_lock(&db->lock);
	if (db->n_free)
		*ret = db->free[--db->n_free];
	else if (db->top < SADB_TUNNELS_MAX)
		*ret = db->top++;
	else
		ok = false;
	pthread_mutex_unlock(&db->lock);
	return ok;
}

void sadb_give_index(struct sadb *db, uint32_t index)
{
	pthread_mutex_lock(&db->lock);
	db->free[db->n_free++] = index;
	pthread_mutex_unlock(&db->lock);
}

int sadb_place(struct sadb *db, struct tunnel *t, struct errbuf *err)
{
	t->db = db;
	if (!take_index(db, &t->index))
		return err_set(err, ENOSPC, "%d tunnels exist: no more", SADB_TUNNELS_MAX);
	atomic_store_explicit(&db->tunnels[t->index], t, memory_order_release);
	return 0;
}

void sadb_unplace(struct sadb *db, struct tunnel *t)
{
	atomic_store_explicit(&db->tunnels[t->index], NULL, memory_order_release);
}

static int by_id(const void *a, const void *b)
{
	const struct tunnel *x = a, *y = b;
	return strcmp(x->id, y->id);
}

struct tunnel *sadb_dynamic(struct sadb *db, const char *id)
{
	struct tunnel key;

	if (strlen(id) >= sizeof(key.id))
		return NULL;
	memcpy(key.id, id, strlen(id) + 1);
	void *node = tfind(&key, &db->dynamic, by_id);
	return node ? *(struct tunnel **)node : NULL;
}

void sadb_name_dynamic(struct sadb *db, struct tunnel *t)
{
	xcheck(tsearch(t, &db->dynamic, by_id));
}

void sadb_unname_dynamic(struct sadb *db, struct tunnel *t)
{
	(void)tdelete(t, &db->dynamic, by_id);
}

static void tunnel_free(struct tunnel *t)
{
	sa_free(t->in);
	sa_free(t->out);
	free(t);
}

int sadb_add(struct sadb *db, char kind, const char *name, struct sa *in, struct sa *out,
	bool active, struct errbuf *err, struct tunnel **ret)
{
	struct tunnel *t = xnew(struct tunnel);
	int r = 0;

	(void)snprintf(t->name, sizeof(t->name), "%s", name);
	t->in = in;
	t->out = out;
	atomic_init(&t->active, active);
	t->initial = active;
	sa_belong(in, t);
	sa_belong(out, t);
	if (sadb_find(db, name))
		r = err_set(err, EEXIST, "tunnel %s exists", name);
	else if (sadb_taken(db, in))
		r = err_set(err, EEXIST, "tunnel %s: inbound SPI %u is in use", name, in->spi);
	if (!r)
		r = sadb_place(db, t, err);
	if (r < 0) {
		tunnel_free(t);
		return r;
	}
	(void)snprintf(t->id, sizeof(t->id), "%c%u", kind, ++db->next_id[kind == 'Y']);
	t->next_manual = db->manual;
	db->manual = t;
	sadb_link(db, in, out);
	if (ret)
		*ret = t;
	return 0;
}

void sadb_remove(struct sadb *db, struct tunnel *t)
{
	struct tunnel **at = &db->manual;

	if (t->dynamic) {
		dynamic_remove(db, t, 0);
		return;
	}
	while (*at != t)
		at = &(*at)->next_manual;
	*at = t->next_manual;
	atomic_store(&t->active, false);
	sadb_unplace(db, t);
	sadb_unlink(db, t->in, t->out);
	urcu_qsbr_synchronize_rcu();
	sadb_give_index(db, t->index);
	tunnel_free(t);
}

void sadb_free(struct sadb *db)
{
	if (!db)
		return;
	for (struct tunnel *t; (t = sadb_next(db, NULL));)
		sadb_remove(db, t);
	urcu_qsbr_barrier();
	pthread_mutex_destroy(&db->lock);
	free(db);
}

struct tunnel *sadb_from(struct sadb *db, uint32_t index)
{
	for (uint32_t i = index; i < db->top; i++) {
		struct tunnel *t = atomic_load_explicit(&db->tunnels[i], memory_order_relaxed);
		if (t)
			return t;
	}
	return NULL;
}

struct tunnel *sadb_next(struct sadb *db, const struct tunnel *after)
{
	return sadb_from(db, after ? after->index + 1 : 0);
}

struct tunnel *sadb_find(struct sadb *db, const char *name_or_id)
{
	for (struct tunnel *t = db->manual; t; t = t->next_manual) {
		if (!strcmp(t->name, name_or_id) || !strcmp(t->id, name_or_id))
			return t;
	}
	return sadb_dynamic(db, name_or_id);
}

void sadb_activate(struct tunnel *t, bool active)
{
	atomic_store(&t->active, active);
}
