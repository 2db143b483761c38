/* What the files of lib/saf share: the handle and the mapped snapshot. */
#pragma once
#include "lib/saf/format.h"
#include <stddef.h>

enum { SAF_CACHE_ENTRIES = 2048 };

struct cache_entry {
	uint64_t hash, generation;
	uint32_t user;
	uint8_t intent, len;
	char class_name[SAF_CLASS_MAX], label[SAF_USER_MAX];
	char resource[SAF_RESOURCE_MAX];
	struct saf_decision d;
};

struct saf {
	char path[256], generation_path[256];
	const struct snap_header *h;
	const volatile uint64_t *generation; /* the page the writer bumps */
	uint64_t seen;
	bool bad; /* the newest snapshot cannot be read: everything is refused until a good one comes */
	struct cache_entry *cache;
};

static inline const void *snap_at(const struct snap_header *h, uint32_t off)
{
	return (const char *)h + off;
}
static inline const char *snap_str(const struct snap_header *h, uint32_t off)
{
	return (const char *)h + off;
}
/* snapshot.c */
void snap_refresh(struct saf *s); /* after the writer bumped the generation; sets .bad when the new one is */
const struct snap_user *snap_user(const struct snap_header *h, const char *name, uint32_t hint, uint32_t *ret_index);
const struct snap_class *snap_class(const struct snap_header *h, const char *name);
const struct snap_label *snap_label(const struct snap_header *h, const char *name);
/* find.c: the profile that covers @resource, or NULL. @hash = snap_hash of it. */
const struct snap_profile *snap_find(const struct snap_header *h, const struct snap_class *c, const char *resource, size_t len, uint64_t hash);
/* label.c: 0 passes, 1 refused, 2 passes with a warning (MLS/MLACTIVE in WARNING). */
int label_check(const struct snap_header *h, const struct snap_class *c, const char *user_label, const char *resource_label,
	enum saf_level intent);
enum label_relation { LABEL_EQUAL, LABEL_DOMINATES, LABEL_DOMINATED, LABEL_DISJOINT };
enum label_relation label_compare(const struct snap_header *h, const char *a, const char *b);
