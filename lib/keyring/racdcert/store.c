/* The folders as RACDCERT writes them. A certificate is written whole into a hidden folder beside
 * its place, fsynced, and put there by one rename (or exchange); what a killed safctl left hidden
 * is swept away by the next. */
#include "lib/base/path.h"
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include "lib/keyring/racdcert/internal.h"
#include <dirent.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEW_FOLDER ".new"

void material_fini(struct material *m)
{
	for (size_t i = 0; i < m->n; i++)
		X509_free(m->certs[i]);
	EVP_PKEY_free(m->key);
	*m = (struct material){.n = 0};
}

static bool io_failed(struct racd *r, const char *path, int err)
{
	say(r, RACF_REFUSED, "IRRD103I %s: %s", path, strerror(err));
	return false;
}

bool open_top(struct racd *r, bool create, struct dir *ret)
{
	char standard[PATH_TEXT_MAX], part[PATH_TEXT_MAX];
	struct errbuf e;
	const char *path =
		r->env->dir ? r->env->dir : path_make(standard, "/var/lib/ravelin/keyring");
	for (const char *p = path; create && (p = strchr(p + 1, '/'));) {
		(void)snprintf(part, sizeof(part), "%.*s", (int)(p - path), path);
		(void)mkdir(part, 0755);
	}
	if (create)
		(void)mkdir(path, 0755);
	if (dir_open_top(path, geteuid(), ret, &e) == 0)
		return true;
	say(r, RACF_REFUSED, "IRRD103I %s", e.text);
	return false;
}

/* 0, -ENOENT without a message, or another after one. */
int open_below(
	struct racd *r, const struct dir *up, const char *name, bool create, struct dir *ret)
{
	struct errbuf e;
	if (create && mkdirat(up->fd, name, 0755) == 0)
		(void)fsync(up->fd);
	int rc = dir_open_sub(up, name, ret, &e);
	if (rc && rc != -ENOENT)
		say(r, RACF_REFUSED, "IRRD103I %s", e.text);
	return rc;
}

static int open_owner(struct racd *r, const struct owner *o, bool create, struct dir *ret)
{
	struct dir top;
	if (!open_top(r, create, &top))
		return -EIO;
	int rc = open_below(r, &top, o->name, create, ret);
	dir_close(&top);
	return rc;
}

bool open_store(struct racd *r, const struct owner *o, bool create, struct dir *ret)
{
	struct dir user;
	int rc = open_owner(r, o, create, &user);
	if (!rc) {
		rc = open_below(r, &user, DIR_STORE, create, ret);
		dir_close(&user);
	}
	if (rc == -ENOENT)
		say(r, RACF_REFUSED, "IRRD107I No matching certificate was found for %s",
			owner_text(o));
	return !rc;
}

bool open_ring(struct racd *r, const struct owner *o, const char *ring, struct dir *ret)
{
	char file[DIR_NAME_MAX];
	struct dir user;
	if (dir_encode(ring, KEYRING_RING_MAX - 1, file)) {
		say(r, RACF_SYNTAX, "IKJ56702I INVALID RING: 1 to %d characters",
			KEYRING_RING_MAX - 1);
		return false;
	}
	int rc = open_owner(r, o, false, &user);
	if (!rc) {
		rc = open_below(r, &user, file, false, ret);
		dir_close(&user);
	}
	if (rc == -ENOENT)
		say(r, RACF_REFUSED, "IRRD114I Ring %s does not exist for %s", ring, owner_text(o));
	else if (!rc)
		ret->uid = o->uid; /* whose keys are in it */
	return !rc;
}

bool make_ring(struct racd *r, const struct owner *o, const char *ring)
{
	char file[DIR_NAME_MAX];
	struct dir user;
	bool made = false;
	if (strchr(ring, '/') || dir_encode(ring, KEYRING_RING_MAX - 1, file)) {
		say(r, RACF_SYNTAX, "IKJ56702I INVALID RING: 1 to %d characters, no /",
			KEYRING_RING_MAX - 1);
		return false;
	}
	if (open_owner(r, o, true, &user))
		return false;
	if (mkdirat(user.fd, file, 0755))
		say(r, RACF_REFUSED,
			errno == EEXIST ? "IRRD115I Ring %s already exists for %s"
					: "IRRD103I Ring %s cannot be made for %s",
			ring, owner_text(o));
	else
		made = fsync(user.fd) == 0;
	dir_close(&user);
	return made;
}

/* All that is in @file of @parent, then itself; depth is bounded by our own layout. */
static bool sweep(int parent, const char *file, int depth)
{
	int fd = openat(parent, file, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	bool good = d || errno == ENOENT;
	if (fd >= 0 && !d)
		(void)close(fd);
	for (const struct dirent *x; d && (x = readdir(d));) {
		if (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(d), x->d_name, 0) &&
			(!depth || !sweep(dirfd(d), x->d_name, depth - 1)))
			good = false;
	}
	if (!d)
		return good;
	(void)closedir(d);
	return unlinkat(parent, file, AT_REMOVEDIR) == 0 && good;
}

bool drop_folder(struct racd *r, const struct dir *parent, const char *file)
{
	(void)sweep(parent->fd, NEW_FOLDER, 2);
	/* out of sight in one step, then taken apart */
	if (renameat(parent->fd, file, parent->fd, NEW_FOLDER) || fsync(parent->fd))
		return io_failed(r, parent->path, errno);
	if (!sweep(parent->fd, NEW_FOLDER, 2))
		say(r, RACF_WARNED, "IRRD103I %s: what was removed cannot be deleted: %s",
			parent->path, strerror(errno));
	return true;
}

static bool put_file(
	int dir, const char *name, const void *data, size_t len, mode_t mode, int64_t uid)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	bool good = fd >= 0 && write(fd, data, len) == (ssize_t)len &&
		    (uid < 0 || geteuid() != 0 || fchown(fd, (uid_t)uid, (gid_t)-1) == 0) &&
		    fchmod(fd, mode) == 0 && fsync(fd) == 0;
	int err = errno;
	if (fd >= 0)
		(void)close(fd);
	errno = err;
	return good;
}

static bool put_certs(int dir, const struct material *m)
{
	BIO *b = xcheck(BIO_new(BIO_s_mem()));
	char *text = NULL;
	bool good = true;
	for (size_t i = 0; i < m->n; i++)
		good = good && PEM_write_bio_X509(b, m->certs[i]) == 1;
	long len = BIO_get_mem_data(b, &text);
	errno = EINVAL;
	good = good && len > 0 && put_file(dir, "cert.pem", text, (size_t)len, 0644, -1);
	BIO_free(b);
	return good;
}

static bool put_key(int dir, EVP_PKEY *key, uid_t uid)
{
	BIO *b = xcheck(BIO_new(BIO_s_secmem()));
	char *text = NULL;
	errno = EINVAL;
	bool good = PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL) == 1;
	long len = good ? BIO_get_mem_data(b, &text) : 0;
	good = good && len > 0 && put_file(dir, "key.pem", text, (size_t)len, 0600, uid);
	if (len > 0)
		secret_wipe(text, (size_t)len);
	BIO_free(b);
	return good;
}

static bool fill(int dir, const struct material *m, uid_t key_uid)
{
	char info[64];
	ring_info_text(&m->info, info);
	return put_certs(dir, m) && (!m->key || put_key(dir, m->key, key_uid)) &&
	       put_file(dir, "info", info, strlen(info), 0644, -1) && fsync(dir) == 0;
}

bool save(struct racd *r, const struct dir *parent, const char *label, const struct material *m,
	uid_t key_uid)
{
	char file[DIR_NAME_MAX];
	if (dir_encode(label, KEYRING_LABEL_MAX - 1, file))
		return io_failed(r, label, EINVAL);
	(void)sweep(parent->fd, NEW_FOLDER, 2);
	if (mkdirat(parent->fd, NEW_FOLDER, 0755))
		return io_failed(r, parent->path, errno);
	int fd = openat(parent->fd, NEW_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool good = fd >= 0 && fill(fd, m, key_uid);
	if (good && renameat2(parent->fd, NEW_FOLDER, parent->fd, file, RENAME_NOREPLACE) &&
		errno == EEXIST)
		good = renameat2(parent->fd, NEW_FOLDER, parent->fd, file, RENAME_EXCHANGE) == 0;
	else
		good = good && faccessat(parent->fd, file, F_OK, 0) == 0;
	good = good && fsync(parent->fd) == 0;
	int err = errno;
	if (fd >= 0)
		(void)close(fd);
	(void)sweep(parent->fd, NEW_FOLDER, 2);
	return good || io_failed(r, parent->path, err);
}

bool has_entry(const struct dir *parent, const char *label)
{
	char file[DIR_NAME_MAX];
	return dir_encode(label, KEYRING_LABEL_MAX - 1, file) == 0 &&
	       faccessat(parent->fd, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool read_info(const struct dir *parent, const char *label, struct ring_info *ret)
{
	char file[DIR_NAME_MAX];
	struct dir d;
	uint8_t *text = NULL;
	size_t len = 0;
	if (dir_encode(label, KEYRING_LABEL_MAX - 1, file) || dir_open_sub(parent, file, &d, NULL))
		return false;
	bool good = dir_read(&d, "info", DIR_PUBLIC, 128, &text, &len, NULL) == 0 &&
		    strlen((char *)text) == len && ring_info_parse((char *)text, ret) == 0;
	free(text);
	dir_close(&d);
	return good;
}

bool set_info(
	struct racd *r, const struct dir *parent, const char *label, const struct ring_info *info)
{
	char file[DIR_NAME_MAX], text[64];
	struct dir d;
	ring_info_text(info, text);
	if (dir_encode(label, KEYRING_LABEL_MAX - 1, file) ||
		open_below(r, parent, file, false, &d))
		return false;
	(void)unlinkat(d.fd, NEW_FOLDER, 0);
	bool good = put_file(d.fd, NEW_FOLDER, text, strlen(text), 0644, -1) &&
		    renameat(d.fd, NEW_FOLDER, d.fd, "info") == 0 && fsync(d.fd) == 0;
	int err = errno;
	dir_close(&d);
	return good || io_failed(r, parent->path, err);
}

bool put_crl(struct racd *r, const struct dir *ring, const char *name, const void *der, size_t len)
{
	struct dir d;
	if (open_below(r, ring, DIR_CRLS, true, &d))
		return false;
	(void)unlinkat(d.fd, NEW_FOLDER, 0);
	bool good = put_file(d.fd, NEW_FOLDER, der, len, 0644, -1) &&
		    renameat(d.fd, NEW_FOLDER, d.fd, name) == 0 && fsync(d.fd) == 0;
	int err = errno;
	dir_close(&d);
	return good || io_failed(r, ring->path, err);
}

static int load_from(const struct dir *d, bool with_key, struct material *m, struct errbuf *e)
{
	uint8_t *text = NULL;
	size_t len = 0;
	int rc = dir_read(d, "cert.pem", DIR_PUBLIC, KEYRING_FILE_MAX, &text, &len, e);
	rc = rc ? rc : ring_parse_certs(text, len, m->certs, &m->n, e);
	free(text);
	if (rc || !with_key)
		return rc;
	uint8_t *der = NULL;
	int n = i2d_X509(m->certs[0], &der);
	struct verify_blob cert = {der, n > 0 ? (size_t)n : 0};
	rc = key_read(d, &cert, &m->key, e);
	OPENSSL_free(der);
	return rc == -ENOENT ? 0 : rc;
}

bool load(struct racd *r, const struct owner *o, const char *label, bool with_key,
	struct material *ret)
{
	char file[DIR_NAME_MAX];
	struct dir store, d;
	struct errbuf e = {""};
	struct material m = {.n = 0};
	if (!open_store(r, o, false, &store))
		return false;
	int rc = dir_encode(label, KEYRING_LABEL_MAX - 1, file)
			 ? -ENOENT
			 : dir_open_sub(&store, file, &d, &e);
	if (!rc) {
		rc = load_from(&d, with_key, &m, &e);
		dir_close(&d);
	}
	if (!rc && !read_info(&store, label, &m.info))
		rc = err_set(&e, EINVAL, "%.200s/info cannot be read", store.path);
	dir_close(&store);
	if (!rc) {
		*ret = m;
		return true;
	}
	material_fini(&m);
	if (rc == -ENOENT)
		say(r, RACF_REFUSED, "IRRD107I No matching certificate was found for %s: LABEL(%s)",
			owner_text(o), label);
	else
		say(r, RACF_REFUSED, "IRRD103I %s", e.text);
	return false;
}
