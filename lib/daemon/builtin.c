/* What every daemon answers: common.Ping, common.Stats, common.Reload, common.Methods. */
#include "lib/base/path.h"
#include "lib/base/xalloc.h"
#include "lib/daemon/runtime.h"
#include "proto/common.pb-c.h"

static void on_ping(struct bus_call *call, const ProtobufCMessage *request)
{
	(void)request;
	struct runtime *r = bus_call_user(call);
	Common__PingReply m = COMMON__PING_REPLY__INIT;
	m.name = r->name;
	m.version = (char *)RAVELIN_VERSION;
	m.has_boot_id = m.has_uptime_ms = true;
	m.boot_id = bus_server_boot_id(r->d.bus);
	m.uptime_ms = loop_now_ms() - r->started_ms;
	m.sysname = (char *)r->d.sysname;
	bus_reply(call, &m.base);
}

enum { STATS_MAX = 1024 };

struct stat_list {
	Common__StatsReply__Stat *stats[STATS_MAX];
	size_t n;
};

static void add_stat(void *arg, const char *name, const char *help, uint64_t value)
{
	struct stat_list *l = arg;
	if (l->n == STATS_MAX)
		return;
	Common__StatsReply__Stat *s = l->stats[l->n++] = xnew(Common__StatsReply__Stat);
	common__stats_reply__stat__init(s);
	s->name = xstrdup(name);
	s->help = xstrdup(help);
	s->has_value = true;
	s->value = value;
}

static void add_own_stats(struct runtime *r, struct stat_list *l)
{
	struct bus_stats b = {0};
	bus_server_stats(r->d.bus, &b);
	const struct {
		const char *name, *help;
		uint64_t value;
	} own[] = {
		{"daemon_uptime_ms", "Milliseconds since the start.", loop_now_ms() - r->started_ms},
		{"daemon_reloads_total", "Configuration reloads asked for.", r->reloads},
		{"daemon_reloads_refused_total", "Reloads that kept the old configuration.", r->reloads_refused},
		{"bus_requests_total", "Requests taken.", b.requests},
		{"bus_refused_total", "Requests refused by SAF.", b.refused},
		{"bus_unauthorized_total", "Requests and subscriptions refused, by SAF.", b.unauthorized},
		{"bus_malformed_total", "Requests that did not parse.", b.malformed},
		{"bus_oversized_total", "Connections ended for a message above the size limit or without end.", b.oversized},
		{"bus_overfull_total", "Connections ended because too many bytes of their user's requests waited.", b.overfull},
		{"bus_crowded_total", "Connections refused because their user, or all, had as many as they may.", b.crowded},
		{"bus_unknown_peer_total", "Requests whose sender the kernel did not name.", b.unknown_peer},
		{"bus_replies_dropped_total", "Replies whose caller was gone or slow.", b.replies_dropped},
		{"bus_events_total", "Events published.", b.events},
		{"bus_subscriptions_refused_total", "Subscriptions refused by SAF.", b.subscriptions_refused},
		{"audit_records_total", "Sequence number of the last audit record.", audit_seq(r->d.audit)},
		{"audit_lost_total", "Audit records that could not be written.", audit_lost(r->d.audit)},
	};
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		add_stat(l, own[i].name, own[i].help, own[i].value);
}

static void on_stats(struct bus_call *call, const ProtobufCMessage *request)
{
	(void)request;
	struct runtime *r = bus_call_user(call);
	struct stat_list *l = xnew(struct stat_list);
	Common__StatsReply m = COMMON__STATS_REPLY__INIT;
	add_own_stats(r, l);
	if (r->spec->stats)
		r->spec->stats(&r->d, add_stat, l);
	m.n_stats = l->n;
	m.stats = l->stats;
	bus_reply(call, &m.base);
	for (size_t i = 0; i < l->n; i++)
		protobuf_c_message_free_unpacked(&l->stats[i]->base, NULL);
	free(l);
}

static void on_reload(struct bus_call *call, const ProtobufCMessage *request)
{
	(void)request;
	struct runtime *r = bus_call_user(call);
	struct conf *rejected = NULL;
	char *texts[32];
	Common__ReloadReply m = COMMON__RELOAD_REPLY__INIT;
	m.errors = texts;
	if (runtime_reload(r, &rejected))
		for (unsigned i = 0; i < conf_error_count(rejected) && i < 32; i++)
			texts[m.n_errors++] = (char *)conf_error(rejected, i);
	bus_reply(call, &m.base);
	conf_free(rejected);
}

enum { METHODS_MAX = 256 };

struct method_list {
	Common__MethodsReply__Method methods[METHODS_MAX], *list[METHODS_MAX];
	char names[METHODS_MAX][96];
	size_t n;
};

static void add_methods(struct method_list *l, const char *package, const struct bus_method *m)
{
	for (; m && m->name && l->n < METHODS_MAX; m++, l->n++) {
		Common__MethodsReply__Method *out = l->list[l->n] = &l->methods[l->n];
		common__methods_reply__method__init(out);
		snprintf(l->names[l->n], sizeof(l->names[0]), "%s.%s", package, m->name);
		out->name = l->names[l->n];
		out->resource = (char *)m->resource;
		if (strcmp(m->resource, "ANY") != 0) {
			out->class_name = (char *)m->class_name;
			out->level = (char *)saf_level_text(m->level);
		}
	}
}

static void on_methods(struct bus_call *call, const ProtobufCMessage *request)
{
	(void)request;
	struct runtime *r = bus_call_user(call);
	struct method_list *l = xnew(struct method_list);
	Common__MethodsReply m = COMMON__METHODS_REPLY__INIT;
	add_methods(l, r->spec->package, r->spec->methods);
	add_methods(l, "common", builtin_methods);
	m.n_methods = l->n;
	m.methods = l->list;
	bus_reply(call, &m.base);
	free(l);
}

const struct bus_method builtin_methods[] = {
	{"Ping", "", "ANY", SAF_NONE, &common__empty__descriptor, &common__ping_reply__descriptor, on_ping},
	{"Stats", "SERVAUTH", "EZB.NETSTAT.{sysname}.{name}.STATS", SAF_READ, &common__empty__descriptor,
		&common__stats_reply__descriptor, on_stats},
	{"Reload", "OPERCMDS", "MVS.SERVMGR.{name}", SAF_CONTROL, &common__empty__descriptor,
		&common__reload_reply__descriptor, on_reload},
	{"Methods", "", "ANY", SAF_NONE, &common__empty__descriptor, &common__methods_reply__descriptor, on_methods},
	{0},
};
