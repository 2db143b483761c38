/* control: what workers recorded, told: log lines and events with their limits, counts of what was held back, statistics. */
#include "daemons/stack-core/ids/regulate.h"

struct teller {
	struct ids *ids;
	ids_report_fn fn;
	void *arg;
	uint64_t now_ms, now_us;
};

static void tell_attack(const struct teller *t, const struct ids_event *e)
{
	const struct ids_policy *p = t->ids->policy;
	const struct ids_rule *r = p ? p->attacks[e->what] : NULL;
	struct type_state *s = &t->ids->types[e->what];
	char text[IDS_TEXT_MAX];
	struct ids_report_out out = {.told = IDS_TOLD_ATTACK, .event = e, .rule = r, .text = text_attack(e, text)};
	out.log = r && r->report.log;
	out.console = r && r->report.console && (!r->report.console_max || s->console < r->report.console_max);
	s->console += out.console;
	s->logged += out.log;
	s->interval_logged++;
	t->fn(t->arg, &out);
}

static void tell_scan(const struct teller *t, const struct ids_event *e)
{
	struct scan_found f;
	char text[IDS_TEXT_MAX];
	if (!scan_add(t->ids, e, (uint32_t)(t->now_ms / 1000), &f))
		return;
	const struct ids_rule *r = t->ids->policy->scan;
	if (t->ids->scans_told == IDS_SCANS) {
		t->ids->scans_held++;
		return;
	}
	t->ids->scans_told++;
	struct ids_report_out out = {.told = IDS_TOLD_SCAN, .event = e, .rule = r, .log = r->report.log,
		.console = r->report.console && (!r->report.console_max || t->ids->scan_console < r->report.console_max),
		.fast = f.is_fast, .count = f.is_fast ? f.fast : f.slow, .text = text_scan(e, r, &f, text)};
	t->ids->scan_console += out.console;
	t->fn(t->arg, &out);
}

/* A refusal. On the console only the first of a constrained period; of a port that is not constrained, one in five minutes. */
static void tell_tr(const struct teller *t, const struct ids_event *e)
{
	const struct ids_policy *p = t->ids->policy;
	const struct ids_rule *r = p ? ids_tr_rule(p, (enum ids_protocol)e->protocol, &e->dst, e->dport) : NULL;
	char text[IDS_TEXT_MAX];
	struct ids_report_out out = {.told = IDS_TOLD_TR, .event = e, .rule = r, .log = r && r->report.log, .text = text_tr(e, text)};
	out.console = r && r->report.console;
	for (unsigned i = 0; out.console && e->kind == IDS_EV_TR_TCP && i < POOLS; i++) {
		struct pool *o = &t->ids->tr->pools[i];
		if (o->port != e->dport || !atomic_load(&o->tag) || (o->addr.family && !addr_equal(&o->addr, &e->dst)))
			continue;
		out.console = !o->told;
		o->told = true;
	}
	t->fn(t->arg, &out);
}

static void constrained(const struct teller *t, struct ids_event *e, const struct ids_rule *r, bool entered)
{
	char text[IDS_TEXT_MAX];
	e->time_us = t->now_us;
	struct ids_report_out out = {.told = IDS_TOLD_CONSTRAINED, .event = e, .rule = r, .log = r->report.log, .entered = entered,
		.text = text_constrained(e, entered, text)};
	t->fn(t->arg, &out);
}

/* Constrained from 90 % on; normal again below 88 % and at least two under the limit. */
static void pools(const struct teller *t)
{
	struct regulation *g = t->ids->tr;
	for (unsigned i = 0; g && i < POOLS; i++) {
		struct pool *o = &g->pools[i];
		const struct ids_rule *r = atomic_load_explicit(&o->tag, memory_order_acquire) ? tr_rule_of(t->ids->policy, o) : NULL;
		uint32_t used = atomic_load(&o->used);
		if (!r)
			continue;
		bool enter = !o->constrained && used * 100ull >= r->total * 90ull;
		bool leave = o->constrained && used * 100ull < r->total * 88ull && used + 2 <= r->total;
		struct ids_event e = {.kind = IDS_EV_TR_TCP, .protocol = IDS_TCP, .proto = 6, .probe = IDS_PROBE_TR_TCP, .dst = o->seen, .dport = o->port,
			.current = used, .total = r->total, .percent = r->percentage};
		if (enter || leave) {
			o->constrained = enter;
			o->told = o->told && enter;
			constrained(t, &e, r, enter);
		}
	}
	for (unsigned i = 0; g && i < g->n_queues; i++) {
		struct queue *q = &g->queues[i];
		bool over = atomic_load(&q->over);
		const struct ids_rule *r = t->ids->policy ? ids_tr_rule(t->ids->policy, IDS_UDP, &q->addr, q->port) : NULL;
		struct ids_event e = {.kind = IDS_EV_TR_UDP, .protocol = IDS_UDP, .proto = 17, .probe = IDS_PROBE_TR_UDP, .dst = q->addr, .dport = q->port,
			.current = atomic_load(&q->queued), .total = atomic_load(&q->limit)};
		if (r && q->constrained && !over)
			constrained(t, &e, r, false);
		q->constrained = over;
	}
}

/* What no single packet shows: the control thread makes the record. */
static void tell_made(const struct teller *t, struct ids_event *e)
{
	e->time_us = t->now_us;
	e->kind = IDS_EV_ATTACK;
	e->what = IDS_FLOOD;
	tell_attack(t, e);
}

static void flood_ended(void *arg, const struct listener *l)
{
	struct teller *t = arg;
	struct ids_event e = {.probe = IDS_PROBE_FLOOD_END, .proto = 6, .dst = l->addr, .dport = l->port, .discarded = true,
		.value = (uint32_t)atomic_load_explicit(&l->dropped, memory_order_relaxed)};
	if (t->ids->policy && t->ids->policy->attacks[IDS_FLOOD])
		tell_made(t, &e);
}

/* An interface flood: at least so many discards in a minute, and at least that part of what came. */
static void link_flood(const struct teller *t, unsigned link)
{
	const struct ids_rule *r = t->ids->policy ? t->ids->policy->attacks[IDS_FLOOD] : NULL;
	struct link_flood *f = &t->ids->links[link];
	uint64_t discarded = 0;
	for (unsigned i = 0; i < t->ids->n_workers; i++)
		discarded += atomic_load_explicit(&t->ids->workers[i]->link_discarded[link], memory_order_relaxed);
	uint64_t lost = discarded - f->discarded, came = f->now_received - f->received;
	bool over = r && lost >= r->flood_min && lost * 100 >= came * r->flood_percent, minute = t->now_ms >= f->since_ms + 60000;
	struct ids_event e = {.link = (uint16_t)link, .value = (uint32_t)lost, .probe = over ? IDS_PROBE_FLOOD_LINK : IDS_PROBE_FLOOD_LINK_END,
		.discarded = true};
	if (r && (over ? !f->on : f->on && minute))
		tell_made(t, &e);
	f->on = over || (f->on && !minute);
	if (!minute)
		return;
	f->since_ms = t->now_ms;
	f->discarded = discarded;
	f->received = f->now_received;
}

void ids_link_counts(struct ids *ids, unsigned link, uint64_t received)
{
	if (link >= IDS_LINKS_MAX)
		return;
	if (received < ids->links[link].now_received) /* another link has its place */
		ids->links[link].received = received;
	ids->links[link].now_received = received;
}

static void every_second(struct teller *t)
{
	if (t->now_ms < t->ids->second_ms + 1000)
		return;
	t->ids->second_ms = t->now_ms;
	tr_sweep(t->ids, t->now_ms);
	session_floods_end(t->ids, (uint32_t)(t->now_ms / 1000), flood_ended, t);
	for (unsigned i = 0; i < IDS_LINKS_MAX; i++)
		link_flood(t, i);
}

/* The end of a five-minute interval: what was held back is told, and budgets are full again. */
static void scans_held(const struct teller *t)
{
	struct ids *ids = t->ids;
	const struct ids_rule *r = ids->policy ? ids->policy->scan : NULL;
	char text[IDS_TEXT_MAX];
	if (ids->scans_held && r) {
		struct ids_report_out out = {.told = IDS_TOLD_SUPPRESSED, .rule = r, .count = ids->scans_held, .log = r->report.log,
			.text = text_suppressed("Scan", ids->scans_held, t->now_us, text)};
		t->fn(t->arg, &out);
	}
	ids->scans_told = ids->scans_held = ids->scan_console = 0;
}

static void interval_end(const struct teller *t)
{
	struct ids *ids = t->ids;
	struct ids_counts c;
	char text[IDS_TEXT_MAX];
	ids_counts(ids, &c);
	scans_held(t);
	for (unsigned i = 0; ids->tr && i < POOLS; i++)
		ids->tr->pools[i].told &= ids->tr->pools[i].constrained;
	if (ids->tr)
		atomic_store(&ids->tr->left, IDS_LOGS);
	for (unsigned a = 0; a < IDS_ATTACKS; a++) {
		struct type_state *s = &ids->types[a];
		const struct ids_rule *r = ids->policy ? ids->policy->attacks[a] : NULL;
		uint64_t seen = c.detected[a] - s->seen_detected, held = seen > s->interval_logged ? seen - s->interval_logged : 0;
		if (held && r && s->interval_logged && a != IDS_FLOOD) { /* its packets are not told one by one */
			struct ids_report_out out = {.told = IDS_TOLD_SUPPRESSED, .rule = r, .count = held, .log = r->report.log,
				.text = text_suppressed(ids_attack_text((enum ids_attack)a), held, t->now_us, text)};
			s->suppressed += held;
			t->fn(t->arg, &out);
		}
		s->seen_detected = c.detected[a];
		s->interval_logged = s->console = 0;
		atomic_store(&ids->log_left[a], IDS_LOGS);
		atomic_store(&ids->trace_left[a], IDS_TRACES);
	}
}

static void statistics(const struct teller *t)
{
	struct ids *ids = t->ids;
	struct ids_counts c;
	char text[IDS_TEXT_MAX];
	ids_counts(ids, &c);
	for (unsigned a = 0; a < IDS_ATTACKS; a++) {
		struct type_state *s = &ids->types[a];
		const struct ids_rule *r = ids->policy ? ids->policy->attacks[a] : NULL;
		if (!r || !r->report.statistics)
			continue;
		if (!s->stat_ms)
			s->stat_ms = t->now_ms;
		if (t->now_ms < s->stat_ms + r->report.interval_min * 60000ull)
			continue;
		struct ids_report_out out = {.told = IDS_TOLD_STATISTICS, .rule = r, .count = c.detected[a] - s->stat_detected,
			.discarded = c.discarded[a] - s->stat_discarded, .log = true};
		out.text = text_statistics((enum ids_attack)a, out.count, out.discarded, t->now_us, text);
		s->stat_ms = t->now_ms;
		s->stat_detected = c.detected[a];
		s->stat_discarded = c.discarded[a];
		if (out.count || !r->report.exceptions)
			t->fn(t->arg, &out);
	}
}

void ids_control(struct ids *ids, uint64_t now_ms, uint64_t now_us, ids_report_fn fn, void *arg)
{
	struct teller t = {ids, fn, arg, now_ms, now_us};
	struct ids_event e;
	for (unsigned i = 0; i < ids->n_workers; i++)
		for (unsigned budget = EVENT_RING; budget && post_take(ids->workers[i], &e); budget--)
			(e.kind == IDS_EV_ATTACK ? tell_attack : e.kind == IDS_EV_SCAN ? tell_scan : tell_tr)(&t, &e);
	tr_sample(ids, now_ms);
	pools(&t);
	every_second(&t);
	trace_drain(ids);
	if (!ids->interval_ms)
		ids->interval_ms = now_ms;
	if (now_ms >= ids->interval_ms + IDS_INTERVAL_MS) {
		interval_end(&t);
		ids->interval_ms = now_ms;
	}
	statistics(&t);
}
