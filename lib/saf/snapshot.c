/* Mapping a snapshot, refusing a bad one, noticing a new one. */
#include "lib/base/path.h"
#include "lib/base/sha256.h"
#include "lib/base/xalloc.h"
#include "lib/saf/internal.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool table_fits(const struct snap_header *h, struct snap_table t, size_t item)
{
	return t.off <= h->size && t.count <= (h->size - t.off) / item;
}

static bool is_sound(const struct snap_header *h, size_t size)
{
	uint8_t sum[32];
	if (size <= sizeof(*h) || memcmp(h->magic, SAF_MAGIC, sizeof(h->magic)) || h->size != size)
		return false;
	sha256(&h->size, size - offsetof(struct snap_header, size), sum);
	uint32_t slots = h->hash.count;
	return memcmp(sum, h->sha256, sizeof(sum)) == 0 && table_fits(h, h->users, sizeof(struct snap_user)) &&
	       table_fits(h, h->uids, sizeof(struct snap_uid)) && table_fits(h, h->groups, sizeof(struct snap_group)) &&
	       table_fits(h, h->classes, sizeof(struct snap_class)) &&
	       table_fits(h, h->profiles, sizeof(struct snap_profile)) &&
	       table_fits(h, h->labels, sizeof(struct snap_label)) && table_fits(h, h->hash, sizeof(uint32_t)) &&
	       slots && !(slots & (slots - 1));
}

static int map_file(const char *path, const struct snap_header **ret, struct errbuf *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	if (fd < 0)
		return err_set(e, errno, "%s: %s; run 'safctl --init' to make a SAF database", path, strerror(errno));
	if (fstat(fd, &st) || st.st_size <= (off_t)sizeof(struct snap_header)) {
		(void)close(fd);
		return err_set(e, EINVAL, "%s: not a SAF snapshot (too short)", path);
	}
	void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	(void)close(fd);
	if (p == MAP_FAILED)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	if (!is_sound(p, (size_t)st.st_size)) {
		(void)munmap(p, (size_t)st.st_size);
		return err_set(e, EBADMSG, "%s: damaged snapshot refused; run any safctl command as root to rebuild it", path);
	}
	*ret = p;
	return 0;
}

static void unmap(const struct snap_header *h)
{
	if (h)
		(void)munmap((void *)(uintptr_t)h, h->size);
}

int saf_open(const char *dir, struct saf **ret, struct errbuf *e)
{
	char standard[PATH_TEXT_MAX];
	if (!dir)
		dir = path_make(standard, "/var/lib/ravelin/saf");
	struct saf *s = xnew(struct saf);
	(void)snprintf(s->path, sizeof(s->path), "%s/snapshot", dir);
	(void)snprintf(s->generation_path, sizeof(s->generation_path), "%s/generation", dir);
	int fd = open(s->generation_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	void *page = MAP_FAILED;
	int rc = -errno;
	if (fd >= 0) {
		rc = fstat(fd, &st) || st.st_size < 8 ? -EINVAL : 0;
		if (!rc)
			page = mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
		(void)close(fd);
	}
	if (page == MAP_FAILED) {
		free(s);
		return err_set(e, rc ? -rc : EINVAL, "%s/generation: %s; run 'safctl --init' to make a SAF database", dir,
			strerror(rc ? -rc : EINVAL));
	}
	s->generation = page;
	s->seen = *s->generation;
	rc = map_file(s->path, &s->h, e);
	if (rc) {
		saf_close(s);
		return rc;
	}
	s->cache = xcalloc(SAF_CACHE_ENTRIES, sizeof(*s->cache));
	*ret = s;
	return 0;
}

void saf_close(struct saf *s)
{
	if (!s)
		return;
	unmap(s->h);
	if (s->generation)
		(void)munmap((void *)(uintptr_t)s->generation, 8);
	free(s->cache);
	free(s);
}

void snap_refresh(struct saf *s)
{
	uint64_t now = *s->generation;
	const struct snap_header *fresh = NULL;
	if (now == s->seen)
		return;
	s->seen = now;
	/* What the administrator took away must be gone: never go on with the old one. */
	s->bad = map_file(s->path, &fresh, NULL) != 0;
	if (s->bad)
		return;
	unmap(s->h);
	s->h = fresh;
}

uint64_t saf_generation(struct saf *s)
{
	if (*s->generation != s->seen)
		snap_refresh(s);
	return s->h->generation;
}

static const void *by_name(const struct snap_header *h, struct snap_table t, size_t item, const char *name)
{
	size_t lo = 0, hi = t.count;
	const char *base = snap_at(h, t.off);
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = strcmp(name, base + mid * item); /* the name is the first member of each of them */
		if (!c)
			return base + mid * item;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

const struct snap_user *snap_user(const struct snap_header *h, const char *name, uint32_t hint, uint32_t *ret_index)
{
	const struct snap_user *all = snap_at(h, h->users.off), *u = NULL;
	if (hint < h->users.count && strcmp(all[hint].name, name) == 0)
		u = &all[hint];
	else
		u = by_name(h, h->users, sizeof(*u), name);
	if (u && ret_index)
		*ret_index = (uint32_t)(u - all);
	return u;
}

const struct snap_class *snap_class(const struct snap_header *h, const char *name)
{
	return by_name(h, h->classes, sizeof(struct snap_class), name);
}

const struct snap_label *snap_label(const struct snap_header *h, const char *name)
{
	return by_name(h, h->labels, sizeof(struct snap_label), name);
}

static void fill_subject(const struct snap_header *h, const struct snap_user *u, struct saf_subject *ret, bool *ret_revoked)
{
	const struct snap_user *all = snap_at(h, h->users.off);
	memcpy(ret->user, u->name, sizeof(ret->user));
	memcpy(ret->seclabel, u->label, sizeof(ret->seclabel));
	ret->index = (uint32_t)(u - all);
	if (ret_revoked)
		*ret_revoked = u->flags & SNAP_REVOKED;
}

int saf_user_by_uid(struct saf *s, uid_t uid, struct saf_subject *ret_subject, bool *ret_revoked)
{
	snap_refresh(s);
	const struct snap_uid *t = snap_at(s->h, s->h->uids.off);
	size_t lo = 0, hi = s->h->uids.count;
	*ret_subject = (struct saf_subject){.uid = uid, .index = UINT32_MAX};
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (t[mid].uid == uid) {
			const struct snap_user *all = snap_at(s->h, s->h->users.off);
			fill_subject(s->h, &all[t[mid].user], ret_subject, ret_revoked);
			return 0;
		}
		if (uid < t[mid].uid)
			hi = mid;
		else
			lo = mid + 1;
	}
	return -ENOENT;
}

void saf_each_uid(struct saf *s, void (*fn)(void *arg, const struct saf_subject *who, bool revoked), void *arg)
{
	snap_refresh(s);
	/* @fn may decide, which may change to a newer snapshot: positions are asked anew, and a uid is found by itself. */
	for (uint32_t i = 0; i < s->h->uids.count; i++) {
		const struct snap_uid *t = snap_at(s->h, s->h->uids.off);
		struct saf_subject who;
		bool revoked = false;
		if (!saf_user_by_uid(s, t[i].uid, &who, &revoked))
			fn(arg, &who, revoked);
	}
}

int saf_user_by_name(struct saf *s, const char *user, struct saf_subject *ret_subject, bool *ret_revoked)
{
	snap_refresh(s);
	const struct snap_user *u = snap_user(s->h, user, UINT32_MAX, NULL);
	*ret_subject = (struct saf_subject){.uid = (uid_t)-1, .index = UINT32_MAX};
	if (!u)
		return -ENOENT;
	if (u->flags & SNAP_HAS_UID)
		ret_subject->uid = u->uid;
	fill_subject(s->h, u, ret_subject, ret_revoked);
	return 0;
}
