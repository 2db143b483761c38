/* neigh: buckets indexed by a keyed hash (the key is random: strangers choose addresses), chains that readers walk under RCU. An
 * entry's link address and state share one 64-bit word, so that a reader sees both or neither change. */
#include "daemons/stack-core/ip/neigh.h"
#include "lib/base/xalloc.h"
#include <string.h>
#include <sys/random.h>
#include <urcu-qsbr.h>

struct neigh_table {
	struct neigh *buckets[NEIGH_BUCKETS];
	struct neigh_hooks hooks;
	uint64_t key[2];
	unsigned n, unresolved; /* incomplete or failed */
	struct neigh *gone;	/* taken out, to be freed when no reader can stand on them */
};

struct neigh_table *neigh_new(const struct neigh_hooks *hooks)
{
	struct neigh_table *t = xnew(struct neigh_table);
	t->hooks = *hooks;
	if (getrandom(t->key, sizeof(t->key), 0) != sizeof(t->key))
		abort();
	return t;
}

static void free_gone(struct neigh_table *t)
{
	while (t->gone) {
		struct neigh *n = t->gone;
		t->gone = n->gone;
		free(n);
	}
}

void neigh_free(struct neigh_table *t)
{
	if (!t)
		return;
	free_gone(t);
	for (unsigned i = 0; i < NEIGH_BUCKETS; i++)
		while (t->buckets[i]) {
			struct neigh *n = t->buckets[i];
			t->buckets[i] = n->next;
			free(n);
		}
	free(t);
}

static struct neigh **bucket(struct neigh_table *t, uint16_t link, const struct addr *a)
{
	uint64_t w[2], h;

	memcpy(w, a->b, 16);
	h = (w[0] ^ t->key[0]) * 0x9e3779b97f4a7c15u;
	h = ((h ^ h >> 32) + (w[1] ^ t->key[1])) * 0xd6e8feb86659fd93u;
	h = (h ^ h >> 32 ^ link) * 0xd6e8feb86659fd93u;
	return &t->buckets[(h >> 40) % NEIGH_BUCKETS];
}

static struct neigh *find(struct neigh_table *t, uint16_t link, const struct addr *a)
{
	struct neigh *n = rcu_dereference(*bucket(t, link, a));

	while (n && (n->link != link || !addr_equal(&n->addr, a)))
		n = rcu_dereference(n->next);
	return n;
}

static uint64_t word_of(const uint8_t *mac, enum neigh_state s)
{
	uint64_t w = 0;
	for (unsigned i = 0; mac && i < 6; i++)
		w = w << 8 | mac[i];
	return w << 8 | s;
}

static void mac_of(uint64_t word, uint8_t mac[6])
{
	for (unsigned i = 0; i < 6; i++)
		mac[i] = (uint8_t)(word >> (48 - 8 * i));
}

enum neigh_state neigh_state(const struct neigh *n)
{
	return (enum neigh_state)(atomic_load_explicit(&n->word, memory_order_relaxed) & 0xff);
}

void neigh_mac(const struct neigh *n, uint8_t mac[6])
{
	mac_of(atomic_load_explicit(&n->word, memory_order_relaxed), mac);
}

const char *neigh_state_text(enum neigh_state s)
{
	static const char *const names[] = {"None", "Incomplete", "Reachable", "Stale", "Probe", "Failed"};
	return names[s <= NEIGH_FAILED ? s : 0];
}

bool neigh_lookup(struct neigh_table *t, uint16_t link, const struct addr *a, uint8_t mac[6], bool *ret_failed)
{
	struct neigh *n = find(t, link, a);

	*ret_failed = false;
	if (!n)
		return false;
	uint64_t word = atomic_load_explicit(&n->word, memory_order_relaxed);
	enum neigh_state s = (enum neigh_state)(word & 0xff);
	*ret_failed = s == NEIGH_FAILED;
	if (s != NEIGH_REACHABLE && s != NEIGH_STALE && s != NEIGH_PROBE)
		return false;
	if (!atomic_load_explicit(&n->used, memory_order_relaxed))
		atomic_store_explicit(&n->used, true, memory_order_relaxed);
	mac_of(word, mac);
	return true;
}

static bool resolved(enum neigh_state s)
{
	return s >= NEIGH_REACHABLE && s <= NEIGH_PROBE;
}

static void set(struct neigh_table *t, struct neigh *n, const uint8_t *mac, enum neigh_state s, uint64_t now_ms)
{
	uint64_t old = atomic_load(&n->word), word = mac ? word_of(mac, s) : (old & ~(uint64_t)0xff) | s;

	n->since_ms = now_ms;
	if (old == word)
		return;
	atomic_store(&n->word, word);
	t->unresolved += !resolved(s);
	t->unresolved -= !resolved((enum neigh_state)(old & 0xff));
	/* Reachable, stale and probe are one thing to whoever watches: the address is known. */
	bool known = resolved((enum neigh_state)(old & 0xff)) && resolved(s);
	if (!known || old >> 8 != word >> 8)
		t->hooks.changed(t->hooks.arg, n);
}

static void take_out(struct neigh_table *t, struct neigh **at)
{
	struct neigh *n = *at;

	rcu_assign_pointer(*at, n->next);
	n->gone = t->gone; /* next stays: a reader may stand on it */
	t->gone = n;
	t->n--;
	t->unresolved -= !resolved(neigh_state(n));
}

/* Makes room: the stale entry that has been so for longest. */
static bool evict(struct neigh_table *t)
{
	struct neigh **oldest = NULL;

	for (unsigned i = 0; i < NEIGH_BUCKETS; i++)
		for (struct neigh **at = &t->buckets[i]; *at; at = &(*at)->next)
			if (neigh_state(*at) == NEIGH_STALE && (!oldest || (*at)->since_ms < (*oldest)->since_ms))
				oldest = at;
	if (oldest)
		take_out(t, oldest);
	return oldest;
}

static struct neigh *add(struct neigh_table *t, uint16_t link, const struct addr *a, uint64_t now_ms)
{
	if (t->n >= NEIGH_MAX && !evict(t))
		return NULL;
	struct neigh *n = xnew(struct neigh), **b = bucket(t, link, a);
	n->addr = *a;
	n->link = link;
	n->since_ms = now_ms;
	atomic_store(&n->word, word_of(NULL, NEIGH_INCOMPLETE));
	n->next = *b;
	rcu_assign_pointer(*b, n);
	t->n++;
	t->unresolved++;
	return n;
}

static void solicit(struct neigh_table *t, struct neigh *n, uint64_t now_ms)
{
	uint8_t mac[6];

	neigh_mac(n, mac);
	n->tries++;
	n->next_ms = now_ms + NEIGH_RETRY_MS;
	t->hooks.solicit(t->hooks.arg, n->link, &n->addr, neigh_state(n) == NEIGH_PROBE ? mac : NULL);
}

void neigh_want(struct neigh_table *t, uint16_t link, const struct addr *a, uint64_t now_ms)
{
	if (find(t, link, a) || t->unresolved >= NEIGH_UNRESOLVED_MAX)
		return;
	struct neigh *n = add(t, link, a, now_ms);
	if (n)
		solicit(t, n, now_ms);
}

/* Somebody else says that the address is his: the one that has it gets one chance to say no. */
static void claim(struct neigh_table *t, struct neigh *n, const uint8_t mac[6], uint64_t now_ms)
{
	bool asked = n->claimed && neigh_state(n) == NEIGH_PROBE;

	memcpy(n->rival, mac, 6);
	n->claimed = true;
	if (asked)
		return;
	n->tries = 0;
	set(t, n, NULL, NEIGH_PROBE, now_ms);
	solicit(t, n, now_ms);
}

bool neigh_hear(struct neigh_table *t, uint16_t link, const struct addr *a, const uint8_t mac[6], enum neigh_heard how, uint64_t now_ms)
{
	struct neigh *n = find(t, link, a);

	if (!n && how != NEIGH_ASKED)
		return false;
	if (!n && !(n = add(t, link, a, now_ms)))
		return false;
	enum neigh_state s = neigh_state(n);
	uint8_t known[6];
	neigh_mac(n, known);
	bool same = resolved(s) && !memcmp(known, mac, 6), asked = s == NEIGH_INCOMPLETE || s == NEIGH_PROBE;
	if (resolved(s) && !same) {
		claim(t, n, mac, now_ms);
		return false;
	}
	if (how == NEIGH_ANSWER && asked) {
		n->tries = 0;
		n->claimed = false;
		n->next_ms = now_ms + NEIGH_REACHABLE_MS;
		set(t, n, mac, NEIGH_REACHABLE, now_ms);
	} else if (!same) {
		n->tries = 0;
		set(t, n, mac, NEIGH_STALE, now_ms);
	}
	return !same;
}

/* What time does to one entry; true: it goes. */
static bool age(struct neigh_table *t, struct neigh *n, uint64_t now_ms)
{
	switch (neigh_state(n)) {
	case NEIGH_INCOMPLETE:
	case NEIGH_PROBE:
		if (now_ms < n->next_ms)
			return false;
		if (n->claimed && neigh_state(n) == NEIGH_PROBE) {
			n->claimed = false;
			set(t, n, n->rival, NEIGH_STALE, now_ms);
		} else if (n->tries >= NEIGH_TRIES)
			set(t, n, NULL, NEIGH_FAILED, now_ms);
		else
			solicit(t, n, now_ms);
		return false;
	case NEIGH_REACHABLE:
		if (now_ms >= n->next_ms) {
			atomic_store(&n->used, false);
			set(t, n, NULL, NEIGH_STALE, now_ms);
		}
		return false;
	case NEIGH_STALE:
		if (atomic_exchange(&n->used, false)) {
			n->tries = 0;
			set(t, n, NULL, NEIGH_PROBE, now_ms);
			solicit(t, n, now_ms);
			return false;
		}
		return now_ms >= n->since_ms + NEIGH_UNUSED_MS;
	default:
		return now_ms >= n->since_ms + NEIGH_FAILED_MS;
	}
}

void neigh_forget(struct neigh_table *t, uint16_t link)
{
	for (unsigned i = 0; i < NEIGH_BUCKETS; i++)
		for (struct neigh **at = &t->buckets[i]; *at;) {
			if ((*at)->link == link)
				take_out(t, at);
			else
				at = &(*at)->next;
		}
}

void neigh_tick(struct neigh_table *t, uint64_t now_ms)
{
	for (unsigned i = 0; i < NEIGH_BUCKETS; i++)
		for (struct neigh **at = &t->buckets[i]; *at;) {
			if (age(t, *at, now_ms))
				take_out(t, at);
			else
				at = &(*at)->next;
		}
	if (t->gone)
		synchronize_rcu();
	free_gone(t);
}

void neigh_each(struct neigh_table *t, void (*fn)(void *arg, const struct neigh *n), void *arg)
{
	for (unsigned i = 0; i < NEIGH_BUCKETS; i++)
		for (struct neigh *n = t->buckets[i]; n; n = n->next)
			fn(arg, n);
}

unsigned neigh_count(const struct neigh_table *t)
{
	return t->n;
}
