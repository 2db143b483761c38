/* dscp: which DSCP the outer header of a tunnel has (RFC 4301 section 4.4.1.2: copied, or mapped). PassthroughDSCP is z/OS's; OuterDSCP is
 * Ravelin's own: it stands in IpDynVpnAction and IpManVpnAction and may be repeated. */
#pragma once
#include "lib/conf/conf.h"

enum { POLICY_DSCPS = 64 };

struct policy_dscp {
	bool pass;		    /* PassthroughDSCP */
	bool mapped;		    /* there is an OuterDSCP: outer counts alone */
	uint8_t outer[POLICY_DSCPS]; /* by the DSCP inside */
};

extern const struct conf_operand policy_outer_dscp_operands[];
/* Of the action @n: what is not named is as PassthroughDSCP says. 0, or -EINVAL with the error recorded: a value is named twice. */
int policy_dscp_build(struct conf_node *n, struct policy_dscp *ret);
/* "46<32-47 0<8": as a display shows it, outer from inner; "" when there is no map. */
enum { POLICY_DSCP_TEXT = 64 * 9 };
const char *policy_dscp_text(const struct policy_dscp *d, char out[POLICY_DSCP_TEXT]);
