/* manual: IpManVpnAction, the manual tunnels of a policy file (zos.md section 6), built from its
 * statements, whose table is lib/policy's.
 *
 * For algorithms that encrypt and authenticate at once, EncryptInboundSa/EncryptOutboundSa carry
 * the key with the 4-byte salt appended (RFC 4106 section 8.1). AuthInboundSa/AuthOutboundSa carry
 * the key of the MAC. */
#pragma once
#include "daemons/stack-core/ipsec/sa.h"
#include "lib/policy/ipsec.h"

struct manual_action {
	char name[SA_NAME_MAX];
	bool active;
	struct sa_params in, out;
	bool bundle; /* AH stands over ESP (bundle.c) */
	struct sa_params in_ah, out_ah;
};

/* @node is an IpManVpnAction. 0, or -EINVAL with the error recorded at the place concerned
 * (conf_node_error). The caller cleanses *ret with secret_wipe. */
int manual_build(struct conf_node *node, struct manual_action *ret);
/* Sets .stays of every tunnel: manual_apply of these actions would leave it alone. */
void manual_mark(struct sadb *db, const struct manual_action *actions, size_t n);
/* Makes the manual tunnels of @db those of @actions: unchanged ones live on with their numbers,
 * others go, new ones come. All or nothing: on failure (@err) the database is as before. */
int manual_apply(
	struct sadb *db, const struct manual_action *actions, size_t n, struct errbuf *err);
