#include "lib/bus/endpoint.h"
#include "lib/bus/bus.h"
#include "lib/bus/frames.h"
#include "lib/bus/guard.h"
#include <ctype.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static pthread_mutex_t context_mutex = PTHREAD_MUTEX_INITIALIZER;
static void *context;
static unsigned context_users;
static pid_t context_pid; /* a context does not survive fork */

void *endpoint_context(void)
{
	(void)pthread_mutex_lock(&context_mutex);
	if (context_pid != getpid()) {
		context = zmq_ctx_new();
		context_users = 0;
		context_pid = getpid();
	}
	if (!context)
		context = zmq_ctx_new();
	context_users++;
	(void)pthread_mutex_unlock(&context_mutex);
	return context;
}

void endpoint_context_put(void)
{
	(void)pthread_mutex_lock(&context_mutex);
	void *old = context_pid == getpid() && --context_users == 0 ? context : NULL;
	if (old)
		context = NULL;
	(void)pthread_mutex_unlock(&context_mutex);
	if (old)
		(void)zmq_ctx_term(old);
}

bool endpoint_name_ok(const char *name)
{
	size_t n = strlen(name);
	if (!n || n > BUS_NAME_MAX || !isalnum((unsigned char)name[0]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("@._-#$", name[i]))
			return false;
	return true;
}

static int make_directory(const char *path, struct errbuf *e)
{
	if (mkdir(path, 0755) == 0) {
		(void)chmod(path, 0755); /* whatever the umask took */
		return 0;
	}
	return errno == EEXIST ? 0 : err_set(e, errno, "%s: %s", path, strerror(errno));
}

static int make_run_directory(const char *name, char dir[PATH_TEXT_MAX], struct errbuf *e)
{
	char part[PATH_TEXT_MAX];
	struct stat st;
	int r = make_directory(path_make(part, "/run"), e);
	if (!r)
		r = make_directory(path_make(part, "/run/ravelin"), e);
	if (!r)
		r = make_directory(path_make(dir, "/run/ravelin/%s", name), e);
	if (r)
		return r;
	if (lstat(dir, &st) != 0)
		return err_set(e, errno, "%s: %s", dir, strerror(errno));
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 022)
		return err_set(e, EPERM, "%s must be a directory that only uid %u can write in", dir, (unsigned)geteuid());
	return 0;
}

int endpoint_lock(const char *name, int *ret_fd, struct errbuf *e)
{
	char dir[PATH_TEXT_MAX], file[PATH_TEXT_MAX];
	if (!endpoint_name_ok(name))
		return err_set(e, EINVAL, "'%s' cannot be a daemon's name", name);
	int r = make_run_directory(name, dir, e);
	if (r)
		return r;
	/* 0600: who can open the file can lock it, and so keep the daemon from starting. */
	int fd = open(path_make(file, "/run/ravelin/%s/lock", name), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(e, errno, "%s: %s", file, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		r = errno == EWOULDBLOCK ? EADDRINUSE : errno;
		(void)close(fd);
		return err_set(e, r, r == EADDRINUSE ? "%s is running already" : "%s: cannot be locked", name);
	}
	*ret_fd = fd;
	return 0;
}

void endpoint_unlink(const char *name, const char *file)
{
	char path[PATH_TEXT_MAX];
	(void)unlink(path_make(path, "/run/ravelin/%s/%s", name, file));
}

static int unix_address(const char *path, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	strcpy(ret->sun_path, path);
	return 0;
}

static int listen_at(const char *path)
{
	char new_path[PATH_TEXT_MAX + 8];
	struct sockaddr_un a;
	(void)snprintf(new_path, sizeof(new_path), "%s.new", path);
	int r = unix_address(new_path, &a);
	if (r)
		return r;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	(void)unlink(new_path);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 || chmod(new_path, 0666) != 0 || listen(fd, 128) != 0 ||
		rename(new_path, path) != 0) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	return fd;
}

static void zmq_address(char out[PATH_TEXT_MAX + 8], const char *name, const char *file)
{
	char path[PATH_TEXT_MAX];
	(void)snprintf(out, PATH_TEXT_MAX + 8, "ipc://%s", path_make(path, "/run/ravelin/%s/%s", name, file));
}

int endpoint_bind(void *socket, const char *name, const char *file, struct gate *g, struct errbuf *e)
{
	char address[PATH_TEXT_MAX + 8];
	zmq_address(address, name, file);
	int fd = listen_at(address + strlen("ipc://"));
	if (fd < 0)
		return err_set(e, -fd, "%s: %s", address + strlen("ipc://"), strerror(-fd));
	guard_listener(fd, g);
	endpoint_set(socket, ZMQ_USE_FD, fd);
	if (zmq_bind(socket, address) != 0) {
		int err = errno;
		(void)close(fd);
		return err_set(e, err, "%s: %s", address, zmq_strerror(err));
	}
	return 0;
}

int endpoint_connect(void *socket, const char *name, const char *file)
{
	char address[PATH_TEXT_MAX + 8];
	zmq_address(address, name, file);
	return zmq_connect(socket, address) == 0 ? 0 : -errno;
}

bool endpoint_alive(const char *name)
{
	char path[PATH_TEXT_MAX];
	struct sockaddr_un a;
	if (unix_address(path_make(path, "/run/ravelin/%s/rpc", name), &a))
		return false;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	/* EAGAIN: somebody listens whose backlog is full. */
	bool alive = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 || errno == EAGAIN;
	(void)close(fd);
	return alive;
}

int endpoint_owner(const char *name, uid_t *ret)
{
	char dir[PATH_TEXT_MAX];
	struct stat st;
	if (lstat(path_make(dir, "/run/ravelin/%s", name), &st) != 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_mode & 022)
		return -EPERM;
	*ret = st.st_uid;
	return 0;
}

void endpoint_set(void *socket, int option, int value)
{
	(void)zmq_setsockopt(socket, option, &value, sizeof(value));
}

int parts_recv(void *socket, zmq_msg_t *part, int max, uint64_t *ret_cost)
{
	uint64_t cost = 0;
	int n = 0;
	bool more = true;
	while (more) {
		zmq_msg_t extra, *m = n < max ? &part[n] : &extra;
		(void)zmq_msg_init(m);
		if (zmq_msg_recv(m, socket, ZMQ_DONTWAIT) < 0) {
			(void)zmq_msg_close(m);
			break; /* only before the first part: libzmq delivers a message whole */
		}
		more = zmq_msg_more(m);
		cost += frames_cost(zmq_msg_size(m));
		n++;
		if (m == &extra)
			(void)zmq_msg_close(m);
	}
	if (ret_cost)
		*ret_cost = cost;
	return n;
}

void parts_close(zmq_msg_t *part, int n, int max)
{
	for (int i = 0; i < n && i < max; i++)
		(void)zmq_msg_close(&part[i]);
}

bool parts_send(void *socket, const struct bytes *parts, int n)
{
	for (int i = 0; i < n; i++) {
		int flags = ZMQ_DONTWAIT | (i + 1 < n ? ZMQ_SNDMORE : 0);
		if (zmq_send(socket, parts[i].data, parts[i].len, flags) < 0)
			return false;
	}
	return true;
}
