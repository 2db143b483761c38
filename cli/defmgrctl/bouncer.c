/* defmgrctl bouncer: what ravelin-bouncer does, and its counters. */
#include "cli/defmgrctl/ctl.h"
#include "lib/daemon/metrics.h"
#include "proto/bouncer.pb-c.h"
#include <inttypes.h>

static void text_status(const struct ctl *c, const ProtobufCMessage *reply)
{
	const Bouncer__StatusReply *r = (const Bouncer__StatusReply *)reply;
	(void)c;
	(void)printf("%s\t%s\t%s\t%u filters\n", r->url, r->stack && *r->stack ? r->stack : "-", r->synced ? "followed" : "not followed", r->filters);
	if (r->why)
		(void)printf("failed %u times: %s\n", r->fails, r->why);
}

static void text_stats(const struct ctl *c, const ProtobufCMessage *reply)
{
	const Common__StatsReply *r = (const Common__StatsReply *)reply;
	if (c->openmetrics) {
		metrics_print(r, NULL, stdout);
		return;
	}
	for (size_t i = 0; i < r->n_stats; i++)
		(void)printf("%-40s %12" PRIu64 "  %s\n", r->stats[i]->name, r->stats[i]->value, r->stats[i]->help);
}

int ctl_bouncer(struct ctl *c)
{
	Common__Empty m = COMMON__EMPTY__INIT;
	int rc = DONE;
	bus_client_free(c->client);
	c->client = bus_client_new(NULL, "ravelin-bouncer");
	if (!c->openmetrics)
		rc = ctl_call_print(c, "bouncer.Status", &m.base, &bouncer__status_reply__descriptor, text_status);
	if (!rc && !c->json)
		rc = ctl_call_print(c, "common.Stats", &m.base, &common__stats_reply__descriptor, text_stats);
	return rc;
}
