/* Through all rings of all users: what changes in the store changes there too. */
#include "lib/keyring/racdcert/internal.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool each_ring_of(
	struct racd *r, const struct dir *user, const char *name, ring_fn fn, void *arg)
{
	char **rings = NULL, ring[KEYRING_RING_MAX];
	size_t n = 0;
	struct errbuf e;
	bool go_on = true;
	if (dir_list(user, KEYRING_CERTS_MAX, &rings, &n, &e)) {
		say(r, RACF_REFUSED, "IRRD103I %s", e.text);
		return false;
	}
	for (size_t i = 0; go_on && i < n; i++) {
		struct dir d;
		if (dir_decode(rings[i], ring, sizeof(ring)) ||
			open_below(r, user, rings[i], false, &d))
			continue;
		go_on = fn(arg, r, name, ring, &d);
		dir_close(&d);
	}
	dir_list_free(rings, n);
	return go_on;
}

bool each_ring(struct racd *r, ring_fn fn, void *arg)
{
	char **users = NULL;
	size_t n = 0;
	struct dir top;
	struct errbuf e;
	bool go_on = true;
	if (!open_top(r, false, &top))
		return false;
	if (dir_list(&top, 100000, &users, &n, &e)) {
		say(r, RACF_REFUSED, "IRRD103I %s", e.text);
		go_on = false;
	}
	for (size_t i = 0; go_on && i < n; i++) {
		struct dir d;
		if (open_below(r, &top, users[i], false, &d))
			continue;
		go_on = each_ring_of(r, &d, users[i], fn, arg);
		dir_close(&d);
	}
	dir_list_free(users, n);
	dir_close(&top);
	return go_on;
}

struct refresh {
	const struct owner *owner;
	const char *label;
	const struct material *m;
};

static bool refresh_one(
	void *arg, struct racd *r, const char *user, const char *ring, const struct dir *d)
{
	const struct refresh *f = arg;
	struct ring_info info;
	char file[DIR_NAME_MAX], key[DIR_NAME_MAX + 16];
	(void)ring;
	if (!read_info(d, f->label, &info) || strcmp(info.owner, f->owner->name) != 0 ||
		dir_encode(f->label, KEYRING_LABEL_MAX - 1, file))
		return true;
	if (!f->m)
		return drop_folder(r, d, file);
	struct stat st;
	struct material m = *f->m;
	(void)snprintf(key, sizeof(key), "%s/key.pem", file);
	bool has_key = fstatat(d->fd, key, &st, AT_SYMLINK_NOFOLLOW) == 0;
	uid_t uid = has_key ? st.st_uid : geteuid();
	(void)registry_user_uid(r->env->registry, user, &uid);
	m.key = has_key ? m.key : NULL;
	m.info.usage = info.usage;
	m.info.is_default = info.is_default;
	return save(r, d, f->label, &m, uid);
}

bool refresh_rings(
	struct racd *r, const struct owner *o, const char *label, const struct material *m)
{
	struct refresh f = {o, label, m};
	return each_ring(r, refresh_one, &f);
}
