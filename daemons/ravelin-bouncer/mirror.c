/* mirror: what is to be blocked and what is. In a table as defmgrD's own, by the name that defmgrD gives the filter. */
#include "daemons/ravelin-bouncer/bouncer.h"
#include "lib/base/xalloc.h"

static const uint64_t SLACK_US = 150000000; /* a filter's life is in whole minutes: no nearer than this do ends have to be */

static struct filter *find(struct bouncer *b, const struct prefix *p)
{
	char name[FILTER_NAME_MAX + 1];
	filter_tag_name(b->conf->tag, p, name);
	return ftable_find(&b->mirror, name);
}

static struct filter *insert(struct bouncer *b, const struct prefix *p)
{
	struct filter *f = xnew(struct filter);
	filter_tag_name(b->conf->tag, p, f->name);
	f->source = *p;
	f->direction = DEFMGR__FILTER__DIRECTION__INBOUND;
	ftable_insert(&b->mirror, f);
	return f;
}

static void drop(struct bouncer *b, struct filter *f)
{
	ftable_remove(&b->mirror, f);
	filter_unref(f);
}

static void ends(struct bouncer *b, struct filter *f, uint64_t expires_us)
{
	f->expires_us = expires_us;
	ftable_rearm(&b->mirror, f);
}

void mirror_held(struct bouncer *b, const struct prefix *p, uint64_t expires_us)
{
	struct filter *f = find(b, p);
	if (!f && b->mirror.count < TABLE_MAX)
		f = insert(b, p);
	if (f)
		ends(b, f, expires_us);
}

void mirror_installed(struct bouncer *b, const struct prefix *p, uint64_t expires_us)
{
	struct filter *f = find(b, p);
	if (f)
		ends(b, f, expires_us);
}

void mirror_forget(struct bouncer *b, const struct prefix *p)
{
	struct filter *f = find(b, p);
	if (f)
		drop(b, f);
}

/* --- may it be blocked? --- */

static bool overlap(const struct prefix *a, const struct prefix *b)
{
	return a->len < b->len ? prefix_covers(a, &b->addr) : prefix_covers(b, &a->addr);
}

static bool no_host(const struct prefix *p)
{
	static const char *const texts[] = {"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/127", "ff00::/8", "fe80::/10"};
	struct prefix q;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (!prefix_parse(texts[i], &q) && overlap(&q, p))
			return true;
	return false;
}

static bool may(struct bouncer *b, const struct prefix *p)
{
	const struct bouncer_conf *c = b->conf;
	bool wide = p->len < (p->addr.family == 4 ? c->widest4 : c->widest6), out = no_host(p);
	for (unsigned i = 0; i < c->nexcludes && !out; i++)
		out = overlap(&c->excludes[i], p);
	b->n.too_wide += wide;
	b->n.excluded += !wide && out;
	return !wide && !out;
}

/* --- decisions --- */

static void send(struct bouncer *b, const struct filter *f, uint64_t now)
{
	if (f->added_us > now)
		push_add(b->push, &f->source, f->added_us - now);
}

/* Has the source the filter that its decision asks for? One that defmgrD cut to its longest life is renewed when half of that is over. */
static bool satisfied(const struct bouncer *b, const struct filter *f, uint64_t now)
{
	if (f->expires_us <= now || f->expires_us > f->added_us + SLACK_US)
		return false;
	return f->expires_us + SLACK_US >= f->added_us || f->expires_us > now + b->max_life_us / 2;
}

static void apply_new(struct bouncer *b, const struct decision *d, uint64_t now, bool whole)
{
	if (!may(b, &d->source))
		return;
	struct filter *f = find(b, &d->source);
	bool first = !f || f->stamp != b->generation;
	if ((whole ? first : !f) && (whole ? b->kept : b->mirror.count) >= b->conf->max_filters) {
		b->n.over_limit++;
		return;
	}
	if (!f)
		f = insert(b, &d->source);
	b->kept += first;
	if (first || now + d->life_us > f->added_us)
		f->added_us = now + d->life_us;
	f->stamp = b->generation;
}

static void apply_deleted(struct bouncer *b, const struct decision *d)
{
	struct filter *f = find(b, &d->source);
	if (!f)
		return;
	push_delete(b->push, &f->source);
	drop(b, f);
}

void mirror_apply(struct bouncer *b, const struct decisions *d, bool whole)
{
	uint64_t now = bouncer_now_us();
	if (whole) {
		b->generation++;
		b->kept = 0;
	}
	b->n.decisions += d->added.n;
	b->n.deletions += d->removed.n;
	b->n.other_scope += d->other_scope;
	b->n.other_type += d->other_type;
	b->n.unreadable += d->unreadable;
	for (size_t i = 0; !whole && i < d->removed.n; i++)
		apply_deleted(b, &d->removed.v[i]);
	for (size_t i = 0; i < d->added.n; i++)
		apply_new(b, &d->added.v[i], now, whole);
	/* of a whole list, what it does not have has no reason any more */
	for (struct filter *f = b->mirror.oldest, *next; f && whole; f = next) {
		next = f->newer;
		if (f->stamp == b->generation)
			continue;
		push_delete(b->push, &f->source);
		drop(b, f);
	}
	for (size_t i = 0; i < d->added.n; i++) {
		struct filter *f = find(b, &d->added.v[i].source);
		if (f && !satisfied(b, f, now))
			send(b, f, now);
	}
	push_flush(b->push);
}

void mirror_sweep(struct bouncer *b)
{
	uint64_t now = bouncer_now_us();
	for (struct filter *f = b->mirror.oldest, *next; f; f = next) {
		next = f->newer;
		if (f->added_us <= now && f->expires_us <= now)
			drop(b, f);
		else if (f->expires_us < now + 2 * SLACK_US && f->added_us > f->expires_us + SLACK_US)
			send(b, f, now);
	}
	push_flush(b->push);
}
