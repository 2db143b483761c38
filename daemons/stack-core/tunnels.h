/* tunnels: between tunnels.c and tunnels_request.c. */
#pragma once
#include "daemons/stack-core/core.h"
#include "proto/stack.pb-c.h"

/* What a generation's SAs are made of, with keys. @bundle: ESP, and AH over it. */
struct tunnel_sas {
	struct sa_params in, out, in_ah, out_ah;
	bool bundle;
};

/* NULL, or which field is wrong. The caller cleanses @sas. @protect lacks the tunnel's index. */
const char *tunnels_request(const Stack__DynamicTunnel *t, struct tunnel_sas *sas, struct filter_protect *protect);

/* Makes the generation that @m asks for, with its filters; tells nobody. Takes the keys out of @m. */
int tunnels_install(struct core *k, Stack__DynamicTunnel *m, const struct tunnel_sas *sas, struct filter_protect *p, struct errbuf *e,
	struct tunnel **ret_tunnel, struct generation **ret_generation);
