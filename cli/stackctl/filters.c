/* The commands about filters. A display comes in pages, which are put together again. */
#include "cli/stackctl/stackctl.h"
#include "lib/base/xalloc.h"
#include "proto/stack.pb-c.h"
#include <inttypes.h>
#include <strings.h>
#include <time.h>

enum { PAGE = 500 };

static const char *ports_text(const Stack__Filter *f, char *out, size_t size)
{
	if (f->icmp_type || f->icmp_code)
		(void)snprintf(out, size, "type %s code %s", f->icmp_type ? f->icmp_type : "all",
			f->icmp_code ? f->icmp_code : "all");
	else if (f->source_port || f->dest_port)
		(void)snprintf(out, size, "%s > %s", f->source_port ? f->source_port : "all",
			f->dest_port ? f->dest_port : "all");
	else
		(void)snprintf(out, size, "%s", f->opaque ? "opaque" : "");
	return out;
}

static const char *life_text(const Stack__Filter *f, char out[24])
{
	uint64_t now = (uint64_t)time(NULL);
	if (!f->expires_us)
		return "";
	(void)snprintf(out, 24, "%" PRIu64 "s",
		f->expires_us / 1000000 > now ? f->expires_us / 1000000 - now : 0);
	return out;
}

static void filters_table(const Stack__FiltersReply *r)
{
	struct cli_table *t = cli_table_new("NAME", "EXT", "TYPE", "ACTION", "DIR", "SCOPE",
		"SOURCE", "DESTINATION", "PROTOCOL", "PORTS", "CLASS", "LOG", "TUNNEL", "LEFT",
		"MATCHES", NULL);
	for (size_t i = 0; i < r->n_filters; i++) {
		const Stack__Filter *f = r->filters[i];
		char ports[64], ext[16], class[16], left[24], log[40], proto[48];
		(void)snprintf(ext, sizeof(ext), "%u", f->extension);
		(void)snprintf(class, sizeof(class), "%u", f->secclass);
		(void)snprintf(log, sizeof(log), f->loglimit ? "%.20s(%u)" : "%.20s",
			f->logging ? f->logging : "", f->loglimit);
		(void)snprintf(proto, sizeof(proto), "%.32s%s", f->protocol ? f->protocol : "",
			f->fragments_only ? " fragments" : "");
		cli_table_row(t, f->name, ext, f->type, f->action, f->direction, f->scope,
			f->source, f->destination, proto, ports_text(f, ports, sizeof(ports)),
			class, log, f->vpn_action, life_text(f, left), cli_u64(f->matches), NULL);
	}
	cli_table_end(t);
}

static void filters_print(const struct cli *c, const Stack__FiltersReply *r)
{
	if (c->json) {
		cli_json(&r->base);
		return;
	}
	(void)printf("Source: %s  Logging: %s  Predecap: %s  Defensive Mode: %s  TotAvail: %u\n",
		cli_safe(r->source ? r->source : "-"), r->logging ? "On" : "Off",
		r->predecap ? "On" : "Off", cli_safe(r->defensive_mode ? r->defensive_mode : "-"),
		r->total);
	for (size_t i = 0; i < r->n_exclusions; i++)
		(void)printf("Exclusion Address: %s\n", cli_safe(r->exclusions[i]));
	filters_table(r);
	(void)printf("%zu entries selected\n", r->n_filters);
}

/* Moves the filters of @page behind those of @all. */
static void take_page(Stack__FiltersReply *all, Stack__FiltersReply *page)
{
	all->filters =
		xrealloc(all->filters, all->n_filters + page->n_filters, sizeof(*all->filters));
	for (size_t i = 0; i < page->n_filters; i++)
		all->filters[all->n_filters++] = page->filters[i];
	page->n_filters = 0;
}

static int filters(struct cli *c, char *kind)
{
	Stack__FiltersRequest q = STACK__FILTERS_REQUEST__INIT;
	Stack__FiltersReply *first = NULL;
	int rc = CLI_OK;
	q.kind = kind;
	q.has_limit = q.has_after = true;
	q.limit = PAGE;
	for (bool more = true; more && !rc;) {
		ProtobufCMessage *m = NULL;
		rc = stackctl_call(
			c, "stack.Filters", &q.base, &stack__filters_reply__descriptor, &m);
		if (rc)
			break;
		Stack__FiltersReply *page = (Stack__FiltersReply *)m;
		more = page->has_next && page->next > q.after;
		q.after = page->next;
		if (first) {
			take_page(first, page);
			protobuf_c_message_free_unpacked(m, NULL);
		} else {
			first = page;
			first->has_next = false;
		}
	}
	if (!rc)
		filters_print(c, first);
	if (first)
		protobuf_c_message_free_unpacked(&first->base, NULL);
	return rc;
}

int stackctl_filters(struct cli *c, int argc, char **argv)
{
	static const char *const kinds[] = {"current", "policy", "profile", "defensive"};
	for (size_t i = 0; argc && i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcasecmp(argv[0], kinds[i]))
			return filters(c, argv[0]);
	return argc ? cli_usage(c, "'%s' is not current, policy, profile or defensive", argv[0])
		    : filters(c, (char *)"current");
}

int stackctl_defences(struct cli *c, int argc, char **argv)
{
	(void)argc, (void)argv;
	return filters(c, (char *)"defensive");
}

int stackctl_switch(struct cli *c, int argc, char **argv)
{
	Stack__SwitchRequest q = STACK__SWITCH_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	(void)argc;
	q.to = argv[0];
	if (strcmp(argv[0], "default") && strcmp(argv[0], "policy"))
		return cli_usage(c, "'%s' is neither default nor policy", argv[0]);
	int rc = stackctl_call(
		c, "stack.FilterSwitch", &q.base, &stack__changed_reply__descriptor, &m);
	if (rc)
		return rc;
	if (c->json)
		cli_json(m);
	else
		(void)puts(((const Stack__ChangedReply *)m)->changed ? "changed" : "unchanged");
	return stackctl_done(m);
}

int stackctl_test(struct cli *c, int argc, char **argv)
{
	Stack__TrafficTestRequest q = STACK__TRAFFIC_TEST_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	uint64_t n;
	q.source = argv[0];
	q.destination = argv[1];
	for (int i = 2; i + 1 < argc; i += 2) {
		bool port = true;
		if (!strcmp(argv[i], "dir")) {
			q.direction = argv[i + 1];
			continue;
		}
		if (!strcmp(argv[i], "prot"))
			port = false;
		else if (strcmp(argv[i], "srcport") && strcmp(argv[i], "destport"))
			return cli_usage(c, "'%s' is not prot, srcport, destport or dir", argv[i]);
		if (!cli_number(c, argv[i], argv[i + 1], 0, port ? 65535 : 255, &n))
			return CLI_USAGE;
		*(port ? argv[i][0] == 's' ? &q.source_port : &q.dest_port : &q.protocol) =
			(uint32_t)n;
		*(port ? argv[i][0] == 's' ? &q.has_source_port : &q.has_dest_port
		       : &q.has_protocol) = true;
	}
	if (argc % 2)
		return cli_usage(c, "'%s' needs a value", argv[argc - 1]);
	int rc = stackctl_call(
		c, "stack.TrafficTest", &q.base, &stack__filters_reply__descriptor, &m);
	if (rc)
		return rc;
	filters_print(c, (const Stack__FiltersReply *)m);
	return stackctl_done(m);
}
