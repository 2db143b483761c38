/* ikectl: ikeD's own tool, for people and programs. */
#include "cli/common/cli.h"
#include "lib/daemon/metrics.h"
#include "proto/common.pb-c.h"
#include "proto/ike.pb-c.h"
#include <inttypes.h>
#include <string.h>
#include <time.h>

static int done(ProtobufCMessage *m)
{
	protobuf_c_message_free_unpacked(m, NULL);
	return CLI_OK;
}

/* -p, or the first stack of iked.conf. */
static int stack_name(const struct cli *c, char out[9])
{
	Common__Empty q = COMMON__EMPTY__INIT;
	ProtobufCMessage *m = NULL;
	if (c->stack) {
		(void)snprintf(out, 9, "%.8s", c->stack);
		return CLI_OK;
	}
	int rc = cli_call(c, "ikeD", "ike.DefaultStack", &q.base, &ike__stack_reply__descriptor, &m);
	if (rc)
		return rc;
	const char *name = ((const Ike__StackReply *)m)->stack;
	(void)snprintf(out, 9, "%.8s", name ? name : "");
	return done(m);
}

static const char *left(uint64_t expires_us)
{
	uint64_t now = (uint64_t)time(NULL) * 1000000u;
	return !expires_us ? "-" : cli_u64(expires_us > now ? (expires_us - now) / 1000000u : 0);
}

static const char *dash(const char *s)
{
	return s && *s ? s : "-";
}

static void tunnel_row(struct cli_table *t, const Ike__Tunnel *k)
{
	char cipher[80];
	(void)snprintf(cipher, sizeof(cipher), "%s%s%s/%s/%u", dash(k->encryption), k->key_bits ? "-" : "",
		k->key_bits ? cli_u64(k->key_bits) : "", dash(k->hash), k->group);
	cli_table_row(t, dash(k->tunnel_id), dash(k->state), k->initiator ? "initiator" : "responder", dash(k->local), dash(k->remote),
		dash(k->remote_id), dash(k->rule), cipher, k->nat_t ? "yes" : "no", cli_u64(k->children), left(k->expires_us), NULL);
}

static const char *tunnels_page(struct cli_table *t, const ProtobufCMessage *reply)
{
	const Ike__TunnelsReply *r = (const Ike__TunnelsReply *)reply;
	for (size_t i = 0; i < r->n_tunnels; i++) {
		if (t)
			tunnel_row(t, r->tunnels[i]);
		else
			cli_json(&r->tunnels[i]->base);
	}
	return r->next;
}

static void dyn_row(struct cli_table *t, const Ike__DynTunnel *y)
{
	char cipher[80], spis[48];
	(void)snprintf(cipher, sizeof(cipher), "%s %s%s%s/%s", dash(y->ipsec_protocol), dash(y->encryption), y->key_bits ? "-" : "",
		y->key_bits ? cli_u64(y->key_bits) : "", dash(y->authentication));
	if (y->has_in_ah_spi)
		(void)snprintf(spis, sizeof(spis), "%08x+%08x/%08x+%08x", y->in_ah_spi, y->in_spi, y->out_ah_spi, y->out_spi);
	else
		(void)snprintf(spis, sizeof(spis), "%08x/%08x", y->in_spi, y->out_spi);
	cli_table_row(t, dash(y->tunnel_id), cli_u64(y->generation), dash(y->state), dash(y->parent_id), dash(y->local), dash(y->remote),
		dash(y->local_addresses), dash(y->remote_addresses), y->tunnel_mode ? "tunnel" : "transport", cipher, spis,
		left(y->expires_us), NULL);
}

static const char *dyns_page(struct cli_table *t, const ProtobufCMessage *reply)
{
	const Ike__DynTunnelsReply *r = (const Ike__DynTunnelsReply *)reply;
	for (size_t i = 0; i < r->n_tunnels; i++) {
		if (t)
			dyn_row(t, r->tunnels[i]);
		else
			cli_json(&r->tunnels[i]->base);
	}
	return r->next;
}

/* All pages of a list, into @t, which is printed and freed, or as JSON (NULL). @page says where the next one begins. */
static int list(struct cli *c, char *stack, const char *method, const ProtobufCMessageDescriptor *d, struct cli_table *t,
	const char *(*page)(struct cli_table *t, const ProtobufCMessage *reply))
{
	Ike__ListRequest q = IKE__LIST_REQUEST__INIT;
	char after[16] = "";
	q.stack = stack;
	int rc;
	do {
		ProtobufCMessage *m = NULL;
		q.after = after[0] ? after : NULL;
		rc = cli_call(c, "ikeD", method, &q.base, d, &m);
		if (rc)
			break;
		const char *next = page(t, m);
		(void)snprintf(after, sizeof(after), "%s", next ? next : "");
		(void)done(m);
	} while (after[0]);
	if (t)
		cli_table_end(t);
	return rc;
}

static int list_tunnels(struct cli *c, char *stack)
{
	struct cli_table *t = c->json ? NULL : cli_table_new("ID", "STATE", "ROLE", "LOCAL", "REMOTE", "REMOTE-ID", "RULE", "ALGORITHMS",
		"NAT-T", "TUNNELS", "LEFT(S)", NULL);
	return list(c, stack, "ike.Tunnels", &ike__tunnels_reply__descriptor, t, tunnels_page);
}

static int list_dyns(struct cli *c, char *stack)
{
	struct cli_table *t = c->json ? NULL : cli_table_new("ID", "GEN", "STATE", "PARENT", "LOCAL", "REMOTE", "LOCAL-ADDRESSES",
		"REMOTE-ADDRESSES", "MODE", "ALGORITHMS", "SPI-IN/OUT", "LEFT(S)", NULL);
	return list(c, stack, "ike.DynTunnels", &ike__dyn_tunnels_reply__descriptor, t, dyns_page);
}

static int run_list(struct cli *c, int argc, char **argv)
{
	char stack[9];
	bool ike = !argc || !strcmp(argv[0], "ike"), dyn = !argc || !strcmp(argv[0], "dynamic");
	if (!ike && !dyn)
		return cli_usage(c, "'%s' is neither ike nor dynamic", argv[0]);
	int rc = stack_name(c, stack);
	if (!rc && ike)
		rc = list_tunnels(c, stack);
	return !rc && dyn ? list_dyns(c, stack) : rc;
}

/* Everything about one tunnel, as JSON does it: fields by name. */
static int run_show(struct cli *c, int argc, char **argv)
{
	Ike__ListRequest q = IKE__LIST_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	char stack[9];
	bool ike = (argv[0][0] | 0x20) == 'k';
	(void)argc;
	int rc = stack_name(c, stack);
	q.stack = stack;
	q.n_ids = 1;
	q.ids = argv;
	rc = rc ? rc : cli_call(c, "ikeD", ike ? "ike.Tunnels" : "ike.DynTunnels", &q.base,
			       ike ? &ike__tunnels_reply__descriptor : &ike__dyn_tunnels_reply__descriptor, &m);
	if (rc)
		return rc;
	const Ike__TunnelsReply *k = ike ? (const Ike__TunnelsReply *)m : NULL;
	const Ike__DynTunnelsReply *y = ike ? NULL : (const Ike__DynTunnelsReply *)m;
	if (ike ? k->n_tunnels : y->n_tunnels)
		cli_json(ike ? &k->tunnels[0]->base : &y->tunnels[0]->base);
	else
		rc = cli_fail(c, CLI_FAILED, "stack %s has no tunnel %s", stack, argv[0]);
	(void)done(m);
	return rc;
}

static int run_activate(struct cli *c, int argc, char **argv)
{
	Ike__ActivateRequest q = IKE__ACTIVATE_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	char stack[9];
	(void)argc;
	int rc = stack_name(c, stack);
	q.stack = stack;
	q.local_rule = argv[0];
	q.has_wait_ms = true;
	q.wait_ms = c->timeout_ms > 1000 ? c->timeout_ms - 500 : c->timeout_ms / 2;
	rc = rc ? rc : cli_call(c, "ikeD", "ike.Activate", &q.base, &ike__activate_reply__descriptor, &m);
	if (rc)
		return rc;
	const Ike__ActivateReply *r = (const Ike__ActivateReply *)m;
	if (c->json)
		cli_json(m);
	else
		(void)printf("%s %s\n", dash(r->tunnel_id), dash(r->state));
	return done(m);
}

static int changed(struct cli *c, ProtobufCMessage *m)
{
	const Ike__ChangedReply *r = (const Ike__ChangedReply *)m;
	int rc = CLI_OK;
	if (c->json)
		cli_json(m);
	else
		(void)printf("%u changed\n", r->changed);
	for (size_t i = 0; i < r->n_unknown; i++)
		rc = cli_fail(c, CLI_FAILED, "no tunnel %s", r->unknown[i]);
	(void)done(m);
	return rc;
}

static int run_deactivate(struct cli *c, int argc, char **argv)
{
	Ike__DeactivateRequest q = IKE__DEACTIVATE_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	char stack[9];
	int rc = stack_name(c, stack);
	q.stack = stack;
	q.has_cascade = true;
	int skip = !strcmp(argv[0], "--cascade");
	if (skip && argc < 2)
		return cli_usage(c, "no tunnel");
	q.cascade = skip;
	q.n_ids = (size_t)(argc - skip);
	q.ids = argv + skip;
	rc = rc ? rc : cli_call(c, "ikeD", "ike.Deactivate", &q.base, &ike__changed_reply__descriptor, &m);
	return rc ? rc : changed(c, m);
}

static int run_refresh(struct cli *c, int argc, char **argv)
{
	Ike__RefreshRequest q = IKE__REFRESH_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	char stack[9];
	int rc = stack_name(c, stack);
	q.stack = stack;
	q.n_ids = (size_t)argc;
	q.ids = argv;
	rc = rc ? rc : cli_call(c, "ikeD", "ike.Refresh", &q.base, &ike__changed_reply__descriptor, &m);
	return rc ? rc : changed(c, m);
}

static int run_stacks(struct cli *c, int argc, char **argv)
{
	Common__Empty q = COMMON__EMPTY__INIT;
	ProtobufCMessage *m = NULL;
	(void)argc, (void)argv;
	int rc = cli_call(c, "ikeD", "ike.Stacks", &q.base, &ike__stacks_reply__descriptor, &m);
	if (rc)
		return rc;
	const Ike__StacksReply *r = (const Ike__StacksReply *)m;
	if (c->json) {
		cli_json(m);
		return done(m);
	}
	struct cli_table *t = cli_table_new("STACK", "STATE", "TUNNELS", "DYNAMIC", "HALF-OPEN", "ADDRESSES", "POLICY", NULL);
	for (size_t i = 0; i < r->n_stacks; i++) {
		const Ike__StacksReply__Stack *s = r->stacks[i];
		char addresses[400] = "";
		for (size_t k = 0, at = 0; k < s->n_addresses && at < sizeof(addresses); k++)
			at += (size_t)snprintf(addresses + at, sizeof(addresses) - at, "%s%s", k ? " " : "", s->addresses[k]);
		cli_table_row(t, s->name, s->ready ? "ready" : s->running ? "running" : "not running", cli_u64(s->tunnels),
			cli_u64(s->dynamic_tunnels), cli_u64(s->half_open), dash(addresses), dash(s->policy), NULL);
	}
	cli_table_end(t);
	(void)printf("key ring: %s, %u certificates\n", r->keyring ? cli_safe(r->keyring) : "none", r->certificates);
	return done(m);
}

static int run_stats(struct cli *c, int argc, char **argv)
{
	Common__Empty q = COMMON__EMPTY__INIT;
	ProtobufCMessage *m = NULL;
	if (argc && strcmp(argv[0], "--openmetrics"))
		return cli_usage(c, "'%s' is not --openmetrics", argv[0]);
	int rc = cli_call(c, "ikeD", "common.Stats", &q.base, &common__stats_reply__descriptor, &m);
	if (rc)
		return rc;
	const Common__StatsReply *r = (const Common__StatsReply *)m;
	if (argc) {
		metrics_print(r, NULL, stdout);
		return done(m);
	}
	if (c->json) {
		cli_json(m);
		return done(m);
	}
	struct cli_table *t = cli_table_new("NAME", "VALUE", "WHAT", NULL);
	for (size_t i = 0; i < r->n_stats; i++)
		cli_table_row(t, r->stats[i]->name, cli_u64(r->stats[i]->value), r->stats[i]->help, NULL);
	cli_table_end(t);
	return done(m);
}

static int run_reload(struct cli *c, int argc, char **argv)
{
	Common__Empty q = COMMON__EMPTY__INIT;
	ProtobufCMessage *m = NULL;
	(void)argc, (void)argv;
	int rc = cli_call(c, "ikeD", "common.Reload", &q.base, &common__reload_reply__descriptor, &m);
	if (rc)
		return rc;
	const Common__ReloadReply *r = (const Common__ReloadReply *)m;
	if (c->json)
		cli_json(m);
	for (size_t i = 0; i < r->n_errors; i++)
		rc = cli_fail(c, CLI_FAILED, "%s", r->errors[i]);
	(void)done(m);
	return rc;
}

static const struct cli_command commands[] = {
	{"list", "[ike|dynamic]", "phase 1 and phase 2 security associations", 0, 1, run_list},
	{"show", "ID", "everything about K3 or Y7, as JSON", 1, 1, run_show},
	{"activate", "RULE", "negotiate the tunnel of a LocalDynVpnRule, and wait for it", 1, 1, run_activate},
	{"deactivate", "[--cascade] ID...", "delete K3, Y7, 'K*', 'Y*'; --cascade: an IKE tunnel's dynamic tunnels too", 1, -1, run_deactivate},
	{"refresh", "ID...", "negotiate K3, Y7, 'K*', 'Y*' anew; the old one serves until then", 1, -1, run_refresh},
	{"stacks", "", "the stacks that IKE serves", 0, 0, run_stacks},
	{"stats", "[--openmetrics]", "figures of the daemon", 0, 1, run_stats},
	{"reload", "", "iked.conf, policies and key ring anew; tunnels stay", 0, 0, run_reload},
	{0},
};

int main(int argc, char **argv)
{
	static const struct cli_spec spec = {.name = "ikectl",
		.summary = "show and steer Internet Key Exchange",
		.commands = commands,
		.stacked = true};
	return cli_main(&spec, argc, argv);
}
