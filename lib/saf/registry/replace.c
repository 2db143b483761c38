/* replace: a file takes another's place whole, or not at all. */
#include "lib/saf/registry/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int replace_file(const char *dir, const char *name, const void *data, size_t len, mode_t mode, int64_t gid, struct errbuf *e)
{
	char tmp[300], path[300];
	(void)snprintf(tmp, sizeof(tmp), "%s/.%s.new", dir, name);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	(void)unlink(tmp);
	int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(e, errno, "%s: %s", tmp, strerror(errno));
	int rc = write_all(fd, data, len);
	if (!rc && gid >= 0 && fchown(fd, (uid_t)-1, (gid_t)gid))
		rc = -errno;
	if (!rc && (fchmod(fd, mode) || fsync(fd)))
		rc = -errno;
	(void)close(fd);
	if (!rc && rename(tmp, path))
		rc = -errno;
	int dfd = rc ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dfd >= 0) {
		(void)fsync(dfd);
		(void)close(dfd);
	}
	if (rc) {
		(void)unlink(tmp);
		return err_set(e, -rc, "%s: %s", path, strerror(-rc));
	}
	return 0;
}
