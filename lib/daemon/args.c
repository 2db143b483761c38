#include "lib/daemon/args.h"
#include <getopt.h>
#include <string.h>

static void usage(const struct daemon_spec *spec, FILE *out)
{
	fprintf(out, "usage: %s [--root DIR] [--config FILE] [--check | --print-defaults | --print-mdoc]\n"
		     "       [--log-level error|warning|notice|info|debug] [--user NAME] [--version] [--help]%s\n",
		spec->name, spec->instanced ? " INSTANCE" : "");
}

static void help(const struct daemon_spec *spec)
{
	usage(spec, stdout);
	printf("%s: %s.\n"
	       "  --root DIR        prefix of /run, /etc, /var (default: RAVELIN_ROOT)\n"
	       "  --config FILE     instead of ROOT/etc/ravelin/%s\n"
	       "  --check           reads the configuration, names every error, ends with 0 or 78\n"
	       "  --print-defaults  every statement with its default\n"
	       "  --print-mdoc      the statements for a manual page\n"
	       "  --user NAME       becomes this user once what needs root is open\n",
		spec->name, spec->summary, spec->conf_path ? spec->conf_path : "(none)");
}

bool args_instance_ok(const char *instance)
{
	size_t len = strlen(instance);
	return len >= 1 && len <= 8 && strspn(instance, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@#$") == len;
}

static bool parse_level(const char *text, enum log_level *ret)
{
	static const char *const names[] = {"error", "warning", "notice", "info", "debug"};
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(text, names[i])) {
			*ret = (enum log_level)(LOG_L_ERROR + i);
			return true;
		}
	return false;
}

static bool take_option(const struct daemon_spec *spec, int c, struct args *a)
{
	switch (c) {
	case 'r':
		a->root = optarg;
		return strlen(optarg) < 160;
	case 'c':
		a->config = optarg;
		return true;
	case 'u':
		a->user = optarg;
		return true;
	case 'l':
		return parse_level(optarg, &a->log_level);
	case 'k':
		a->mode = ARGS_CHECK;
		return true;
	case 'd':
		a->mode = ARGS_PRINT_DEFAULTS;
		return true;
	case 'm':
		a->mode = ARGS_PRINT_MDOC;
		return true;
	case 'v':
		printf("%s %s\n", spec->name, RAVELIN_VERSION);
		a->mode = ARGS_DONE;
		return true;
	case 'h':
		help(spec);
		a->mode = ARGS_DONE;
		return true;
	default:
		return false;
	}
}

static bool check_operands(const struct daemon_spec *spec, int argc, char **argv, struct args *a)
{
	bool wanted = spec->instanced && (a->mode == ARGS_RUN || a->mode == ARGS_CHECK);
	if (argc - optind > spec->instanced) {
		fprintf(stderr, "%s: found operand '%s', expected %s\n", spec->name, argv[optind + spec->instanced],
			spec->instanced ? "one INSTANCE" : "none");
		return false;
	}
	a->instance = optind < argc ? argv[optind] : NULL;
	if (wanted && !a->instance) {
		fprintf(stderr, "%s: found no INSTANCE, expected one\n", spec->name);
		return false;
	}
	if (a->instance && !args_instance_ok(a->instance)) {
		fprintf(stderr, "%s: found instance '%s', expected 1 to 8 of A-Z 0-9 @ # $\n", spec->name, a->instance);
		return false;
	}
	return true;
}

void args_parse(const struct daemon_spec *spec, int argc, char **argv, struct args *ret)
{
	static const struct option options[] = {
		{"root", required_argument, NULL, 'r'}, {"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, 'k'}, {"print-defaults", no_argument, NULL, 'd'},
		{"print-mdoc", no_argument, NULL, 'm'}, {"log-level", required_argument, NULL, 'l'},
		{"user", required_argument, NULL, 'u'}, {"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'}, {0},
	};
	*ret = (struct args){.mode = ARGS_RUN, .log_level = LOG_L_INFO};
	optind = 0; /* start anew, also for a second parse in one process */
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (!take_option(spec, c, ret)) {
			if (c != '?')
				fprintf(stderr, "%s: found '%s', which this option does not take\n", spec->name, optarg);
			usage(spec, stderr);
			ret->mode = ARGS_USAGE;
			return;
		}
		if (ret->mode == ARGS_DONE)
			return;
	}
	if (!check_operands(spec, argc, argv, ret)) {
		usage(spec, stderr);
		ret->mode = ARGS_USAGE;
	}
}
