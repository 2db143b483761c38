/* See core_ids.h. A report is a log line in the shape TRMD gives it, at the level its rule asks for, and an event; one for the console
 * is a second line at the highest level with z/OS's EZZ8761I in front. */
#include "daemons/stack-core/core.h"
#include "lib/base/path.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include "proto/stack.pb-c.h"
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define SET(m, field, value)             \
	do {                             \
		(m).has_##field = true;  \
		(m).field = (value);     \
	} while (0)

void core_ids_start(struct core *k)
{
	char dir[PATH_TEXT_MAX], path[PATH_TEXT_MAX + 16];

	path_make(dir, "/var/lib/ravelin/stack-core@%s", k->stack->name);
	(void)mkdir(dir, 0700);
	(void)snprintf(path, sizeof(path), "%s/ids.pcapng", dir);
	ids_trace_to(k->stack->ids, path);
	const struct ids_policy *p = ids_policy_of(k->stack->ids);
	if (p)
		log_notice("intrusion detection", "rules", log_u64(p->n_rules));
}

/* syslog's levels above error are error here; below notice, info. */
static enum log_level level_of(const struct ids_rule *r)
{
	unsigned level = r ? r->report.level : LOG_L_WARNING;
	return level < LOG_L_ERROR ? LOG_L_ERROR : level > LOG_L_DEBUG ? LOG_L_DEBUG : (enum log_level)level;
}

static void event_fill(struct core *k, const struct ids_event *e, Stack__IdsEvent *m, char src[ADDR_TEXT_MAX], char dst[ADDR_TEXT_MAX])
{
	m->source = (char *)addr_text(&e->src, src);
	if (e->dst.family)
		m->destination = (char *)addr_text(&e->dst, dst);
	SET(*m, protocol, e->proto);
	SET(*m, source_port, e->sport);
	SET(*m, dest_port, e->dport);
	SET(*m, discarded, e->discarded);
	m->probe = (char *)ids_probe_text(e->probe);
	SET(*m, probe_id, 0x04000000u | e->probe);
	SET(*m, correlator, e->correlator);
	SET(*m, value, e->value);
	SET(*m, time_us, e->time_us);
	if (e->link < k->stack->n_links)
		m->link = k->stack->links[e->link].name;
	if (e->kind == IDS_EV_TR_TCP || e->kind == IDS_EV_TR_UDP) {
		SET(*m, current, e->current);
		SET(*m, total, e->total);
		SET(*m, available, e->available);
		SET(*m, percent, e->percent);
	}
}

static void report(void *arg, const struct ids_report_out *r)
{
	static const char *const topics[] = {"stack.ids.attack", "stack.ids.attack", "stack.ids.attack", "stack.ids.scan", "stack.ids.tr", "stack.ids.tr"};
	static const char *const kinds[] = {"attack", "suppressed", "statistics", "scan", "refused", "constrained"};
	static const char *const classes[] = {"Normal", "PossiblySuspicious", "VerySuspicious"};
	struct core *k = arg;
	Stack__IdsEvent m = STACK__IDS_EVENT__INIT;
	char src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];

	if (r->log)
		log_line(level_of(r->rule), r->text, "stack", k->stack->name, (char *)0);
	if (r->console)
		log_line(LOG_L_ERROR, "EZZ8761I IDS EVENT DETECTED", "stack", k->stack->name, "rule", r->rule ? r->rule->name : "", "event", r->text, (char *)0);
	m.message = (char *)r->text;
	m.kind = (char *)kinds[r->told];
	m.rule = r->rule ? (char *)r->rule->name : NULL;
	if (r->told == IDS_TOLD_SUPPRESSED && r->rule->condition != IDS_COND_ATTACK)
		m.type = (char *)"Scan";
	else if (r->told <= IDS_TOLD_STATISTICS && r->rule)
		m.type = (char *)ids_attack_text(r->rule->attack);
	else if (r->told == IDS_TOLD_ATTACK)
		m.type = (char *)ids_attack_text((enum ids_attack)r->event->what);
	else if (r->told == IDS_TOLD_SCAN)
		m.type = r->fast ? (char *)"Fast" : (char *)"Slow";
	else if (r->told == IDS_TOLD_CONSTRAINED)
		m.type = r->entered ? (char *)"Entered" : (char *)"Left";
	SET(m, count, r->count);
	if (r->rule)
		SET(m, level, r->rule->report.level);
	if (r->told == IDS_TOLD_SCAN)
		m.class_ = (char *)classes[r->event->what % 3];
	if (r->event)
		event_fill(k, r->event, &m, src, dst);
	bus_publish(k->daemon->bus, topics[r->told], &m.base);
}

void core_ids_control(struct core *k)
{
	struct link_counters c;

	for (unsigned i = 0; i < k->stack->n_links; i++) {
		link_sum(&k->stack->links[i], &c);
		ids_link_counts(k->stack->ids, i, c.rx_packets);
	}
	ids_control(k->stack->ids, loop_now_ms(), core_now_us(), report, k);
}

void core_ids_stats(struct core *k, daemon_stat_fn fn, void *arg)
{
	struct ids_counts c;
	uint64_t detected = 0, discarded = 0;

	ids_counts(k->stack->ids, &c);
	for (unsigned a = 0; a < IDS_ATTACKS; a++) {
		detected += c.detected[a];
		discarded += c.discarded[a];
	}
	fn(arg, "stack_ids_attacks_total", "packets that were attacks", detected);
	fn(arg, "stack_ids_discarded_total", "attack packets discarded", discarded);
	fn(arg, "stack_ids_malformed_total", "malformed packets", c.detected[IDS_MALFORMED]);
	fn(arg, "stack_ids_flood_total", "packets of floods dropped", c.detected[IDS_FLOOD]);
	fn(arg, "stack_ids_scan_events_total", "probes that counted for scans", c.scan_events);
	fn(arg, "stack_ids_scans_total", "scans told", c.scans_fast + c.scans_slow);
	fn(arg, "stack_ids_sources_forgotten_total", "sources of probes forgotten for lack of room", c.evicted);
	fn(arg, "stack_ids_syn_challenged_total", "SYNs answered with a challenge", c.challenged);
	fn(arg, "stack_ids_syn_proven_total", "challenges answered by a real source", c.proven);
	fn(arg, "stack_ids_refused_total", "connections and datagrams over a limit", c.refused);
	fn(arg, "stack_ids_records_lost_total", "records of events lost because too many came", c.lost);
	fn(arg, "stack_ids_traced_packets_total", "packets traced", c.traced);
}

static void types_fill(const struct ids_policy *p, const struct ids_counts *c, Stack__IdsType rows[IDS_ATTACKS], Stack__IdsType *list[IDS_ATTACKS])
{
	for (unsigned a = 0; a < IDS_ATTACKS; a++) {
		const struct ids_rule *r = p ? p->attacks[a] : NULL;
		Stack__IdsType *m = list[a] = &rows[a];
		stack__ids_type__init(m);
		m->type = (char *)ids_attack_word((enum ids_attack)a);
		m->rule = r ? (char *)r->name : (char *)"";
		m->action = (r && r->discard) || a == IDS_MALFORMED || a == IDS_FLOOD ? (char *)"Discard" : r ? (char *)"NoDiscard" : (char *)"None";
		SET(*m, detected, c->detected[a]);
		SET(*m, discarded, c->discarded[a]);
		SET(*m, logged, c->logged[a]);
		SET(*m, suppressed, c->suppressed[a]);
	}
}

enum { SHOWN = 100 };

struct shown_rows {
	Stack__IdsScanner scanners[SHOWN], *scanner_list[SHOWN];
	Stack__IdsFlood floods[SHOWN], *flood_list[SHOWN];
	Stack__IdsPool pools[SHOWN], *pool_list[SHOWN];
	char addrs[3 * SHOWN][ADDR_TEXT_MAX];
};

static void pools_fill(struct core *k, const char *protocol, struct shown_rows *rows, Stack__IdsReply *reply)
{
	struct ids_pool pools[SHOWN];
	unsigned n = ids_pools(k->stack->ids, pools, SHOWN);

	reply->pools = rows->pool_list;
	for (unsigned i = 0; i < n; i++) {
		const char *word = pools[i].protocol == IDS_TCP ? "TCP" : "UDP";
		Stack__IdsPool *m = &rows->pools[i];
		if (protocol && *protocol && strcasecmp(protocol, word))
			continue;
		stack__ids_pool__init(m);
		m->protocol = (char *)word;
		if (pools[i].addr.family)
			m->address = (char *)addr_text(&pools[i].addr, rows->addrs[2 * SHOWN + i]);
		m->rule = (char *)pools[i].rule;
		SET(*m, port, pools[i].port);
		SET(*m, total, pools[i].total);
		SET(*m, used, pools[i].used);
		SET(*m, percentage, pools[i].percentage);
		SET(*m, constrained, pools[i].constrained);
		SET(*m, limit, pools[i].limit);
		SET(*m, refused, pools[i].refused);
		rows->pool_list[reply->n_pools++] = m;
	}
}

static void sources_fill(struct core *k, struct shown_rows *rows, Stack__IdsReply *reply)
{
	struct ids_scanner scanners[SHOWN];
	struct ids_flood floods[SHOWN];

	reply->n_scanners = ids_scanners(k->stack->ids, loop_now_ms(), scanners, SHOWN);
	reply->n_floods = ids_floods(k->stack->ids, floods, SHOWN);
	reply->scanners = rows->scanner_list;
	reply->floods = rows->flood_list;
	for (size_t i = 0; i < reply->n_scanners; i++) {
		Stack__IdsScanner *m = rows->scanner_list[i] = &rows->scanners[i];
		stack__ids_scanner__init(m);
		m->source = (char *)addr_text(&scanners[i].source, rows->addrs[i]);
		SET(*m, fast, scanners[i].fast);
		SET(*m, slow, scanners[i].slow);
		SET(*m, reported, scanners[i].reported);
	}
	for (size_t i = 0; i < reply->n_floods; i++) {
		Stack__IdsFlood *m = rows->flood_list[i] = &rows->floods[i];
		stack__ids_flood__init(m);
		m->address = (char *)addr_text(&floods[i].addr, rows->addrs[SHOWN + i]);
		SET(*m, port, floods[i].port);
		SET(*m, dropped, floods[i].dropped);
	}
}

void method_ids(struct bus_call *call, const ProtobufCMessage *request)
{
	struct core *k = ((struct daemon *)bus_call_user(call))->state;
	Stack__IdsReply reply = STACK__IDS_REPLY__INIT;
	const struct ids_policy *p = ids_policy_of(k->stack->ids);
	Stack__IdsType types[IDS_ATTACKS], *type_list[IDS_ATTACKS];
	struct ids_counts c;

	ids_counts(k->stack->ids, &c);
	types_fill(p, &c, types, type_list);
	struct shown_rows *rows = xnew(struct shown_rows);
	sources_fill(k, rows, &reply);
	pools_fill(k, ((const Stack__IdsRequest *)request)->protocol, rows, &reply);
	SET(reply, scan_events, c.scan_events);
	SET(reply, scans_fast, c.scans_fast);
	SET(reply, scans_slow, c.scans_slow);
	SET(reply, sources, c.sources);
	SET(reply, evicted, c.evicted);
	reply.n_types = IDS_ATTACKS;
	reply.types = type_list;
	SET(reply, records_lost, c.lost);
	SET(reply, traced, c.traced);
	SET(reply, trace_lost, c.trace_lost);
	SET(reply, policy, p != NULL);
	SET(reply, rules, p ? (uint32_t)p->n_rules : 0);
	bus_reply(call, &reply.base);
	free(rows);
}
