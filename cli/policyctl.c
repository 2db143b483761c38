/* policyctl: checks policy files and shows what they come to. */
#include "cli/common/cli.h"
#include "lib/policy/ipsec.h"
#include <stdio.h>

static int print_errors(const struct conf *c)
{
	for (unsigned i = 0; c && i < conf_error_count(c); i++)
		(void)fprintf(stderr, "%s\n", cli_safe(conf_error(c, i)));
	return CLI_FAILED;
}

static void print_policy(const struct cli *c, const char *file, const struct ipsec_policy *p)
{
	struct json j;
	if (!c->json) {
		(void)printf("%s: ok: %zu filter rules, %zu manual and %zu dynamic VPN actions, %zu key exchange rules, %zu local rules\n", file,
			p->n_rules, p->n_manual, p->n_vpn_actions, p->n_kex_rules, p->n_local_rules);
		return;
	}
	json_init(&j);
	ipsec_policy_json(p, &j);
	(void)puts(j.buf);
	json_fini(&j);
}

static void print_doubt(void *file, const char *text)
{
	(void)fprintf(stderr, "%s: warning: %s\n", (const char *)file, cli_safe(text));
}

static int check(struct cli *c, int argc, char **argv)
{
	struct ipsec_policy *p = NULL;
	struct conf *file = NULL, *common = NULL;
	int rc = ipsec_policy_read(argv[0], &file), code = CLI_OK;
	if (argc > 1) {
		int other = ipsec_policy_read(argv[1], &common);
		rc = rc ? rc : other;
	}
	if (!rc)
		rc = ipsec_policy_build(file, common, &p);
	if (!rc) {
		(void)policy_doubts(p, print_doubt, argv[0]);
		(void)ipsec_policy_follow(p, time(NULL)); /* after the doubts: those are about the whole of it */
		print_policy(c, argv[0], p);
		ipsec_policy_free(p);
		return code;
	}
	code = print_errors(file);
	(void)print_errors(common);
	conf_free(file);
	conf_free(common);
	return code;
}

static int defaults(struct cli *c, int argc, char **argv)
{
	(void)c, (void)argc, (void)argv;
	conf_print_defaults(&ipsec_policy_spec, stdout);
	return CLI_OK;
}

static int mdoc(struct cli *c, int argc, char **argv)
{
	(void)c, (void)argc, (void)argv;
	conf_print_mdoc(&ipsec_policy_spec, stdout);
	return CLI_OK;
}

static const struct cli_command commands[] = {
	{"check", "FILE [COMMON]", "Says every mistake of a policy file; with --json shows what a good one comes to.", 1, 2, check},
	{"defaults", "", "Prints every statement with its default.", 0, 0, defaults},
	{"mdoc", "", "Prints the statements as a table for a manual page.", 0, 0, mdoc},
	{0},
};
static const struct cli_spec spec = {.name = "policyctl", .summary = "check IPSec policy files", .commands = commands,
	.epilogue = "COMMON holds objects and blocks of several stacks (CommonIpSecConfig); FILE's own win. Keys are never shown."};

int main(int argc, char **argv)
{
	return cli_main(&spec, argc, argv);
}
