#include "lib/keyring/dir.h"
#include "lib/base/path.h"
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int dir_encode(const char *name, size_t max, char *out)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t len = strlen(name);
	if (!len || len > max || 3 * len >= DIR_NAME_MAX)
		return -EINVAL;
	for (const char *p = name; *p; p++) {
		unsigned char c = (unsigned char)*p;
		if ((c < 0x80 && isalnum(c)) || c == '_' || c == '-' || (c == '.' && p != name)) {
			*out++ = (char)c;
			continue;
		}
		*out++ = '%';
		*out++ = hex[c >> 4];
		*out++ = hex[c & 15];
	}
	*out = 0;
	return 0;
}

static int nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int dir_decode(const char *file, char *out, size_t size)
{
	size_t n = 0;
	for (const char *p = file; *p; p++) {
		int c = (unsigned char)*p;
		if (c == '%') {
			int high = nibble(p[1]), low = high < 0 ? -1 : nibble(p[2]);
			if (low < 0 || !(high | low))
				return -EINVAL;
			c = high << 4 | low;
			p += 2;
		}
		if (n == size - 1)
			return -EINVAL;
		out[n++] = (char)c;
	}
	out[n] = 0;
	return n ? 0 : -EINVAL;
}

static int check_owner(const char *path, const struct stat *st, uid_t uid, enum dir_secrecy secrecy,
	struct errbuf *e)
{
	unsigned mode = st->st_mode & 07777;
	/* Root, before it becomes the user, may use that user's key: only root can have put it into
	 * root's folders. */
	if (secrecy == DIR_PRIVATE && st->st_uid != uid && uid != 0)
		return err_set(e, EPERM,
			"%.160s: a private key of uid %u: it must belong to uid %u, which uses it",
			path, st->st_uid, uid);
	if (secrecy == DIR_PRIVATE && (mode & 0177))
		return err_set(e, EPERM, "%.160s: a private key of mode %04o: it must be 0600",
			path, mode);
	if (secrecy == DIR_PUBLIC && st->st_uid != 0 && st->st_uid != uid)
		return err_set(e, EPERM,
			"%.160s: belongs to uid %u: it must belong to root or to uid %u", path,
			st->st_uid, uid);
	if (mode & 022)
		return err_set(e, EPERM, "%.160s: mode %04o: others than its owner may write it",
			path, mode);
	return 0;
}

static int finish_open(int fd, uid_t uid, const char *path, struct dir *ret, struct errbuf *e)
{
	struct stat st;
	if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		return err_set(e, EPERM, "%.200s: not a directory (a link is not followed)", path);
	if (fd < 0)
		return err_set(e, errno, "%.200s: %s", path, strerror(errno));
	int rc = fstat(fd, &st) ? err_set(e, errno, "%.200s: %s", path, strerror(errno))
				: check_owner(path, &st, uid, DIR_PUBLIC, e);
	if (rc) {
		(void)close(fd);
		return rc;
	}
	ret->fd = fd;
	ret->uid = uid;
	(void)snprintf(ret->path, sizeof(ret->path), "%s", path);
	return 0;
}

int dir_open_top(const char *dir, uid_t uid, struct dir *ret, struct errbuf *e)
{
	char standard[PATH_TEXT_MAX];
	const char *path = dir ? dir : path_make(standard, "/var/lib/ravelin/keyring");
	return finish_open(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), uid, path, ret, e);
}

int dir_open_sub(const struct dir *up, const char *name, struct dir *ret, struct errbuf *e)
{
	char path[512];
	int n = snprintf(path, sizeof(path), "%s/%s", up->path, name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(e, ENAMETOOLONG, "%.200s: path too long", up->path);
	return finish_open(openat(up->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
		up->uid, path, ret, e);
}

void dir_close(struct dir *d)
{
	if (d->fd >= 0)
		(void)close(d->fd);
	d->fd = -1;
}

static int check_regular(const char *path, const struct stat *st, uid_t uid,
	enum dir_secrecy secrecy, struct errbuf *e)
{
	if (!S_ISREG(st->st_mode))
		return err_set(
			e, EPERM, "%.200s: not a regular file (a link is not followed)", path);
	return check_owner(path, st, uid, secrecy, e);
}

static const char *join(const struct dir *d, const char *name, char out[768])
{
	(void)snprintf(out, 768, "%s/%s", d->path, name);
	return out;
}

int dir_check(const struct dir *d, const char *name, enum dir_secrecy secrecy, struct errbuf *e)
{
	struct stat st;
	char path[768];
	if (fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return err_set(e, errno, "%.200s: %s", join(d, name, path), strerror(errno));
	return check_regular(join(d, name, path), &st, d->uid, secrecy, e);
}

static int read_all(
	int fd, const char *path, size_t max, uint8_t **ret, size_t *ret_len, struct errbuf *e)
{
	uint8_t *buf = xcalloc(1, max + 2);
	size_t len = 0;
	ssize_t n = 1;
	while (len <= max && (n = read(fd, buf + len, max + 1 - len)) > 0)
		len += (size_t)n;
	if (n < 0 || len > max) {
		int rc = n < 0 ? err_set(e, errno, "%.200s: %s", path, strerror(errno))
			       : err_set(e, EFBIG, "%.200s: longer than %zu bytes", path, max);
		secret_wipe(buf, max + 2);
		free(buf);
		return rc;
	}
	*ret = buf;
	*ret_len = len;
	return 0;
}

int dir_read(const struct dir *d, const char *name, enum dir_secrecy secrecy, size_t max,
	uint8_t **ret, size_t *ret_len, struct errbuf *e)
{
	struct stat st;
	char path[768];
	(void)join(d, name, path);
	int rc = dir_check(
		d, name, secrecy, e); /* before the open: a device or a pipe must not be touched */
	int fd =
		rc ? -1
		   : openat(d->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (!rc && (fd < 0 || fstat(fd, &st)))
		rc = err_set(e, errno, "%.200s: %s", path, strerror(errno));
	rc = rc ? rc : check_regular(path, &st, d->uid, secrecy, e);
	rc = rc ? rc : read_all(fd, path, max, ret, ret_len, e);
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int dir_list(const struct dir *d, size_t max, char ***ret, size_t *ret_n, struct errbuf *e)
{
	int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dp = fd < 0 ? NULL : fdopendir(fd);
	char **names = NULL;
	size_t n = 0;
	int rc = 0;
	if (!dp) {
		rc = err_set(e, errno, "%.200s: %s", d->path, strerror(errno));
		if (fd >= 0)
			(void)close(fd);
		return rc;
	}
	for (const struct dirent *x; !rc && (x = readdir(dp));) {
		if (x->d_name[0] == '.')
			continue;
		if (n == max)
			rc = err_set(e, E2BIG, "%.200s: more than %zu entries", d->path, max);
		names = xrealloc(names, n + 1, sizeof(*names));
		names[n++] = xstrdup(x->d_name);
	}
	(void)closedir(dp);
	if (rc) {
		dir_list_free(names, n);
		return rc;
	}
	if (n)
		qsort(names, n, sizeof(*names), by_name);
	*ret = names;
	*ret_n = n;
	return 0;
}

void dir_list_free(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

static int open_down(const struct dir *top, const char *first, const char *second, struct dir *ret,
	struct errbuf *e)
{
	struct dir user;
	int rc = dir_open_sub(top, first, &user, e);
	if (rc)
		return rc;
	rc = dir_open_sub(&user, second, ret, e);
	dir_close(&user);
	return rc;
}

int dir_open_ring(const struct keyring_spec *spec, struct dir *ret,
	char ret_name[KEYRING_USER_MAX + KEYRING_RING_MAX], enum keyring_usage *ret_virtual,
	struct errbuf *e)
{
	char user[KEYRING_USER_MAX], ring[KEYRING_RING_MAX], file[DIR_NAME_MAX];
	struct dir top;
	enum keyring_usage only = 0;
	int rc = keyring_parse_name(spec->name, spec->user, user, ring, e);
	if (!rc && dir_encode(ring, KEYRING_RING_MAX - 1, file))
		rc = err_set(e, EINVAL, "KeyRing %.80s: the ring's name has 1 to %d characters",
			spec->name, KEYRING_RING_MAX - 1);
	if (rc)
		return rc;
	if (user[0] == '*') {
		only = strcmp(user, "*AUTH*") == 0 ? KEYRING_CERTAUTH : KEYRING_SITE;
		(void)snprintf(file, sizeof(file), "%s", DIR_STORE);
	}
	rc = dir_open_top(spec->dir, spec->uid == (uid_t)-1 ? geteuid() : spec->uid, &top, e);
	if (rc)
		return rc;
	rc = open_down(&top,
		only == KEYRING_CERTAUTH ? DIR_CERTAUTH
		: only			 ? DIR_SITE
					 : user,
		file, ret, e);
	dir_close(&top);
	if (rc)
		return rc;
	(void)snprintf(ret_name, KEYRING_USER_MAX + KEYRING_RING_MAX, "%s/%s", user, ring);
	*ret_virtual = only;
	return 0;
}
