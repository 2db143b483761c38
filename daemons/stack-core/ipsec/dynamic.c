/* dynamic: see dynamic.h. */
#include "daemons/stack-core/ipsec/dynamic.h"
#include "daemons/stack-core/ipsec/sadb.h"
#include "lib/base/xalloc.h"
#include <string.h>

void generation_free(struct generation *g)
{
	if (!g)
		return;
	sa_free(g->in);
	sa_free(g->out);
	free(g->data);
	free(g);
}

struct generation *dynamic_generation(const struct tunnel *t, uint32_t number)
{
	for (struct generation *g = t->gens; g; g = g->older)
		if (g->number == number)
			return g;
	return NULL;
}

static int check(struct sadb *db, const struct tunnel *t, const struct generation *g, struct errbuf *err)
{
	unsigned n = 0;

	for (const struct generation *o = t ? t->gens : NULL; o; o = o->older) {
		if (o->number == g->number)
			return err_set(err, EEXIST, "%s has a generation %u", t->id, g->number);
		n++;
	}
	if (n >= DYNAMIC_GENERATIONS_MAX)
		return err_set(err, ENOSPC, "%s has %u generations: no more", t->id, n);
	if (sadb_taken(db, g->in))
		return err_set(err, EEXIST, "inbound SPI %u is in use", g->in->spi);
	return 0;
}

static struct tunnel *tunnel_new(struct sadb *db, const char *id, const char *rule, struct errbuf *err)
{
	struct tunnel *t = xnew(struct tunnel);

	(void)snprintf(t->id, sizeof(t->id), "%s", id);
	(void)snprintf(t->name, sizeof(t->name), "%s", rule);
	t->dynamic = t->initial = true;
	atomic_init(&t->active, true);
	if (sadb_place(db, t, err) < 0) {
		free(t);
		return NULL;
	}
	sadb_name_dynamic(db, t);
	return t;
}

int dynamic_install(struct sadb *db, const char *id, const char *rule, struct generation *g, struct errbuf *err,
	struct tunnel **ret, bool *ret_new)
{
	struct tunnel *t = sadb_dynamic(db, id);
	int r = check(db, t, g, err);
	bool made = !t;

	if (!r && !t && !(t = tunnel_new(db, id, rule, err)))
		r = -ENOSPC;
	if (r < 0) {
		generation_free(g);
		return r;
	}
	sa_belong(g->in, t);
	sa_belong(g->out, t);
	g->older = t->gens;
	t->gens = g;
	t->in = g->in;
	sadb_link(db, g->in, g->out);
	*ret = t;
	*ret_new = made;
	return 0;
}

bool dynamic_ready(struct tunnel *t, struct generation *g)
{
	if (t->out == g->out)
		return false;
	g->ready = true;
	rcu_assign_pointer(t->out, g->out);
	return true;
}

static void tunnel_free_rcu(struct rcu_head *h)
{
	struct tunnel *t = caa_container_of(h, struct tunnel, rcu);

	sadb_give_index(t->db, t->index);
	free(t);
}

/* The newest generation whose outbound SA may be used takes over from one that goes. */
static struct sa *successor(const struct tunnel *t)
{
	for (const struct generation *g = t->gens; g; g = g->older)
		if (g->ready && !atomic_load(&g->out->expired))
			return g->out;
	return NULL;
}

static void take_out(struct sadb *db, struct tunnel *t, struct generation **at)
{
	struct generation *g = *at;

	*at = g->older;
	sadb_unlink(db, g->in, g->out);
	if (t->out == g->out)
		rcu_assign_pointer(t->out, successor(t));
	sa_retire(g->in);
	sa_retire(g->out);
	g->in = g->out = NULL;
	generation_free(g);
	t->in = t->gens ? t->gens->in : NULL;
}

unsigned dynamic_remove(struct sadb *db, struct tunnel *t, uint32_t number)
{
	unsigned n = 0;

	for (struct generation **at = &t->gens; *at;) {
		if (number && (*at)->number != number) {
			at = &(*at)->older;
			continue;
		}
		take_out(db, t, at);
		n++;
	}
	if (t->gens)
		return n;
	atomic_store(&t->active, false);
	sadb_unname_dynamic(db, t);
	sadb_unplace(db, t);
	urcu_qsbr_call_rcu(&t->rcu, tunnel_free_rcu);
	return n;
}

void dynamic_move(struct tunnel *t, const struct sa_path *out)
{
	struct sa_path in = {.src = out->dst, .dst = out->src, .sport = out->dport, .dport = out->sport, .udp = out->udp};

	for (struct generation *g = t->gens; g; g = g->older) {
		sa_move(g->in, &in);
		sa_move(g->out, out);
	}
}

static uint64_t bytes_of(const struct generation *g)
{
	struct sa_counters in, out;

	sa_sum(g->in, &in);
	sa_sum(g->out, &out);
	uint64_t a = atomic_load(&in.bytes), b = atomic_load(&out.bytes);
	return a > b ? a : b;
}

/* Each of the two SAs has its own life; the pair ends with the first (RFC 2407 4.5.3 counts for either). */
static const char *reached(const struct generation *g, uint64_t now_ms, uint64_t at_ms, uint64_t limit, bool hard)
{
	if (at_ms && now_ms >= at_ms)
		return "time";
	if (limit && bytes_of(g) >= limit)
		return "bytes";
	for (const struct sa *sa = g->out; sa; sa = sa->over) {
		uint64_t seq = atomic_load_explicit(&sa->seq, memory_order_relaxed), most = sa->seq_limit;
		if (hard ? atomic_load(&sa->exhausted) : seq > most - most / 8)
			return "sequence numbers";
	}
	return NULL;
}

static void look(struct tunnel *t, struct generation *g, uint64_t now_ms, dynamic_fn fn, void *arg)
{
	const char *why;

	if (!g->hard_told && (why = reached(g, now_ms, g->hard_ms, g->hard_bytes, true))) {
		g->hard_told = g->soft_told = true;
		atomic_store(&g->in->expired, true);
		atomic_store(&g->out->expired, true);
		if (t->out == g->out)
			rcu_assign_pointer(t->out, successor(t));
		fn(arg, t, g, DYNAMIC_HARD, why);
	} else if (!g->soft_told && (why = reached(g, now_ms, g->soft_ms, g->soft_bytes, false))) {
		g->soft_told = true;
		fn(arg, t, g, DYNAMIC_SOFT, why);
	}
}

void dynamic_lifetimes(struct sadb *db, uint64_t now_ms, dynamic_fn fn, void *arg)
{
	for (struct tunnel *t = sadb_next(db, NULL); t; t = sadb_next(db, t))
		for (struct generation *g = t->gens; g; g = g->older)
			look(t, g, now_ms, fn, arg);
}

unsigned dynamic_count(struct sadb *db)
{
	unsigned n = 0;

	for (struct tunnel *t = sadb_next(db, NULL); t; t = sadb_next(db, t))
		n += t->dynamic;
	return n;
}
