/* xdp_prog: loads the program that was compiled at build time and is embedded here. It hangs on the device by a BPF link that
 * only our descriptor holds: however the process ends, the kernel takes the program away, and the device is as it was. */
#include "daemons/stack-core/link/xdp_prog.h"
#include "daemons/stack-core/link/xdp_maps.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <string.h>
#include <unistd.h>

extern const char xdp_bpf_start[], xdp_bpf_end[];
__asm__(".section .rodata\n.balign 8\n.global xdp_bpf_start\nxdp_bpf_start:\n.incbin \"" XDP_BPF_OBJECT
	"\"\n.global xdp_bpf_end\nxdp_bpf_end:\n.previous\n");

enum { PROG_HAS_FRAGS = 1 << 5 }; /* BPF_F_XDP_HAS_FRAGS, Linux 5.18 */

struct xdp_prog {
	struct bpf_object *object;
	int link, takes[2], xsks; /* descriptors; takes: IPv4, IPv6 */
	uint8_t generation;
	bool vlans[LINK_VLAN_MAX + 1]; /* links' */
};

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

static int map_of(const struct xdp_prog *p, const char *name)
{
	return bpf_object__find_map_fd_by_name(p->object, name);
}

static int load(struct xdp_prog *p, bool frags)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "link_xdp");

	libbpf_set_print(quiet);
	p->object = bpf_object__open_mem(xdp_bpf_start, (size_t)(xdp_bpf_end - xdp_bpf_start), &opts);
	if (!p->object)
		return -errno;
	struct bpf_program *prog = bpf_object__find_program_by_name(p->object, "link_xdp");
	if (frags && bpf_program__set_flags(prog, PROG_HAS_FRAGS))
		return -EINVAL;
	int r = bpf_object__load(p->object);
	if (r < 0)
		return r;
	p->takes[0] = map_of(p, "takes4");
	p->takes[1] = map_of(p, "takes6");
	p->xsks = map_of(p, "xsks");
	return 0;
}

static int tell_device(struct xdp_prog *p, const struct link *l)
{
	uint32_t zero = 0;
	struct xdp_device d = {{0}};
	uint8_t yes = 1;

	memcpy(d.mac, l->mac, sizeof(l->mac));
	int r = bpf_map_update_elem(map_of(p, "device"), &zero, &d, BPF_ANY);
	for (; !r && l; l = l->sibling) {
		uint32_t vlan = l->vlan;
		r = bpf_map_update_elem(map_of(p, "vlans"), &vlan, &yes, BPF_ANY);
		p->vlans[vlan] = true;
	}
	return r;
}

/* Frames of a VLAN that no link has any more stay with the kernel. */
static void leave_vlans(struct xdp_prog *p, const struct link *l)
{
	uint8_t no = 0;

	for (uint32_t vlan = 0; vlan <= LINK_VLAN_MAX; vlan++) {
		const struct link *o = l;
		while (o && o->vlan != vlan)
			o = o->sibling;
		if (p->vlans[vlan] && !o)
			p->vlans[vlan] = bpf_map_update_elem(map_of(p, "vlans"), &vlan, &no, BPF_ANY) != 0;
	}
}

static int attach(struct xdp_prog *p, const struct link *l, bool *ret_generic)
{
	int prog = bpf_program__fd(bpf_object__find_program_by_name(p->object, "link_xdp"));

	for (int generic = 0; generic < 2; generic++) {
		LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
		p->link = bpf_link_create(prog, l->ifindex, BPF_XDP, &opts);
		*ret_generic = generic;
		if (p->link >= 0 || p->link == -EBUSY || p->link == -EPERM)
			break;
	}
	return p->link < 0 ? p->link : 0;
}

int xdp_prog_new(const struct link *l, bool frags, struct errbuf *e, struct xdp_prog **ret, bool *ret_generic)
{
	struct xdp_prog *p = xnew(struct xdp_prog);

	*ret = p;
	p->link = -1;
	int r = load(p, frags);
	if (r < 0)
		return err_set(e, -r, "INTERFACE %s: XDP program: %s%s", l->name, strerror(-r),
			r == -EPERM ? " (DRIVER XDP needs CAP_BPF, see stack-core(8))" : "");
	r = tell_device(p, l);
	if (r < 0)
		return err_set(e, -r, "INTERFACE %s: XDP tables: %s", l->name, strerror(-r));
	r = attach(p, l, ret_generic);
	if (r < 0)
		return err_set(e, -r, "INTERFACE %s: XDP program on device %s: %s%s", l->name, l->device, strerror(-r),
			r == -EBUSY ? " (another program is attached to it)" : "");
	return 0;
}

void xdp_prog_free(struct xdp_prog *p)
{
	if (!p)
		return;
	if (p->link >= 0)
		close(p->link);
	bpf_object__close(p->object);
	free(p);
}

int xdp_prog_socket(struct xdp_prog *p, uint32_t queue, int fd)
{
	return bpf_map_update_elem(p->xsks, &queue, &fd, BPF_ANY);
}

union key {
	struct xdp_key4 four;
	struct xdp_key6 six;
};

static union key key_of(const struct prefix *p)
{
	union key k;

	memset(&k, 0, sizeof(k));
	k.six.bits = p->len; /* at the same place in both */
	memcpy(k.six.addr, p->addr.b, p->addr.family == 4 ? 4 : 16);
	return k;
}

static void put(struct xdp_prog *p, const struct prefix *dst, uint8_t what)
{
	union key k = key_of(dst);
	struct xdp_take t = {what, p->generation};
	char text[PREFIX_TEXT_MAX];

	if (bpf_map_update_elem(p->takes[dst->addr.family == 6], &k, &t, BPF_ANY))
		log_warning("destination stays with the kernel", "prefix", prefix_text(dst, text), "error", log_errno(errno));
}

static void put_host(struct xdp_prog *p, const struct addr *a, uint8_t what)
{
	struct prefix host = {*a, a->family == 4 ? 32 : 128};
	put(p, &host, what);
}

/* An address of ours, and for IPv6 the group in which neighbours ask for it (RFC 4291 section 2.7.1). */
static void put_own(struct xdp_prog *p, const struct addr *a)
{
	uint8_t group[16] = {0xff, 2, [11] = 1, [12] = 0xff};

	put_host(p, a, XDP_OWN);
	if (a->family != 6)
		return;
	memcpy(group + 13, a->b + 13, 3);
	struct addr g = addr_v6(group);
	put_host(p, &g, XDP_OWN);
}

/* What the kernel has on the device stays its own, unless it is the stack's. */
static void leave_to_kernel(struct xdp_prog *p, const struct link *l)
{
	struct ifaddrs *list, *i;

	if (getifaddrs(&list)) {
		log_warning("the kernel's addresses are not known", "device", l->device, "error", log_errno(errno));
		return;
	}
	for (i = list; i; i = i->ifa_next) {
		if (!i->ifa_addr || strcmp(i->ifa_name, l->device))
			continue;
		struct addr a = {0};
		if (i->ifa_addr->sa_family == AF_INET)
			a = addr_v4((const uint8_t *)&((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr);
		else if (i->ifa_addr->sa_family == AF_INET6)
			a = addr_v6(((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr.s6_addr);
		if (a.family)
			put_host(p, &a, XDP_LEAVE);
	}
	freeifaddrs(list);
}

static void remove_old(const struct xdp_prog *p, int map)
{
	union key k, next;
	struct xdp_take t;
	int r = bpf_map_get_next_key(map, NULL, &k);

	while (!r) {
		r = bpf_map_get_next_key(map, &k, &next);
		if (!bpf_map_lookup_elem(map, &k, &t) && t.generation != p->generation)
			(void)bpf_map_delete_elem(map, &k);
		k = next;
	}
}

void xdp_prog_takes(struct xdp_prog *p, const struct link *l, const struct prefix *list, unsigned n)
{
	const struct link *first = l;

	p->generation++;
	int r = tell_device(p, l); /* links may have joined it, its MAC may be another */
	if (r < 0)
		log_warning("XDP tables", "device", l->device, "error", log_errno(-r));
	for (unsigned i = 0; i < n; i++)
		put(p, &list[i], XDP_TAKE);
	leave_to_kernel(p, l);
	for (; l; l = l->sibling) {
		bool six = false;
		for (unsigned i = 0; i < l->n_addrs; i++) {
			put_own(p, &l->addrs[i].addr);
			six |= l->addrs[i].addr.family == 6;
		}
		if (six)
			put_own(p, &l->link_local);
	}
	remove_old(p, p->takes[0]);
	remove_old(p, p->takes[1]);
	leave_vlans(p, first);
}
