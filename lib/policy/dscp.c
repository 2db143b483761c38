/* The map of DSCPs, from its statements and back to text. */
#include "lib/policy/dscp.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

const struct conf_operand policy_outer_dscp_operands[] = {
	{"dscp", CONF_UINT, .min = 0, .max = POLICY_DSCPS - 1, .help = "DSCP of the outer header."},
	{"Inner", CONF_RANGE, .flags = CONF_KEYWORD | CONF_OPTIONAL, .words = "*|all", .min = 0, .max = POLICY_DSCPS - 1,
		.help = "For which DSCPs of the packet inside; default all."},
	{0}};

int policy_dscp_build(struct conf_node *n, struct policy_dscp *ret)
{
	const struct conf_node *pass = conf_child(n, "PassthroughDSCP");
	bool named[POLICY_DSCPS] = {false};

	memset(ret, 0, sizeof(*ret));
	ret->pass = !pass || strcasecmp(conf_str(pass, "pass"), "No") != 0;
	for (unsigned i = 0; i < POLICY_DSCPS; i++)
		ret->outer[i] = ret->pass ? (uint8_t)i : 0;
	for (struct conf_node *c = n->children; c; c = c->next) {
		if (strcmp(c->stmt->name, "OuterDSCP"))
			continue;
		const struct conf_value *in = conf_get(c, "Inner");
		unsigned lo = in && in->given ? (unsigned)in->u : 0, hi = in && in->given ? (unsigned)in->u2 : POLICY_DSCPS - 1;
		ret->mapped = true;
		for (unsigned i = lo; i <= hi; i++) {
			if (named[i])
				return conf_node_error(c, "found OuterDSCP for DSCP %u twice, expected it once", i);
			named[i] = true;
			ret->outer[i] = (uint8_t)conf_uint(c, "dscp");
		}
	}
	return 0;
}

/* Runs of the same outer value; what is as PassthroughDSCP says is left out. */
const char *policy_dscp_text(const struct policy_dscp *d, char out[POLICY_DSCP_TEXT])
{
	size_t at = 0;

	out[0] = 0;
	for (unsigned i = 0, to; d->mapped && i < POLICY_DSCPS; i = to) {
		for (to = i + 1; to < POLICY_DSCPS && d->outer[to] == d->outer[i];)
			to++;
		if (d->pass ? to == i + 1 && d->outer[i] == i : !d->outer[i])
			continue;
		int n = to == i + 1 ? snprintf(out + at, POLICY_DSCP_TEXT - at, "%s%u<%u", at ? " " : "", d->outer[i], i)
				    : snprintf(out + at, POLICY_DSCP_TEXT - at, "%s%u<%u-%u", at ? " " : "", d->outer[i], i, to - 1);
		at += (size_t)n;
	}
	return out;
}
