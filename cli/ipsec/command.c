#include "cli/ipsec/command.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct function_word {
	const char *word;
	enum ipsec_function function;
};

static const struct primary {
	const char *option;
	enum ipsec_primary primary;
	const char *allowed;
	struct function_word functions[5];
} primaries[] = {
	{"-f", IPSEC_FILTER, "display, default, reload",
		{{"display", IPSEC_DISPLAY}, {"default", IPSEC_DEFAULT}, {"reload", IPSEC_RELOAD}}},
	{"-F", IPSEC_DEFENCE, "display, add, update, delete",
		{{"display", IPSEC_DISPLAY}, {"add", IPSEC_ADD}, {"update", IPSEC_UPDATE}, {"delete", IPSEC_DELETE}}},
	{"-m", IPSEC_MANUAL, "display, activate, deactivate",
		{{"display", IPSEC_DISPLAY}, {"activate", IPSEC_ACTIVATE}, {"deactivate", IPSEC_DEACTIVATE}}},
	{"-i", IPSEC_INTERFACE, "display", {{"display", IPSEC_DISPLAY}}},
	{"-t", IPSEC_TRAFFIC, "", {{NULL}}},
	{"-k", IPSEC_IKE, "display, deactivate, refresh",
		{{"display", IPSEC_DISPLAY}, {"deactivate", IPSEC_DEACTIVATE}, {"refresh", IPSEC_REFRESH}}},
	{"-y", IPSEC_DYNAMIC, "display, activate, deactivate, refresh",
		{{"display", IPSEC_DISPLAY}, {"activate", IPSEC_ACTIVATE}, {"deactivate", IPSEC_DEACTIVATE}, {"refresh", IPSEC_REFRESH}}},
	{"-o", IPSEC_NATT, "display", {{"display", IPSEC_DISPLAY}}},
};

static bool is_option(const char *w)
{
	return w[0] == '-';
}

/* Names behind -N, -n or -a up to the next option. */
static int take_names(const char *const *words, const char *out[IPSEC_NAMES_MAX], unsigned *n, struct errbuf *e)
{
	int taken = 1;
	for (; words[taken] && !is_option(words[taken]); taken++) {
		if (*n == IPSEC_NAMES_MAX)
			return err_set(e, EINVAL, "%s: too many; allowed: %d in one command", words[0], IPSEC_NAMES_MAX);
		out[(*n)++] = words[taken];
	}
	return taken > 1 ? taken : err_set(e, EINVAL, "%s: no value; allowed: one name or more", words[0]);
}

/* Names of a filter to add or update: exactly one, so that what follows may be operands again. */
static int take_name(const char *const *words, struct ipsec_command *c, struct errbuf *e)
{
	if (!words[1] || is_option(words[1]))
		return err_set(e, EINVAL, "-N: no value; allowed: 1-32 letters, digits and @ # $ _ . : - (not first)");
	if (c->nnames)
		return err_set(e, EINVAL, "-N: given twice; allowed: one name");
	c->names[c->nnames++] = words[1];
	c->filter.name = (char *)words[1];
	return 2;
}

static int take_format(const char *const *words, struct ipsec_command *c, struct errbuf *e)
{
	static const char *const formats[] = {"detail", "short", "wide"};
	for (unsigned i = 0; words[1] && i < 3; i++)
		if (!strcasecmp(words[1], formats[i])) {
			c->format = (enum ipsec_format)i;
			return 2;
		}
	return err_set(e, EINVAL, "-r: found '%.40s'; allowed: short, detail, wide", words[1] ? words[1] : "");
}

static int take_kind(const char *const *words, struct ipsec_command *c, struct errbuf *e)
{
	static const char *const kinds[] = {"current", "policy", "profile"};
	for (unsigned i = 0; words[1] && i < 3; i++)
		if (!strcasecmp(words[1], kinds[i])) {
			c->kind = kinds[i];
			return 2;
		}
	return err_set(e, EINVAL, "-c: found '%.40s'; allowed: current, policy, profile", words[1] ? words[1] : "");
}

static bool defence_change(const struct ipsec_command *c)
{
	return c->primary == IPSEC_DEFENCE && (c->function == IPSEC_ADD || c->function == IPSEC_UPDATE);
}

static int take_all_or_ids(const char *const *words, struct ipsec_command *c, struct errbuf *e)
{
	if (c->primary != IPSEC_DEFENCE)
		return take_names(words, c->ids, &c->nids, e);
	if (!words[1] || strcasecmp(words[1], "all"))
		return err_set(e, EINVAL, "-a: found '%.40s'; allowed: all", words[1] ? words[1] : "");
	c->all = true;
	return 2;
}

static int take_local_rule(const char *const *words, struct ipsec_command *c, struct errbuf *e)
{
	if (!words[1] || is_option(words[1]))
		return err_set(e, EINVAL, "-l: no value; allowed: the name of a LocalDynVpnRule");
	if (c->local_rule)
		return err_set(e, EINVAL, "-l: given twice; allowed: one name");
	c->local_rule = words[1];
	return 2;
}

/* An option that several primaries have: words taken, 0 when it is none. */
static int take_option(const char *const *words, struct ipsec_command *c, struct errbuf *e)
{
	const char *w = words[0];
	if (!strcmp(w, "-p") || !strcmp(w, "--stack")) {
		if (!words[1])
			return err_set(e, EINVAL, "-p: no value; allowed: a stack name");
		int rc = ipsec_stack_name(words[1], c->stack, e);
		return rc ? rc : 2;
	}
	if (!strcmp(w, "-r"))
		return take_format(words, c, e);
	if (!strcmp(w, "--json")) {
		c->json = true;
		return 1;
	}
	if (!strcmp(w, "-G") && c->primary == IPSEC_DEFENCE) {
		c->global = true;
		return 1;
	}
	if (!strcmp(w, "-N") && c->primary == IPSEC_DEFENCE)
		return defence_change(c) ? take_name(words, c, e) : take_names(words, c->names, &c->nnames, e);
	if (!strcmp(w, "-n") && (c->primary == IPSEC_FILTER || c->primary == IPSEC_MANUAL))
		return take_names(words, c->names, &c->nnames, e);
	if (!strcmp(w, "-z"))
		return err_set(e, EINVAL, "-z: this release has no Network Security Services; allowed: -p stack");
	if (!strcmp(w, "-e") && c->primary == IPSEC_IKE) {
		c->cascade = true;
		return 1;
	}
	if (!strcmp(w, "-b") && c->primary == IPSEC_DYNAMIC && c->function == IPSEC_DISPLAY) {
		c->iked_view = true;
		return 1;
	}
	if (!strcmp(w, "-l") && c->primary == IPSEC_DYNAMIC)
		return take_local_rule(words, c, e);
	if (!strcmp(w, "-a") && c->primary != IPSEC_TRAFFIC && c->primary != IPSEC_INTERFACE && c->primary != IPSEC_NATT)
		return take_all_or_ids(words, c, e);
	if (!strcmp(w, "-c") && c->primary == IPSEC_FILTER)
		return take_kind(words, c, e);
	return 0;
}

static int port_word(const char *operand, const char *w, uint32_t *ret, struct errbuf *e)
{
	size_t n = strspn(w, "0123456789");
	unsigned long v = n && n <= 5 && !w[n] ? strtoul(w, NULL, 10) : 65536;
	if (v > 65535)
		return err_set(e, EINVAL, "%s: found '%.40s'; allowed: 0-65535", operand, w);
	*ret = (uint32_t)v;
	return 0;
}

/* -t source destination protocol [sourceport destport] in|out */
static int take_traffic(const char *const *words, struct ipsec_command *c, struct errbuf *e)
{
	int n = 0, rc = 0;
	while (words[n] && !is_option(words[n]))
		n++;
	if (n != 4 && n != 6)
		return err_set(e, EINVAL, "-t: found %d values; allowed: source destination protocol [sourceport destport] in|out", n);
	struct ipsec_traffic *t = &c->traffic;
	t->source = words[0];
	t->destination = words[1];
	if (ipsec_protocol(words[2], &t->protocol))
		return err_set(e, EINVAL, "-t: protocol: found '%.40s'; allowed: tcp, udp, icmp, icmpv6, ospf, igmp, esp, ah or 0-255",
			words[2]);
	if (n == 6)
		rc = port_word("-t: sourceport", words[3], &t->source_port, e);
	if (n == 6 && !rc)
		rc = port_word("-t: destport", words[4], &t->dest_port, e);
	if (rc)
		return rc;
	const char *d = words[n - 1];
	if (!strcasecmp(d, "in") || !strcasecmp(d, "inbound"))
		t->direction = "inbound";
	else if (!strcasecmp(d, "out") || !strcasecmp(d, "outbound"))
		t->direction = "outbound";
	else
		return err_set(e, EINVAL, "-t: direction: found '%.40s'; allowed: in, out", d);
	return n;
}

static int take_function(const struct primary *p, const char *const *words, struct ipsec_command *c, struct errbuf *e)
{
	if (p->primary == IPSEC_TRAFFIC)
		return take_traffic(words, c, e);
	if (!words[0] || is_option(words[0])) {
		if (p->primary == IPSEC_DEFENCE)
			return err_set(e, EINVAL, "%s: no function; allowed: %s", p->option, p->allowed);
		c->function = IPSEC_DISPLAY;
		return 0;
	}
	for (unsigned i = 0; p->functions[i].word; i++)
		if (!strcasecmp(words[0], p->functions[i].word)) {
			c->function = p->functions[i].function;
			return 1;
		}
	return err_set(e, EINVAL, "%s: found '%.40s'; allowed: %s", p->option, words[0], p->allowed);
}

/* "K3" and the like; "all" where something is to be done. */
static bool tunnel_id(const char *id, char letter, bool all)
{
	if (all && !strcasecmp(id, "all"))
		return true;
	size_t n = id[0] ? strspn(id + 1, "0123456789") : 0;
	return (id[0] & ~0x20) == letter && n > 0 && n < 11 && !id[1 + n];
}

static int check_tunnel(const struct ipsec_command *c, struct errbuf *e)
{
	char letter = c->primary == IPSEC_IKE ? 'K' : 'Y';
	for (unsigned i = 0; i < c->nids; i++)
		if (!tunnel_id(c->ids[i], letter, c->function != IPSEC_DISPLAY))
			return err_set(e, EINVAL, "-a: found '%.40s'; allowed: %c and a number%s", c->ids[i], letter,
				c->function == IPSEC_DISPLAY ? "" : ", or all");
	if (c->function == IPSEC_ACTIVATE && (!c->local_rule || c->nids))
		return err_set(e, EINVAL, "-y activate: found %s; allowed: -l LocalDynVpnRule", c->nids ? "-a" : "no rule");
	if (c->function == IPSEC_DISPLAY || c->function == IPSEC_ACTIVATE || c->nids || c->local_rule)
		return 0;
	return err_set(e, EINVAL, "-%c: no tunnel; allowed: -a tunnelID ...%s", letter | 0x20, letter == 'K' ? "" : " or -l LocalDynVpnRule");
}

/* What may not be missing, and what excludes each other. */
static int check(const struct ipsec_command *c, struct errbuf *e)
{
	if (c->global && c->stack[0])
		return err_set(e, EINVAL, "-p and -G: found both; allowed: one of them");
	if (c->primary == IPSEC_MANUAL && c->function != IPSEC_DISPLAY && !c->nnames && !c->nids)
		return err_set(e, EINVAL, "-m: no tunnel; allowed: -a tunnelID ... or -n name ...");
	if (c->primary == IPSEC_IKE || c->primary == IPSEC_DYNAMIC)
		return check_tunnel(c, e);
	if (c->primary != IPSEC_DEFENCE)
		return 0;
	if (defence_change(c) && !c->nnames)
		return err_set(e, EINVAL, "-N: missing; allowed: 1-32 letters, digits and @ # $ _ . : - (not first)");
	if (c->function == IPSEC_DELETE && (c->nnames != 0) == c->all)
		return err_set(e, EINVAL, "delete: found %s; allowed: -N name ... or -a all", c->all ? "both" : "neither");
	if (c->function != IPSEC_DELETE && c->all)
		return err_set(e, EINVAL, "-a: allowed only with delete");
	return 0;
}

static bool updatable(const char *word)
{
	return !strcasecmp(word, "mode") || !strcasecmp(word, "log") || !strcasecmp(word, "loglimit") || !strcasecmp(word, "lifetime");
}

static int take_one(const struct primary *p, const char *const *words, struct ipsec_command *c, struct errbuf *e)
{
	int n = take_option(words, c, e);
	if (!n && defence_change(c)) {
		if (c->function == IPSEC_UPDATE && !is_option(words[0]) && !updatable(words[0]))
			return err_set(e, EINVAL, "update: found '%.40s'; allowed: mode, log, loglimit, lifetime, -N, -p, -G", words[0]);
		n = ipsec_operand(words, &c->filter, e);
	}
	if (n)
		return n;
	if (defence_change(c))
		return err_set(e, EINVAL, "add: found '%.40s'; allowed: srcip, destip, prot, srcport, destport, type, code, dir, routing, "
			"mode, log, loglimit, lifetime, fragmentsonly, secclass, -N, -p, -G", words[0]);
	return err_set(e, EINVAL, "%s: found '%.40s'; allowed: %s", p->option, words[0],
		p->primary == IPSEC_DEFENCE ? "-N, -a all, -r, -p, -G" :
		p->primary == IPSEC_FILTER  ? "-c, -a, -n, -r, -p" :
		p->primary == IPSEC_MANUAL  ? "-a, -n, -r, -p" :
		p->primary == IPSEC_IKE	    ? "-a, -e, -r, -p" :
		p->primary == IPSEC_DYNAMIC ? "-a, -l, -b, -r, -p" :
					      "-r, -p");
}

int ipsec_parse(const char *const *words, struct ipsec_command *ret, struct errbuf *e)
{
	struct ipsec_command c = {.primary = IPSEC_HELP};
	const struct primary *p = NULL;
	defmgr__filter__init(&c.filter);
	const char *first = words[0] ? words[0] : "-?";
	for (size_t i = 0; i < sizeof(primaries) / sizeof(*primaries); i++)
		if (!strcmp(first, primaries[i].option))
			p = &primaries[i];
	if (!p) {
		bool help = !strcmp(first, "-?") || !strcmp(first, "--help");
		if (!strcmp(first, "-w") || !strcmp(first, "-x"))
			return err_set(e, EINVAL, "%s: this release has no Network Security Services, neither server nor client", first);
		if (!help && strcmp(first, "--version") && strcmp(first, "--batch"))
			return err_set(e, EINVAL, "found '%.40s'; allowed: -f, -F, -m, -k, -y, -t, -i, -o, -?, --batch, --version", first);
		c.primary = help ? IPSEC_HELP : !strcmp(first, "--version") ? IPSEC_VERSION : IPSEC_BATCH;
		if (words[0] && words[1])
			return err_set(e, EINVAL, "%s: found '%.40s' behind it; allowed: nothing", first, words[1]);
		*ret = c;
		return 0;
	}
	c.primary = p->primary;
	words++;
	int n = take_function(p, words, &c, e);
	for (; n >= 0 && *(words += n);)
		n = take_one(p, words, &c, e);
	if (n < 0)
		return n;
	int rc = check(&c, e);
	if (rc)
		return rc;
	*ret = c;
	return 0;
}
