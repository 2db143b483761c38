/* port: the decision on a bind, in the kernel (cgroup/bind4, cgroup/bind6), and the notice of a listen
 * (cgroup sockops). It is a few map lookups; who may do what was computed before, from the profile and SAF.
 *
 * Who binds: the job name. A system unit's name, made upper case up to its first character that is no letter or digit,
 * at most 8 characters (vsftpd.service is VSFTPD); or the name that a PORTJOB statement gave the executable. A process
 * cannot choose either: units of the system manager are root's, user units lie below user@UID.service, which counts, and a
 * copy of an executable is another inode. The task's name (comm) is never looked at; it is only reported. */
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "daemons/stack-core/port/maps.h"

char _license[] SEC("license") = "Dual MIT/GPL";

enum { TCP = 6, UDP = 17, EVENT_TCP_LISTEN = 11, DEPTH = 12, EPERM = 1 };

/* What is read of the kernel's own structures; offsets are relocated at load (CO-RE). */
#define CORE __attribute__((preserve_access_index))
struct super_block { uint32_t s_dev; } CORE;
struct inode { unsigned long i_ino; struct super_block *i_sb; } CORE;
struct file { struct inode *f_inode; } CORE;
struct mm_struct { struct file *exe_file; } CORE;
struct kernfs_node { const char *name; struct kernfs_node *parent; } CORE;
struct kernfs_node___new { struct kernfs_node *__parent; } CORE; /* since Linux 6.15 */
struct cgroup { struct kernfs_node *kn; } CORE;
struct css_set { struct cgroup *dfl_cgrp; } CORE;
struct task_struct { struct mm_struct *mm; struct css_set *cgroups; } CORE;

#define MAP(name_, type_, key_, value_, size_, flags_)                                             \
	struct {                                                                                   \
		__uint(type, type_);                                                               \
		__uint(max_entries, size_);                                                        \
		__uint(map_flags, flags_);                                                         \
		__type(key, key_);                                                                 \
		__type(value, value_);                                                             \
	} name_ SEC(".maps")

MAP(current, BPF_MAP_TYPE_ARRAY, uint32_t, uint32_t, 1, 0);
MAP(settings, BPF_MAP_TYPE_ARRAY, uint32_t, struct port_settings, 2, 0);
MAP(slots, BPF_MAP_TYPE_ARRAY, uint32_t, struct port_slot, 2 * PORT_PROTOCOLS * 65536, BPF_F_MMAPABLE);
MAP(rules, BPF_MAP_TYPE_LPM_TRIE, struct port_rule_key, struct port_rule, 2 * PORT_RULES_MAX, BPF_F_NO_PREALLOC);
MAP(users, BPF_MAP_TYPE_HASH, struct port_user_key, uint8_t, PORT_USERS_MAX, BPF_F_NO_PREALLOC);
MAP(exes, BPF_MAP_TYPE_HASH, struct port_exe_key, struct port_job, PORT_JOBS_MAX, BPF_F_NO_PREALLOC);
MAP(counts, BPF_MAP_TYPE_PERCPU_ARRAY, uint32_t, uint64_t, PORT_COUNTS, 0);
/* Sockets that asked for their port: a listen is only asked about those. */
MAP(explicit, BPF_MAP_TYPE_SK_STORAGE, int, uint32_t, 0, BPF_F_NO_PREALLOC);
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, PORT_EVENTS);
} events SEC(".maps");

static __always_inline void count(uint32_t which)
{
	uint64_t *n = bpf_map_lookup_elem(&counts, &which);
	if (n)
		++*n;
}

static __always_inline struct kernfs_node *parent_of(struct kernfs_node *kn)
{
	struct kernfs_node___new *n = (void *)kn;
	if (bpf_core_field_exists(n->__parent))
		return BPF_CORE_READ(n, __parent);
	return BPF_CORE_READ(kn, parent);
}

/* Characters of a job name, upper case; 0: none. A table: branches would multiply the verifier's paths. */
#define UPPER_(c) [c] = c, [c + 32] = c
static const uint8_t upper[256] = {UPPER_('A'), UPPER_('B'), UPPER_('C'), UPPER_('D'), UPPER_('E'), UPPER_('F'), UPPER_('G'),
	UPPER_('H'), UPPER_('I'), UPPER_('J'), UPPER_('K'), UPPER_('L'), UPPER_('M'), UPPER_('N'), UPPER_('O'), UPPER_('P'),
	UPPER_('Q'), UPPER_('R'), UPPER_('S'), UPPER_('T'), UPPER_('U'), UPPER_('V'), UPPER_('W'), UPPER_('X'), UPPER_('Y'),
	UPPER_('Z'), ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6', ['7'] = '7',
	['8'] = '8', ['9'] = '9'};

/* Is @name, @len characters long, a unit that holds processes? Its last 8 bytes tell: ".service", "??.scope". */
static __always_inline int unit_name(const char *name, long len)
{
	uint64_t tail = 0, service, scope;
	__builtin_memcpy(&service, ".service", 8);
	__builtin_memcpy(&scope, "\0\0.scope", 8);
	if (len < 9 || bpf_probe_read_kernel(&tail, sizeof(tail), name + len - 8))
		return 0;
	return tail == service || (tail & ~0xffffull) == scope;
}

/* The outermost .service or .scope above the task: a user's own units are inside of user@UID.service. */
static __always_inline void job_of_unit(struct task_struct *t, uint8_t job[PORT_JOB])
{
	struct kernfs_node *kn = BPF_CORE_READ(t, cgroups, dfl_cgrp, kn);
	const char *unit = 0;
	uint8_t name[PORT_JOB + 1] = {0}, keep = 0xff;
	char whole[PORT_UNIT_MAX * 4];

	for (int depth = 0; depth < DEPTH && kn; depth++) {
		const char *at = BPF_CORE_READ(kn, name);
		long len = bpf_probe_read_kernel_str(whole, sizeof(whole), at);
		if (unit_name(at, len - 1))
			unit = at;
		kn = parent_of(kn);
	}
	if (!unit || bpf_probe_read_kernel_str(name, sizeof(name), unit) < 0)
		return;
	for (int i = 0; i < PORT_JOB; i++) {
		uint8_t c = upper[name[i]];
		keep &= (uint8_t)-((uint8_t)(c | -c) >> 7);
		job[i] = c & keep;
	}
}

static __always_inline void job_of_task(uint8_t job[PORT_JOB])
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct inode *inode = BPF_CORE_READ(t, mm, exe_file, f_inode);
	struct port_exe_key key = {0};

	__builtin_memset(job, 0, PORT_JOB);
	if (inode) {
		key.inode = BPF_CORE_READ(inode, i_ino);
		key.device = BPF_CORE_READ(inode, i_sb, s_dev);
		struct port_job *known = bpf_map_lookup_elem(&exes, &key);
		if (known) {
			__builtin_memcpy(job, known->name, PORT_JOB);
			return;
		}
	}
	job_of_unit(t, job);
}

static __always_inline void report(const struct port_event *e)
{
	struct port_event *at = bpf_ringbuf_reserve(&events, sizeof(*at), 0);
	if (!at) {
		count(PORT_COUNT_EVENTS_LOST);
		return;
	}
	*at = *e;
	bpf_ringbuf_submit(at, 0);
}

/* The decision for one port. @e: protocol and port set; why, job, uid and saf filled. */
static __always_inline void decide(const struct port_settings *s, uint32_t half, struct port_event *e, int listening,
	struct port_rule **rule)
{
	uint32_t p = e->protocol == TCP ? PORT_TCP : PORT_UDP;
	uint32_t at = (half * PORT_PROTOCOLS + p) << 16 | e->port;
	struct port_slot *slot = bpf_map_lookup_elem(&slots, &at);
	uint16_t entry = slot ? slot->entry : 0;
	int reserved = entry != 0;

	*rule = 0;
	e->why = PORT_ALLOWED;
	if (!reserved) {
		if (e->port < 1024 && s->low[p]) {
			if (e->uid != 0)
				e->why = PORT_LOW;
			return;
		}
		/* TCP without WHENBIND: the bind passes, the listen is asked. */
		if (!s->unrsv[p] || (p == PORT_TCP && !s->when_bind && !listening))
			return;
		entry = p == PORT_TCP ? PORT_ENTRY_UNRSV_TCP : PORT_ENTRY_UNRSV_UDP;
	} else if (listening) {
		return; /* was asked when it was bound */
	}
	struct port_rule_key key = {.prefix_bits = PORT_RULE_FIXED_BITS + 8 * PORT_JOB, .half = (uint8_t)half,
		.entry = {(uint8_t)(entry >> 8), (uint8_t)entry}};
	job_of_task(key.job);
	__builtin_memcpy(e->job, key.job, PORT_JOB);
	struct port_rule *r = bpf_map_lookup_elem(&rules, &key);
	if (!r) {
		e->why = reserved ? PORT_RESERVED : PORT_NO_JOB;
		return;
	}
	if (r->deny) {
		e->why = PORT_DENY;
		return;
	}
	if (r->saf) {
		struct port_user_key user = {.uid = e->uid, .saf = r->saf, .half = (uint8_t)half};
		e->saf = r->saf;
		if (!bpf_map_lookup_elem(&users, &user)) {
			e->why = PORT_SAF;
			return;
		}
	}
	if (reserved)
		*rule = r;
}

/* The settings in force; NULL: nothing is controlled. */
static __always_inline struct port_settings *in_force(uint32_t *half)
{
	uint32_t zero = 0;
	uint32_t *at = bpf_map_lookup_elem(&current, &zero);

	if (!at || !*at)
		return 0;
	*half = (*at - 1) & 1;
	return bpf_map_lookup_elem(&settings, half);
}

static __always_inline int on_bind(struct bpf_sock_addr *ctx, int family)
{
	uint32_t half = 0;
	struct port_settings *s = in_force(&half);
	struct port_event e = {0};
	struct port_rule *r;

	if (!s || (ctx->protocol != TCP && ctx->protocol != UDP))
		return 1;
	/* Port 0: the stack picks one, which is never checked. */
	e.port = bpf_ntohs((uint16_t)ctx->user_port);
	if (!e.port || bpf_get_netns_cookie(ctx) != s->netns)
		return 1;
	e.protocol = (uint8_t)ctx->protocol;
	e.family = (uint8_t)family;
	e.uid = (uint32_t)bpf_get_current_uid_gid();
	count(PORT_COUNT_CHECKED);
	decide(s, half, &e, 0, &r);
	if (e.why != PORT_ALLOWED) {
		e.pid = (uint32_t)(bpf_get_current_pid_tgid() >> 32);
		e.time_ns = bpf_ktime_get_ns();
		bpf_get_current_comm(e.comm, sizeof(e.comm));
		count(PORT_COUNT_DENIED);
		report(&e);
		bpf_set_retval(-13); /* EACCES, as z/OS answers */
		return 0;
	}
	count(PORT_COUNT_ALLOWED);
	if (ctx->protocol == TCP && ctx->sk)
		(void)bpf_sk_storage_get(&explicit, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (r && r->bind && r->bind_family == 4 && family == 4 && !ctx->user_ip4)
		ctx->user_ip4 = r->addr4;
	if (r && r->bind && r->bind_family == 6 && family == 6 && !(ctx->user_ip6[0] | ctx->user_ip6[1] | ctx->user_ip6[2] | ctx->user_ip6[3])) {
		ctx->user_ip6[0] = r->addr6[0];
		ctx->user_ip6[1] = r->addr6[1];
		ctx->user_ip6[2] = r->addr6[2];
		ctx->user_ip6[3] = r->addr6[3];
	}
	/* A port that is reserved to this job may be low without CAP_NET_BIND_SERVICE: the reservation is the authority. */
	return r ? 3 : 1;
}

SEC("cgroup/bind4")
int port_bind4(struct bpf_sock_addr *ctx)
{
	return on_bind(ctx, 4);
}

SEC("cgroup/bind6")
int port_bind6(struct bpf_sock_addr *ctx)
{
	return on_bind(ctx, 6);
}

/* listen(2) on a port that UNRSV TCP controls WHENLISTEN. The kernel does not let this program refuse it: the event makes
 * the control thread destroy the listener at once (SOCK_DESTROY). */
SEC("sockops")
int port_listen(struct bpf_sock_ops *ctx)
{
	uint32_t half = 0;
	struct port_settings *s = ctx->op == EVENT_TCP_LISTEN ? in_force(&half) : 0;
	struct port_event e = {0};
	struct port_rule *r;

	if (!s || !s->unrsv[PORT_TCP] || s->when_bind)
		return 1;
	if (!ctx->sk || !bpf_sk_storage_get(&explicit, ctx->sk, 0, 0) || bpf_get_netns_cookie(ctx) != s->netns)
		return 1;
	e.port = (uint16_t)ctx->local_port;
	e.protocol = TCP;
	e.listening = 1;
	e.family = ctx->family == 10 ? 6 : 4;
	e.uid = (uint32_t)bpf_get_current_uid_gid();
	count(PORT_COUNT_CHECKED);
	decide(s, half, &e, 1, &r);
	if (e.why == PORT_ALLOWED) {
		count(PORT_COUNT_ALLOWED);
		return 1;
	}
	e.pid = (uint32_t)(bpf_get_current_pid_tgid() >> 32);
	e.time_ns = bpf_ktime_get_ns();
	e.cookie = bpf_get_socket_cookie(ctx);
	count(PORT_COUNT_DENIED);
	report(&e);
	return 1;
}
