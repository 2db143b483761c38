/* keyfile: the API key from its file. A key that others could read is no key, and one that others could write is theirs. */
#include "daemons/ravelin-bouncer/bouncer.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_MAX = 256 };

static int safe(int fd, const char *path, struct errbuf *e)
{
	struct stat st;
	if (fstat(fd, &st))
		return err_set(e, errno, "%.150s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "%.150s: not a plain file", path);
	if (st.st_uid && st.st_uid != geteuid())
		return err_set(e, EPERM, "%.150s: belongs to uid %u, expected root or uid %u", path, st.st_uid, geteuid());
	bool group = (st.st_mode & 070) != 0, ours = st.st_gid == getegid() && !(st.st_mode & 030);
	if (st.st_mode & 07 || (group && !ours))
		return err_set(e, EPERM, "%.150s: mode %04o lets others at the key, expected 0600, or 0640 with our own group", path, st.st_mode & 07777);
	return 0;
}

int keyfile_read(const char *path, struct secret **ret, struct errbuf *e)
{
	char buf[KEY_MAX + 2];
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_set(e, errno, "%.150s: %s", path, strerror(errno));
	int rc = safe(fd, path, e);
	ssize_t n = rc ? 0 : read(fd, buf, sizeof(buf));
	(void)close(fd);
	while (n > 0 && (buf[n - 1] == '\n' || buf[n - 1] == '\r'))
		n--;
	for (ssize_t i = 0; i < n && !rc; i++)
		if (buf[i] <= ' ' || buf[i] > '~')
			rc = err_set(e, EINVAL, "%.150s: not one line of printable characters", path);
	if (!rc && (n < 1 || n > KEY_MAX))
		rc = err_set(e, EINVAL, "%.150s: expected a key of 1-%d characters", path, KEY_MAX);
	if (!rc)
		*ret = secret_new(buf, (size_t)n);
	secret_wipe(buf, sizeof(buf));
	return rc;
}
