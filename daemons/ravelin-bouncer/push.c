/* push: changes to defmgrD. Requests of some hundred filters, several on their way, answered in order. One that defmgrD refuses as a whole is
 * asked again in halves, until what is wrong stands alone; that is left out and counted. */
#include "daemons/ravelin-bouncer/bouncer.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"

enum { BATCH = 500, WINDOW = 8, DEADLINE_MS = 8000, FULL_MS = 60000, MINUTE_US = 60000000 };

struct item {
	struct prefix source;
	uint32_t minutes;
};

struct job {
	struct job *next;
	struct push *push;
	uint64_t epoch;
	bool del;
	unsigned n;
	struct item v[BATCH];
};

struct push {
	struct bouncer *b;
	struct job *open;	    /* collecting */
	struct job *first, **last; /* to be sent */
	unsigned flying;
	uint64_t epoch; /* answers of an earlier one no longer count */
	struct log_limit limit;
};

struct push *push_new(struct bouncer *b)
{
	struct push *p = xnew(struct push);
	p->b = b;
	p->last = &p->first;
	return p;
}

static void append(struct push *p, struct job *j)
{
	j->next = NULL;
	*p->last = j;
	p->last = &j->next;
}

static void put(struct push *p, const struct prefix *source, uint32_t minutes, bool del)
{
	if (p->open && (p->open->n == BATCH || p->open->del != del)) {
		append(p, p->open);
		p->open = NULL;
	}
	if (!p->open) {
		p->open = xnew(struct job);
		p->open->push = p;
		p->open->del = del;
	}
	p->open->v[p->open->n++] = (struct item){*source, minutes};
}

void push_add(struct push *p, const struct prefix *source, uint64_t life_us)
{
	uint64_t minutes = (life_us + MINUTE_US - 1) / MINUTE_US;
	put(p, source, minutes > FILTER_LIFETIME_MAX ? FILTER_LIFETIME_MAX : (uint32_t)minutes, false);
}

void push_delete(struct push *p, const struct prefix *source)
{
	put(p, source, 0, true);
}

bool push_busy(const struct push *p)
{
	return p->open || p->first || p->flying;
}

void push_drop(struct push *p)
{
	for (struct job *j = p->first, *next; j; j = next) {
		next = j->next;
		free(j);
	}
	free(p->open);
	p->open = p->first = NULL;
	p->last = &p->first;
	p->epoch++;
	p->flying = 0;
}

void push_free(struct push *p)
{
	if (!p)
		return;
	push_drop(p);
	free(p);
}

static void send_more(struct push *p);

/* In halves, in front of what waits. */
static void split(struct push *p, const struct job *j)
{
	for (int half = 1; half >= 0; half--) {
		unsigned from = half ? j->n / 2 : 0, n = half ? j->n - j->n / 2 : j->n / 2;
		struct job *k = xnew(struct job);
		k->push = p;
		k->del = j->del;
		k->n = n;
		memcpy(k->v, j->v + from, n * sizeof(*k->v));
		k->next = p->first;
		p->first = k;
		if (!k->next)
			p->last = &k->next;
	}
}

static void left_out(struct push *p, const struct job *j, enum bus_code code, const char *text)
{
	struct bouncer *b = p->b;
	uint32_t held;
	char source[PREFIX_TEXT_MAX];
	b->n.refused++;
	if (code == BUS_LIMIT)
		b->full_until_ms = loop_now_ms() + FULL_MS;
	if (log_limit_ok(&p->limit, loop_now_ms(), 5, FULL_MS, &held))
		log_warning("decision left out", "source", prefix_text(&j->v[0].source, source), "reason", text ? text : "");
	if (!j->del)
		mirror_forget(b, &j->v[0].source);
}

static void done(struct push *p, const struct job *j, const ProtobufCMessage *reply)
{
	struct bouncer *b = p->b;
	uint64_t now = bouncer_now_us();
	b->n.batches++;
	if (j->del) {
		b->n.deleted += ((const Defmgr__ChangeReply *)reply)->changed;
		return;
	}
	const Defmgr__AddReply *r = (const Defmgr__AddReply *)reply;
	b->n.added += r->added;
	b->n.updated += r->updated;
	b->n.unchanged += r->unchanged;
	for (unsigned i = 0; i < j->n; i++) {
		uint64_t life = j->v[i].minutes * (uint64_t)MINUTE_US;
		mirror_installed(b, &j->v[i].source, now + (life < b->max_life_us ? life : b->max_life_us));
	}
}

static void answered(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply)
{
	struct job *j = arg;
	struct push *p = j->push;
	if (j->epoch != p->epoch) { /* nobody waits for it any more */
		free(j);
		return;
	}
	p->flying--;
	if (code == BUS_OK) {
		done(p, j, reply);
	} else if (code == BUS_LIMIT || code == BUS_INVALID || code == BUS_EXISTS) {
		if (j->n > 1)
			split(p, j);
		else
			left_out(p, j, code, text);
	} else {
		struct bouncer *b = p->b;
		b->n.push_failures++;
		free(j);
		bouncer_failed(b, "defmgrD", text ? text : "no answer");
		return;
	}
	free(j);
	send_more(p);
	if (!push_busy(p))
		bouncer_drained(p->b);
}

static void send_add(struct push *p, struct job *j)
{
	const struct bouncer_conf *c = p->b->conf;
	Defmgr__AddRequest m = DEFMGR__ADD_REQUEST__INIT;
	Defmgr__Filter filters[BATCH], *ptrs[BATCH];
	char texts[BATCH][PREFIX_TEXT_MAX];
	for (unsigned i = 0; i < j->n; i++) {
		Defmgr__Filter *f = ptrs[i] = &filters[i];
		defmgr__filter__init(f);
		f->source = (char *)prefix_text(&j->v[i].source, texts[i]);
		f->has_lifetime_min = f->has_mode = f->has_direction = f->has_routing = f->has_log = true;
		f->lifetime_min = j->v[i].minutes;
		f->mode = c->simulate ? DEFMGR__FILTER__MODE__SIMULATE : DEFMGR__FILTER__MODE__BLOCK;
		f->direction = c->inbound ? DEFMGR__FILTER__DIRECTION__INBOUND : DEFMGR__FILTER__DIRECTION__BIDIRECTIONAL;
		f->routing = DEFMGR__FILTER__ROUTING__EITHER;
		f->log = c->log;
		f->has_loglimit = c->loglimit >= 0;
		f->loglimit = (uint32_t)(c->loglimit >= 0 ? c->loglimit : 0);
	}
	m.stack = p->b->stack;
	m.tag = (char *)c->tag;
	m.has_replace = m.replace = true;
	m.n_filters = j->n;
	m.filters = ptrs;
	bus_client_call(p->b->defmgr, "defmgr.Add", &m.base, &defmgr__add_reply__descriptor, DEADLINE_MS, answered, j);
}

static void send_delete(struct push *p, struct job *j)
{
	Defmgr__DeleteRequest m = DEFMGR__DELETE_REQUEST__INIT;
	char texts[BATCH][PREFIX_TEXT_MAX], *ptrs[BATCH];
	for (unsigned i = 0; i < j->n; i++)
		ptrs[i] = (char *)prefix_text(&j->v[i].source, texts[i]);
	m.stack = p->b->stack;
	m.tag = (char *)p->b->conf->tag;
	m.n_sources = j->n;
	m.sources = ptrs;
	bus_client_call(p->b->defmgr, "defmgr.Delete", &m.base, &defmgr__change_reply__descriptor, DEADLINE_MS, answered, j);
}

static void send_more(struct push *p)
{
	while (p->first && p->flying < WINDOW) {
		struct job *j = p->first;
		p->first = j->next;
		if (!p->first)
			p->last = &p->first;
		/* one that was full just now is not asked a thousand times */
		if (!j->del && loop_now_ms() < p->b->full_until_ms) {
			p->b->n.refused += j->n;
			for (unsigned i = 0; i < j->n; i++)
				mirror_forget(p->b, &j->v[i].source);
			free(j);
			continue;
		}
		j->epoch = p->epoch;
		p->flying++;
		(j->del ? send_delete : send_add)(p, j);
	}
}

void push_flush(struct push *p)
{
	if (p->open)
		append(p, p->open);
	p->open = NULL;
	send_more(p);
}
