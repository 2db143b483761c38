#include "cli/common/cli.h"
#include "lib/base/path.h"
#include "lib/base/xalloc.h"
#include <inttypes.h>

enum { SAFE_TEXTS = 8, SAFE_MAX = 512, WORDS_MAX = 4 };

static char *next_text(void)
{
	static char texts[SAFE_TEXTS][SAFE_MAX];
	static unsigned next;
	return texts[next++ % SAFE_TEXTS];
}

const char *cli_safe(const char *text)
{
	char *out = next_text();
	size_t n = 0;
	for (; text && text[n] && n < SAFE_MAX - 1; n++)
		out[n] = (unsigned char)text[n] < 0x20 || text[n] == 0x7f ? '?' : text[n];
	out[n] = 0;
	return out;
}

const char *cli_u64(uint64_t v)
{
	char *out = next_text();
	(void)snprintf(out, SAFE_MAX, "%" PRIu64, v);
	return out;
}

int cli_fail(const struct cli *c, int code, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	(void)fprintf(stderr, "%s: %s\n", c->spec->name, text);
	return code;
}

int cli_usage(const struct cli *c, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)cli_fail(c, CLI_USAGE, "%s", text);
	if (c->command)
		(void)fprintf(stderr, "usage: %s %s%s%s\n", c->spec->name, c->command->words, *c->command->words ? " " : "",
			c->command->usage);
	else
		(void)fprintf(stderr, "'%s --help' lists the commands\n", c->spec->name);
	return CLI_USAGE;
}

int cli_exit_of(enum bus_code code)
{
	return code == BUS_OK ? CLI_OK : code == BUS_NOT_AUTHORIZED ? CLI_NOT_AUTHORIZED : CLI_FAILED;
}

int cli_call(const struct cli *c, const char *daemon, const char *method, const ProtobufCMessage *request,
	const ProtobufCMessageDescriptor *reply, ProtobufCMessage **ret)
{
	struct errbuf e = {""};
	struct bus_client *client = bus_client_new(NULL, daemon);
	enum bus_code code = bus_client_call_sync(client, method, request, reply, c->timeout_ms, ret, &e);
	bus_client_free(client);
	return code == BUS_OK ? CLI_OK : cli_fail(c, cli_exit_of(code), "%s", e.text);
}

struct stacks {
	char name[BUS_NAME_MAX + 1];
	unsigned n;
};

static void take_stack(void *arg, const char *name)
{
	struct stacks *s = arg;
	if (strncmp(name, "stack-core@", 11) != 0)
		return;
	if (!s->n++)
		(void)snprintf(s->name, sizeof(s->name), "%s", name);
}

int cli_stack(const struct cli *c, char out[BUS_NAME_MAX + 1])
{
	struct stacks s = {.n = 0};
	if (c->stack) {
		(void)snprintf(out, BUS_NAME_MAX + 1, "stack-core@%s", c->stack);
		return CLI_OK;
	}
	bus_discover(take_stack, &s);
	if (!s.n)
		return cli_fail(c, CLI_FAILED, "no stack-core is running");
	if (s.n > 1)
		return cli_usage(c, "%u stacks are running: say which with -p", s.n);
	(void)snprintf(out, BUS_NAME_MAX + 1, "%s", s.name);
	return CLI_OK;
}

void cli_json(const ProtobufCMessage *m)
{
	struct json j;
	json_init(&j);
	bus_json(&j, m);
	(void)puts(j.buf);
	json_fini(&j);
}

bool cli_number(const struct cli *c, const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	char *end = NULL;
	errno = 0;
	uint64_t v = text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
	if (!end || *end || errno || v < min || v > max) {
		(void)cli_usage(c, "%s: '%s' is not a number from %" PRIu64 " to %" PRIu64, what, text, min, max);
		return false;
	}
	*ret = v;
	return true;
}

static void help(const struct cli_spec *s)
{
	(void)printf("%s - %s\n\nusage: %s [--json]%s [--timeout MS] %s\n\n", s->name, s->summary, s->name,
		s->stacked ? " [-p STACK]" : "", *s->commands->words ? "COMMAND [OPERAND...]" : s->commands->usage);
	for (const struct cli_command *m = s->commands; m->run; m++)
		(void)printf("  %s%s%s\n      %s\n", m->words, *m->words && *m->usage ? " " : "", m->usage, m->help);
	if (s->epilogue)
		(void)printf("\n%s\n", s->epilogue);
	(void)printf("\n--json prints one JSON object a line. Exit status: 0 done, 1 failed, 2 usage, 3 not authorised.\n");
}

/* How many of argv are the words of @m; -1: not this command. */
static int words_match(const struct cli_command *m, int argc, char **argv)
{
	int n = 0;
	for (const char *w = m->words; *w; n++) {
		size_t len = strcspn(w, " ");
		if (n >= argc || strlen(argv[n]) != len || strncmp(argv[n], w, len) != 0)
			return -1;
		w += len + (w[len] == ' ');
	}
	return n;
}

static bool is_option(const struct cli *c, const char *o)
{
	return !strcmp(o, "--json") || !strcmp(o, "--timeout") || (c->spec->stacked && (!strcmp(o, "-p") || !strcmp(o, "--stack")));
}

/* Takes one option off the front; returns how many arguments it had, 0: no option, -1: bad. */
static int take_option(struct cli *c, int argc, char **argv)
{
	const char *o = argv[0];
	uint64_t ms;
	if (!strcmp(o, "--json")) {
		c->json = true;
		return 1;
	}
	bool stack = c->spec->stacked && (!strcmp(o, "-p") || !strcmp(o, "--stack")), timeout = !strcmp(o, "--timeout");
	if (!stack && !timeout) {
		if (o[0] != '-' || !o[1])
			return 0;
		(void)cli_usage(c, "'%s' is not an option", o);
		return -1;
	}
	if (argc < 2) {
		(void)cli_usage(c, "%s needs a value", o);
		return -1;
	}
	if (stack)
		c->stack = argv[1];
	else if (!cli_number(c, o, argv[1], 1, 3600000, &ms))
		return -1;
	else
		c->timeout_ms = (unsigned)ms;
	return 2;
}

static int run_command(struct cli *c, int argc, char **argv)
{
	const struct cli_command *best = NULL;
	int words = -1;
	for (const struct cli_command *m = c->spec->commands; m->run; m++) {
		int n = words_match(m, argc, argv);
		if (n > words) {
			best = m;
			words = n;
		}
	}
	if (!best)
		return argc ? cli_usage(c, "'%s' is not a command", argv[0]) : cli_usage(c, "which command?");
	c->command = best;
	argc -= words;
	argv += words;
	/* Options are understood behind the words too; what else begins with '-' is the command's own. */
	while (argc > 0 && is_option(c, argv[0])) {
		int n = take_option(c, argc, argv);
		if (n < 0)
			return CLI_USAGE;
		argc -= n;
		argv += n;
	}
	if (argc < best->min || (best->max >= 0 && argc > best->max))
		return cli_usage(c, "%s operands", argc < best->min ? "missing" : "too many");
	return best->run(c, argc, argv);
}

int cli_main(const struct cli_spec *spec, int argc, char **argv)
{
	struct cli c = {.spec = spec, .timeout_ms = 10000};
	for (argc--, argv++; argc > 0;) {
		if (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")) {
			help(spec);
			return CLI_OK;
		}
		if (!strcmp(argv[0], "--version")) {
			(void)printf("%s %s\n", spec->name, RAVELIN_VERSION);
			return CLI_OK;
		}
		int n = take_option(&c, argc, argv);
		if (n < 0)
			return CLI_USAGE;
		if (!n)
			break;
		argc -= n;
		argv += n;
	}
	/* --json is understood at the end as well, where people add it. */
	while (argc > 0 && !strcmp(argv[argc - 1], "--json")) {
		c.json = true;
		argc--;
	}
	int code = run_command(&c, argc, argv);
	if (fflush(stdout) != 0 && code == CLI_OK)
		return cli_fail(&c, CLI_FAILED, "standard output: %s", strerror(errno));
	return code;
}
