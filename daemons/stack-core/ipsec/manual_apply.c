/* manual_apply: from the manual tunnels a policy asks for to those in the database. New SAs are all
 * made first and conflicts found beforehand, so that nothing can fail once the first tunnel has
 * been touched. A tunnel whose statement did not change is left alone: its numbers go on, and so
 * does the state that an operator gave it. */
#include "daemons/stack-core/ipsec/manual.h"
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"

struct plan {
	struct sa *in, *out; /* to be added; NULL: the tunnel stays as it is */
};

static bool same(const struct tunnel *t, const struct manual_action *a)
{
	return !memcmp(t->in->params, &a->in, sizeof(a->in)) && !memcmp(t->out->params, &a->out, sizeof(a->out)) &&
	       (t->in->over != NULL) == a->bundle &&
	       (!a->bundle || (!memcmp(t->in->over->params, &a->in_ah, sizeof(a->in_ah)) &&
				      !memcmp(t->out->over->params, &a->out_ah, sizeof(a->out_ah))));
}

static bool is_manual(const struct tunnel *t)
{
	return t->id[0] == 'M';
}

static const struct manual_action *named(
	const struct manual_action *actions, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(actions[i].name, name))
			return &actions[i];
	}
	return NULL;
}

static bool meet(const struct sa_params *a, const struct sa_params *b)
{
	return a->spi == b->spi && a->proto == b->proto &&
	       (!a->dst.family || !b->dst.family || addr_equal(&a->dst, &b->dst));
}

/* Are there packets that either could mean? Each is one SA, or two in a bundle. */
static bool actions_meet(const struct manual_action *a, const struct manual_action *b)
{
	return meet(&a->in, &b->in) || (a->bundle && meet(&a->in_ah, &b->in)) || (b->bundle && meet(&a->in, &b->in_ah)) ||
	       (a->bundle && b->bundle && meet(&a->in_ah, &b->in_ah));
}

static const struct sa *dynamic_met(struct sadb *db, const struct sa_params *p)
{
	const struct sa *in = sadb_lookup(db, &p->dst, (uint8_t)p->proto, p->spi);

	return in && in->tunnel->dynamic ? in : NULL;
}

/* Senders that share an AEAD key and salt would sooner or later use one IV twice, which gives
 * everything away. */
static bool share_key(const struct manual_action *a, const struct manual_action *b)
{
	const struct sa_params *x[2] = {&a->in, &a->out}, *y[2] = {&b->in, &b->out};

	for (int i = 0; i < 4; i++) {
		const struct sa_params *p = x[i & 1], *q = y[i >> 1];
		if (p->cipher == q->cipher && crypto_cipher_info(p->cipher)->icv &&
			p->key_len == q->key_len && !memcmp(p->key, q->key, p->key_len))
			return true;
	}
	return false;
}

static int check(struct sadb *db, const struct manual_action *actions, size_t n, struct errbuf *err)
{
	size_t others = 0;

	for (struct tunnel *t = NULL; (t = sadb_next(db, t));) {
		if (is_manual(t))
			continue;
		if (t->dynamic)
			continue; /* met by SPI below, whatever their number */
		others++;
		for (size_t i = 0; i < n; i++) {
			if (!strcmp(t->name, actions[i].name) ||
				meet(t->in->params, &actions[i].in))
				return err_set(err, EEXIST,
					"%s: name or inbound SPI belongs to dynamic tunnel %s",
					actions[i].name, t->id);
		}
	}
	for (size_t i = 0; i < n; i++) {
		const struct sa *in = dynamic_met(db, &actions[i].in);
		if (!in && actions[i].bundle)
			in = dynamic_met(db, &actions[i].in_ah);
		if (in)
			return err_set(err, EEXIST, "%s: inbound SPI belongs to dynamic tunnel %s", actions[i].name, in->tunnel->id);
	}
	if (others + n > SADB_MANUAL_MAX)
		return err_set(
			err, ENOSPC, "%zu tunnels, at most %d", others + n, SADB_MANUAL_MAX);
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < i; j++) {
			if (!strcmp(actions[i].name, actions[j].name))
				return err_set(err, EEXIST, "IpManVpnAction %s is there twice",
					actions[i].name);
			if (actions_meet(&actions[i], &actions[j]))
				return err_set(err, EEXIST,
					"%s and %s have the same inbound SPI %u", actions[i].name,
					actions[j].name, actions[i].in.spi);
			if (share_key(&actions[i], &actions[j]))
				return err_set(err, EINVAL, "%s and %s share an %s key",
					actions[i].name, actions[j].name, crypto_cipher_info(actions[i].in.cipher)->name);
		}
	}
	return 0;
}

static void plan_free(struct plan *plan, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		sa_free(plan[i].in);
		sa_free(plan[i].out);
	}
	free(plan);
}

static int make(struct sadb *db, const struct manual_action *actions, size_t n, struct plan *plan,
	struct errbuf *err)
{
	for (size_t i = 0; i < n; i++) {
		const struct manual_action *a = &actions[i];
		struct tunnel *t = sadb_find(db, a->name);
		if (t && same(t, a))
			continue;
		int r = sa_new_bundle(&a->in, a->bundle ? &a->in_ah : NULL, true, sadb_workers(db), err, &plan[i].in);
		if (r == 0)
			r = sa_new_bundle(&a->out, a->bundle ? &a->out_ah : NULL, false, sadb_workers(db), err, &plan[i].out);
		if (r < 0)
			return r;
	}
	return 0;
}

static void remove_old(struct sadb *db, const struct manual_action *actions, size_t n)
{
	for (struct tunnel *next, *t = sadb_next(db, NULL); t; t = next) {
		next = sadb_next(db, t);
		const struct manual_action *a = named(actions, n, t->name);
		if (is_manual(t) && (!a || !same(t, a)))
			sadb_remove(db, t);
	}
}

static void keep(struct tunnel *t, const struct manual_action *a)
{
	if (t->initial == a->active)
		return;
	t->initial = a->active;
	sadb_activate(t, a->active);
}

void manual_mark(struct sadb *db, const struct manual_action *actions, size_t n)
{
	for (struct tunnel *t = sadb_next(db, NULL); t; t = sadb_next(db, t)) {
		const struct manual_action *a = is_manual(t) ? named(actions, n, t->name) : NULL;
		t->stays = !is_manual(t) || (a && same(t, a));
	}
}

int manual_apply(struct sadb *db, const struct manual_action *actions, size_t n, struct errbuf *err)
{
	struct plan *plan = xcalloc(n, sizeof(*plan));
	int r = check(db, actions, n, err);

	if (r == 0)
		r = make(db, actions, n, plan, err);
	if (r == 0) {
		remove_old(db, actions, n);
		for (size_t i = 0; i < n && r == 0; i++) {
			if (!plan[i].in) {
				keep(sadb_find(db, actions[i].name), &actions[i]);
				continue;
			}
			r = sadb_add(db, 'M', actions[i].name, plan[i].in, plan[i].out,
				actions[i].active, err, NULL);
			plan[i] = (struct plan){NULL, NULL};
		}
	}
	plan_free(plan, n);
	return r;
}
