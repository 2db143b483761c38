/* xdp: the sieve in front of the kernel: xdp_maps.h has the rule. Runs for each frame that the device receives. */
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "daemons/stack-core/link/xdp_maps.h"

char _license[] SEC("license") = "Dual MIT/GPL";

enum { IP4 = 0x0800, ARP = 0x0806, VLAN = 0x8100, IP6 = 0x86dd };

#define MAP(name_, type_, key_, value_, size_, flags_) \
	struct {                                       \
		__uint(type, type_);                   \
		__uint(max_entries, size_);            \
		__uint(map_flags, flags_);             \
		__type(key, key_);                     \
		__type(value, value_);                 \
	} name_ SEC(".maps")

MAP(xsks, BPF_MAP_TYPE_XSKMAP, uint32_t, uint32_t, XDP_QUEUES_MAX, 0);
MAP(device, BPF_MAP_TYPE_ARRAY, uint32_t, struct xdp_device, 1, 0);
MAP(vlans, BPF_MAP_TYPE_ARRAY, uint32_t, uint8_t, XDP_VLANS, 0);
MAP(takes4, BPF_MAP_TYPE_LPM_TRIE, struct xdp_key4, struct xdp_take, XDP_TAKES_MAX, BPF_F_NO_PREALLOC);
MAP(takes6, BPF_MAP_TYPE_LPM_TRIE, struct xdp_key6, struct xdp_take, XDP_TAKES_MAX, BPF_F_NO_PREALLOC);

struct ether {
	uint8_t dst[6], src[6];
	uint16_t type;
};
struct tag {
	uint16_t tci, type;
};
struct arp {
	uint8_t head[14], sender[4], target_mac[6], target[4];
};
struct ip4 {
	uint8_t head[12], src[4], dst[4];
};
struct ip6 {
	uint8_t head[8], src[16], dst[16];
};

static __always_inline uint32_t what4(const uint8_t *addr)
{
	struct xdp_key4 k = {32, {addr[0], addr[1], addr[2], addr[3]}};
	struct xdp_take *t = bpf_map_lookup_elem(&takes4, &k);

	return t ? t->what : XDP_LEAVE;
}

static __always_inline uint32_t what6(const uint8_t *addr)
{
	struct xdp_key6 k = {128, {0}};
	struct xdp_take *t;

	__builtin_memcpy(k.addr, addr, 16);
	t = bpf_map_lookup_elem(&takes6, &k);
	return t ? t->what : XDP_LEAVE;
}

static __always_inline int ours(const uint8_t *at, const uint8_t *end, uint16_t type, int group)
{
	if (type == ARP) {
		const struct arp *a = (const void *)at;
		return at + sizeof(*a) <= end && (what4(a->target) == XDP_OWN || what4(a->sender) == XDP_OWN);
	}
	if (type == IP4) {
		const struct ip4 *h = (const void *)at;
		return at + sizeof(*h) <= end && !group && what4(h->dst) != XDP_LEAVE;
	}
	if (type == IP6) {
		const struct ip6 *h = (const void *)at;
		return at + sizeof(*h) <= end && what6(h->dst) >= (group ? XDP_OWN : XDP_TAKE);
	}
	return 0;
}

SEC("xdp")
int link_xdp(struct xdp_md *ctx)
{
	const uint8_t *at = (const void *)(long)ctx->data, *end = (const void *)(long)ctx->data_end;
	const struct ether *e = (const void *)at;
	uint32_t zero = 0, vlan = 0, differ = 0;

	if (at + sizeof(*e) > end)
		return XDP_PASS;
	at += sizeof(*e);
	uint16_t type = bpf_ntohs(e->type);
	if (type == VLAN) {
		const struct tag *t = (const void *)at;
		if (at + sizeof(*t) > end)
			return XDP_PASS;
		vlan = bpf_ntohs(t->tci) & 0xfff;
		type = bpf_ntohs(t->type);
		at += sizeof(*t);
	}
	const uint8_t *has = bpf_map_lookup_elem(&vlans, &vlan);
	const struct xdp_device *d = bpf_map_lookup_elem(&device, &zero);
	if (!has || !*has || !d)
		return XDP_PASS;
	for (int i = 0; i < 6; i++)
		differ |= e->dst[i] ^ d->mac[i];
	if (differ && !(e->dst[0] & 1))
		return XDP_PASS;
	if (!ours(at, end, type, e->dst[0] & 1))
		return XDP_PASS;
	return (int)bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_DROP);
}
