/* saf_check: the decision order of zos.md section 1, and the cache in front of it. The allow is one line each; everything
 * else falls to refusal. */
#include "lib/saf/internal.h"
#include <string.h>

static int acl_level(const struct snap_header *h, const struct snap_profile *p, uint8_t kind, uint32_t id)
{
	const struct snap_acl *a = snap_at(h, p->acl.off);
	size_t lo = 0, hi = p->acl.count;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (a[mid].kind == kind && a[mid].id == id)
			return a[mid].level;
		if (kind < a[mid].kind || (kind == a[mid].kind && id < a[mid].id))
			hi = mid;
		else
			lo = mid + 1;
	}
	return -1;
}

/* The level that the profile gives this user (steps 5 to 8: own entry, groups, ID(*), UACC). */
static enum saf_level held_level(const struct snap_header *h, const struct snap_profile *p, const struct snap_user *u, uint32_t index)
{
	int own = acl_level(h, p, 0, index), best = -1;
	if (own >= 0)
		return (enum saf_level)own;
	const uint32_t *groups = snap_at(h, u->groups.off);
	for (uint32_t i = 0; p->acl.count && i < u->groups.count; i++) {
		int level = acl_level(h, p, 1, groups[i]);
		best = level > best ? level : best;
	}
	if (best >= 0)
		return (enum saf_level)best;
	if (u->flags & SNAP_RESTRICTED)
		return SAF_NONE;
	int star = acl_level(h, p, 2, SAF_STAR_ID);
	return star >= 0 ? (enum saf_level)star : (enum saf_level)p->uacc;
}

static bool wants_audit(const struct snap_class *c, const struct snap_profile *p, enum saf_level intent, bool ok)
{
	switch ((enum snap_logopt)c->logopt) {
	case SNAP_LOG_ALWAYS:
		return true;
	case SNAP_LOG_NEVER:
		return false;
	case SNAP_LOG_SUCCESSES:
		if (ok)
			return true;
		break;
	case SNAP_LOG_FAILURES:
		if (!ok)
			return true;
		break;
	case SNAP_LOG_DEFAULT:
		break;
	}
	return (uint8_t)intent >= (ok ? p->audit_success : p->audit_failures);
}

static void decide(const struct snap_header *h, const struct saf_subject *who, const struct snap_class *c,
	const struct snap_profile *p, struct saf_decision *d)
{
	uint32_t index = 0;
	const struct snap_class *labels = snap_class(h, "SECLABEL");
	const struct snap_user *u = who->user[0] ? snap_user(h, who->user, who->index, &index) : NULL;
	size_t n = strlen(snap_str(h, p->name));
	memcpy(d->profile, snap_str(h, p->name), n < sizeof(d->profile) ? n + 1 : 0);
	d->generic = p->generic;
	d->rc = SAF_REFUSED;
	d->qualifier = 1;
	if (!u || (u->flags & SNAP_REVOKED)) {
		d->audit = wants_audit(c, p, d->intent, false);
		return;
	}
	int label = labels && (labels->flags & SNAP_ACTIVE) ? label_check(h, c, who->seclabel, p->label, d->intent) : 0;
	d->allowed = held_level(h, p, u, index);
	if (label == 1) {
		d->qualifier = 7;
	} else if (d->allowed >= d->intent) {
		d->rc = SAF_ALLOWED;
		d->qualifier = label == 2 ? 3 : 0;
		d->warning = label == 2;
	} else if (p->warning) {
		d->rc = SAF_ALLOWED;
		d->warning = true;
		d->qualifier = 3;
	}
	d->audit = d->warning || wants_audit(c, p, d->intent, d->rc == SAF_ALLOWED);
}

static void compute(const struct snap_header *h, const struct saf_subject *who, const char *class_name, const char *resource,
	size_t len, uint64_t hash, struct saf_decision *d)
{
	const struct snap_class *c = snap_class(h, class_name);
	d->rc = SAF_NO_DECISION;
	if (!c || !(c->flags & SNAP_ACTIVE))
		return;
	const struct snap_profile *p = snap_find(h, c, resource, len, hash);
	if (p)
		decide(h, who, c, p, d);
}

static bool same_question(const struct cache_entry *e, const struct saf_subject *who, const char *class_name,
	const char *resource, size_t len, enum saf_level intent)
{
	return e->user == who->index && e->intent == intent && e->len == len && memcmp(e->resource, resource, len) == 0 &&
	       strcmp(e->class_name, class_name) == 0 && strcmp(e->label, who->seclabel) == 0;
}

static void copy_out(const struct saf_decision *d, struct saf_decision *ret)
{
	if (!ret)
		return;
	memcpy(ret, d, offsetof(struct saf_decision, profile));
	memcpy(ret->profile, d->profile, strlen(d->profile) + 1);
}

enum saf_rc saf_check(struct saf *s, const struct saf_subject *who, const char *class_name, const char *resource,
	enum saf_level intent, struct saf_decision *ret)
{
	snap_refresh(s);
	size_t len = strnlen(resource, SAF_RESOURCE_MAX);
	uint32_t index = who->index;
	struct saf_decision d = {.intent = intent, .rc = SAF_REFUSED, .qualifier = 1};
	if (s->bad || !len || len >= SAF_RESOURCE_MAX || strnlen(class_name, SAF_CLASS_MAX) >= SAF_CLASS_MAX || intent < SAF_EXECUTE ||
		intent > SAF_ALTER) {
		copy_out(&d, ret);
		return SAF_REFUSED;
	}
	/* The index in the subject is a hint from an older snapshot at worst: only a verified one may key the cache. */
	bool known = who->user[0] && snap_user(s->h, who->user, who->index, &index);
	uint64_t hash = snap_hash(class_name, resource, len);
	struct cache_entry *e = &s->cache[(hash ^ (uint64_t)index * 0x9e3779b1u ^ (uint64_t)intent * 0x85ebca6bu) % SAF_CACHE_ENTRIES];
	struct saf_subject asker;
	if (known && index != who->index) {
		asker = *who;
		asker.index = index;
		who = &asker;
	}
	if (known && e->hash == hash && e->generation == s->h->generation && same_question(e, who, class_name, resource, len, intent)) {
		copy_out(&e->d, ret);
		return e->d.rc;
	}
	compute(s->h, who, class_name, resource, len, hash, &d);
	if (known) {
		e->hash = hash;
		e->generation = s->h->generation;
		e->user = index;
		e->intent = (uint8_t)intent;
		e->len = (uint8_t)len;
		memcpy(e->class_name, class_name, strlen(class_name) + 1);
		memcpy(e->label, who->seclabel, sizeof(e->label));
		memcpy(e->resource, resource, len);
		copy_out(&d, &e->d);
	}
	copy_out(&d, ret);
	return d.rc;
}
