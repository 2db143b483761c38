/* The set as a whole, and the two sources of filters behind the defences. */
#include "daemons/stack-core/filter/set.h"
#include "daemons/stack-core/ipsec/sa.h"
#include "lib/base/xalloc.h"
#include <assert.h>
#include <string.h>
#include <strings.h>

void filter_changed(struct filter_set *fs)
{
	atomic_fetch_add_explicit(&fs->generation, 1, memory_order_release);
}

void filter_slot_give(struct filter_set *fs, uint32_t slot)
{
	pthread_mutex_lock(&fs->slot_lock);
	fs->free_slots[fs->n_free++] = slot;
	pthread_mutex_unlock(&fs->slot_lock);
}

static bool slot_try(struct filter_set *fs, uint32_t *ret)
{
	bool ok = true;
	pthread_mutex_lock(&fs->slot_lock);
	if (fs->n_free)
		*ret = fs->free_slots[--fs->n_free];
	else if (fs->next_slot < FILTER_SLOTS)
		*ret = fs->next_slot++;
	else
		ok = false;
	pthread_mutex_unlock(&fs->slot_lock);
	return ok;
}

static uint64_t slot_sum(const struct filter_set *fs, uint32_t slot)
{
	uint64_t sum = 0;
	unsigned n = atomic_load(&fs->n_workers);
	for (unsigned i = 0; i < n; i++)
		sum += atomic_load_explicit(&fs->worker[i]->matches[slot], memory_order_relaxed);
	return sum;
}

void filter_slot_take(struct filter_set *fs, struct filter_rule *r)
{
	/* More slots than rules may exist; the rest is in its grace period and comes back. */
	while (!slot_try(fs, &r->slot))
		urcu_qsbr_barrier();
	r->base = slot_sum(fs, r->slot);
	r->set = fs;
}

uint64_t filter_matches(const struct filter_set *fs, const struct filter_rule *r)
{
	return slot_sum(fs, r->slot) - r->base;
}

static void implicit_init(struct rule_set *s, const struct filter_install *i)
{
	for (unsigned side = 0; side < FILTER_SIDES; side++) {
		struct filter_spec spec;
		filter_spec_init(&spec, side < 2 ? 4 : 6, side & 1);
		(void)snprintf(spec.name, sizeof(spec.name), "SYSDEFAULTDENYRULE");
		spec.log = i->log_implicit;
		spec.discard_icmp = i->discard_icmp;
		rule_init(&s->implicit[side], &spec, FILTER_IMPLICIT, 1);
		s->implicit[side].log_on = i->log_implicit && i->logging;
		filter_slot_take(s->set, &s->implicit[side]);
	}
}

static struct rule_set *rule_set_new(
	struct filter_set *fs, enum filter_source source, const struct filter_install *i)
{
	struct rule_set *s = xnew(struct rule_set);
	s->set = fs;
	s->loaded = i->loaded;
	s->predecap = i->predecap;
	for (size_t k = 0; k < i->n; k++)
		s->nests |= i->rules[k].action == FILTER_IPSEC && (i->rules[k].proto == SA_ESP || i->rules[k].proto == SA_AH);
	s->logging = i->logging;
	s->n = i->n;
	s->rules = xcalloc(i->n, sizeof(*s->rules));
	implicit_init(s, i);
	for (unsigned side = 0; side < FILTER_SIDES; side++)
		classifier_init(&s->side[side], side < 2 ? 4 : 6);
	for (size_t k = 0; k < i->n; k++) {
		struct filter_rule *r = &s->rules[k];
		enum filter_kind kind =
			source == FILTER_POLICY ? FILTER_POLICY_RULE : FILTER_PROFILE_RULE;
		rule_init(r, &i->rules[k], kind, (uint64_t)(i->n - k) << 32);
		r->log_on = r->log_on && i->logging;
		if (i->find && r->spec.action == FILTER_IPSEC && !r->spec.anchor)
			atomic_store_explicit(&r->tunnel, i->find(i->find_arg, r->spec.vpn) + 1, memory_order_relaxed);
		filter_slot_take(fs, r);
		classifier_add(&s->side[filter_side(r->spec.family, r->spec.inbound)], r);
	}
	filter_anchors_init(fs, s);
	return s;
}

static void rule_set_free(struct rule_set *s)
{
	for (unsigned side = 0; side < FILTER_SIDES; side++) {
		classifier_fini(&s->side[side]);
		filter_slot_give(s->set, s->implicit[side].slot);
	}
	for (size_t k = 0; k < s->n; k++)
		filter_slot_give(s->set, s->rules[k].slot);
	free(s->anchors);
	free(s->rules);
	free(s);
}

static void rule_set_free_rcu(struct rcu_head *h)
{
	rule_set_free(caa_container_of(h, struct rule_set, rcu));
}

enum filter_source filter_in_force(const struct filter_set *fs)
{
	return fs->want == FILTER_POLICY && fs->source[FILTER_POLICY]->loaded ? FILTER_POLICY
									      : FILTER_PROFILE;
}

static void choose(struct filter_set *fs)
{
	atomic_store_explicit(&fs->in_force, fs->source[filter_in_force(fs)], memory_order_release);
	filter_changed(fs);
}

int filter_install(struct filter_set *fs, enum filter_source source, const struct filter_install *i,
	struct errbuf *err)
{
	if (i->n > FILTER_RULES_MAX)
		return err_set(
			err, ENOSPC, "%zu filters, at most %d are held", i->n, FILTER_RULES_MAX);
	for (size_t k = 0; k < i->n; k++) {
		int rc = filter_spec_check(&i->rules[k], err);
		if (rc)
			return rc;
		if (i->rules[k].action == FILTER_SIMULATE)
			return err_set(err, EINVAL,
				"filter '%s': only a defensive filter simulates", i->rules[k].name);
	}
	struct rule_set *old = fs->source[source];
	struct rule_set *s = rule_set_new(fs, source, i);
	struct filter_rule *dynamics = source == FILTER_POLICY ? filter_dynamics_place(fs, s) : NULL;
	fs->source[source] = s;
	choose(fs);
	filter_dynamics_bury(fs, dynamics);
	urcu_qsbr_call_rcu(&old->rcu, rule_set_free_rcu);
	return 0;
}

void filter_switch(struct filter_set *fs, enum filter_source want)
{
	fs->want = want;
	choose(fs);
}

bool filter_nests(const struct filter_set *fs)
{
	return atomic_load_explicit(&fs->in_force, memory_order_acquire)->nests;
}

bool filter_predecap(const struct filter_set *fs)
{
	return atomic_load_explicit(&fs->in_force, memory_order_acquire)->predecap;
}

bool filter_logging(const struct filter_set *fs)
{
	return fs->source[filter_in_force(fs)]->logging;
}

struct filter_set *filter_set_new(void)
{
	struct filter_set *fs = xnew(struct filter_set);
	pthread_mutex_init(&fs->slot_lock, NULL);
	fs->free_slots = xcalloc(FILTER_SLOTS, sizeof(*fs->free_slots));
	atomic_init(&fs->generation, 1);
	fs->epochs = xcalloc(FILTER_BUCKETS, sizeof(*fs->epochs));
	fs->of_tunnel = xcalloc(SADB_TUNNELS_MAX, sizeof(*fs->of_tunnel));
	for (unsigned side = 0; side < FILTER_SIDES; side++) {
		classifier_init(&fs->block[side], side < 2 ? 4 : 6);
		classifier_init(&fs->simulate[side], side < 2 ? 4 : 6);
	}
	atomic_init(&fs->excludes, xcalloc(1, sizeof(struct exclude_list)));
	fs->want = FILTER_POLICY;
	fs->source[FILTER_PROFILE] =
		rule_set_new(fs, FILTER_PROFILE, &(struct filter_install){.loaded = true});
	fs->source[FILTER_POLICY] =
		rule_set_new(fs, FILTER_POLICY, &(struct filter_install){.loaded = false});
	choose(fs);
	return fs;
}

void filter_set_free(struct filter_set *fs)
{
	if (!fs)
		return;
	filter_defences_fini(fs);
	filter_dynamics_fini(fs);
	urcu_qsbr_barrier();
	rule_set_free(fs->source[FILTER_PROFILE]);
	rule_set_free(fs->source[FILTER_POLICY]);
	for (unsigned side = 0; side < FILTER_SIDES; side++) {
		classifier_fini(&fs->block[side]);
		classifier_fini(&fs->simulate[side]);
	}
	unsigned n = atomic_load(&fs->n_workers);
	for (unsigned i = 0; i < n; i++) {
		flow_cache_free(fs->worker[i]->flows);
		flow_cache_free(fs->worker[i]->larger);
		flow_cache_free(fs->worker[i]->outgrown);
		free(fs->worker[i]->matches);
		log_ring_fini(&fs->worker[i]->ring);
		free(fs->worker[i]);
	}
	free(atomic_load(&fs->excludes));
	free(fs->pending);
	free(fs->epochs);
	free(fs->of_tunnel);
	free(fs->free_slots);
	pthread_mutex_destroy(&fs->slot_lock);
	free(fs);
}

unsigned filter_resolve(
	struct filter_set *fs, uint32_t (*find)(void *arg, const char *vpn), void *arg)
{
	unsigned without = 0;
	for (unsigned src = 0; src < 2; src++)
		for (size_t k = 0; k < fs->source[src]->n; k++) {
			struct filter_rule *r = &fs->source[src]->rules[k];
			if (r->spec.action != FILTER_IPSEC || r->spec.anchor)
				continue;
			uint32_t tunnel = find(arg, r->spec.vpn);
			without += tunnel == UINT32_MAX;
			atomic_store_explicit(&r->tunnel, tunnel + 1, memory_order_relaxed);
		}
	return without;
}

static bool each_source(const struct rule_set *s, filter_fn fn, void *arg)
{
	for (size_t k = 0; k < s->n; k++) {
		for (const struct filter_rule *d = s->rules[k].first; d; d = d->next)
			if (!fn(arg, d))
				return false;
		if (!fn(arg, &s->rules[k]))
			return false;
	}
	for (unsigned side = 0; side < FILTER_SIDES; side++)
		if (!fn(arg, &s->implicit[side]))
			return false;
	return true;
}

int filter_each(const struct filter_set *fs, const char *kind, filter_fn fn, void *arg)
{
	bool current = !strcasecmp(kind, "current");
	if (current || !strcasecmp(kind, "defensive")) {
		for (const struct filter_rule *r = fs->newest; r; r = r->older)
			if (!fn(arg, r))
				return 0;
		if (current)
			(void)each_source(fs->source[filter_in_force(fs)], fn, arg);
		return 0;
	}
	if (!strcasecmp(kind, "policy")) {
		if (fs->source[FILTER_POLICY]->loaded)
			(void)each_source(fs->source[FILTER_POLICY], fn, arg);
		return 0;
	}
	if (strcasecmp(kind, "profile"))
		return -EINVAL;
	(void)each_source(fs->source[FILTER_PROFILE], fn, arg);
	return 0;
}
