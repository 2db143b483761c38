/* fuzz_ike_engine: two IKE engines and a network that the input drives. Every operation is a byte,
 * with its arguments behind it: datagrams are delivered, lost, doubled, swapped, cut, bent or
 * invented, time passes, and people and the stack ask for things. At the end the network behaves
 * again for a while: the engines must be able to agree on a tunnel then, with the same keys at both
 * ends, and hold little. Whatever pair.h asserts (nothing installed twice, nothing made ready that
 * is not installed) holds all the time. */
#include "tests/support/check_abort.h"
#include "tests/unit/lib/ike/pair/pair.h"
#include "lib/base/rd.h"
#include "lib/base/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPERATIONS_MAX = 48, P1_MAX = 40, INVENTED_MAX = 600 };

static struct datagram *front(void)
{
	return net.head != net.tail ? &net.queue[net.head % QUEUE_MAX] : NULL;
}

static void deliver(void)
{
	struct datagram d;

	if (!front())
		return;
	d = net.queue[net.head++ % QUEUE_MAX];
	give(&d);
	free(d.data);
}

static void lose(void)
{
	if (front())
		free(net.queue[net.head++ % QUEUE_MAX].data);
}

static void twice(void)
{
	if (!front())
		return;
	struct datagram d = *front();
	d.data = memcpy(xcalloc(1, d.len), d.data, d.len);
	give(&d);
	free(d.data);
}

static void swap(void)
{
	if (net.tail - net.head < 2)
		return;
	struct datagram *a = front(), *b = &net.queue[(net.head + 1) % QUEUE_MAX], c = *a;
	*a = *b;
	*b = c;
}

/* With the cookies of what is under way, so that it is looked at. */
static void invent(struct rd *r, bool to)
{
	const struct datagram *like = front();
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
	ike_input(net.peer[to].ike, &path, buf, len, net.now, WALL(net.now));
}

static void ask(uint8_t what)
{
	unsigned end = what & 1;
	char id[16] = "";
	struct kept *t = newest(end);

	switch (what >> 1 & 7) {
	case 0:
		(void)activate(id);
		break;
	case 1:
		if (t)
			(void)ike_refresh(net.peer[end].ike, t->child.tunnel_id, net.now);
		break;
	case 2:
		(void)ike_refresh(net.peer[end].ike, "K1", net.now);
		break;
	case 3:
		if (t)
			(void)ike_deactivate(net.peer[end].ike, t->child.tunnel_id, true, net.now);
		break;
	case 4:
		(void)ike_deactivate(net.peer[end].ike, "K1", what & 0x80, net.now);
		break;
	case 5:
		if (t)
			ike_stack_said(net.peer[end].ike, t->child.tunnel_id, t->child.generation,
				what >> 4 & 3, &t->child.path, net.now);
		break;
	case 6:
		ike_policy(net.peer[end].ike, net.peer[end].policy, net.now);
		break;
	default: { /* it crashed and began anew */
		ike_free(net.peer[end].ike);
		for (unsigned i = 0; i < net.peer[end].n_tunnels; i++)
			net.peer[end].tunnels[i].removed = true;
		engine_start(end);
		break;
	}
	}
}

static void operation(struct rd *r)
{
	uint8_t op = rd_u8(r);
	struct datagram *d = front();

	switch (op % 10) {
	case 0:
		deliver();
		break;
	case 1:
		lose();
		break;
	case 2:
		twice();
		break;
	case 3:
		swap();
		break;
	case 4: {
		uint16_t at = rd_u16(r);
		if (d)
			d->data[at % d->len] ^= rd_u8(r) | 1;
		break;
	}
	case 5: {
		uint16_t to = rd_u16(r);
		if (d)
			d->len = 1 + to % d->len;
		break;
	}
	case 6:
		pass((uint64_t)rd_u8(r) * SECOND);
		break;
	case 7:
		ask(rd_u8(r));
		break;
	case 8:
		invent(r, op & 16);
		break;
	default:
		for (unsigned i = 0; i < 4; i++)
			deliver();
	}
}

static void little_is_held(void)
{
	struct ike_stats s;

	for (unsigned i = 0; i < 2; i++) {
		ike_stats(net.peer[i].ike, &s);
		must(s.half_open <= P1_MAX && s.p1 <= P1_MAX && s.children <= P1_MAX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	char id[16] = "";
	uint8_t how = rd_u8(&r);

	pair_simple(how & 1 ? "HowToInitiate Aggressive\n" KEX_PSK : KEX_PSK,
		how & 2 ? "InitiateWithPfs Group19\n AcceptablePfs Group19\n " VPN_GCM : VPN_GCM);
	(void)activate(id);
	for (unsigned n = 0; rd_left(&r) && n < OPERATIONS_MAX; n++)
		operation(&r);
	little_is_held();
	pass(900ull * SECOND);
	little_is_held();
	/* One end may have missed that the other's tunnel is gone, and its IKE SA with it: a person
	 * sees that and begins anew. */
	while (newest(0) &&
		!ike_deactivate(net.peer[0].ike, newest(0)->child.tunnel_id, true, net.now))
		pass(60ull * SECOND);
	(void)activate(id);
	pass(600ull * SECOND);
	struct kept *t = newest(0);
	must(t && other_end(t));
	pair_stop();
	return 0;
}
