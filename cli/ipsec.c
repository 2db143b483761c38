/* ipsec: the z/OS command line over the bus. As an SSH forced command (`command="ipsec --forced-command"` in authorized_keys) it
 * runs what the client asked for if that is an ipsec command, and nothing else: the text is split into words here, no shell sees
 * it. */
#include "cli/ipsec/run.h"
#include "cli/ipsec/words.h"
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"ipsec -F display [-N name ...] [-r short|detail|wide] [-p stack | -G] [--json]\n"
	"ipsec -F add     [srcip all|addr|addr/len] [destip all|addr|addr/len]\n"
	"                 [prot all|tcp|udp|icmp|icmpv6|ospf|igmp|esp|ah|opaque|0-255]\n"
	"                 [srcport all|n[-m]] [destport all|n[-m]] [type all|n] [code all|n]\n"
	"                 [dir inbound|outbound|bidirectional] [routing local|routed|either]\n"
	"                 [mode block|simulate] [log yes|no] [loglimit 0-9999] [lifetime 1-20160]\n"
	"                 [fragmentsonly yes|no] [secclass 0-255] -N name [-p stack | -G]\n"
	"ipsec -F update  [mode ...] [log ...] [loglimit n] [lifetime n] -N name [-p stack | -G]\n"
	"ipsec -F delete  -N name ... | -a all [-p stack | -G]\n"
	"ipsec -f display [-c current|policy|profile] [-n name ...] [-a tunnelID ...] [-r ...] [-p stack]\n"
	"ipsec -f default | reload [-p stack]\n"
	"ipsec -m display [-a tunnelID ...] [-n name ...] [-r ...] [-p stack]\n"
	"ipsec -m activate | deactivate  -a tunnelID ... | -n name ... [-p stack]\n"
	"ipsec -k display [-a tunnelID ...] [-e] [-r ...] [-p stack]\n"
	"ipsec -k deactivate | refresh  -a tunnelID ... | -a all [-e] [-p stack]\n"
	"ipsec -y display [-a tunnelID ...] [-l LocalDynVpnRule] [-b] [-r ...] [-p stack]\n"
	"ipsec -y activate  -l LocalDynVpnRule [-p stack]\n"
	"ipsec -y deactivate | refresh  -a tunnelID ... | -a all | -l LocalDynVpnRule [-p stack]\n"
	"ipsec -o [display] [-r ...] [-p stack]\n"
	"ipsec -t source destination protocol [sourceport destport] in|out [-r ...] [-p stack]\n"
	"ipsec -i [display] [-r ...] [-p stack]\n"
	"ipsec --batch           commands from standard input, one a line\n"
	"ipsec --forced-command  the command in SSH_ORIGINAL_COMMAND, for authorized_keys\n"
	"ipsec -? | --help | --version\n"
	"Exit status: 0 done, 1 failed, 2 usage, 3 not authorised\n";

static int run(const char *const *words)
{
	struct ipsec_command c;
	struct errbuf e;
	if (ipsec_parse(words, &c, &e)) {
		(void)fprintf(stderr, "ipsec: %s\n", e.text);
		return RUN_USAGE;
	}
	switch (c.primary) {
	case IPSEC_HELP:
		(void)fputs(usage, stdout);
		return RUN_DONE;
	case IPSEC_VERSION:
		(void)puts("ipsec (Ravelin) " RAVELIN_VERSION);
		return RUN_DONE;
	case IPSEC_BATCH:
		return run_batch(stdin);
	default:
		return run_command(&c);
	}
}

static int forced(void)
{
	const char *asked = getenv("SSH_ORIGINAL_COMMAND");
	struct words w;
	struct errbuf e;
	if (!asked) {
		(void)fputs("ipsec: no command given; allowed: an ipsec command\n", stderr);
		return RUN_USAGE;
	}
	if (words_split(asked, strlen(asked), &w, &e)) {
		(void)fprintf(stderr, "ipsec: %s\n", e.text);
		return RUN_USAGE;
	}
	int rc = RUN_USAGE;
	if (!w.count || strcmp(w.word[0], "ipsec"))
		(void)fprintf(stderr, "ipsec: found '%.40s'; allowed: an ipsec command\n", w.count ? w.word[0] : "");
	else
		rc = run(w.word + 1);
	words_free(&w);
	return rc;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--forced-command"))
		return forced();
	if (argc < 1)
		return RUN_USAGE;
	return run((const char *const *)argv + 1);
}
