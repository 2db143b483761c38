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
