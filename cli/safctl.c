/* safctl: administers SAF with RACF commands, as arguments, from a file, or from standard input. */
#include "lib/base/json.h"
#include "lib/base/path.h"
#include "lib/base/xalloc.h"
#include "lib/keyring/racdcert/racdcert.h"
#include "lib/saf/registry/registry.h"
#include <ctype.h>
#include <getopt.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_REFUSED = 3, GROUP_COMMIT = 500 };

struct tool {
	struct registry *reg;
	char user[9];
	bool as_json, quiet;
	struct racdcert_env keys;
	int worst; /* highest RACF return code */
};

static int commit(struct tool *t);

static void usage(FILE *out)
{
	(void)fprintf(out,
		"usage: safctl [--json] COMMAND OPERANDS      one RACF command as arguments\n"
		"       safctl [--json] -f FILE | -           commands from a file or standard input: one a line, '-' or '+' at the\n"
		"                                             end continues it, /* comment */\n"
		"       safctl --init                         makes an empty SAF database (group SYS1, user IBMUSER, class SERVAUTH)\n"
		"       safctl passticket APPL USER                   makes a PassTicket of USER for APPL\n"
		"       safctl --help | --version\n\nCommands (abbreviations in parentheses):\n");
	registry_help(out);
	racdcert_help(out);
	(void)fprintf(out, "\nExample: safctl RDEFINE SERVAUTH 'EZB.IPSECCMD.**' 'UACC(NONE)'\n"
			   "         safctl PERMIT 'EZB.IPSECCMD.**' 'CLASS(SERVAUTH)' 'ID(OPER1)' 'ACCESS(READ)'\n"
			   "Exit status: 0 done, 1 a command failed, 2 usage, 3 not authorised.\n");
}

/* Runs one command; its messages appear only once the change is durable, so they are buffered by the caller's @out. */
static void run(struct tool *t, const char *command, unsigned line, FILE *out)
{
	struct json j;
	json_init(&j);
	char *text = NULL;
	size_t len = 0;
	FILE *messages = open_memstream(&text, &len);
	int rc = RACF_REFUSED;
	if (!racdcert_is(command))
		rc = registry_run(t->reg, command, t->user, t->as_json ? &j : NULL, messages);
	else if (commit(t) == 0) /* it works on files, and asks SAF: what came before must be in force */
		rc = racdcert_run(&t->keys, command, t->as_json ? &j : NULL, messages);
	(void)fclose(messages);
	if (t->as_json && j.len)
		(void)fprintf(out, "%s\n", j.buf);
	if (rc > RACF_WARNED && line)
		(void)fprintf(stderr, "line %u: %s", line, text);
	else if (len)
		(void)fputs(text, rc > RACF_WARNED ? stderr : out);
	free(text);
	json_fini(&j);
	if (rc > t->worst)
		t->worst = rc;
}

static int commit(struct tool *t)
{
	struct errbuf e;
	if (registry_commit(t->reg, &e) == 0)
		return 0;
	(void)fprintf(stderr, "safctl: %s\n", e.text);
	return EXIT_FAILED;
}

static bool continues(char *line)
{
	size_t n = strlen(line);
	while (n && isspace((unsigned char)line[n - 1]))
		line[--n] = 0;
	if (!n || (line[n - 1] != '-' && line[n - 1] != '+') || (n > 1 && !isspace((unsigned char)line[n - 2])))
		return false;
	line[n - 1] = ' ';
	return true;
}

static bool is_blank(const char *s)
{
	while (isspace((unsigned char)*s))
		s++;
	return !*s;
}

static int run_file(struct tool *t, const char *name)
{
	FILE *in = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
	char *line = NULL, command[8192] = "";
	size_t cap = 0, used = 0;
	unsigned n = 0, first = 0, pending = 0;
	int rc = 0;
	if (!in) {
		(void)fprintf(stderr, "safctl: %s: %s\n", name, strerror(errno));
		return EXIT_USAGE;
	}
	while (!rc && getline(&line, &cap, in) >= 0) {
		n++;
		bool more = continues(line);
		if (!used)
			first = n;
		int add = snprintf(command + used, sizeof(command) - used, "%s", line);
		if (add < 0 || (size_t)add >= sizeof(command) - used) {
			(void)fprintf(stderr, "line %u: command longer than %zu characters\n", first, sizeof(command) - 1);
			t->worst = RACF_SYNTAX;
			used = 0;
			continue;
		}
		used += (size_t)add;
		if (more)
			continue;
		used = 0;
		if (!is_blank(command))
			run(t, command, first, stdout);
		if (++pending == GROUP_COMMIT) {
			rc = commit(t);
			pending = 0;
		}
	}
	if (used && !is_blank(command))
		run(t, command, first, stdout);
	free(line);
	if (in != stdin)
		(void)fclose(in);
	return rc ? rc : commit(t);
}

static int run_arguments(struct tool *t, char **argv)
{
	char command[8192];
	size_t used = 0;
	for (; *argv; argv++) {
		int n = snprintf(command + used, sizeof(command) - used, "%s ", *argv);
		if (n < 0 || (size_t)n >= sizeof(command) - used) {
			(void)fprintf(stderr, "safctl: command longer than %zu characters\n", sizeof(command) - 1);
			return EXIT_USAGE;
		}
		used += (size_t)n;
	}
	run(t, command, 0, stdout);
	return commit(t);
}

static int make_ticket(struct tool *t, char **argv)
{
	char ticket[9];
	if (!argv[0] || !argv[1] || argv[2]) {
		(void)fprintf(stderr, "usage: safctl passticket APPL USER\n");
		return EXIT_USAGE;
	}
	int rc = registry_passticket(t->reg, t->user, argv[0], argv[1], (uint32_t)time(NULL), ticket);
	if (rc) {
		(void)fprintf(stderr, "safctl: %s\n", rc == -EINVAL ? "application and user are names of 1 to 8 characters"
			: "no such user, or no PTKTDATA profile with a key for the application");
		return EXIT_FAILED;
	}
	(void)printf(t->as_json ? "{\"ticket\":\"%s\"}\n" : "%s\n", ticket);
	return EXIT_OK;
}

/* @keys_only: the command is a RACDCERT, which asks SAF itself. */
static int open_registry(struct tool *t, bool init, bool keys_only)
{
	struct errbuf e;
	int rc = registry_open(NULL, init, &t->reg, &e);
	if (rc) {
		(void)fprintf(stderr, "safctl: %s\n", e.text);
		return rc == -EACCES || rc == -EPERM ? EXIT_REFUSED : EXIT_FAILED;
	}
	bool may = registry_may_administer(t->reg, getuid(), t->user);
	t->keys = (struct racdcert_env){.registry = t->reg, .user = t->user, .may_administer = may};
	if (!may && !keys_only) {
		(void)fprintf(stderr, "safctl: ICH408I USER(%s) is not authorised to administer SAF: root, or a SAF user with SPECIAL\n",
			t->user[0] ? t->user : "UNDEFINED");
		return EXIT_REFUSED;
	}
	return 0;
}

static struct audit *open_audit(void)
{
	char path[PATH_TEXT_MAX];
	struct audit *a = NULL;
	if (audit_open(path_make(path, "/var/log/ravelin/safctl.audit"), "safctl", &a))
		return NULL; /* reported by audit_open's caller rule: enforcement goes on without a trail */
	return a;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"file", required_argument, NULL, 'f'}, {"json", no_argument, NULL, 'j'},
		{"init", no_argument, NULL, 'i'}, {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'v'}, {NULL, 0, NULL, 0}};
	struct tool t = {0};
	const char *file = NULL;
	bool init = false;
	for (int o; (o = getopt_long(argc, argv, "+f:jh", options, NULL)) != -1;) {
		switch (o) {
		case 'f':
			file = optarg;
			break;
		case 'j':
			t.as_json = true;
			break;
		case 'i':
			init = true;
			break;
		case 'h':
			usage(stdout);
			return EXIT_OK;
		case 'v':
			(void)printf("safctl %s\n", RAVELIN_VERSION);
			return EXIT_OK;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}
	}
	if (!file && !argv[optind] && !init) {
		if (isatty(STDIN_FILENO)) {
			usage(stderr);
			return EXIT_USAGE;
		}
		file = "-";
	}
	if (!file && argv[optind] && strcmp(argv[optind], "-") == 0)
		file = "-";
	bool keys_only = !file && argv[optind] && racdcert_is(argv[optind]);
	int rc = open_registry(&t, init || (getuid() == 0 && !init), keys_only);
	struct audit *a = rc ? NULL : open_audit();
	if (!rc) {
		registry_set_audit(t.reg, a);
		t.keys.audit = a;
		rc = file ? run_file(&t, file)
		     : argv[optind] && strcmp(argv[optind], "passticket") == 0 ? make_ticket(&t, argv + optind + 1)
		     : argv[optind] ? run_arguments(&t, argv + optind) : 0;
	}
	registry_close(t.reg);
	audit_close(a);
	return rc ? rc : t.keys.refused ? EXIT_REFUSED : t.worst > RACF_WARNED ? EXIT_FAILED : EXIT_OK;
}
