#include "tests/bench/rpcbind_cell.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char build[PATH_MAX];
static int home_ns;

void cell_die(const char *who, const char *what)
{
	(void)fprintf(stderr, "bench_rpcbind: %s: %s\n", who, what);
	exit(1);
}

void cell_init(void)
{
	ssize_t n = readlink("/proc/self/exe", build, sizeof(build) - 1);
	if (n < 0)
		cell_die("client", "no /proc");
	for (int i = 0; i < 3; i++) /* BUILD/tests/bench/bench_rpcbind */
		(void)dirname(build);
	home_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st, (void)type, (void)f;
	return remove(path);
}

void cell_end(struct cell *c)
{
	if (c->pid > 0) {
		(void)kill(c->pid, SIGKILL);
		(void)waitpid(c->pid, NULL, 0);
	}
	c->pid = 0;
	if (c->dir[0])
		(void)nftw(c->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void loopback_up(void)
{
	struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &r))
		_exit(126);
	(void)close(fd);
}

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	if (!f)
		cell_die(path, strerror(errno));
	(void)fputs(text, f);
	(void)fclose(f);
}

static void make_root(struct cell *c)
{
	static const char *const dirs[] = {"/etc", "/etc/ravelin", "/run", "/var", "/var/lib", "/var/lib/ravelin", "/var/log", "/var/log/ravelin"};
	char path[128];
	memcpy(c->dir, "/tmp/rv-bench-XXXXXX", 21);
	if (!mkdtemp(c->dir))
		cell_die(c->name, "no directory");
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", c->dir, dirs[i]);
		(void)mkdir(path, 0755);
	}
	write_file(c->dir, "etc/ravelin/rpcbind.conf", "RpcbindConfig { RemoteCalls no }\n");
}

static void make_saf(void)
{
	char path[PATH_MAX + 64];
	int status = 1;
	(void)snprintf(path, sizeof(path), "%s/cli/safctl", build);
	pid_t pid = fork();
	if (!pid) {
		execl(path, path, "--init", (char *)NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) < 0 || status)
		_exit(125);
}

/* In the child: its namespaces, an empty /run, then the server. */
static void __attribute__((noreturn)) become(struct cell *c, int ready)
{
	struct rlimit files = {4096, 4096};
	char path[PATH_MAX + 64];
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		mount("run", "/run", "tmpfs", 0, "mode=755") || setrlimit(RLIMIT_NOFILE, &files))
		_exit(126);
	loopback_up();
	(void)mkdir("/run/rpcbind", 0755);
	(void)!write(ready, "x", 1);
	(void)snprintf(path, sizeof(path), "%s/log", c->dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	(void)dup2(fd, 1);
	(void)dup2(fd, 2);
	if (c->peer)
		execl("/sbin/rpcbind", "rpcbind", "-f", (char *)NULL);
	(void)snprintf(path, sizeof(path), "%s/daemons/rpcbindD/rpcbindD", build);
	(void)setenv("RAVELIN_ROOT", c->dir, 1);
	(void)setenv("RAVELIN_SYSNAME", "BENCH", 1);
	make_saf();
	execl(path, path, (char *)NULL);
	_exit(127);
}

void cell_start(struct cell *c)
{
	char path[64], x;
	int fds[2];
	make_root(c);
	if (pipe2(fds, O_CLOEXEC))
		cell_die(c->name, "no pipe");
	c->pid = fork();
	if (!c->pid)
		become(c, fds[1]);
	(void)close(fds[1]);
	if (read(fds[0], &x, 1) != 1)
		cell_die(c->name, "no namespaces (root is needed)");
	(void)close(fds[0]);
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)c->pid);
	c->netns = open(path, O_RDONLY | O_CLOEXEC);
	if (c->netns < 0)
		cell_die(c->name, "no network namespace");
}

/* Run time of all its threads, ns. */
double cell_cpu_ns(const struct cell *c)
{
	char path[320];
	double total = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)c->pid);
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));) {
		unsigned long long ns;
		(void)snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)c->pid, e->d_name);
		FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "r");
		if (f && fscanf(f, "%llu", &ns) == 1)
			total += (double)ns;
		if (f)
			(void)fclose(f);
	}
	if (!d || total == 0)
		cell_die(c->name, "has ended");
	(void)closedir(d);
	return total;
}

double cell_resident_mib(const struct cell *c)
{
	char path[64], text[256];
	double kib = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)c->pid);
	FILE *f = fopen(path, "r");
	while (f && fgets(text, sizeof(text), f))
		(void)sscanf(text, "VmRSS: %lf", &kib);
	if (!f || kib == 0)
		cell_die(c->name, "has ended");
	(void)fclose(f);
	return kib / 1024;
}

int cell_socket(const struct cell *c, int type)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(111), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval limit = {.tv_sec = 5};
	int one = 1;
	if (setns(c->netns, CLONE_NEWNET))
		cell_die(c->name, "no network namespace");
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	(void)setns(home_ns, CLONE_NEWNET);
	if (fd < 0)
		cell_die(c->name, strerror(errno));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (type == SOCK_STREAM)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	else { /* registering asks for a reserved port of Debian's rpcbind */
		struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		for (uint16_t port = 1023; port > 600; port--) {
			from.sin_port = htons(port);
			if (!bind(fd, (struct sockaddr *)&from, sizeof(from)))
				break;
		}
	}
	if (connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		(void)close(fd);
		return -1;
	}
	return fd;
}
