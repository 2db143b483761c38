/* manual: IpManVpnAction, the manual tunnels of a policy file (zos.md section 6), as statement
 * table and as builder.
 *
 * For algorithms that encrypt and authenticate at once, EncryptInboundSa/EncryptOutboundSa carry
 * the key with the 4-byte salt appended (RFC 4106 section 8.1). AuthInboundSa/AuthOutboundSa carry
 * the key of the MAC. */
#pragma once
#include "daemons/stack-core/ipsec/sa.h"
#include "lib/conf/conf.h"

/* Children of the statement, for the policy table that holds
 * { "IpManVpnAction", manual_name_operands, manual_children, NULL, CONF_BLOCK | CONF_ANYNUMBER }.
 */
extern const struct conf_operand manual_operands[];
extern const struct conf_stmt manual_children[];

struct manual_action {
	char name[SA_NAME_MAX];
	bool active;
	struct sa_params in, out;
};

/* @node is an IpManVpnAction. 0, or -EINVAL with the error recorded at the place concerned
 * (conf_node_error). The caller cleanses *ret with secret_wipe. */
int manual_build(struct conf_node *node, struct manual_action *ret);
/* Makes the manual tunnels of @db those of @actions: unchanged ones live on with their numbers,
 * others go, new ones come. All or nothing: on failure (@err) the database is as before. */
int manual_apply(
	struct sadb *db, const struct manual_action *actions, size_t n, struct errbuf *err);
