#include "daemons/stack-core/port/control.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum map_id { MAP_CURRENT, MAP_SETTINGS, MAP_SLOTS, MAP_RULES, MAP_USERS, MAP_EXES, MAP_COUNTS, MAP_EVENTS, MAPS };
static const char *const map_name[MAPS] = {"current", "settings", "slots", "rules", "users", "exes", "counts", "events"};

enum { SLOT_STRIDE = 8, SLOTS = 2 * PORT_PROTOCOLS * 65536, ANY_KEY_MAX = 32 };

struct user_row {
	uint32_t uid;
	uint16_t saf;
};

struct port_control {
	int fd[MAPS];
	uint8_t *slots; /* mapped */
	struct ring_buffer *ring;
	struct loop_fd *readable;
	port_event_fn fn;
	void *arg;
	const struct port_table *table;
	uint32_t half; /* in force */
	char sysname[32], stack[32];
	uint64_t generation;
	struct user_row *users; /* sorted, as the kernel has them */
	size_t n_users;
};

static int on_event(void *arg, void *data, size_t len)
{
	struct port_control *c = arg;

	if (len >= sizeof(struct port_event))
		c->fn(c->arg, data);
	return 0;
}

static void on_readable(void *arg, int fd, unsigned events)
{
	struct port_control *c = arg;

	(void)fd, (void)events;
	(void)ring_buffer__consume(c->ring);
}

int port_control_open(struct loop *l, const char *pins, const char *instance, port_event_fn fn, void *arg, struct errbuf *err,
	struct port_control **ret)
{
	struct port_control *c = xnew(struct port_control);
	char path[256];
	int r = 0;

	c->fn = fn;
	c->arg = arg;
	for (unsigned i = 0; i < MAPS; i++)
		c->fd[i] = -1;
	for (unsigned i = 0; i < MAPS && !r; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s/%s", pins, instance, map_name[i]);
		c->fd[i] = bpf_obj_get(path);
		if (c->fd[i] < 0)
			r = err_set(err, errno, "port access cannot be enforced: %s: %s (ravelin-portguard attach %s makes it)", path,
				strerror(errno), instance);
	}
	if (!r) {
		void *at = mmap(NULL, (size_t)SLOTS * SLOT_STRIDE, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd[MAP_SLOTS], 0);
		c->slots = at == MAP_FAILED ? NULL : at;
		c->ring = c->slots ? ring_buffer__new(c->fd[MAP_EVENTS], on_event, c, NULL) : NULL;
		if (!c->ring)
			r = err_set(err, errno ? errno : EIO, "port access cannot be enforced: %s", strerror(errno));
	}
	if (r < 0) {
		port_control_free(c);
		return r;
	}
	uint32_t zero = 0, now = 0;
	if (!bpf_map_lookup_elem(c->fd[MAP_CURRENT], &zero, &now) && now)
		c->half = (now - 1) & 1;
	c->readable = loop_fd_new(l, ring_buffer__epoll_fd(c->ring), LOOP_READ, on_readable, c);
	*ret = c;
	return 0;
}

void port_control_free(struct port_control *c)
{
	if (!c)
		return;
	loop_fd_free(c->readable);
	ring_buffer__free(c->ring);
	if (c->slots)
		(void)munmap(c->slots, (size_t)SLOTS * SLOT_STRIDE);
	for (unsigned i = 0; i < MAPS; i++)
		if (c->fd[i] >= 0)
			(void)close(c->fd[i]);
	free(c->users);
	free(c);
}

/* Removes what an earlier profile left in @half: of keys with a half, those with it; of others (@half < 0), all. */
static void clear(int fd, size_t key_len, size_t half_at, int half)
{
	uint8_t key[ANY_KEY_MAX], next[ANY_KEY_MAX];
	bool more = !bpf_map_get_next_key(fd, NULL, next);

	while (more) {
		memcpy(key, next, key_len);
		bool ours = half < 0 || key[half_at] == half;
		/* the successor first: a removed key has none */
		more = !bpf_map_get_next_key(fd, key, next);
		if (ours)
			(void)bpf_map_delete_elem(fd, key);
	}
}

static void fill_slots(struct port_control *c, const struct port_table *t, uint32_t half)
{
	for (uint32_t p = 0; p < PORT_PROTOCOLS; p++)
		for (uint32_t port = 0; port < 65536; port++) {
			uint16_t entry = t->slot[p][port];
			memcpy(c->slots + (size_t)((half * PORT_PROTOCOLS + p) << 16 | port) * SLOT_STRIDE, &entry, sizeof(entry));
		}
}

static int fill_rules(struct port_control *c, const struct port_table *t, uint32_t half)
{
	clear(c->fd[MAP_RULES], sizeof(struct port_rule_key), offsetof(struct port_rule_key, half), (int)half);
	for (size_t i = 0; i < t->n; i++) {
		const struct port_stmt *s = &t->stmts[i];
		size_t len = s->partial ? strlen(s->job) : PORT_JOB;
		struct port_rule_key key = {.prefix_bits = (uint32_t)(PORT_RULE_FIXED_BITS + 8 * len), .half = (uint8_t)half,
			.entry = {(uint8_t)(s->entry >> 8), (uint8_t)s->entry}};
		struct port_rule rule = {.deny = s->deny, .saf = port_table_resource(t, s->saf), .bind = s->bind.family != 0,
			.bind_family = s->bind.family};
		if (s->use == PORT_USE_RESERVED)
			continue; /* no rule: nobody */
		memcpy(key.job, s->job, strlen(s->job));
		memcpy(s->bind.family == 4 ? (void *)&rule.addr4 : (void *)rule.addr6, s->bind.b, addr_len(&s->bind));
		if (bpf_map_update_elem(c->fd[MAP_RULES], &key, &rule, BPF_NOEXIST) && errno != EEXIST)
			return -errno;
	}
	return 0;
}

/* Executables by inode: a copy is another program, a replaced one is looked up again (port_control_follow). */
static int fill_exes(struct port_control *c, const struct port_table *t)
{
	clear(c->fd[MAP_EXES], sizeof(struct port_exe_key), 0, -1);
	for (size_t i = 0; i < t->n_exes; i++) {
		struct stat st;
		if (stat(t->exes[i].path, &st) < 0) {
			log_warning("PORTJOB names an executable that is not there", "executable", t->exes[i].path, "reason", strerror(errno));
			continue;
		}
		struct port_exe_key key = {.inode = st.st_ino, .device = (uint32_t)(major(st.st_dev) << 20 | minor(st.st_dev))};
		struct port_job job = {{0}};
		memcpy(job.name, t->exes[i].job, strlen(t->exes[i].job));
		if (bpf_map_update_elem(c->fd[MAP_EXES], &key, &job, BPF_ANY))
			return -errno;
	}
	return 0;
}

const char *port_control_resource(const char *sysname, const char *stack, const char *saf, char out[SAF_RESOURCE_MAX])
{
	(void)snprintf(out, SAF_RESOURCE_MAX, "EZB.PORTACCESS.%s.%s.%s", sysname, stack, saf);
	return out;
}

struct collect {
	struct port_control *c;
	struct saf *saf;
	const char *resource;
	uint16_t number;
	struct user_row *v;
	size_t n;
	bool revoked;
};

static void one_user(void *arg, const struct saf_subject *who, bool revoked)
{
	struct collect *k = arg;

	if (revoked || saf_check(k->saf, who, "SERVAUTH", k->resource, SAF_READ, NULL) != SAF_ALLOWED || k->n == PORT_USERS_MAX / 2)
		return;
	if (!(k->n & (k->n - 1)))
		k->v = xrealloc(k->v, k->n ? 2 * k->n : 1, sizeof(*k->v));
	k->v[k->n++] = (struct user_row){.uid = who->uid, .saf = k->number};
}

static int by_row(const void *a, const void *b)
{
	const struct user_row *x = a, *y = b;

	if (x->saf != y->saf)
		return x->saf < y->saf ? -1 : 1;
	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* Everyone who has READ to one of the table's resources. */
static void collect(struct port_control *c, const struct port_table *t, struct saf *saf, struct user_row **ret, size_t *ret_n)
{
	struct collect k = {.c = c, .saf = saf};
	char resource[SAF_RESOURCE_MAX];

	for (size_t i = 0; saf && i < t->n_resources; i++) {
		k.resource = port_control_resource(c->sysname, c->stack, t->resources[i], resource);
		k.number = (uint16_t)(i + 1);
		saf_each_uid(saf, one_user, &k);
	}
	if (k.n)
		qsort(k.v, k.n, sizeof(*k.v), by_row);
	*ret = k.v;
	*ret_n = k.n;
}

static int set_user(struct port_control *c, uint32_t half, const struct user_row *u, bool present)
{
	struct port_user_key key = {.uid = u->uid, .saf = u->saf, .half = (uint8_t)half};
	uint8_t one = 1;

	if (present)
		return bpf_map_update_elem(c->fd[MAP_USERS], &key, &one, BPF_ANY) ? -errno : 0;
	return bpf_map_delete_elem(c->fd[MAP_USERS], &key) && errno != ENOENT ? -errno : 0;
}

static uint64_t netns_cookie(void)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return 0;
	if (getsockopt(fd, SOL_SOCKET, 71 /* SO_NETNS_COOKIE */, &cookie, &len) < 0)
		cookie = 0;
	(void)close(fd);
	return cookie;
}

static int fill(struct port_control *c, const struct port_table *t, uint32_t half, const struct user_row *users, size_t n)
{
	struct port_settings s = {.unrsv = {t->unrsv[0], t->unrsv[1]}, .low = {t->low[0], t->low[1]}, .when_bind = t->when_bind,
		.netns = netns_cookie()};
	int r = fill_rules(c, t, half);

	if (!r)
		r = fill_exes(c, t);
	fill_slots(c, t, half);
	clear(c->fd[MAP_USERS], sizeof(struct port_user_key), offsetof(struct port_user_key, half), (int)half);
	for (size_t i = 0; i < n && !r; i++)
		r = set_user(c, half, &users[i], true);
	if (!r && !s.netns)
		r = -EOPNOTSUPP;
	if (!r && bpf_map_update_elem(c->fd[MAP_SETTINGS], &half, &s, BPF_ANY))
		r = -errno;
	return r;
}

int port_control_apply(struct port_control *c, const struct port_table *t, struct saf *saf, const char *sysname,
	const char *stack, struct errbuf *err)
{
	uint32_t zero = 0, half = !c->half, now = t ? half + 1 : 0;
	struct user_row *users = NULL;
	size_t n = 0;
	int r = 0;

	(void)snprintf(c->sysname, sizeof(c->sysname), "%s", sysname);
	(void)snprintf(c->stack, sizeof(c->stack), "%s", stack);
	uint64_t generation = saf ? saf_generation(saf) : 0;
	if (t) {
		collect(c, t, saf, &users, &n);
		r = fill(c, t, half, users, n);
	}
	if (!r && bpf_map_update_elem(c->fd[MAP_CURRENT], &zero, &now, BPF_ANY))
		r = -errno;
	if (r < 0) {
		free(users);
		return err_set(err, -r, "port access: the kernel's tables cannot be written: %s", strerror(-r));
	}
	free(c->users);
	c->users = users;
	c->n_users = n;
	c->half = half;
	c->table = t;
	c->generation = generation;
	return 0;
}

int port_control_follow(struct port_control *c, struct saf *saf, unsigned *ret_changed)
{
	struct user_row *now;
	size_t n, i = 0, j = 0;
	int r = 0;

	*ret_changed = 0;
	if (!c->table || !saf || saf_generation(saf) == c->generation)
		return 0;
	c->generation = saf_generation(saf);
	collect(c, c->table, saf, &now, &n);
	while (i < c->n_users || j < n) {
		int d = i == c->n_users ? 1 : j == n ? -1 : by_row(&c->users[i], &now[j]);
		int one = d < 0 ? set_user(c, c->half, &c->users[i], false) : d > 0 ? set_user(c, c->half, &now[j], true) : 0;
		*ret_changed += d != 0;
		r = one < 0 ? one : r;
		i += d <= 0;
		j += d >= 0;
	}
	free(c->users);
	c->users = now;
	c->n_users = n;
	return r;
}

void port_control_counts(struct port_control *c, uint64_t ret[PORT_COUNTS])
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *v = xcalloc((size_t)(cpus > 0 ? cpus : 1), sizeof(*v));

	for (uint32_t k = 0; k < PORT_COUNTS; k++) {
		ret[k] = 0;
		if (cpus > 0 && !bpf_map_lookup_elem(c->fd[MAP_COUNTS], &k, v))
			for (int i = 0; i < cpus; i++)
				ret[k] += v[i];
	}
	free(v);
}

bool port_control_exe(struct port_control *c, uint64_t inode, uint32_t device, char job[PORT_JOB + 1])
{
	struct port_exe_key key = {.inode = inode, .device = device};
	struct port_job known;

	if (bpf_map_lookup_elem(c->fd[MAP_EXES], &key, &known))
		return false;
	memcpy(job, known.name, PORT_JOB);
	job[PORT_JOB] = 0;
	return true;
}
