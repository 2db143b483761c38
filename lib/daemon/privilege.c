/* Privileges end here: the daemon opened what needs root, and keeps from now on only what its table names. The order is that
 * of libcap-ng: choose the sets, change the ids with them kept, clear the bounding set, then forbid to gain any back. */
#include "lib/daemon/privilege.h"
#include "lib/base/path.h"
#include <cap-ng.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

void privilege_seal(void)
{
	struct rlimit none = {0, 0};
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int find_user(const char *user, uid_t *ret_uid, gid_t *ret_gid, struct errbuf *e)
{
	const struct passwd *pw = getpwnam(user);
	if (!pw)
		return err_set(e, ENOENT, "user %s does not exist", user);
	*ret_uid = pw->pw_uid;
	*ret_gid = pw->pw_gid;
	return 0;
}

static int make_path(const char *path, mode_t mode)
{
	char part[PATH_TEXT_MAX];
	for (const char *p = path; (p = strchr(p + 1, '/'));) {
		snprintf(part, sizeof(part), "%.*s", (int)(p - path), path);
		(void)mkdir(part, 0755);
	}
	if (mkdir(path, mode) && errno != EEXIST)
		return -errno;
	return 0;
}

/* Makes the file where missing and gives it away; never follows a link that somebody left there. */
static int give_file(const char *path, uid_t uid, gid_t gid)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	int rc = fd < 0 || fchown(fd, uid, gid) ? -errno : 0;
	if (fd >= 0)
		close(fd);
	return rc;
}

static int give_dir(const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	int rc = make_path(path, mode);
	int fd = rc ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (!rc && (fd < 0 || fchown(fd, uid, gid) || fchmod(fd, mode)))
		rc = -errno;
	if (fd >= 0)
		close(fd);
	return rc;
}

int privilege_make_places(const char *name, const char *user, struct errbuf *e)
{
	char path[PATH_TEXT_MAX];
	uid_t uid = geteuid();
	gid_t gid = getegid();
	bool give = uid == 0 && user;
	int rc = give ? find_user(user, &uid, &gid, e) : 0;
	if (rc)
		return rc;
	mode_t mask = umask(022);
	(void)make_path(path_make(path, "/run/ravelin"), 0755);
	(void)make_path(path_make(path, "/var/log/ravelin"), 0755);
	(void)make_path(path_make(path, "/var/lib/ravelin/%s", name), 0700);
	umask(mask);
	if (!give)
		return 0; /* what is missing shows itself where it is opened */
	rc = give_dir(path_make(path, "/run/ravelin/%s", name), 0755, uid, gid);
	rc = rc ? rc : give_dir(path_make(path, "/var/lib/ravelin/%s", name), 0700, uid, gid);
	rc = rc ? rc : give_file(path_make(path, "/var/log/ravelin/%s.audit", name), uid, gid);
	rc = rc ? rc : give_file(path_make(path, "/var/log/ravelin/%s.audit.head", name), uid, gid);
	return rc ? err_set(e, -rc, "%s: %s", path, strerror(-rc)) : 0;
}

static bool is_kept(const int *caps, unsigned cap)
{
	for (; caps && *caps >= 0; caps++)
		if ((unsigned)*caps == cap)
			return true;
	return false;
}

/* Of what the process has, only @caps stay chosen. */
static void choose(const int *caps, capng_type_t sets)
{
	bool have[CAP_LAST_CAP + 1] = {false};
	capng_get_caps_process();
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++)
		have[cap] = is_kept(caps, cap) && capng_have_capability(CAPNG_PERMITTED, cap);
	capng_clear(CAPNG_SELECT_BOTH);
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (have[cap])
			capng_update(CAPNG_ADD, sets, cap);
}

int privilege_give_up(int cap)
{
	capng_get_caps_process();
	(void)capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE, (unsigned)cap);
	return capng_apply(CAPNG_SELECT_CAPS) ? -EPERM : 0;
}

static int drop_root(const char *user, const int *caps, struct errbuf *e)
{
	uid_t uid = 0;
	gid_t gid = 0;
	choose(caps, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET);
	if (!user) {
		int rc = capng_apply(CAPNG_SELECT_BOTH);
		return rc ? err_set(e, EPERM, "capabilities cannot be dropped (libcap-ng %d)", rc) : 0;
	}
	int rc = find_user(user, &uid, &gid, e);
	if (rc)
		return rc;
	rc = capng_change_id((int)uid, (int)gid, CAPNG_INIT_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
	if (rc)
		return err_set(e, EPERM, "cannot become user %s (libcap-ng %d)", user, rc);
	return uid && setuid(0) == 0 ? err_set(e, EPERM, "root came back after becoming %s", user) : 0;
}

int privilege_drop(const char *user, const int *caps, struct errbuf *e)
{
	int rc = 0;
	if (geteuid() == 0) {
		rc = drop_root(user, caps, e);
	} else {
		choose(caps, CAPNG_EFFECTIVE | CAPNG_PERMITTED);
		if (capng_apply(CAPNG_SELECT_CAPS))
			rc = err_set(e, EPERM, "capabilities cannot be dropped");
	}
	if (!rc && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		rc = err_set(e, errno, "PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
	privilege_seal();
	return rc;
}
