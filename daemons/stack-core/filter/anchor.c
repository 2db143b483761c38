/* anchor: filters of dynamic tunnels, in front of the anchors of the policy (zos.md section 6).
 *
 * Importance of rules is spaced 2^32 apart; the n-th filter in front of an anchor has the anchor's plus n. It matches
 * where the anchor matches too, so that no packet changes its verdict but those that were the anchor's, or of an older
 * filter in front of it: flow caches have to forget only what hangs on this anchor's bucket. */
#include "daemons/stack-core/filter/set.h"
#include "daemons/stack-core/ipsec/sa.h"
#include "lib/base/ipproto.h"
#include "lib/base/xalloc.h"
#include <string.h>

enum { PLACES_MAX = 32 /* anchors one tunnel stands in front of */ };

struct filter_dynamic {
	struct filter_protect p;
	struct filter_rule *rules; /* by ->sibling */
	bool ready;
	struct filter_dynamic *next, **at;
};

static int by_name(const void *a, const void *b)
{
	const struct filter_rule *x = *(struct filter_rule *const *)a, *y = *(struct filter_rule *const *)b;
	int d = strcmp(x->spec.name, y->spec.name);
	return d ? d : (x->prio < y->prio) - (x->prio > y->prio);
}

void filter_anchors_init(struct filter_set *fs, struct rule_set *s)
{
	s->anchors = xcalloc(s->n, sizeof(struct filter_rule *));
	for (size_t k = 0; k < s->n; k++) {
		if (!s->rules[k].spec.anchor)
			continue;
		if (!++fs->last_bucket)
			fs->last_bucket = 1;
		s->rules[k].bucket = fs->last_bucket;
		s->anchors[s->n_anchors++] = &s->rules[k];
	}
	qsort(s->anchors, s->n_anchors, sizeof(struct filter_rule *), by_name);
}

/* The first anchor of that name; the others follow. */
static size_t first_named(const struct rule_set *s, const char *name)
{
	size_t lo = 0, hi = s->n_anchors;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (strcmp(s->anchors[mid]->spec.name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The selector as a filter. */
static void spec_of(const struct filter_protect *p, bool natt, bool inbound, struct filter_spec *ret)
{
	struct filter_spec s;

	filter_spec_init(&s, p->local_lo.family, false);
	s.src_lo = natt ? p->natt_local : p->local_lo;
	s.src_hi = natt ? p->natt_local : p->local_hi;
	s.dst_lo = natt ? p->natt_remote : p->remote_lo;
	s.dst_hi = natt ? p->natt_remote : p->remote_hi;
	s.proto = p->proto;
	if (p->local_port && ipproto_ports(p->proto))
		s.a = (struct filter_range){p->local_port, p->local_port};
	if (p->remote_port && ipproto_ports(p->proto))
		s.b = (struct filter_range){p->remote_port, p->remote_port};
	s.action = FILTER_IPSEC;
	(void)snprintf(s.name, sizeof(s.name), "%s", p->rule);
	if (inbound)
		filter_spec_mirror(&s, ret);
	else
		*ret = s;
}

static bool overlap(const struct addr *alo, const struct addr *ahi, const struct addr *blo, const struct addr *bhi)
{
	return memcmp(alo->b, bhi->b, 16) <= 0 && memcmp(blo->b, ahi->b, 16) <= 0;
}

static bool meets(const struct filter_spec *a, const struct filter_spec *s)
{
	if (a->family != s->family || a->inbound != s->inbound)
		return false;
	if (a->proto != FILTER_PROTO_ANY && s->proto != FILTER_PROTO_ANY && a->proto != s->proto)
		return false;
	if (ipproto_ports(a->proto) && ipproto_ports(s->proto) &&
		(a->a.lo > s->a.hi || s->a.lo > a->a.hi || a->b.lo > s->b.hi || s->b.lo > a->b.hi))
		return false;
	return overlap(&a->src_lo, &a->src_hi, &s->src_lo, &s->src_hi) && overlap(&a->dst_lo, &a->dst_hi, &s->dst_lo, &s->dst_hi);
}

static struct filter_rule *rule_new(struct filter_set *fs, const struct filter_protect *p, const struct filter_spec *s,
	struct filter_rule *anchor, bool natt)
{
	struct filter_rule *r = xnew(struct filter_rule);
	struct filter_spec spec = *s;

	spec.ext = anchor->spec.ext;
	spec.scope = anchor->spec.scope;
	spec.secclass = anchor->spec.secclass;
	spec.log = anchor->spec.log;
	memcpy(spec.vpn, anchor->spec.vpn, sizeof(spec.vpn));
	memcpy(spec.group, anchor->spec.group, sizeof(spec.group));
	memcpy(spec.start, anchor->spec.start, sizeof(spec.start));
	rule_init(r, &spec, FILTER_DYNAMIC, anchor->prio + ++anchor->turn);
	r->log_on = anchor->log_on;
	r->anchor = anchor;
	r->bucket = anchor->bucket;
	r->natt = natt;
	atomic_init(&r->tunnel, p->tunnel + 1);
	filter_slot_take(fs, r);
	return r;
}

static void list_in(struct filter_rule *anchor, struct filter_rule *r)
{
	r->next = anchor->first;
	r->at = &anchor->first;
	if (r->next)
		r->next->at = &r->next;
	anchor->first = r;
}

static void list_out(struct filter_rule *r)
{
	*r->at = r->next;
	if (r->next)
		r->next->at = r->at;
}

/* Classifier, then counter, then epoch: see look_up in check.c. */
static void changed(struct filter_set *fs, const struct filter_rule *r)
{
	atomic_fetch_add_explicit(&fs->dynamic_change, 1, memory_order_release);
	uint64_t n = atomic_fetch_add_explicit(&fs->epochs[r->bucket], 1, memory_order_acq_rel) + 1;
	if (!(uint32_t)n) /* what is left from 2^32 changes ago must not look new */
		atomic_fetch_add_explicit(&fs->generation, UINT64_C(1) << 32, memory_order_release);
}

static void put(struct filter_set *fs, struct rule_set *s, struct filter_dynamic *d, bool natt, bool inbound, unsigned *places)
{
	struct filter_spec spec;

	spec_of(&d->p, natt, inbound, &spec);
	for (size_t i = first_named(s, d->p.rule); i < s->n_anchors && !strcmp(s->anchors[i]->spec.name, d->p.rule); i++) {
		struct filter_rule *anchor = s->anchors[i];
		if (*places == PLACES_MAX || !meets(&anchor->spec, &spec))
			continue;
		struct filter_rule *r = rule_new(fs, &d->p, &spec, anchor, natt || d->p.natt);
		r->sibling = d->rules;
		d->rules = r;
		list_in(anchor, r);
		++*places;
	}
}

static void classify(struct filter_set *fs, struct rule_set *s, struct filter_rule *r)
{
	r->in = &s->side[filter_side(r->spec.family, r->spec.inbound)];
	classifier_add(r->in, r);
	changed(fs, r);
}

static void place(struct filter_set *fs, struct rule_set *s, struct filter_dynamic *d)
{
	unsigned places = 0;

	d->rules = NULL;
	put(fs, s, d, false, false, &places);
	put(fs, s, d, false, true, &places);
	if (d->p.natt_remote.family) {
		put(fs, s, d, true, false, &places);
		put(fs, s, d, true, true, &places);
	}
	/* First what inbound packets are checked against, then what chooses. */
	atomic_store_explicit(&fs->of_tunnel[d->p.tunnel], d->rules, memory_order_release);
	for (struct filter_rule *r = d->rules; r; r = r->sibling) {
		if (r->spec.inbound || d->ready)
			classify(fs, s, r);
	}
}

void filter_dynamic_ready(struct filter_set *fs, struct filter_dynamic *d)
{
	if (d->ready)
		return;
	d->ready = true;
	fs->n_unready--;
	for (struct filter_rule *r = d->rules; r; r = r->sibling)
		if (!r->in) {
			struct filter_rule *anchor = (struct filter_rule *)(uintptr_t)r->anchor;
			list_out(r);
			list_in(anchor, r);
			r->prio = anchor->prio + ++anchor->turn;
			classify(fs, fs->source[FILTER_POLICY], r);
		}
}

bool filter_dynamic_coming(const struct filter_set *fs, const struct addr *src, const struct addr *dst, uint8_t proto)
{
	struct filter_spec s;

	for (const struct filter_dynamic *d = fs->n_unready ? fs->dynamics : NULL; d; d = d->next) {
		if (d->ready || d->p.local_lo.family != src->family || (d->p.proto != FILTER_PROTO_ANY && d->p.proto != proto))
			continue;
		spec_of(&d->p, false, false, &s);
		if (overlap(src, src, &s.src_lo, &s.src_hi) && overlap(dst, dst, &s.dst_lo, &s.dst_hi))
			return true;
	}
	return false;
}

static void rule_free_rcu(struct rcu_head *h)
{
	struct filter_rule *r = caa_container_of(h, struct filter_rule, rcu);

	filter_slot_give(r->set, r->slot);
	free(r);
}

static int protect_check(const struct filter_protect *p, struct errbuf *err)
{
	struct filter_spec s;

	if (!memchr(p->rule, 0, sizeof(p->rule)) || p->tunnel >= SADB_TUNNELS_MAX)
		return err_set(err, EINVAL, "name too long, or no such tunnel");
	if ((p->natt_local.family || p->natt_remote.family) &&
		(p->natt_local.family != p->local_lo.family || p->natt_remote.family != p->local_lo.family))
		return err_set(err, EINVAL, "address of a NAT of another family than the selector's");
	spec_of(p, false, false, &s);
	(void)snprintf(s.vpn, sizeof(s.vpn), "-");
	return filter_spec_check(&s, err);
}

int filter_dynamic_add(struct filter_set *fs, const struct filter_protect *p, struct errbuf *err, struct filter_dynamic **ret)
{
	int rc = protect_check(p, err);

	if (rc)
		return rc;
	struct filter_dynamic *d = xnew(struct filter_dynamic);
	d->p = *p;
	place(fs, fs->source[FILTER_POLICY], d);
	if (!d->rules) {
		free(d);
		return err_set(err, ENOENT, "the policy has no rule %s with a dynamic tunnel that meets the selector", p->rule);
	}
	d->next = fs->dynamics;
	d->at = &fs->dynamics;
	if (d->next)
		d->next->at = &d->next;
	fs->dynamics = d;
	fs->n_unready++;
	*ret = d;
	return 0;
}

void filter_dynamic_remove(struct filter_set *fs, struct filter_dynamic *d)
{
	/* A tunnel that changed its selector has the new filters by now. */
	struct filter_rule *own = d->rules, *next;

	if (own)
		(void)atomic_compare_exchange_strong(&fs->of_tunnel[d->p.tunnel], &own, NULL);
	for (struct filter_rule *r = d->rules; r; r = next) {
		next = r->sibling;
		list_out(r);
		if (r->in) {
			classifier_remove(r->in, r);
			changed(fs, r);
		}
		urcu_qsbr_call_rcu(&r->rcu, rule_free_rcu);
	}
	*d->at = d->next;
	if (d->next)
		d->next->at = d->at;
	fs->n_unready -= !d->ready;
	free(d);
}

bool filter_dynamic_placed(const struct filter_dynamic *d)
{
	return d->rules != NULL;
}

bool filter_dynamic_same(const struct filter_dynamic *d, const struct filter_protect *p)
{
	return !memcmp(&d->p, p, sizeof(*p));
}

struct filter_rule *filter_dynamics_place(struct filter_set *fs, struct rule_set *s)
{
	struct filter_rule *old = NULL, *next;

	for (struct filter_dynamic *d = fs->dynamics; d; d = d->next) {
		for (struct filter_rule *r = d->rules; r; r = next) {
			next = r->sibling;
			list_out(r);
			r->newer = old; /* ->sibling is still read by workers */
			old = r;
		}
		place(fs, s, d);
	}
	return old;
}

void filter_dynamics_bury(struct filter_set *fs, struct filter_rule *old)
{
	(void)fs;
	while (old) {
		struct filter_rule *next = old->newer;
		urcu_qsbr_call_rcu(&old->rcu, rule_free_rcu); /* its nodes go with the old set's classifier */
		old = next;
	}
}

void filter_dynamics_fini(struct filter_set *fs)
{
	while (fs->dynamics)
		filter_dynamic_remove(fs, fs->dynamics);
}

const struct filter_rule *filter_rule_anchor(const struct filter_rule *r)
{
	return r->anchor;
}

enum filter_natt filter_rule_natt(const struct filter_rule *r)
{
	if (r->anchor)
		return r->natt ? FILTER_NATT_DYNAMIC : FILTER_NATT_NONE;
	for (const struct filter_rule *d = r->first; d; d = d->next)
		if (d->natt)
			return FILTER_NATT_ANCHOR;
	return FILTER_NATT_NONE;
}

void filter_set_sadb(struct filter_set *fs, struct sadb *db)
{
	fs->sadb = db;
}
