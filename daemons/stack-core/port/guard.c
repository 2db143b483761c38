/* ravelin-portguard: loads the port access programs, attaches them to a control group, and pins them and their maps, so that
 * they stay in force whatever becomes of the stack. It runs as root, once; it decides nothing. Until the stack has written its
 * first profile everything is allowed; "detach" is the only way back. */
#include "daemons/stack-core/port/control.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>
#include <linux/magic.h>

extern const char port_bpf_start[], port_bpf_end[];
__asm__(".section .rodata\n.balign 8\n.global port_bpf_start\nport_bpf_start:\n.incbin \"" PORT_BPF_OBJECT
	"\"\n.global port_bpf_end\nport_bpf_end:\n.previous\n");

enum { OK, FAILED, USAGE };
static const char *const links[] = {"port_bind4", "port_bind6", "port_listen"};
enum { LINKS = sizeof(links) / sizeof(*links) };

struct options {
	const char *pins, *cgroup, *user, *instance;
};

static int fail(const char *what, int err)
{
	(void)fprintf(stderr, "ravelin-portguard: %s: %s\n", what, strerror(err));
	return FAILED;
}

static void pin_path(const struct options *o, const char *name, char out[256])
{
	(void)snprintf(out, 256, "%s/%s%s%s", o->pins, o->instance, name ? "/" : "", name ? name : "");
}

/* The cgroup 2 hierarchy: the unified one, or the part of a hybrid set-up. */
static const char *cgroup_default(void)
{
	struct statfs s;

	if (!statfs("/sys/fs/cgroup", &s) && s.f_type == CGROUP2_SUPER_MAGIC)
		return "/sys/fs/cgroup";
	return "/sys/fs/cgroup/unified";
}

static int own(const struct options *o, const char *path, mode_t mode)
{
	const struct passwd *p = o->user ? getpwnam(o->user) : NULL;

	if (o->user && !p) {
		errno = ENOENT;
		return -1;
	}
	if (chmod(path, mode) < 0)
		return -1;
	return p ? chown(path, p->pw_uid, p->pw_gid) : 0;
}

static int pin_maps(const struct options *o, struct bpf_object *object)
{
	struct bpf_map *map;
	char path[256];

	bpf_object__for_each_map(map, object)
	{
		if (strchr(bpf_map__name(map), '.'))
			continue; /* constants */
		pin_path(o, bpf_map__name(map), path);
		if (bpf_map__pin(map, path) || own(o, path, 0600) < 0)
			return fail(path, errno);
	}
	return OK;
}

static int attach_one(const struct options *o, struct bpf_object *object, const char *name, int cgroup)
{
	struct bpf_program *p = bpf_object__find_program_by_name(object, name);
	struct bpf_link *l = p ? bpf_program__attach_cgroup(p, cgroup) : NULL;
	char path[256];

	if (!l)
		return fail(name, errno);
	pin_path(o, name, path);
	int r = bpf_link__pin(l, path) ? fail(path, errno) : OK;
	bpf_link__disconnect(l); /* the pin keeps it */
	(void)bpf_link__destroy(l);
	return r;
}

static int detach(const struct options *o)
{
	static const char *const maps[] = {"current", "settings", "slots", "rules", "users", "exes", "counts", "events", "explicit"};
	char path[256];

	for (unsigned i = 0; i < LINKS; i++) {
		pin_path(o, links[i], path);
		if (unlink(path) < 0 && errno != ENOENT)
			return fail(path, errno);
	}
	for (unsigned i = 0; i < sizeof(maps) / sizeof(*maps); i++) {
		pin_path(o, maps[i], path);
		if (unlink(path) < 0 && errno != ENOENT)
			return fail(path, errno);
	}
	pin_path(o, NULL, path);
	if (rmdir(path) < 0 && errno != ENOENT)
		return fail(path, errno);
	(void)printf("%s: port access control is removed\n", o->instance);
	return OK;
}

static bool attached(const struct options *o)
{
	char path[256];

	for (unsigned i = 0; i < LINKS; i++) {
		pin_path(o, links[i], path);
		if (access(path, F_OK) < 0)
			return false;
	}
	return true;
}

static int load_and_pin(const struct options *o, int cgroup)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "ravelin_port");
	struct bpf_object *object = bpf_object__open_mem(port_bpf_start, (size_t)(port_bpf_end - port_bpf_start), &opts);
	char path[256];
	int r = OK;

	if (!object || bpf_object__load(object))
		return fail("the programs cannot be loaded (CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, and a kernel with BTF, are needed)", errno);
	pin_path(o, NULL, path);
	if ((mkdir(o->pins, 0755) < 0 && errno != EEXIST) || (mkdir(path, 0755) < 0 && errno != EEXIST) || own(o, path, 0711) < 0)
		r = fail(path, errno);
	if (r == OK)
		r = pin_maps(o, object);
	for (unsigned i = 0; i < LINKS && r == OK; i++)
		r = attach_one(o, object, links[i], cgroup);
	bpf_object__close(object);
	return r;
}

static int attach(const struct options *o)
{
	struct statfs s;
	char dir[256];

	if (attached(o)) {
		(void)printf("%s: port access control is attached already\n", o->instance);
		return OK;
	}
	(void)snprintf(dir, sizeof(dir), "%s", o->pins);
	char *slash = strrchr(dir, '/');
	if (slash && slash != dir)
		*slash = 0;
	if (statfs(dir, &s) < 0 || s.f_type != BPF_FS_MAGIC) {
		(void)fprintf(stderr, "ravelin-portguard: %s is no BPF file system: mount -t bpf bpf %s\n", dir, dir);
		return FAILED;
	}
	int cgroup = open(o->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup < 0)
		return fail(o->cgroup, errno);
	int r = load_and_pin(o, cgroup);
	(void)close(cgroup);
	if (r != OK) {
		(void)detach(o);
		return r;
	}
	(void)printf("%s: port access control is attached to %s\n", o->instance, o->cgroup);
	return OK;
}

static int status(const struct options *o)
{
	bool on = attached(o);

	(void)printf("%s: port access control is %s\n", o->instance, on ? "attached" : "not attached");
	return on ? OK : FAILED;
}

static int usage(FILE *out)
{
	(void)fputs("usage: ravelin-portguard [--cgroup DIR] [--pins DIR] [--user NAME] attach|detach|status STACK\n\n"
		    "Loads and pins the programs that enforce PORT, PORTRANGE and PORT UNRSV of the stack's profile for all\n"
		    "programs of a control group (default: all of the host). The stack fills their tables.\n\n"
		    "  --cgroup DIR  cgroup 2 directory to attach to\n"
		    "  --pins DIR    where pins go, on a BPF file system (default " PORT_PINS ")\n"
		    "  --user NAME   owner of the maps (the stack's user)\n",
		out);
	return out == stdout ? OK : USAGE;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {{"cgroup", 1, 0, 'c'}, {"pins", 1, 0, 'p'}, {"user", 1, 0, 'u'}, {"help", 0, 0, 'h'},
		{"version", 0, 0, 'V'}, {0}};
	struct options o = {.pins = PORT_PINS, .cgroup = cgroup_default()};
	int c;

	while ((c = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (c == 'c')
			o.cgroup = optarg;
		else if (c == 'p')
			o.pins = optarg;
		else if (c == 'u')
			o.user = optarg;
		else if (c == 'V')
			return puts("ravelin-portguard " RAVELIN_VERSION) < 0;
		else
			return usage(c == 'h' ? stdout : stderr);
	}
	if (argc - optind != 2 || strchr(argv[optind + 1], '/') || argv[optind + 1][0] == '.')
		return usage(stderr);
	o.instance = argv[optind + 1];
	if (!strcmp(argv[optind], "attach"))
		return attach(&o);
	if (!strcmp(argv[optind], "detach"))
		return detach(&o);
	if (!strcmp(argv[optind], "status"))
		return status(&o);
	return usage(stderr);
}
