#include "lib/saf/verify/secrets.h"
#include "lib/base/sha256.h"
#include "lib/base/xalloc.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct head {
	char magic[8];
	uint8_t hash[32]; /* of what follows */
	uint32_t revoke, nusers, nkeys, pad;
};
static const char magic[8] = "RVSECv01";
enum { AFTER = offsetof(struct head, revoke), FILE_MAX = 256 << 20 };

static bool parse(struct secrets *s)
{
	const uint8_t *data = secret_data(s->file);
	size_t len = secret_len(s->file);
	uint8_t hash[32];
	struct head h;
	memcpy(&h, data, sizeof(h));
	sha256(data + AFTER, len - AFTER, hash);
	if (memcmp(h.magic, magic, sizeof(magic)) != 0 || memcmp(h.hash, hash, sizeof(hash)) != 0)
		return false;
	if (len != sizeof(h) + (uint64_t)h.nusers * sizeof(*s->users) + (uint64_t)h.nkeys * sizeof(*s->keys))
		return false;
	s->revoke = h.revoke;
	s->nusers = h.nusers;
	s->nkeys = h.nkeys;
	s->users = (const void *)(data + sizeof(h));
	s->keys = (const void *)(s->users + h.nusers);
	for (uint32_t i = 0; i < s->nusers; i++)
		if (!memchr(s->users[i].name, 0, sizeof(s->users[i].name)) || !memchr(s->users[i].hash, 0, SECRETS_HASH_MAX))
			return false;
	for (uint32_t i = 0; i < s->nkeys; i++)
		if (!memchr(s->keys[i].name, 0, sizeof(s->keys[i].name)))
			return false;
	return true;
}

int secrets_load(const char *dir, struct secrets *ret)
{
	char path[300];
	struct secrets s = {0};
	struct stat st;
	(void)snprintf(path, sizeof(path), "%s/secrets", dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), r = 0;
	if (fd < 0 || fstat(fd, &st))
		r = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(struct head) || st.st_size > FILE_MAX)
		r = -EBADMSG;
	if (!r) {
		s.file = secret_new(NULL, (size_t)st.st_size);
		if (read(fd, secret_writable(s.file), (size_t)st.st_size) != st.st_size || !parse(&s))
			r = -EBADMSG;
	}
	if (fd >= 0)
		(void)close(fd);
	if (r) {
		secrets_free(&s);
		return r;
	}
	*ret = s;
	return 0;
}

void secrets_free(struct secrets *s)
{
	secret_free(s->file);
	*s = (struct secrets){0};
}

static int user_order(const void *name, const void *u)
{
	return strcmp(name, ((const struct secrets_user *)u)->name);
}

static int key_order(const void *name, const void *k)
{
	return strcmp(name, ((const struct secrets_key *)k)->name);
}

const struct secrets_user *secrets_find_user(const struct secrets *s, const char *user)
{
	return s->nusers ? bsearch(user, s->users, s->nusers, sizeof(*s->users), user_order) : NULL;
}

const struct secrets_key *secrets_find_key(const struct secrets *s, const char *name)
{
	return s->nkeys ? bsearch(name, s->keys, s->nkeys, sizeof(*s->keys), key_order) : NULL;
}

/* Grows by hand: realloc would leave copies behind. */
static void *append(struct secrets_writer *w, size_t len)
{
	if (w->len + len > w->cap) {
		size_t cap = (w->cap + len) * 2;
		uint8_t *data = xcalloc(1, cap);
		if (w->data) {
			memcpy(data, w->data, w->len);
			secret_wipe(w->data, w->cap);
			free(w->data);
		}
		w->data = data;
		w->cap = cap;
	}
	w->len += len;
	return w->data + w->len - len;
}

void secrets_begin(struct secrets_writer *w, uint32_t revoke)
{
	*w = (struct secrets_writer){0};
	struct head *h = append(w, sizeof(*h));
	memcpy(h->magic, magic, sizeof(magic));
	h->revoke = revoke;
}

void secrets_user(struct secrets_writer *w, const char *name, const char *hash, bool expired)
{
	struct secrets_user *u = append(w, sizeof(*u));
	memcpy(u->name, name, strnlen(name, sizeof(u->name) - 1));
	memcpy(u->hash, hash, strnlen(hash, sizeof(u->hash) - 1));
	u->expired = expired;
	w->nusers++;
}

void secrets_key(struct secrets_writer *w, const char *name, const uint8_t key[8], bool replay)
{
	struct secrets_key *k = append(w, sizeof(*k));
	memcpy(k->name, name, strnlen(name, sizeof(k->name) - 1));
	memcpy(k->key, key, sizeof(k->key));
	k->replay = replay;
	w->nkeys++;
}

const void *secrets_end(struct secrets_writer *w, size_t *ret_len)
{
	struct head *h = (void *)w->data;
	h->nusers = w->nusers;
	h->nkeys = w->nkeys;
	sha256(w->data + AFTER, w->len - AFTER, h->hash);
	*ret_len = w->len;
	return w->data;
}

void secrets_fini(struct secrets_writer *w)
{
	if (w->data)
		secret_wipe(w->data, w->cap);
	free(w->data);
	*w = (struct secrets_writer){0};
}
