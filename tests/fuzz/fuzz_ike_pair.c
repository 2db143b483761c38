/* fuzz_ike_pair: the whole state machine. Two engines negotiate in memory; the input is a program of the network and the people
 * around them, byte by byte: who activates, which datagram is dropped, repeated, replayed, cut or changed, and how time passes.
 * Byte 0 chooses mode and policy. What must hold whatever happens:
 *   - no crash, no endless exchange: one instruction makes a bounded number of datagrams
 *   - an SA is ready for traffic only after it was installed, and is removed once
 *   - two ends that believe in the same SPIs believe in the same keys
 *   - who knows no key makes no tunnel (the second policy has another key) */
#include "tests/unit/lib/ike/pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 200, DATAGRAMS_MAX = 400 };
static struct ipsec_policy *policies[2][2][2]; /* side, mode, key differs */

static void must(bool good)
{
	if (!good)
		abort();
}

static void make_policies(void)
{
	static const char *const modes[] = {"Main", "Aggressive"};
	for (unsigned mode = 0; mode < 2; mode++)
		for (unsigned wrong = 0; wrong < 2; wrong++) {
			struct pair_policy l = {.initiate = modes[mode], .nat = "Yes", .pfs = "Group19", .pfs_ok = "Group19"}, r = l;
			r.key = wrong ? "another" : NULL;
			policies[0][mode][wrong] = pair_policy(PAIR_LEFT, PAIR_RIGHT, PAIR_LEFT_NET, PAIR_RIGHT_NET, &l);
			policies[1][mode][wrong] = pair_policy(PAIR_RIGHT, PAIR_LEFT, PAIR_RIGHT_NET, PAIR_LEFT_NET, &r);
		}
}

static void same_keys(const struct pair *n)
{
	for (size_t i = 0; i < n->peer[0].n_children; i++)
		for (size_t j = 0; j < n->peer[1].n_children; j++) {
			const struct pair_child *a = &n->peer[0].children[i], *b = &n->peer[1].children[j];
			if (a->there && b->there && a->out && b->out && a->c.out.spi == b->c.in.spi && a->c.in.spi == b->c.out.spi)
				must(pair_half_equal(&a->c.out, &b->c.in) && pair_half_equal(&a->c.in, &b->c.out));
		}
}

static void deliver(struct pair *n, size_t at, unsigned how, uint32_t arg)
{
	struct pair_datagram d = n->queue[at];
	bool keep = how == 2; /* stays on the wire: comes again */

	if (!keep) {
		memmove(n->queue + at, n->queue + at + 1, (n->n_queue - at - 1) * sizeof(d));
		n->n_queue--;
	}
	if (how == 3 && d.len)
		d.data[arg % d.len] ^= (uint8_t)(1 << (arg >> 16) % 8);
	if (how == 4 && d.len)
		d.len = arg % d.len;
	if (how != 1)
		pair_again(n, &d);
	if (!keep)
		free(d.data);
}

/* One instruction; how many bytes of it there were. */
static size_t step(struct pair *n, const uint8_t *p, size_t left)
{
	uint32_t arg = left > 3 ? (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
	unsigned who = p[0] & 1;
	struct pair_peer *peer = &n->peer[who];
	char id[16];

	switch (p[0] >> 4) {
	case 0:
		(void)pair_activate(n, who, id);
		return 1;
	case 1:
		pair_run(n);
		return 1;
	case 2:
		if (n->n_queue)
			deliver(n, arg % n->n_queue, p[0] % 5, arg * 2654435761u);
		return 4;
	case 3:
		if (n->n_past)
			pair_again(n, &n->past[arg % n->n_past]);
		return 4;
	case 4:
		pair_pass(n, (uint64_t)(p[0] & 15) * PAIR_SECOND * (left > 1 ? 1 + p[1] : 1));
		return 2;
	case 5:
		(void)ike_refresh(peer->k, p[0] & 2 ? "Y1" : "K1", n->now);
		return 1;
	case 6:
		(void)ike_deactivate(peer->k, p[0] & 2 ? "Y1" : "K1", p[0] & 4, n->now);
		return 1;
	case 7:
		ike_stack_said(peer->k, "Y1", p[0] >> 1 & 1 ? 2 : 1, p[0] >> 2 & 3, NULL, n->now);
		return 1;
	case 8:
		peer->install_rc = p[0] & 2 ? (p[0] & 4 ? -EINPROGRESS : -ENOSPC) : 0;
		return 1;
	case 9:
		ike_installed(peer->k, "Y1", 1 + (p[0] >> 2 & 3), p[0] & 2 ? -EIO : 0, n->now);
		return 1;
	case 10: { /* raw bytes as a datagram */
		struct ike_path path = {peer->addr, n->peer[!who].addr, 500, 500};
		size_t len = left > 1 && p[1] < left - 1 ? p[1] : left - 1;
		ike_input(peer->k, &path, p + 1, len, n->now, PAIR_WALL);
		return 1 + len;
	}
	case 11:
		n->nat = p[0] & 2;
		n->nat_shift = (uint16_t)(20000 + 100 * (p[0] >> 2 & 3));
		return 1;
	default:
		pair_run(n);
		pair_pass(n, PAIR_SECOND);
		return 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (!policies[0][0][0])
		make_policies();
	unsigned mode = data[0] & 1, wrong = data[0] >> 1 & 1;
	struct pair *n = pair_new_of(policies[0][mode][wrong], policies[1][mode][wrong]);
	unsigned steps = 0;
	for (size_t at = 1; at < size && steps++ < STEPS_MAX;) {
		size_t sent = n->sent;
		uint64_t then = n->now;
		at += step(n, data + at, size - at);
		must(n->sent - sent <= DATAGRAMS_MAX + (n->now - then) / PAIR_SECOND * 8);
		same_keys(n);
		must(!n->peer[0].twice && !n->peer[1].twice);
		for (unsigned i = 0; i < 2; i++) {
			struct ike_stats s;
			ike_stats(n->peer[i].k, &s);
			must(s.half_open <= 64 && (!wrong || !s.p2_up));
			n->peer[i].log[0] = 0;
		}
	}
	pair_free(n);
	return 0;
}
