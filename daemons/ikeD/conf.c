/* iked.conf, as zos.md section 7 has it, with what Linux needs beside it: StackPolicy names a stack and its policy files, which on z/OS the
 * Policy Agent hands over; dead peer detection and the limits against floods, which z/OS does not let one set. */
#include "daemons/ikeD/iked.h"
#include "lib/base/path.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <ctype.h>
#include <strings.h>

static const struct conf_operand level_ops[] = {
	{"mask", CONF_UINT, 0, NULL, "1", 0, 255, "1 security associations and errors, 2 also each negotiation's course"}, {.type = CONF_END}};
static const struct conf_operand pagent_level_ops[] = {
	{"mask", CONF_UINT, 0, NULL, "0", 0, 255, "taken for compatibility; there is no Policy Agent to trace"}, {.type = CONF_END}};
static const struct conf_operand smf_ops[] = {
	{"what", CONF_WORD, 0, "None|IKEALL|IKETunnel|DynTunnel", "None", 0, 0, "records 73 and 74 (IKETunnel), 75 and 76 (DynTunnel)"},
	{.type = CONF_END}};
static const struct conf_operand retries_ops[] = {
	{"n", CONF_UINT, 0, NULL, "6", 1, 8, "retransmissions of a message before the negotiation is given up"}, {.type = CONF_END}};
static const struct conf_operand wait_ops[] = {
	{"seconds", CONF_UINT, 0, NULL, "2", 1, 15, "before the first retransmission; doubles each time"}, {.type = CONF_END}};
static const struct conf_operand yes_ops[] = {{"answer", CONF_WORD, 0, "no|yes", "no", 0, 0, "yes or no"}, {.type = CONF_END}};
static const struct conf_operand esn_ops[] = {
	{"answer", CONF_WORD, 0, "no|yes", "yes", 0, 0, "whether 64-bit sequence numbers may be agreed (RFC 4304)"}, {.type = CONF_END}};
static const struct conf_operand keyring_ops[] = {
	{"ring", CONF_STRING, 0, NULL, "iked/keyring", 0, 73, "userid/ring or ring: certificates and keys for RSA signatures"}, {.type = CONF_END}};
static const struct conf_operand nss_ops[] = {
	{"host", CONF_STRING, 0, NULL, NULL, 0, 255, "host name or address"},
	{"Port", CONF_UINT, CONF_KEYWORD | CONF_OPTIONAL, NULL, "4159", 1, 65535, "its port"},
	{"Identity", CONF_WORD, CONF_KEYWORD, "IpAddr|Fqdn|UserAtFqdn|X500dn", NULL, 0, 0, "what its certificate carries"},
	{"authid", CONF_STRING, 0, NULL, NULL, 0, 255, "the identity"}, {.type = CONF_END}};
static const struct conf_operand nss_limit_ops[] = {
	{"seconds", CONF_UINT, 0, NULL, "60", 1, 300, "for connection and response"}, {.type = CONF_END}};
static const struct conf_operand nss_retries_ops[] = {
	{"n", CONF_UINT, 0, NULL, "3", 1, 10, "tries before the other server"}, {.type = CONF_END}};
static const struct conf_operand pagent_wait_ops[] = {
	{"seconds", CONF_UINT, 0, NULL, "0", 0, 9999, "taken for compatibility; policy files are read at start"}, {.type = CONF_END}};
static const struct conf_operand ca_ops[] = {
	{"label", CONF_STRING, 0, NULL, NULL, 0, KEYRING_LABEL_MAX - 1, "label of a CA certificate on the ring"}, {.type = CONF_END}};
static const struct conf_operand dpd_ops[] = {
	{"seconds", CONF_UINT, 0, NULL, "30", 1, 3600, "of silence after which the peer is asked for a sign of life (RFC 3706)"},
	{.type = CONF_END}};
static const struct conf_operand dpd_timeout_ops[] = {
	{"seconds", CONF_UINT, 0, NULL, "120", 2, 7200, "without an answer after which the peer is dead"}, {.type = CONF_END}};
static const struct conf_operand half_open_ops[] = {
	{"total", CONF_UINT, 0, NULL, "4096", 16, 65536, "negotiations of peers that have not proved their address, in a stack"},
	{"persource", CONF_UINT, CONF_OPTIONAL, NULL, "64", 1, 65536, "of one address"}, {.type = CONF_END}};
static const struct conf_operand nss_stack_ops[] = {{"stackname", CONF_NAME, 0, NULL, NULL, 0, IKED_STACK_NAME_MAX, "stack name"}, {.type = CONF_END}};
static const struct conf_operand nss_client_ops[] = {{"name", CONF_NAME, 0, NULL, NULL, 0, 24, "client name"}, {.type = CONF_END}};
static const struct conf_operand nss_service_ops[] = {
	{"service", CONF_WORD, 0, "Cert|RemoteMgmt", "Cert", 0, 0, "certificate service or remote management"}, {.type = CONF_END}};
static const struct conf_operand nss_user_ops[] = {{"userid", CONF_NAME, 0, NULL, NULL, 0, 8, "SAF user on the server"}, {.type = CONF_END}};
static const struct conf_operand nss_auth_ops[] = {
	{"how", CONF_WORD, 0, "Password|Passticket", NULL, 0, 0, "how it proves itself"},
	{"password", CONF_STRING, CONF_OPTIONAL | CONF_SECRET, NULL, NULL, 0, 100, "with Password"}, {.type = CONF_END}};
static const struct conf_operand policy_ops[] = {
	{"stack", CONF_NAME, 0, NULL, NULL, 0, IKED_STACK_NAME_MAX, "stack name, as in stack-core@NAME"},
	{"file", CONF_STRING, 0, NULL, NULL, 0, 255, "the stack's policy file; relative to /etc/ravelin"},
	{"common", CONF_STRING, CONF_OPTIONAL, NULL, NULL, 0, 255, "a file with objects for several stacks (CommonIpSecConfig)"},
	{.type = CONF_END}};

static const struct conf_stmt config_children[] = {
	{"IkeSyslogLevel", level_ops, NULL, NULL, 0, "what is logged"},
	{"PagentSyslogLevel", pagent_level_ops, NULL, NULL, 0, "taken for compatibility"},
	{"SMF119", smf_ops, NULL, NULL, CONF_ANYNUMBER, "audit records of tunnels; several add up"},
	{"IkeRetries", retries_ops, NULL, NULL, 0, "patience with a peer"},
	{"IkeInitWait", wait_ops, NULL, NULL, 0, "patience with a peer"},
	{"FIPS140", yes_ops, NULL, NULL, 0, "only no is known"},
	{"KeyRing", keyring_ops, NULL, NULL, 0, "where certificates and keys are"},
	{"Echo", yes_ops, NULL, NULL, 0, "taken for compatibility; there is one log"},
	{"NetworkSecurityServer", nss_ops, NULL, NULL, 0, "of stacks that are NSS clients; none can be one yet"},
	{"NetworkSecurityServerBackup", nss_ops, NULL, NULL, 0, "the same"},
	{"NssWaitLimit", nss_limit_ops, NULL, NULL, 0, "the same"},
	{"NssWaitRetries", nss_retries_ops, NULL, NULL, 0, "the same"},
	{"PagentWait", pagent_wait_ops, NULL, NULL, 0, "taken for compatibility"},
	{"SupportedCertAuth", ca_ops, NULL, NULL, CONF_ANYNUMBER, "CAs whose certificates are taken; none named: all of the ring"},
	{"ExtendedSequenceNumbers", esn_ops, NULL, NULL, 0, "64-bit sequence numbers"},
	{"DeadPeerInterval", dpd_ops, NULL, NULL, 0, "dead peer detection"},
	{"DeadPeerTimeout", dpd_timeout_ops, NULL, NULL, 0, "dead peer detection"},
	{"HalfOpenLimit", half_open_ops, NULL, NULL, 0, "against floods of first messages"},
	{NULL}};
static const struct conf_stmt nss_children[] = {
	{"ClientName", nss_client_ops, NULL, NULL, 0, "name on the server"},
	{"ServiceType", nss_service_ops, NULL, NULL, CONF_ANYNUMBER, "services wanted"},
	{"UserId", nss_user_ops, NULL, NULL, 0, "user on the server"},
	{"AuthBy", nss_auth_ops, NULL, NULL, 0, "how it proves itself"},
	{NULL}};
static const struct conf_stmt stmts[] = {
	{"IkeConfig", NULL, config_children, NULL, CONF_BLOCK, "the daemon itself; the last one wins"},
	{"NssStackConfig", nss_stack_ops, nss_children, NULL, CONF_BLOCK | CONF_ANYNUMBER, "a stack whose keys an NSS server keeps; not possible yet"},
	{"StackPolicy", policy_ops, NULL, NULL, CONF_ANYNUMBER,
		"a stack that IKE serves, and the policy files that stack-core reads too; the first one is the default stack"},
	{NULL}};
const struct conf_spec iked_conf_spec = {"iked.conf", CONF_POLICY, stmts};

/* The last of a repeated parameter wins. */
static uint64_t last_uint(struct conf_node *n, const char *stmt, const char *operand, uint64_t otherwise)
{
	struct conf_node *p = conf_child_last(n, stmt);
	return p ? conf_uint(p, operand) : otherwise;
}

static int build_keys(struct conf_node *n, struct iked_conf *c)
{
	char user[KEYRING_USER_MAX], ring[KEYRING_RING_MAX];
	struct errbuf e;
	struct conf_node *p = conf_child_last(n, "KeyRing");
	if (p) {
		c->keyring_given = true;
		(void)snprintf(c->keyring, sizeof(c->keyring), "%s", conf_str(p, "ring"));
		if (keyring_parse_name(c->keyring, "IKED", user, ring, &e))
			return conf_node_error(p, "found '%.72s', expected userid/ring or ring: %.150s", c->keyring, e.text);
	}
	for (p = conf_child(n, "SupportedCertAuth"); p; p = conf_next(p, "SupportedCertAuth")) {
		if (c->n_cas == IKED_CAS_MAX)
			return conf_node_error(p, "found a SupportedCertAuth too many, expected at most %d", IKED_CAS_MAX);
		(void)snprintf(c->cas[c->n_cas++], KEYRING_LABEL_MAX, "%s", conf_str(p, "label"));
	}
	p = conf_child_last(n, "FIPS140");
	if (p && conf_uint(p, "answer"))
		return conf_node_error(p, "found yes, expected no: there is no FIPS 140 mode");
	return 0;
}

static int build_config(struct conf_node *n, struct iked_conf *c)
{
	static const unsigned smf[] = {0, SMF_IKE_TUNNEL | SMF_DYN_TUNNEL, SMF_IKE_TUNNEL, SMF_DYN_TUNNEL};
	/* a later IkeConfig replaces an earlier one whole */
	*c = (struct iked_conf){.n_stacks = c->n_stacks, .esn = true};
	(void)snprintf(c->keyring, sizeof(c->keyring), "iked/keyring");
	for (struct conf_node *p = conf_child(n, "SMF119"); p; p = conf_next(p, "SMF119"))
		c->smf |= smf[conf_uint(p, "what")];
	c->syslog_level = (unsigned)last_uint(n, "IkeSyslogLevel", "mask", 1);
	c->retries = (uint32_t)last_uint(n, "IkeRetries", "n", 6);
	c->init_wait_s = (uint32_t)last_uint(n, "IkeInitWait", "seconds", 2);
	c->dpd_interval_s = (uint32_t)last_uint(n, "DeadPeerInterval", "seconds", 30);
	c->dpd_timeout_s = (uint32_t)last_uint(n, "DeadPeerTimeout", "seconds", 120);
	c->esn = last_uint(n, "ExtendedSequenceNumbers", "answer", 1);
	c->half_open = (uint32_t)last_uint(n, "HalfOpenLimit", "total", 4096);
	c->half_open_source = (uint32_t)last_uint(n, "HalfOpenLimit", "persource", 64);
	if (c->dpd_timeout_s <= c->dpd_interval_s)
		return conf_node_error(n, "found DeadPeerTimeout %u, expected more than DeadPeerInterval %u", c->dpd_timeout_s,
			c->dpd_interval_s);
	return build_keys(n, c);
}

static void policy_path(const char *text, char out[PATH_MAX])
{
	if (text[0] == '/')
		(void)snprintf(out, PATH_MAX, "%s%s", path_root(), text);
	else
		(void)snprintf(out, PATH_MAX, "%s/etc/ravelin/%s", path_root(), text);
}

static int build_policy(struct conf_node *n, struct iked_conf *c)
{
	const char *name = conf_str(n, "stack"), *common = conf_str(n, "common");
	struct iked_stack_conf *s = &c->stacks[c->n_stacks];
	struct errbuf e = {""};
	if (c->n_stacks == IKED_STACKS_MAX)
		return conf_node_error(n, "found a StackPolicy too many, expected at most %d", IKED_STACKS_MAX);
	*s = (struct iked_stack_conf){.name = ""};
	for (size_t i = 0; name[i] && i < IKED_STACK_NAME_MAX; i++) {
		if (!isalnum((unsigned char)name[i]) && !strchr("@#$", name[i]))
			return conf_node_error(n, "found '%s', expected a stack name of letters, digits and @ # $", name);
		s->name[i] = (char)toupper((unsigned char)name[i]);
	}
	for (unsigned i = 0; i < c->n_stacks; i++)
		if (!strcmp(c->stacks[i].name, s->name))
			return conf_node_error(n, "found '%s' again, expected one StackPolicy for a stack", name);
	policy_path(conf_str(n, "file"), s->file);
	if (common)
		policy_path(common, s->common);
	if (ipsec_policy_load(s->file, common ? s->common : NULL, &e, &s->policy))
		return conf_node_error(n, "stack %s: %s", s->name, e.text);
	c->n_stacks++;
	return 0;
}

int iked_conf_build(struct conf *conf, const char *instance, void **ret_built)
{
	(void)instance;
	struct iked_conf *c = xnew(struct iked_conf);
	struct conf_node *last = NULL;
	int rc = 0;
	*c = (struct iked_conf){.syslog_level = 1, .retries = 6, .init_wait_s = 2, .dpd_interval_s = 30, .dpd_timeout_s = 120, .esn = true,
		.half_open = 4096, .half_open_source = 64, .keyring = "iked/keyring"};
	for (struct conf_node *n = conf_root(conf); n; n = n->next)
		if (!strcmp(n->stmt->name, "IkeConfig"))
			last = n;
	if (last && build_config(last, c))
		rc = -EINVAL;
	for (struct conf_node *n = conf_root(conf); n; n = n->next) {
		if (!strcmp(n->stmt->name, "NssStackConfig"))
			rc = conf_node_error(n, "found NssStackConfig, expected none: this release has no Network Security Services client");
		else if (!strcmp(n->stmt->name, "StackPolicy") && build_policy(n, c))
			rc = -EINVAL;
	}
	if (rc) {
		iked_conf_free(c);
		return rc;
	}
	*ret_built = c;
	return 0;
}

void iked_conf_free(void *built)
{
	struct iked_conf *c = built;
	for (unsigned i = 0; c && i < c->n_stacks; i++)
		ipsec_policy_free(c->stacks[i].policy);
	free(c);
}
