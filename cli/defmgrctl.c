/* defmgrctl: defmgrD's own tool, for people and programs. Operands of add and update are spelled as in ipsec -F. */
#include "cli/defmgrctl/ctl.h"
#include "cli/ipsec/command.h"
#include "lib/base/xalloc.h"
#include "lib/daemon/metrics.h"
#include "proto/common.pb-c.h"
#include <inttypes.h>
#include <time.h>

static const char usage[] = "defmgrctl [-p STACK | -G] [--json] COMMAND\n"
			    "  list [NAME ...]                 filters, newest first; --tag TAG, --rule RULE: only those\n"
			    "  add NAME [OPERAND VALUE ...]    operands as in ipsec -F add; --replace: one of that name may be there\n"
			    "  add --tag TAG srcip ADDRESS ... named by tag and source\n"
			    "  update NAME OPERAND VALUE ...   mode, log, loglimit, lifetime\n"
			    "  delete NAME ... | --all | --tag TAG ADDRESS ... | --tag TAG --all\n"
			    "  check                           whether defmgrD answers and the stack is one of its own\n"
			    "  rules [NAME]                    DmDefenceRules and what came of them\n"
			    "  watch [--every SECONDS]         a line an event; and what matched meanwhile\n"
			    "  bouncer [--openmetrics]         what ravelin-bouncer does\n"
			    "  stacks                          the stacks and what they hold\n"
			    "  stats [--openmetrics]           counters of defmgrD\n"
			    "  force-inactive STACK            drop all filters of a stack until the next refresh\n"
			    "  --help | --version\n"
			    "Exit status: 0 done, 1 failed, 2 usage, 3 not authorised\n";

int ctl_complain(const char *text)
{
	(void)fprintf(stderr, "defmgrctl: %s\n", text);
	return USAGE;
}

int ctl_call(struct ctl *c, const char *method, const ProtobufCMessage *m, const ProtobufCMessageDescriptor *d, ProtobufCMessage **ret)
{
	struct errbuf e = {""};
	enum bus_code code = bus_client_call_sync(c->client, method, m, d, c->deadline_ms, ret, &e);
	if (code == BUS_OK)
		return DONE;
	(void)ctl_complain(e.text);
	return code == BUS_NOT_AUTHORIZED ? NOT_AUTHORIZED : code == BUS_INVALID ? USAGE : FAILED;
}

int ctl_call_print(struct ctl *c, const char *method, const ProtobufCMessage *m, const ProtobufCMessageDescriptor *d,
	void (*text)(const struct ctl *c, const ProtobufCMessage *reply))
{
	ProtobufCMessage *reply = NULL;
	int rc = ctl_call(c, method, m, d, &reply);
	if (rc)
		return rc;
	if (c->json) {
		struct json j;
		json_init(&j);
		bus_json(&j, reply);
		(void)puts(j.buf);
		json_fini(&j);
	} else {
		text(c, reply);
	}
	protobuf_c_message_free_unpacked(reply, NULL);
	return DONE;
}

void ctl_time(uint64_t us, char out[32])
{
	time_t s = (time_t)(us / 1000000);
	struct tm tm;
	(void)strftime(out, 32, "%Y-%m-%d %H:%M:%S", gmtime_r(&s, &tm));
}

static int need_stack(struct ctl *c)
{
	if (c->stack[0] || c->global)
		return DONE;
	Common__Empty m = COMMON__EMPTY__INIT;
	ProtobufCMessage *reply = NULL;
	int rc = ctl_call(c, "defmgr.DefaultStack", &m.base, &defmgr__stack_reply__descriptor, &reply);
	if (rc)
		return rc;
	const char *name = ((const Defmgr__StackReply *)reply)->stack;
	(void)snprintf(c->stack, sizeof(c->stack), "%s", name ? name : "");
	protobuf_c_message_free_unpacked(reply, NULL);
	return DONE;
}

static void text_pending(size_t n, char *const *stacks)
{
	for (size_t i = 0; i < n; i++)
		(void)printf("pending: %s\n", stacks[i]);
}

static void text_added(const struct ctl *c, const ProtobufCMessage *reply)
{
	const Defmgr__AddReply *r = (const Defmgr__AddReply *)reply;
	(void)c;
	(void)printf("added: %u\n", r->added);
	if (r->updated || r->unchanged)
		(void)printf("updated: %u\nunchanged: %u\n", r->updated, r->unchanged);
	text_pending(r->n_pending, r->pending);
}

static void text_changed(const struct ctl *c, const ProtobufCMessage *reply)
{
	const Defmgr__ChangeReply *r = (const Defmgr__ChangeReply *)reply;
	(void)c;
	(void)printf("changed: %u\n", r->changed);
	text_pending(r->n_pending, r->pending);
}

static int operands(struct ctl *c, Defmgr__Filter *f)
{
	struct errbuf e;
	bool named = !c->tag;
	for (const char **w = c->words + 1 + named; *w;) {
		int n = ipsec_operand((const char *const *)w, f, &e);
		if (n <= 0) {
			if (!n)
				(void)err_set(&e, EINVAL, "found '%.40s'; allowed: an operand of ipsec -F add", *w);
			return ctl_complain(e.text);
		}
		w += n;
	}
	f->name = named ? (char *)c->words[1] : NULL;
	return DONE;
}

static int do_add(struct ctl *c)
{
	Defmgr__Filter f = DEFMGR__FILTER__INIT, *filters[] = {&f};
	Defmgr__AddRequest m = DEFMGR__ADD_REQUEST__INIT;
	if (c->nwords < 2)
		return ctl_complain("add: no name; allowed: add NAME [OPERAND VALUE ...], add --tag TAG srcip ADDRESS [OPERAND VALUE ...]");
	int rc = operands(c, &f);
	if (rc)
		return rc;
	m.stack = c->global ? NULL : c->stack;
	m.n_filters = 1;
	m.filters = filters;
	m.has_replace = m.replace = c->replace;
	m.tag = (char *)c->tag;
	return ctl_call_print(c, c->global ? "defmgr.AddGlobal" : "defmgr.Add", &m.base, &defmgr__add_reply__descriptor, text_added);
}

static int do_update(struct ctl *c)
{
	Defmgr__Filter f = DEFMGR__FILTER__INIT;
	Defmgr__UpdateRequest m = DEFMGR__UPDATE_REQUEST__INIT;
	if (c->nwords < 2)
		return ctl_complain("update: no name; allowed: update NAME OPERAND VALUE ...");
	int rc = operands(c, &f);
	if (rc)
		return rc;
	if (f.source || f.destination || f.protocol || f.has_source_port_low || f.has_dest_port_low || f.has_type || f.has_code ||
		f.has_direction || f.has_routing || f.has_fragments_only || f.has_secclass)
		return ctl_complain("update: allowed: mode, log, loglimit, lifetime");
	m.stack = c->global ? NULL : c->stack;
	m.name = f.name;
	m.has_mode = f.has_mode;
	m.mode = f.mode;
	m.has_log = f.has_log;
	m.log = f.log;
	m.has_loglimit = f.has_loglimit;
	m.loglimit = f.loglimit;
	m.has_lifetime_min = f.has_lifetime_min;
	m.lifetime_min = f.lifetime_min;
	return ctl_call_print(c, c->global ? "defmgr.UpdateGlobal" : "defmgr.Update", &m.base, &defmgr__change_reply__descriptor,
		text_changed);
}

static int do_delete(struct ctl *c)
{
	Defmgr__DeleteRequest m = DEFMGR__DELETE_REQUEST__INIT;
	m.stack = c->global ? NULL : c->stack;
	m.tag = (char *)c->tag;
	*(c->tag ? &m.n_sources : &m.n_names) = (size_t)(c->nwords - 1);
	*(c->tag ? &m.sources : &m.names) = (char **)c->words + 1;
	m.has_all = m.all = c->all;
	return ctl_call_print(c, c->global ? "defmgr.DeleteGlobal" : "defmgr.Delete", &m.base, &defmgr__change_reply__descriptor,
		text_changed);
}

static void list_one(const Defmgr__Filter *f)
{
	uint64_t now = (uint64_t)time(NULL) * 1000000u;
	uint64_t left = f->expires_us > now ? (f->expires_us - now) / 1000000 : 0;
	(void)printf("%s.%u\t%s\t%s\t%s\t%s\t%s\t%s\t%" PRIu64 "s left\tby %s", f->name, f->extension,
		f->mode == DEFMGR__FILTER__MODE__SIMULATE ? "simulate" : "block",
		f->direction == DEFMGR__FILTER__DIRECTION__INBOUND ? "inbound" : "outbound", f->source, f->destination, f->protocol,
		f->global ? "global" : "stack", left, f->user ? f->user : "");
	if (f->has_matches)
		(void)printf("\t%" PRIu64 " matches", f->matches);
	if (f->rule)
		(void)printf("\trule %s: %s (%u)", f->rule, f->event, f->events);
	(void)putchar('\n');
}

static int do_list(struct ctl *c)
{
	Defmgr__ListRequest m = DEFMGR__LIST_REQUEST__INIT;
	struct json j;
	m.stack = c->global ? NULL : c->stack;
	m.n_names = (size_t)(c->nwords - 1);
	m.names = (char **)c->words + 1;
	m.has_limit = true;
	m.limit = 1000;
	m.tag = (char *)c->tag;
	m.rule = (char *)c->rule;
	json_init(&j);
	json_open(&j, '[');
	do {
		ProtobufCMessage *reply = NULL;
		int rc = ctl_call(c, c->global ? "defmgr.ListGlobal" : "defmgr.List", &m.base, &defmgr__list_reply__descriptor, &reply);
		if (rc) {
			json_fini(&j);
			return rc;
		}
		const Defmgr__ListReply *r = (const Defmgr__ListReply *)reply;
		for (size_t i = 0; i < r->n_filters; i++) {
			if (c->json)
				bus_json(&j, &r->filters[i]->base);
			else
				list_one(r->filters[i]);
		}
		m.has_after = r->has_next;
		m.after = r->next;
		protobuf_c_message_free_unpacked(reply, NULL);
	} while (m.has_after);
	json_close(&j, ']');
	if (c->json)
		(void)puts(j.buf);
	json_fini(&j);
	return DONE;
}

static void text_stacks(const struct ctl *c, const ProtobufCMessage *reply)
{
	const Defmgr__StacksReply *r = (const Defmgr__StacksReply *)reply;
	(void)c;
	for (size_t i = 0; i < r->n_stacks; i++)
		(void)printf("%s\t%s\t%s\t%s\t%u filters\n", r->stacks[i]->name, r->stacks[i]->mode,
			r->stacks[i]->running ? "running" : "not running", r->stacks[i]->installed ? "installed" : "not installed",
			r->stacks[i]->filters);
}

static int do_stacks(struct ctl *c)
{
	Common__Empty m = COMMON__EMPTY__INIT;
	return ctl_call_print(c, "defmgr.Stacks", &m.base, &defmgr__stacks_reply__descriptor, text_stacks);
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

static int do_stats(struct ctl *c)
{
	Common__Empty m = COMMON__EMPTY__INIT;
	return ctl_call_print(c, "common.Stats", &m.base, &common__stats_reply__descriptor, text_stats);
}

static int do_force_inactive(struct ctl *c)
{
	Defmgr__ForceInactiveRequest m = DEFMGR__FORCE_INACTIVE_REQUEST__INIT;
	if (c->nwords != 2)
		return ctl_complain("force-inactive: allowed: force-inactive STACK");
	m.stack = (char *)c->words[1];
	return ctl_call_print(c, "defmgr.ForceInactive", &m.base, &defmgr__change_reply__descriptor, text_changed);
}

static void text_check(const struct ctl *c, const ProtobufCMessage *reply)
{
	const Defmgr__ListReply *r = (const Defmgr__ListReply *)reply;
	(void)printf("defmgrD answers; %s is %s for defensive filters\n", c->stack, r->mode);
}

static int do_check(struct ctl *c)
{
	Defmgr__ListRequest m = DEFMGR__LIST_REQUEST__INIT;
	if (c->global)
		return ctl_complain("check: allowed: -p");
	m.stack = c->stack;
	m.has_limit = m.has_brief = m.brief = true;
	m.limit = 1;
	return ctl_call_print(c, "defmgr.List", &m.base, &defmgr__list_reply__descriptor, text_check);
}

static const struct {
	const char *name;
	int (*run)(struct ctl *c);
	bool stack; /* goes to a stack or to the globals */
} commands[] = {{"list", do_list, true}, {"add", do_add, true}, {"update", do_update, true}, {"delete", do_delete, true}, {"check", do_check, true}, {"watch", ctl_watch, true}, {"rules", ctl_rules, false}, {"bouncer", ctl_bouncer, false},
	{"stacks", do_stacks, false}, {"stats", do_stats, false}, {"force-inactive", do_force_inactive, false}};

/* The value of an option, or an error was told. */
static const char *value_of(char **argv, int argc, int *i)
{
	if (++*i < argc)
		return argv[*i];
	(void)fprintf(stderr, "defmgrctl: %s: a value is missing\n", argv[argc - 1]);
	return NULL;
}

static int every(struct ctl *c, const char *text)
{
	size_t n = strspn(text, "0123456789");
	c->every_s = n && n < 6 && !text[n] ? (unsigned)atoi(text) : 0;
	return c->every_s ? DONE : ctl_complain("--every: allowed: 1-99999 seconds");
}

/* Options anywhere; the rest into c->words. */
static int options(struct ctl *c, int argc, char **argv)
{
	struct errbuf e;
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];
		if (!strcmp(a, "-G"))
			c->global = true;
		else if (!strcmp(a, "--json"))
			c->json = true;
		else if (!strcmp(a, "--openmetrics"))
			c->openmetrics = true;
		else if (!strcmp(a, "--all"))
			c->all = true;
		else if (!strcmp(a, "--replace"))
			c->replace = true;
		else if (!strcmp(a, "--tag") || !strcmp(a, "--rule") || !strcmp(a, "--every")) {
			const char *v = value_of(argv, argc, &i);
			if (!v || (a[2] == 'e' && every(c, v)))
				return USAGE;
			if (a[2] != 'e')
				*(a[2] == 't' ? &c->tag : &c->rule) = v;
		} else if (!strcmp(a, "-p") || !strcmp(a, "--stack")) {
			if (ipsec_stack_name(++i < argc ? argv[i] : "", c->stack, &e))
				return ctl_complain(e.text);
		} else if (a[0] == '-') {
			(void)err_set(&e, EINVAL, "found '%.40s'; allowed: -p, -G, --json, --all, --openmetrics, --replace, --tag, --rule, --every", a);
			return ctl_complain(e.text);
		} else
			c->words[c->nwords++] = a;
	}
	return c->global && c->stack[0] ? ctl_complain("-p and -G: found both; allowed: one of them") : DONE;
}

static int run(struct ctl *c)
{
	for (size_t i = 0; c->nwords && i < sizeof(commands) / sizeof(*commands); i++) {
		if (strcmp(commands[i].name, c->words[0]))
			continue;
		c->client = bus_client_new(NULL, "defmgrD");
		c->deadline_ms = commands[i].run == do_check ? CHECK_MS : DEADLINE_MS; /* who checks does not want to wait */
		int rc = commands[i].stack ? need_stack(c) : DONE;
		if (!rc)
			rc = commands[i].run(c);
		bus_client_free(c->client);
		return rc;
	}
	(void)fputs(usage, stderr);
	return USAGE;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--help")) {
		(void)fputs(usage, stdout);
		return DONE;
	}
	if (argc == 2 && !strcmp(argv[1], "--version")) {
		(void)puts("defmgrctl (Ravelin) " RAVELIN_VERSION);
		return DONE;
	}
	struct ctl c = {0};
	c.words = xcalloc((size_t)argc + 1, sizeof(*c.words));
	int rc = options(&c, argc, argv);
	if (!rc)
		rc = run(&c);
	free(c.words);
	return rc;
}
