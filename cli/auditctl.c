/* auditctl: checks and prints audit files. */
#include "cli/common/cli.h"
#include "lib/audit/audit.h"
#include "lib/base/path.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A name without a slash is a daemon's: ROOT/var/log/ravelin/NAME.audit. */
static const char *file_of(const char *name, char out[PATH_TEXT_MAX])
{
	return strchr(name, '/') ? name : path_make(out, "/var/log/ravelin/%s.audit", name);
}

static int verify_one(const struct cli *c, const char *name)
{
	static const char *const found[] = {"ok", "edited", "truncated", "gap"};
	char buf[PATH_TEXT_MAX];
	const char *file = file_of(name, buf);
	uint64_t line = 0, seq = 0;
	struct json j;
	int r = audit_verify(file, &line, &seq);
	if (r < 0)
		return cli_fail(c, CLI_FAILED, "%s: %s", file, strerror(-r));
	if (c->json) {
		json_init(&j);
		json_open(&j, '{');
		json_kv_str(&j, "file", file);
		json_kv_str(&j, "verdict", found[r]);
		json_kv_u64(&j, "line", line);
		json_kv_u64(&j, "seq", seq);
		json_close(&j, '}');
		(void)puts(j.buf);
		json_fini(&j);
	} else if (r == AUDIT_OK) {
		(void)printf("%s: ok, %" PRIu64 " records\n", file, line);
	} else {
		(void)printf("%s: %s at line %" PRIu64 " (record %" PRIu64 ")\n", file, found[r], line, seq);
	}
	return r == AUDIT_OK ? CLI_OK : CLI_FAILED;
}

static int verify(struct cli *c, int argc, char **argv)
{
	int code = CLI_OK;
	for (int i = 0; i < argc; i++)
		if (verify_one(c, argv[i]) != CLI_OK)
			code = CLI_FAILED;
	return code;
}

/* "seq time component type/subtype rest" of one of our lines; a foreign line as it is. */
static void print_text(char *line)
{
	char *system = strstr(line, ",\"system\":"), *prev = strstr(line, ",\"prev\":\"");
	uint64_t seq;
	char when[40];
	if (!system || !prev || sscanf(line, "{\"seq\":%" SCNu64 ",\"time\":\"%39[^\"]\"", &seq, when) != 2) {
		(void)printf("%s\n", cli_safe(line));
		return;
	}
	*prev = 0;
	(void)printf("%8" PRIu64 "  %s  ", seq, when);
	for (const char *p = system + 1; *p; p++)
		(void)putchar((unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p);
	(void)putchar('\n');
}

static int print_one(const struct cli *c, const char *name)
{
	char buf[PATH_TEXT_MAX], *line = NULL;
	const char *file = file_of(name, buf);
	size_t cap = 0;
	ssize_t n;
	FILE *f = fopen(file, "re");
	if (!f)
		return cli_fail(c, CLI_FAILED, "%s: %s", file, strerror(errno));
	while ((n = getline(&line, &cap, f)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = 0;
		if (c->json)
			(void)puts(line);
		else
			print_text(line);
	}
	free(line);
	(void)fclose(f);
	return CLI_OK;
}

static int print(struct cli *c, int argc, char **argv)
{
	int code = CLI_OK;
	for (int i = 0; i < argc; i++)
		if (print_one(c, argv[i]) != CLI_OK)
			code = CLI_FAILED;
	return code;
}

static const struct cli_command commands[] = {
	{"verify", "NAME|FILE...", "Checks the hash chain; says where it does not hold.", 1, -1, verify},
	{"print", "NAME|FILE...", "Prints the records.", 1, -1, print},
	{0},
};
static const struct cli_spec spec = {.name = "auditctl", .summary = "check and print audit files", .commands = commands,
	.epilogue = "NAME is a daemon (defmgrD, stack-core@LEFT); a word with a slash is a file."};

int main(int argc, char **argv)
{
	return cli_main(&spec, argc, argv);
}
