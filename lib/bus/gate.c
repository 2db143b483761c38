#include "lib/bus/gate.h"
#include "lib/base/xalloc.h"
#include <sys/queue.h>

/* Lives as long as it has a connection or something is held: as few as there are connections, and what they left. */
struct account {
	LIST_ENTRY(account) entry;
	uid_t uid;
	unsigned connections;
	uint64_t held;		      /* by all connections, and left */
	uint64_t left, left_earlier; /* by connections that ended, since the gate was last found empty and before */
};

struct gate {
	struct gate_limits limits;
	unsigned users, connections;
	bool some_left;
	LIST_HEAD(, account) accounts;
};

struct gate_place {
	struct gate *gate;
	struct account *account;
	uint64_t held;
};

struct gate *gate_new(const struct gate_limits *limits)
{
	struct gate *g = xnew(struct gate);
	*g = (struct gate){.limits = *limits, .users = 1};
	LIST_INIT(&g->accounts);
	return g;
}

struct gate *gate_ref(struct gate *g)
{
	g->users++;
	return g;
}

void gate_unref(struct gate *g)
{
	struct account *a;
	if (!g || --g->users)
		return;
	while ((a = LIST_FIRST(&g->accounts))) { /* only what connections left: each of them has a reference */
		LIST_REMOVE(a, entry);
		free(a);
	}
	free(g);
}

static struct account *account_of(const struct gate *g, uid_t uid)
{
	struct account *a;
	LIST_FOREACH(a, &g->accounts, entry)
		if (a->uid == uid)
			return a;
	return NULL;
}

static void account_put(struct account *a)
{
	if (a->connections || a->held)
		return;
	LIST_REMOVE(a, entry);
	free(a);
}

struct gate_place *gate_enter(struct gate *g, uid_t uid)
{
	struct account *a = account_of(g, uid);
	if (uid && (g->connections >= g->limits.connections || (a && a->connections >= g->limits.uid_connections)))
		return NULL;
	if (!a) {
		a = xnew(struct account);
		a->uid = uid;
		LIST_INSERT_HEAD(&g->accounts, a, entry);
	}
	a->connections++;
	g->connections += uid != 0;
	struct gate_place *p = xnew(struct gate_place);
	*p = (struct gate_place){gate_ref(g), a, 0};
	return p;
}

void gate_leave(struct gate_place *p)
{
	struct account *a = p->account;
	a->left += p->held;
	p->gate->some_left |= p->held > 0;
	p->gate->connections -= a->uid != 0;
	a->connections--;
	account_put(a);
	gate_unref(p->gate);
	free(p);
}

bool gate_hold(struct gate_place *p, uint64_t bytes)
{
	const struct gate_limits *l = &p->gate->limits;
	struct account *a = p->account;
	if (bytes > l->place_bytes - p->held || (a->uid && (a->held > l->uid_bytes || bytes > l->uid_bytes - a->held)))
		return false;
	p->held += bytes;
	a->held += bytes;
	return true;
}

/* Moves up to *@bytes out of @from. */
static void give_back(struct account *a, uint64_t *from, uint64_t *bytes)
{
	uint64_t n = *from < *bytes ? *from : *bytes;
	*from -= n;
	*bytes -= n;
	a->held -= n;
}

void gate_take(struct gate *g, struct gate_place *p, uid_t uid, uint64_t bytes)
{
	struct account *a = p ? p->account : account_of(g, uid);
	if (!a)
		return;
	if (p)
		give_back(a, &p->held, &bytes);
	give_back(a, &a->left_earlier, &bytes);
	give_back(a, &a->left, &bytes);
	account_put(a);
}

void gate_empty(struct gate *g)
{
	struct account *a, *next;
	if (!g->some_left)
		return;
	g->some_left = false;
	for (a = LIST_FIRST(&g->accounts); a; a = next) {
		next = LIST_NEXT(a, entry);
		a->held -= a->left_earlier;
		a->left_earlier = a->left;
		a->left = 0;
		g->some_left |= a->left_earlier > 0;
		account_put(a);
	}
}

struct gate *gate_of(const struct gate_place *p)
{
	return p->gate;
}

uid_t gate_uid(const struct gate_place *p)
{
	return p->account->uid;
}

uint64_t gate_held(const struct gate *g, uid_t uid)
{
	const struct account *a = account_of(g, uid);
	return a ? a->held : 0;
}
