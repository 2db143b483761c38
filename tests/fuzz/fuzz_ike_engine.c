/* fuzz_ike_engine: two IKE engines and a network that the input drives. Every operation is a byte,
 * with its arguments behind it: datagrams are delivered, lost, doubled, swapped, cut, bent or
 * invented, time passes, and people and the stack ask for things. At the end the network behaves
 * again for a while: the engines must be able to agree on a tunnel then, with the same keys at both
 * ends, and hold little. Nothing is removed or made ready that is not installed. */
#include "tests/unit/lib/ike/pair.h"
#include "lib/base/rd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPERATIONS_MAX = 48, P1_MAX = 40, INVENTED_MAX = 600 };

static void must(bool good)
{
	if (!good)
		abort();
}

static void lose(struct pair *n)
{
	if (!n->n_queue)
		return;
	free(n->queue[0].data);
	memmove(n->queue, n->queue + 1, --n->n_queue * sizeof(n->queue[0]));
}

static void twice(struct pair *n)
{
	if (!n->n_queue)
		return;
	struct pair_datagram d = n->queue[0];
	d.data = memcpy(xcalloc(1, d.len + 1), d.data, d.len);
	pair_again(n, &d);
	free(d.data);
}

static void swap(struct pair *n)
{
	if (n->n_queue < 2)
		return;
	struct pair_datagram c = n->queue[0];
	n->queue[0] = n->queue[1];
	n->queue[1] = c;
}

/* With the cookies of what is under way, so that it is looked at. */
static void invent(struct pair *n, struct rd *r, bool to)
{
	const struct pair_datagram *like = n->n_queue ? &n->queue[0] : NULL;
	struct ike_path path = {{4, {192, 0, 2, 1}}, {4, {192, 0, 2, 2}}, 500, 500};
	uint8_t buf[INVENTED_MAX] = {0};
	size_t len = rd_u8(r) * 2u;

	if (len > rd_left(r))
		len = rd_left(r);
	rd_copy(r, buf, len);
	if (like && len >= 16)
		memcpy(buf, like->data, like->len < 16 ? like->len : 16);
	if (len >= 28) {
		buf[17] = 0x10;
		buf[24] = buf[25] = 0;
		buf[26] = (uint8_t)(len >> 8);
		buf[27] = (uint8_t)len;
	}
	if (to) {
		struct addr swap_addr = path.local;
		path.local = path.remote;
		path.remote = swap_addr;
	}
	ike_input(n->peer[to].k, &path, buf, len, n->now, PAIR_WALL + n->now);
}

/* The newest pair in use at @end. */
static const struct ike_child *newest(struct pair *n, unsigned end)
{
	const struct ike_child *best = NULL;
	for (size_t i = 0; i < n->peer[end].n_children; i++) {
		const struct pair_child *c = &n->peer[end].children[i];
		if (c->there && c->out && (!best || c->c.generation >= best->generation))
			best = &c->c;
	}
	return best;
}

static void begin_anew(struct pair *n, unsigned end)
{
	ike_free(n->peer[end].k);
	n->peer[end].n_children = 0;
	pair_start(&n->peer[end], NULL);
}

static void ask(struct pair *n, uint8_t what)
{
	unsigned end = what & 1;
	char id[16] = "";
	const struct ike_child *c = newest(n, end);
	struct ike *k = n->peer[end].k;

	switch (what >> 1 & 7) {
	case 0:
		(void)pair_activate(n, 0, id);
		break;
	case 1:
		if (c)
			(void)ike_refresh(k, c->tunnel_id, n->now);
		break;
	case 2:
		(void)ike_refresh(k, "K1", n->now);
		break;
	case 3:
		if (c)
			(void)ike_deactivate(k, c->tunnel_id, true, n->now);
		break;
	case 4:
		(void)ike_deactivate(k, "K1", what & 0x80, n->now);
		break;
	case 5:
		if (c) {
			struct ike_child copy = *c;
			ike_stack_said(k, copy.tunnel_id, copy.generation, what >> 4 & 3, &copy.path, n->now);
		}
		break;
	case 6:
		ike_policy(k, n->peer[end].policy, n->now);
		break;
	default: /* it crashed and began anew */
		begin_anew(n, end);
	}
}

static void operation(struct pair *n, struct rd *r)
{
	uint8_t op = rd_u8(r);
	struct pair_datagram *d = n->n_queue ? &n->queue[0] : NULL;

	switch (op % 10) {
	case 0:
		(void)pair_deliver(n);
		break;
	case 1:
		lose(n);
		break;
	case 2:
		twice(n);
		break;
	case 3:
		swap(n);
		break;
	case 4: {
		uint16_t at = rd_u16(r);
		if (d && d->len)
			d->data[at % d->len] ^= rd_u8(r) | 1;
		break;
	}
	case 5: {
		uint16_t to = rd_u16(r);
		if (d && d->len)
			d->len = 1 + to % d->len;
		break;
	}
	case 6:
		pair_pass(n, (uint64_t)rd_u8(r) * PAIR_SECOND);
		break;
	case 7:
		ask(n, rd_u8(r));
		break;
	case 8:
		invent(n, r, op & 16);
		break;
	default:
		for (unsigned i = 0; i < 4; i++)
			(void)pair_deliver(n);
	}
}

static void little_is_held(struct pair *n)
{
	struct ike_stats s;

	for (unsigned i = 0; i < 2; i++) {
		ike_stats(n->peer[i].k, &s);
		must(s.half_open <= P1_MAX && s.p1 <= P1_MAX && s.children <= P1_MAX);
		must(!n->peer[i].twice);
		n->peer[i].log[0] = 0;
	}
}

/* The stack forgets what was removed, so that its table never fills. */
static void tidy(struct pair_peer *p)
{
	size_t kept = 0;
	for (size_t i = 0; i < p->n_children; i++)
		if (p->children[i].there)
			p->children[kept++] = p->children[i];
	p->n_children = kept;
}

#define GCM "IpDataOffer { HowToEncap Tunnel\n HowToEncrypt AES_GCM KeyLength 128\n HowToAuth ESP NULL\n}\n"
static struct ipsec_policy *policies[4][2]; /* mode and PFS, side */

static void make_policies(void)
{
	for (unsigned how = 0; how < 4; how++) {
		struct pair_policy o = {.initiate = how & 1 ? "Aggressive" : "Main", .data = GCM, .pfs = how & 2 ? "Group19" : NULL,
			.pfs_ok = how & 2 ? "Group19" : NULL};
		policies[how][0] = pair_policy(PAIR_LEFT, PAIR_RIGHT, PAIR_LEFT_NET, PAIR_RIGHT_NET, &o);
		policies[how][1] = pair_policy(PAIR_RIGHT, PAIR_LEFT, PAIR_RIGHT_NET, PAIR_LEFT_NET, &o);
	}
}

/* One end may have missed that the other's tunnel is gone, and its IKE SA with it: a person sees that and begins anew. So it is when
 * only the IKE SA is left of a peer that crashed, and no DPD looks after it: the first attempt finds that out and ends it. */
static void agree_in_the_end(struct pair *n)
{
	char id[16] = "";
	unsigned lost;

	for (const struct ike_child *c; (c = newest(n, 0));) {
		struct ike_child copy = *c;
		if (ike_deactivate(n->peer[0].k, copy.tunnel_id, true, n->now))
			break;
		pair_pass(n, 60 * PAIR_SECOND);
	}
	for (unsigned attempt = 0; attempt < 2 && !pair_flows(n, 0, &lost); attempt++) {
		(void)pair_activate(n, 0, id);
		pair_pass(n, 600 * PAIR_SECOND);
	}
	must(pair_flows(n, 0, &lost) && !lost);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	char id[16] = "";
	unsigned how = rd_u8(&r) & 3;

	if (!policies[0][0])
		make_policies();
	struct pair *n = pair_new_of(policies[how][0], policies[how][1]);
	(void)pair_activate(n, 0, id);
	for (unsigned i = 0; rd_left(&r) && i < OPERATIONS_MAX; i++) {
		operation(n, &r);
		tidy(&n->peer[0]);
		tidy(&n->peer[1]);
	}
	little_is_held(n);
	pair_pass(n, 900 * PAIR_SECOND);
	little_is_held(n);
	agree_in_the_end(n);
	pair_free(n);
	return 0;
}
