/* Two gateways in memory and all that a stranger, a host's program or a wire can do to them. The input is records:
 *
 *   what (1 byte), more (11 bytes), and for some kinds a length's worth of bytes
 *
 *   0 the host of a gateway sends packets, alike or nearly, with the offloads that "more" says
 *   1 raw bytes as a frame on the wire, or as what the host's kernel hands over, with a virtio_net_hdr made of "more"
 *   2 the wire changes a byte of a packet that is on it, loses it, or repeats it
 *   3 time passes
 *
 * What one sends the other receives: policies mirror each other, with tunnels in IPv4, in IPv6, in UDP (super-packets), in a tunnel, and
 * AH. No packet is lost from a pool, what leaves is well-formed, and where nobody forged or changed anything a host gets only what the other
 * one's sent. */
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/cut.h"
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/link/driver.h"
#include "daemons/stack-core/worker.h"
#include "tests/fuzz/gates.h"
#include "tests/fuzz/sent.h"
#include <urcu-qsbr.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { GATES = 2, RECORD = 12, QUEUED = 200, FRAME = 65000, RECORDS = 64, SETTLE_MS = 40000 };

struct frame {
	struct virtio_net_hdr vnet;
	uint16_t ethertype;
	bool group;
	uint32_t len;
	uint8_t data[FRAME];
};
struct queue {
	struct frame *frames[QUEUED];
	unsigned n;
};
struct gate {
	struct stack *s;
	struct queue in[2]; /* what waits on its links */
};
static struct gate gates[GATES];
static uint64_t now_ms = 1000000;
static bool honest; /* until somebody forges or changes something */
static struct frame spare[2 * GATES * QUEUED], *free_frames[2 * GATES * QUEUED];
static unsigned n_free;

static struct frame *frame_new(void)
{
	return n_free ? free_frames[--n_free] : NULL;
}

static void put(struct queue *q, struct frame *f)
{
	if (q->n < QUEUED)
		q->frames[q->n++] = f;
	else
		free_frames[n_free++] = f;
}

/* --- the links --- */

static unsigned take(struct queue *q, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	unsigned n = 0;

	for (; n < q->n && n < max; n++) {
		struct frame *f = q->frames[n];
		struct pkt *p = queue_pkt(pool, f->len);
		if (!p)
			break;
		p->len = f->len;
		memcpy(pkt_data(p), f->data, f->len);
		p->ethertype = f->ethertype;
		p->l2_group = f->group;
		vnet_read(p, &f->vnet, 0);
		free_frames[n_free++] = f;
		out[n] = p;
	}
	memmove(q->frames, q->frames + n, (q->n - n) * sizeof(*q->frames));
	q->n -= n;
	return n;
}

static void inspect(const struct pkt *p)
{
	const uint8_t *h = pkt_data(p);

	demand(!p->drop && p->off + p->len <= p->size);
	demand(p->family == h[0] >> 4);
	if (p->family == 4)
		demand(ip_get16(h + 2) == p->len && !csum_fold(csum_add(0, h, (h[0] & 15u) * 4)));
	else
		demand(ip_get16(h + 4) + IP6_HEADER == (int)p->len);
	if (p->csum_partial)
		demand((uint32_t)p->csum_start + p->csum_offset + 2 <= p->len);
	if (p->gso_size)
		demand(cut_segment_len(p) && cut_header_len(p) < p->len);
}

static void wire_tx(void *arg, const struct pkt *p)
{
	struct gate *from = arg, *to = &gates[from == gates];
	struct frame *f = p->ethertype == ETHER_ARP ? NULL : frame_new();

	demand(p->off >= ETHER_HEADER);
	if (!f || p->len > FRAME)
		return;
	if (p->ethertype != ETHER_IP6) /* the control thread's questions are no more than that */
		inspect(p);
	f->ethertype = p->family == 6 ? ETHER_IP6 : ETHER_IP4;
	f->group = false;
	f->len = p->len;
	memcpy(f->data, pkt_data(p), p->len);
	struct pkt seen = *p;
	vnet_write(&seen, &f->vnet, 0);
	put(&to->in[WIRE], f);
}

static unsigned wire_rx(void *arg, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	return take(&((struct gate *)arg)->in[WIRE], pool, out, max);
}

static struct gate *gate_of(const struct link *l)
{
	return l->memory.arg;
}

static unsigned host_rx(struct link *l, unsigned queue, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	(void)queue;
	return take(&gate_of(l)->in[HOST], pool, out, max);
}

static void host_tx(struct link *l, unsigned queue, struct pkt **pkts, unsigned n)
{
	(void)l;
	(void)queue;
	for (unsigned i = 0; i < n; i++) {
		inspect(pkts[i]);
		if (honest && !pkts[i]->fragment && pkts[i]->proto != IPPROTO_IP_ICMP && pkts[i]->proto != IP_ICMP6) /* errors are the gateways' own */
			sent_each(pkts[i], sent_must);
	}
}

static const struct link_driver host_driver = {"FUZZ", NULL, NULL, NULL, host_rx, host_tx, NULL, NULL};

/* --- the gateways --- */

static void gate_open(struct gate *g, int me)
{
	struct errbuf e;

	g->s = stack_new(me == 1 ? "ONE" : "TWO", 1);
	g->s->n_links = 2;
	gates_links(g->s, me);
	g->s->links[WIRE].memory = (struct link_memory){wire_rx, wire_tx, g};
	g->s->links[HOST].memory.arg = g;
	demand(stack_open(g->s, &e) == 0);
	struct link *h = &g->s->links[HOST];
	h->type = LINK_TUN;
	h->driver = &host_driver;
	h->queues = calloc(1, sizeof(*h->queues));
	h->gso = g->s->links[WIRE].gso = true;
	h->uso = g->s->links[WIRE].uso = true;
	gates_routes(g->s, me);
	g->s->host_link = HOST; /* not before: the real host would get routes */
	g->s->ipsecurity4 = g->s->ipsecurity6 = true;
	gates_policy(g->s, me);
	filter_switch(g->s->filters, FILTER_POLICY);
}

static void make(void)
{
	rcu_register_thread();
	for (; n_free < sizeof(spare) / sizeof(*spare); n_free++)
		free_frames[n_free] = &spare[n_free];
	for (int i = 0; i < GATES; i++)
		gate_open(&gates[i], i + 1);
}

/* Each knows the other's link address, whatever an input said before. */
static void acquaint(void)
{
	for (int i = 0; i < GATES; i++) {
		uint8_t mac[6] = {0, 0, 0, 0, 0, (uint8_t)(2 - i)};
		struct addr four = gates_addr("192.0.2.%d", 2 - i), six = gates_addr("2001:db8::%d", 2 - i);
		(void)neigh_hear(gates[i].s->neigh, WIRE, &four, mac, NEIGH_ASKED, now_ms);
		(void)neigh_hear(gates[i].s->neigh, WIRE, &six, mac, NEIGH_ASKED, now_ms);
	}
}

static void step(void)
{
	now_ms++;
	for (unsigned i = 0; i < GATES; i++) {
		(void)worker_round(gates[i].s->workers[0], now_ms, now_ms * 1000);
		stack_control(gates[i].s, now_ms);
	}
}

static void run(void)
{
	for (unsigned i = 0; i < 8 && (gates[0].in[0].n || gates[0].in[1].n || gates[1].in[0].n || gates[1].in[1].n); i++)
		step();
}

/* --- what the input says --- */

static uint32_t transport(uint8_t *l4, const uint8_t *b, bool udp, uint32_t total, unsigned i, uint32_t each)
{
	uint32_t header = udp ? 8 : 20 + (b[8] & 3) * 4u;

	memset(l4, 1, header);
	ip_put16(l4, 1000 + (b[3] & 7));
	ip_put16(l4 + 2, 80 + (b[3] >> 3 & 3));
	if (udp) {
		ip_put16(l4 + 4, header + total);
		ip_put16(l4 + 6, 0);
	} else {
		ip_put32(l4 + 4, 0xfffff000u + i * each);
		ip_put32(l4 + 8, b[9]);
		l4[12] = (uint8_t)(header / 4 << 4);
		l4[13] = (b[8] & 4 ? 0x10 : 0) | (b[8] >> 3 & 9);
		ip_put16(l4 + 14, 0xffff);
		ip_put32(l4 + 16, 0);
	}
	memset(l4 + header, b[10] + (int)i, total);
	return header;
}

/* Alike, from the host of @me to the other's. b: flags, v6|udp|gso|csum|df.., how many, ports, where, size, gso size, ... */
static void host_packet(int me, const uint8_t *b, unsigned i)
{
	bool v6 = b[1] & 1, udp = b[1] & 2;
	uint32_t total = ip_get16(b + 5) % (b[1] & 4 ? 60000u : 1480u), ip = v6 ? IP6_HEADER : IP4_HEADER;
	struct addr src = gates_addr(v6 ? "2001:db8:%d0::1" : "10.%d.0.1", me), dst = gates_addr(v6 ? "2001:db8:%d0::1" : "10.%d.0.1", 3 - me);
	struct frame *f = frame_new();

	if (!f)
		return;
	src.b[v6 ? 5 : 2] = dst.b[v6 ? 5 : 2] = (uint8_t)((v6 ? me << 4 : 0) | (b[4] & 7));
	if (v6)
		dst.b[5] = (uint8_t)((3 - me) << 4 | (b[4] & 7));
	if (i && i == (b[2] >> 4)) /* one differs */
		total = total ? total - 1 : 1;
	uint32_t header = transport(f->data + ip, b, udp, total, i, ip_get16(b + 5));
	f->len = ip + header + total;
	if (v6)
		ip6_write(f->data, &src, &dst, udp ? IP_UDP : IP_TCP, 64, b[11], header + total);
	else
		ip4_write(f->data, &src, &dst, udp ? IP_UDP : IP_TCP, 64, b[11], f->len, (uint16_t)i, b[1] & 8);
	memset(&f->vnet, 0, sizeof(f->vnet));
	f->ethertype = 0;
	f->group = false;
	uint64_t pseudo = csum_pseudo(&src, &dst, udp ? IP_UDP : IP_TCP, header + total);
	uint16_t sum = b[1] & 16 ? (uint16_t)~csum_fold(pseudo) : csum_fold(csum_add(pseudo, f->data + ip, header + total));
	memcpy(f->data + ip + (udp ? 6 : 16), &sum, 2);
	if (b[1] & 16)
		f->vnet = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = (uint16_t)ip, .csum_offset = udp ? 6 : 16};
	if (b[1] & 4) {
		f->vnet.gso_type = udp ? PKT_GSO_UDP_L4 : v6 ? PKT_GSO_TCP6 : PKT_GSO_TCP4;
		f->vnet.gso_size = (uint16_t)(b[7] * 8 + (b[0] >> 4));
	}
	if (honest) {
		struct pkt p = {.buf = f->data, .size = FRAME, .len = f->len};
		vnet_read(&p, &f->vnet, 0);
		if (!p.drop)
			sent_each(&p, sent_add);
	}
	put(&gates[me - 1].in[HOST], f);
}

static size_t raw(const uint8_t *b, const uint8_t *data, size_t left)
{
	static const uint16_t types[4] = {ETHER_IP4, ETHER_IP6, ETHER_ARP, 0x1234};
	struct frame *f = frame_new();
	uint32_t len = ip_get16(b + 2) % 2048;

	len = len > left ? (uint32_t)left : len;
	if (!f)
		return len;
	memset(f, 0, sizeof(*f) - FRAME);
	f->len = len;
	memcpy(f->data, data, len);
	f->ethertype = types[b[1] & 3];
	f->group = b[1] & 4;
	f->vnet = (struct virtio_net_hdr){.flags = b[1] & 8, .gso_type = b[4], .gso_size = ip_get16(b + 5), .csum_start = ip_get16(b + 7), .csum_offset = b[9]};
	f->vnet.flags = b[1] & 8 ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0;
	if ((b[1] & 16) && len >= IP4_HEADER && f->data[0] >> 4 == 4 && (f->data[0] & 15u) * 4 <= len && (f->data[0] & 15) >= 5)
		ip4_checksum(f->data);
	put(&gates[b[0] >> 4 & 1].in[b[0] >> 5 & 1], f);
	return len;
}

/* The packets of the first, not yet received, become what the wire makes of them. */
static void tamper(const uint8_t *b)
{
	struct queue *q = &gates[b[0] >> 4 & 1].in[WIRE];
	struct frame *f = q->n ? q->frames[b[1] % q->n] : NULL, *copy;

	if (!f)
		return;
	if (b[2] & 1)
		f->data[ip_get16(b + 3) % (f->len ? f->len : 1)] ^= b[5];
	if (b[2] & 2)
		f->len = f->len ? ip_get16(b + 6) % f->len : 0;
	if (b[2] & 4)
		f->vnet.gso_size = ip_get16(b + 8);
	if ((b[2] & 8) && (copy = frame_new())) {
		memcpy(copy, f, sizeof(*f) - FRAME + f->len);
		put(q, copy);
	}
}

static size_t record(const uint8_t *b, const uint8_t *data, size_t left)
{
	switch (b[0] & 7) {
	case 0:
		for (unsigned i = 0; i <= (b[2] & 15u); i++)
			host_packet(1 + (b[0] >> 3 & 1), b, i);
		return 0;
	case 1:
		honest = false;
		return raw(b, data, left);
	case 2:
		honest = false;
		step(); /* the host's packets are on the wire now */
		tamper(b);
		return 0;
	case 3:
		now_ms += ip_get16(b + 1);
		run();
		return 0;
	default:
		run();
		return 0;
	}
}

/* After a while nothing waits, and every buffer is back. */
static void settle(void)
{
	for (unsigned i = 0; i < 6; i++) {
		now_ms += SETTLE_MS;
		step();
		run();
	}
	for (unsigned i = 0; i < GATES; i++) {
		struct worker *w = gates[i].s->workers[0];
		struct pkt *large[WORKER_LARGE_SPARE + 2 * 33];
		demand(!w->n_pending && !reass_waiting(w->reass) && pkt_pool_available(w->pool) == WORKER_SMALL);
		for (unsigned k = 0; k < sizeof(large) / sizeof(*large); k++)
			demand((large[k] = pkt_alloc_large(w->pool)) != NULL);
		for (unsigned k = 0; k < sizeof(large) / sizeof(*large); k++)
			pkt_free(w->pool, large[k]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!n_free && !gates[0].s)
		make();
	acquaint();
	sent_clear();
	honest = true;
	for (unsigned i = 0; i < RECORDS && size >= RECORD; i++) {
		size_t used = record(data, data + RECORD, size - RECORD);
		data += RECORD + used;
		size -= RECORD + used;
	}
	run();
	settle();
	return 0;
}
