/* tunnels: between tunnels.c and tunnels_request.c. */
#pragma once
#include "daemons/stack-core/core.h"
#include "proto/stack.pb-c.h"

/* NULL, or which field is wrong. The caller cleanses @in and @out, which hold the keys. @protect lacks the tunnel's index. */
const char *tunnels_request(
	const Stack__DynamicTunnel *t, struct sa_params *in, struct sa_params *out, struct filter_protect *protect);

/* Makes the generation that @m asks for, with its filters; tells nobody. Takes the keys out of @m. */
int tunnels_install(struct core *k, Stack__DynamicTunnel *m, const struct sa_params *in, const struct sa_params *out, struct filter_protect *p,
	struct errbuf *e, struct tunnel **ret_tunnel, struct generation **ret_generation);
