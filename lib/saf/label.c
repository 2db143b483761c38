/* Security labels: dominance and the mandatory access check (zos.md section 1, "SECLABEL dominance"). */
#include "lib/saf/internal.h"
#include <string.h>

static bool is_special(const char *l, const char *name)
{
	return strcmp(l, name) == 0;
}

static bool has_all(const struct snap_label *a, const struct snap_label *b)
{
	for (int i = 0; i < 4; i++)
		if (b->categories[i] & ~a->categories[i])
			return false;
	return true;
}

static bool dominates(const struct snap_header *h, const char *a, const char *b)
{
	if (strcmp(a, b) == 0 || is_special(a, "SYSHIGH") || is_special(b, "SYSLOW"))
		return true;
	if (is_special(a, "SYSLOW") || is_special(b, "SYSHIGH"))
		return false;
	const struct snap_label *la = snap_label(h, a), *lb = snap_label(h, b);
	return la && lb && la->level >= lb->level && has_all(la, lb);
}

enum label_relation label_compare(const struct snap_header *h, const char *a, const char *b)
{
	if (is_special(a, "SYSNONE") || is_special(b, "SYSNONE") || is_special(a, "SYSMULTI") || is_special(b, "SYSMULTI"))
		return LABEL_EQUAL;
	bool over = dominates(h, a, b), under = dominates(h, b, a);
	return over && under ? LABEL_EQUAL : over ? LABEL_DOMINATES : under ? LABEL_DOMINATED : LABEL_DISJOINT;
}

int label_check(const struct snap_header *h, const struct snap_class *c, const char *user_label, const char *resource_label,
	enum saf_level intent)
{
	if (!resource_label[0]) {
		if (!(c->flags & SNAP_NEEDS_LABEL))
			return 0;
		return h->options & SNAP_MLACTIVE_FAIL ? 1 : h->options & SNAP_MLACTIVE_WARN ? 2 : 0;
	}
	if (!user_label[0])
		return 1;
	enum label_relation r = label_compare(h, user_label, resource_label);
	if (r == LABEL_EQUAL)
		return 0;
	if (c->flags & SNAP_EQUALMAC)
		return 1;
	bool reads = intent <= SAF_READ;
	if (c->flags & SNAP_REVERSEMAC)
		return reads && r == LABEL_DOMINATED ? 0 : 1;
	if (r != LABEL_DOMINATES)
		return 1;
	if (reads || !(h->options & (SNAP_MLS_FAIL | SNAP_MLS_WARN)))
		return 0;
	return h->options & SNAP_MLS_FAIL ? 1 : 2; /* write-down */
}

bool saf_mls(struct saf *s)
{
	snap_refresh(s);
	if (s->bad)
		return true;
	const struct snap_class *c = snap_class(s->h, "SECLABEL");
	return c && (c->flags & SNAP_ACTIVE) && (s->h->options & (SNAP_MLS_FAIL | SNAP_MLS_WARN | SNAP_MLACTIVE_FAIL | SNAP_MLACTIVE_WARN));
}

int saf_profile_label(struct saf *s, const char *class_name, const char *resource, char ret_label[SAF_USER_MAX])
{
	snap_refresh(s);
	size_t len = strnlen(resource, SAF_RESOURCE_MAX);
	const struct snap_class *c = s->bad || strnlen(class_name, SAF_CLASS_MAX) >= SAF_CLASS_MAX ? NULL : snap_class(s->h, class_name);
	if (!c || !(c->flags & SNAP_ACTIVE) || !len || len >= SAF_RESOURCE_MAX)
		return -ENOENT;
	const struct snap_profile *p = snap_find(s->h, c, resource, len, snap_hash(class_name, resource, len));
	if (!p)
		return -ENOENT;
	memcpy(ret_label, p->label, SAF_USER_MAX);
	return 0;
}

static bool is_defined(const struct snap_header *h, const char *l)
{
	static const char *const built_in[] = {"SYSHIGH", "SYSLOW", "SYSNONE", "SYSMULTI"};
	for (size_t i = 0; i < sizeof(built_in) / sizeof(built_in[0]); i++)
		if (is_special(l, built_in[i]))
			return true;
	return l[0] && snap_label(h, l);
}

bool saf_label_permits(struct saf *s, const char *subject, const char *object, enum saf_level intent)
{
	static const struct snap_class normal = {.flags = SNAP_ACTIVE};
	snap_refresh(s);
	if (s->bad || !is_defined(s->h, subject) || !is_defined(s->h, object))
		return false;
	return label_check(s->h, &normal, subject, object, intent) != 1;
}

int saf_label_value(struct saf *s, const char *label, struct saf_label *ret)
{
	snap_refresh(s);
	const struct snap_label *l = s->bad ? NULL : snap_label(s->h, label);
	if (!l)
		return -ENOENT;
	ret->level = l->level;
	memcpy(ret->categories, l->categories, sizeof(ret->categories));
	return 0;
}

int saf_label_by_value(struct saf *s, const struct saf_label *value, char ret_label[SAF_USER_MAX])
{
	snap_refresh(s);
	if (s->bad)
		return -ENOENT;
	const struct snap_label *l = snap_at(s->h, s->h->labels.off);
	for (uint32_t i = 0; i < s->h->labels.count; i++, l++)
		if (l->level == value->level && memcmp(l->categories, value->categories, sizeof(l->categories)) == 0) {
			memcpy(ret_label, l->name, SAF_USER_MAX);
			return 0;
		}
	return -ENOENT;
}
