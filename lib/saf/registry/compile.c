/* The compiler: database -> snapshot bytes -> file. Everything is appended to one growing image; tables are written after what
 * they refer to, so that no reference has to be patched. */
#include "lib/base/sha256.h"
#include "lib/base/xalloc.h"
#include "lib/saf/registry/internal.h"
#include "lib/saf/registry/trie.h"
#include "lib/saf/verify/logon.h"
#include <fcntl.h>
#include <pwd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void copy_name(char out[9], const char *s)
{
	(void)snprintf(out, 9, "%s", s);
}

static int find_name(const struct vec *v, size_t item, const char *name)
{
	size_t lo = 0, hi = v->n;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = strcmp(name, v->p + mid * item);
		if (!c)
			return (int)mid;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return -1;
}

struct build {
	struct registry *r;
	struct image im;
	struct vec users, uids, groups, classes, profiles, labels;
	struct snap_header h;
};

static void load_groups(struct build *b)
{
	sqlite3_stmt *st = db_query(b->r, "SELECT name FROM groups ORDER BY name", "");
	while (sqlite3_step(st) == SQLITE_ROW)
		copy_name(((struct snap_group *)vec_push(&b->groups, sizeof(struct snap_group)))->name, db_text(st, 0));
	(void)sqlite3_finalize(st);
}

static int by_uid(const void *a, const void *b)
{
	const struct snap_uid *x = a, *y = b;
	return x->uid < y->uid ? -1 : x->uid > y->uid ? 1 : x->user < y->user ? -1 : x->user > y->user;
}

/* The uid of a SAF user: OMVS(UID(n)), or that of the Linux account in OMVS(LOGIN(name)). */
static bool user_uid(sqlite3_stmt *st, int uid_col, int login_col, uint32_t *ret)
{
	const char *login = db_text(st, login_col);
	const struct passwd *pw = *login ? getpwnam(login) : NULL;
	if (pw)
		*ret = pw->pw_uid;
	else if (sqlite3_column_type(st, uid_col) != SQLITE_NULL)
		*ret = (uint32_t)sqlite3_column_int64(st, uid_col);
	else
		return false;
	return true;
}

static struct snap_table user_groups(struct build *b, const char *user)
{
	struct vec v = {0};
	sqlite3_stmt *st = db_query(b->r, "SELECT grp FROM connects WHERE user = ? AND revoked = 0 ORDER BY grp", "s", user);
	while (sqlite3_step(st) == SQLITE_ROW) {
		int g = find_name(&b->groups, sizeof(struct snap_group), db_text(st, 0));
		if (g >= 0)
			*(uint32_t *)vec_push(&v, sizeof(uint32_t)) = (uint32_t)g;
	}
	(void)sqlite3_finalize(st);
	return image_vec(&b->im, &v, sizeof(uint32_t));
}

static void load_users(struct build *b)
{
	struct logon *logon = logon_open(b->r->dir, false);
	sqlite3_stmt *st = db_query(b->r,
		"SELECT name, dfltgrp, seclabel, revoked, restricted, special, operations, auditor, full_name, uid, login FROM users ORDER BY name", "");
	while (sqlite3_step(st) == SQLITE_ROW) {
		static const uint8_t flag[] = {SNAP_REVOKED, SNAP_RESTRICTED, SNAP_SPECIAL, SNAP_OPERATIONS, SNAP_AUDITOR};
		struct snap_table groups = user_groups(b, db_text(st, 0));
		struct snap_user *u = vec_push(&b->users, sizeof(*u));
		copy_name(u->name, db_text(st, 0));
		copy_name(u->group, db_text(st, 1));
		copy_name(u->label, db_text(st, 2));
		for (int i = 0; i < 5; i++)
			u->flags = (uint8_t)(u->flags | (sqlite3_column_int(st, 3 + i) ? flag[i] : 0));
		if (logon_is_revoked(logon, u->name)) /* after bad passwords */
			u->flags |= SNAP_REVOKED;
		if (*db_text(st, 8))
			u->full_name = image_text(&b->im, db_text(st, 8));
		u->groups = groups;
		if (user_uid(st, 9, 10, &u->uid)) {
			struct snap_uid *m = vec_push(&b->uids, sizeof(*m));
			u->flags |= SNAP_HAS_UID;
			*m = (struct snap_uid){u->uid, b->users.n - 1};
		}
	}
	(void)sqlite3_finalize(st);
	logon_close(logon);
	struct snap_uid *m = (struct snap_uid *)(void *)b->uids.p;
	uint32_t kept = 0;
	if (b->uids.n)
		qsort(m, b->uids.n, sizeof(*m), by_uid);
	for (uint32_t i = 0; i < b->uids.n; i++) /* a shared uid is the first user by name, as on z/OS */
		if (!kept || m[kept - 1].uid != m[i].uid)
			m[kept++] = m[i];
	b->uids.n = kept;
}

static void load_classes(struct build *b)
{
	sqlite3_stmt *st = db_query(b->r, "SELECT name, active, generic, logopt, mac FROM classes ORDER BY name", "");
	while (sqlite3_step(st) == SQLITE_ROW) {
		struct snap_class *c = vec_push(&b->classes, sizeof(*c));
		copy_name(c->name, db_text(st, 0));
		c->flags = (uint8_t)((sqlite3_column_int(st, 1) ? SNAP_ACTIVE : 0) | (sqlite3_column_int(st, 2) ? SNAP_GENERIC : 0) |
				     sqlite3_column_int(st, 4));
		c->logopt = (uint8_t)sqlite3_column_int(st, 3);
	}
	(void)sqlite3_finalize(st);
}

static int by_acl(const void *pa, const void *pb)
{
	const struct snap_acl *a = pa, *b = pb;
	return a->kind != b->kind ? a->kind - b->kind : a->id < b->id ? -1 : a->id > b->id;
}

static struct snap_table profile_acl(struct build *b, int64_t id)
{
	struct vec v = {0};
	sqlite3_stmt *st = db_query(b->r, "SELECT kind, id, level FROM acl WHERE profile = ?", "i", id);
	while (sqlite3_step(st) == SQLITE_ROW) {
		int kind = sqlite3_column_int(st, 0);
		int who = kind == 0   ? find_name(&b->users, sizeof(struct snap_user), db_text(st, 1))
			  : kind == 1 ? find_name(&b->groups, sizeof(struct snap_group), db_text(st, 1))
				      : 0;
		if (who < 0)
			continue; /* deleted since: the entry is a residual name and grants nothing */
		struct snap_acl *a = vec_push(&v, sizeof(*a));
		*a = (struct snap_acl){kind == 2 ? SAF_STAR_ID : (uint32_t)who, (uint8_t)kind, (uint8_t)sqlite3_column_int(st, 2)};
	}
	(void)sqlite3_finalize(st);
	if (v.n)
		qsort(v.p, v.n, sizeof(struct snap_acl), by_acl);
	return image_vec(&b->im, &v, sizeof(struct snap_acl));
}

static void load_profiles(struct build *b)
{
	struct trie **roots = xcalloc(b->classes.n, sizeof(*roots));
	struct snap_class *classes = (struct snap_class *)(void *)b->classes.p;
	sqlite3_stmt *st = db_query(b->r,
		"SELECT id, class, name, generic, uacc, warning, min(asuccess, gsuccess), min(afailures, gfailures), label FROM profiles ORDER BY id", "");
	while (sqlite3_step(st) == SQLITE_ROW) {
		int c = find_name(&b->classes, sizeof(struct snap_class), db_text(st, 1));
		if (c < 0)
			continue;
		struct snap_table acl = profile_acl(b, sqlite3_column_int64(st, 0));
		struct snap_profile *p = vec_push(&b->profiles, sizeof(*p));
		p->name = image_text(&b->im, db_text(st, 2));
		p->class_index = (uint32_t)c;
		p->generic = (uint8_t)sqlite3_column_int(st, 3);
		p->uacc = (uint8_t)sqlite3_column_int(st, 4);
		p->warning = (uint8_t)sqlite3_column_int(st, 5);
		p->audit_success = (uint8_t)sqlite3_column_int(st, 6);
		p->audit_failures = (uint8_t)sqlite3_column_int(st, 7);
		copy_name(p->label, db_text(st, 8));
		p->acl = acl;
		if (!p->generic)
			continue;
		if (!roots[c])
			roots[c] = trie_new();
		trie_add(roots[c], db_text(st, 2), b->profiles.n - 1);
	}
	(void)sqlite3_finalize(st);
	for (uint32_t c = 0; c < b->classes.n; c++)
		if (roots[c])
			classes[c].trie = trie_put(&b->im, roots[c]);
	free(roots);
}

/* Labels: SECLABEL profiles, their level from SECDATA's SECLEVEL members, their categories by position in CATEGORY's. */
static void load_labels(struct build *b)
{
	sqlite3_stmt *st = db_query(b->r,
		"SELECT p.id, p.name, (SELECT m.value FROM members m JOIN profiles s ON s.id = m.profile WHERE s.class = 'SECDATA' AND"
		" s.name = 'SECLEVEL' AND m.name = p.level) FROM profiles p WHERE p.class = 'SECLABEL' AND p.generic = 0 ORDER BY p.name", "");
	while (sqlite3_step(st) == SQLITE_ROW) {
		struct snap_label *l = vec_push(&b->labels, sizeof(*l));
		copy_name(l->name, db_text(st, 1));
		l->level = (uint16_t)sqlite3_column_int(st, 2);
		sqlite3_stmt *cat = db_query(b->r,
			"SELECT (SELECT count(*) FROM members o JOIN profiles s ON s.id = o.profile WHERE s.class = 'SECDATA' AND"
			" s.name = 'CATEGORY' AND o.name < m.name) FROM members m WHERE m.profile = ? AND m.kind = 'CATEGORY'", "i",
			sqlite3_column_int64(st, 0));
		while (sqlite3_step(cat) == SQLITE_ROW) {
			unsigned bit = (unsigned)sqlite3_column_int(cat, 0) & 255;
			l->categories[bit / 64] |= 1ull << bit % 64;
		}
		(void)sqlite3_finalize(cat);
	}
	(void)sqlite3_finalize(st);
}

static struct snap_table build_hash(struct build *b)
{
	uint32_t slots = 16;
	while (slots < b->profiles.n * 2)
		slots *= 2;
	uint32_t *hash = xcalloc(slots, sizeof(*hash));
	const struct snap_profile *p = (const struct snap_profile *)(const void *)b->profiles.p;
	const struct snap_class *classes = (const struct snap_class *)(const void *)b->classes.p;
	for (uint32_t i = 0; i < b->profiles.n; i++) {
		if (p[i].generic)
			continue;
		const char *name = b->im.b + p[i].name;
		uint32_t at = (uint32_t)snap_hash(classes[p[i].class_index].name, name, strlen(name)) & (slots - 1);
		while (hash[at])
			at = (at + 1) & (slots - 1);
		hash[at] = i + 1;
	}
	struct snap_table t = {image_put(&b->im, hash, slots * sizeof(*hash)), slots};
	free(hash);
	return t;
}

static void compile(struct build *b)
{
	(void)image_put(&b->im, &b->h, sizeof(b->h));
	load_groups(b);
	load_users(b);
	load_classes(b);
	load_profiles(b);
	load_labels(b);
	b->h.hash = build_hash(b);
	b->h.users = image_vec(&b->im, &b->users, sizeof(struct snap_user));
	b->h.uids = image_vec(&b->im, &b->uids, sizeof(struct snap_uid));
	b->h.groups = image_vec(&b->im, &b->groups, sizeof(struct snap_group));
	b->h.classes = image_vec(&b->im, &b->classes, sizeof(struct snap_class));
	b->h.profiles = image_vec(&b->im, &b->profiles, sizeof(struct snap_profile));
	b->h.labels = image_vec(&b->im, &b->labels, sizeof(struct snap_label));
	int64_t mls = db_int(b->r, 0, "SELECT v FROM options WHERE k='MLS'", "");
	int64_t active = db_int(b->r, 0, "SELECT v FROM options WHERE k='MLACTIVE'", "");
	b->h.options = (uint32_t)((mls == 2 ? SNAP_MLS_FAIL : mls == 1 ? SNAP_MLS_WARN : 0) |
				  (active == 2 ? SNAP_MLACTIVE_FAIL : active == 1 ? SNAP_MLACTIVE_WARN : 0));
	memcpy(b->h.magic, SAF_MAGIC, sizeof(b->h.magic));
	b->h.size = b->im.len;
	const size_t covered = offsetof(struct snap_header, size);
	memcpy(b->im.b, &b->h, sizeof(b->h));
	sha256(b->im.b + covered, b->im.len - covered, b->h.sha256);
	memcpy(b->im.b, &b->h, covered);
}

/* The page that readers watch. Made once (readers keep it mapped), then written in place: one aligned store. */
int snapshot_announce(const char *dir, uint64_t generation, struct errbuf *e)
{
	char path[300];
	(void)snprintf(path, sizeof(path), "%s/generation", dir);
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return replace_file(dir, "generation", &generation, sizeof(generation), 0644, -1, e);
	struct stat st;
	void *p = MAP_FAILED;
	if (!fstat(fd, &st) && st.st_size >= (off_t)sizeof(generation))
		p = mmap(NULL, sizeof(generation), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
	if (p == MAP_FAILED)
		return replace_file(dir, "generation", &generation, sizeof(generation), 0644, -1, e);
	__atomic_store_n((uint64_t *)p, generation, __ATOMIC_RELEASE);
	(void)munmap(p, sizeof(generation));
	return 0;
}

int snapshot_publish(struct registry *r, uint64_t generation, struct errbuf *e)
{
	struct build b = {.r = r, .h = {.generation = generation}};
	int rc = secrets_publish(r, e);
	if (rc)
		return rc;
	compile(&b);
	rc = b.im.len > UINT32_MAX ? err_set(e, EFBIG, "SAF snapshot would be over 4 GiB")
				       : replace_file(r->dir, "snapshot", b.im.b, b.im.len, 0644, -1, e);
	free(b.im.b);
	return rc ? rc : snapshot_announce(r->dir, generation, e);
}
