/* rpcbind.conf. */
#include "daemons/rpcbindD/rpcbind.h"
#include "lib/base/xalloc.h"
#include <ctype.h>

#define NUMBER(var, dflt, lo, hi, text) static const struct conf_operand var[] = {{"n", CONF_UINT, 0, NULL, dflt, lo, hi, text}, {.type = CONF_END}}
#define YESNO(var, dflt, text) static const struct conf_operand var[] = {{"answer", CONF_WORD, 0, "no|yes", dflt, 0, 0, text}, {.type = CONF_END}}

static const struct conf_operand name_ops[] = {
	{"name", CONF_NAME, 0, NULL, "RPCBIND", 0, 8, "rpcbindname in EZB.RPCBIND.sysname.rpcbindname.REGISTRY"}, {.type = CONF_END}};
static const struct conf_operand socket_ops[] = {
	{"path", CONF_STRING, 0, NULL, "/run/rpcbind.sock", 0, 107, "where programs of this host register; \"none\": nowhere"}, {.type = CONF_END}};
static const struct conf_operand netid_ops[] = {
	{"netid", CONF_WORD, 0, "udp|tcp|udp6|tcp6|local", NULL, 0, 0, "a transport to serve; without any statement: all"}, {.type = CONF_END}};
static const struct conf_operand interface_ops[] = {
	{"address", CONF_ADDR, 0, NULL, NULL, 0, 0, "an address of this host to listen on, beside loopback; without any statement: all"}, {.type = CONF_END}};
static const struct conf_operand rate_ops[] = {{"calls", CONF_UINT, 0, NULL, "500", 0, 1000000, "calls a second of one source; 0: no limit"},
	{"burst", CONF_UINT, CONF_OPTIONAL, NULL, "1000", 1, 1000000, "calls at once"}, {.type = CONF_END}};
static const struct conf_operand zone_ops[] = {{"prefix", CONF_PREFIX, 0, NULL, NULL, 0, 0, "addresses"},
	{"zone", CONF_NAME, 0, NULL, NULL, 0, 8, "their network security zone: resource EZB.NETACCESS.sysname.tcpname.zone"}, {.type = CONF_END}};
static const struct conf_operand tcpname_ops[] = {
	{"name", CONF_NAME, 0, NULL, "TCPIP", 0, 8, "tcpname in the zone's resource"}, {.type = CONF_END}};
NUMBER(port_ops, "111", 1, 65535, "port, where the service manager hands over no sockets");
NUMBER(registrations_ops, "8192", 16, REGISTRY_MAX, "registrations in all");
NUMBER(user_ops, "512", 1, REGISTRY_MAX, "registrations of one user other than root");
NUMBER(factor_ops, "4", 1, 64, "bytes of a UDP answer for a stranger, as a multiple of the question's");
NUMBER(connections_ops, "4096", 16, 65536, "TCP and local connections at once");
NUMBER(source_ops, "64", 1, 65536, "TCP connections of one source outside this host");
NUMBER(idle_ops, "300", 1, 86400, "seconds until an idle connection is closed");
NUMBER(record_ops, "10", 1, 3600, "seconds for a record to be complete, or an answer to be taken");
NUMBER(reap_ops, "60", 0, 86400, "seconds between looks for servers that are gone; 0: never");
NUMBER(calls_ops, "128", 1, 4096, "calls for others under way at once");
NUMBER(source_calls_ops, "8", 1, 4096, "the same of one source");
NUMBER(timeout_ops, "5", 1, 60, "seconds for a server to answer such a call");
NUMBER(workers_ops, "8", 1, 64, "processes that make such calls, one a security label");
NUMBER(doi_ops, "0", 0, UINT32_MAX, "domain of interpretation of the labels in packets (netlabelctl cipsov4 add); 0: packets carry none");
YESNO(dump_ops, "no", "whether strangers get the list of servers over UDP too");
YESNO(warm_ops, "yes", "whether registrations outlive this daemon");
YESNO(remote_ops, "no", "whether servers are called for others (CALLIT, BCAST, INDIRECT)");

static const struct conf_stmt children[] = {
	{"RpcbindName", name_ops, NULL, NULL, CONF_ONCE, "job name in SAF resources"},
	{"Port", port_ops, NULL, NULL, CONF_ONCE, "port of UDP and TCP"},
	{"Netid", netid_ops, NULL, NULL, CONF_ANYNUMBER, "transports"},
	{"Interface", interface_ops, NULL, NULL, CONF_ANYNUMBER, "addresses to listen on"},
	{"LocalSocket", socket_ops, NULL, NULL, CONF_ONCE, "socket file for programs of this host"},
	{"WarmStart", warm_ops, NULL, NULL, CONF_ONCE, "registrations of the run before"},
	{"ReapInterval", reap_ops, NULL, NULL, CONF_ONCE, "servers that are gone"},
	{"MaxRegistrations", registrations_ops, NULL, NULL, CONF_ONCE, "table size"},
	{"MaxUserRegistrations", user_ops, NULL, NULL, CONF_ONCE, "share of one user"},
	{"SourceRate", rate_ops, NULL, NULL, CONF_ONCE, "calls of one source outside this host"},
	{"UdpReplyFactor", factor_ops, NULL, NULL, CONF_ONCE, "against amplification"},
	{"DumpOverUdp", dump_ops, NULL, NULL, CONF_ONCE, "DUMP for strangers"},
	{"MaxConnections", connections_ops, NULL, NULL, CONF_ONCE, "connections"},
	{"MaxSourceConnections", source_ops, NULL, NULL, CONF_ONCE, "connections of a source"},
	{"IdleTimeout", idle_ops, NULL, NULL, CONF_ONCE, "idle connections"},
	{"RecordTimeout", record_ops, NULL, NULL, CONF_ONCE, "slow connections"},
	{"RemoteCalls", remote_ops, NULL, NULL, CONF_ONCE, "target assistance"},
	{"MaxRemoteCalls", calls_ops, NULL, NULL, CONF_ONCE, "target assistance: calls at once"},
	{"MaxSourceRemoteCalls", source_calls_ops, NULL, NULL, CONF_ONCE, "target assistance: calls of one source"},
	{"RemoteTimeout", timeout_ops, NULL, NULL, CONF_ONCE, "target assistance: deadline"},
	{"MaxWorkers", workers_ops, NULL, NULL, CONF_ONCE, "target assistance: processes"},
	{"CipsoDoi", doi_ops, NULL, NULL, CONF_ONCE, "multilevel security: labels in packets"},
	{"TcpName", tcpname_ops, NULL, NULL, CONF_ONCE, "multilevel security: stack name of the zones' resources"},
	{"NetAccess", zone_ops, NULL, NULL, CONF_ANYNUMBER, "multilevel security: zone of addresses; the longest prefix decides"},
	{NULL}};
static const struct conf_stmt stmts[] = {{"RpcbindConfig", NULL, children, NULL, CONF_BLOCK | CONF_ONCE, "the registry"}, {NULL}};
const struct conf_spec rb_conf_spec = {"rpcbind.conf", CONF_POLICY, stmts};

static unsigned number(const struct conf_node *n, const char *stmt, unsigned dflt)
{
	struct conf_node *p = n ? conf_find(n->children, stmt) : NULL;
	return p ? (unsigned)conf_uint(p, "n") : dflt;
}

static bool answer(const struct conf_node *n, const char *stmt, bool dflt)
{
	struct conf_node *p = n ? conf_find(n->children, stmt) : NULL;
	return p ? conf_uint(p, "answer") != 0 : dflt;
}

static int name(struct conf_node *n, const char *stmt, char out[9])
{
	struct conf_node *p = conf_find(n->children, stmt);
	const char *s = p ? conf_str(p, "name") : NULL;
	for (size_t i = 0; s && i < 8 && (i == 0 || s[i - 1]); i++) {
		if (s[i] && !isalnum((unsigned char)s[i]) && !strchr("@#$", s[i]))
			return conf_node_error(p, "found '%s', expected letters, digits and @ # $", s);
		out[i] = (char)toupper((unsigned char)s[i]);
	}
	return 0;
}

static int zones(struct conf_node *n, struct rb_conf *c)
{
	int all = 0;
	for (struct conf_node *p = conf_find(n->children, "NetAccess"); p; p = conf_next(p, "NetAccess")) {
		const struct conf_value *v = conf_get(p, "prefix");
		int rc = zone_add(&c->remote.zones, &v->prefix, conf_str(p, "zone"));
		if (rc)
			all = conf_node_error(p, "found %s, expected %s", rc == -EEXIST ? "the prefix again" : rc == -ENOSPC ? "a NetAccess too many" : "a name that is no zone",
				rc == -EEXIST ? "one zone for it" : rc == -ENOSPC ? "at most 1024" : "1 to 8 letters, digits and @ # $, the first no digit");
	}
	return all;
}

static int places(struct conf_node *n, struct rb_conf *c)
{
	struct conf_node *p = conf_find(n->children, "LocalSocket");
	const char *path = p ? conf_str(p, "path") : "";
	if (p && strcmp(path, "none") && path[0] != '/')
		return conf_node_error(p, "found '%.100s', expected an absolute path or none", path);
	if (p)
		(void)snprintf(c->local_socket, sizeof(c->local_socket), "%s", path[0] == '/' ? path : "");
	p = conf_find(n->children, "Netid");
	if (p)
		memset(c->netids, 0, sizeof(c->netids));
	for (; p; p = conf_next(p, "Netid"))
		c->netids[netid_parse(conf_str(p, "netid"))] = true;
	for (p = conf_find(n->children, "Interface"); p; p = conf_next(p, "Interface")) {
		if (c->ninterfaces == RB_INTERFACES_MAX)
			return conf_node_error(p, "found an Interface too many, expected at most %d", RB_INTERFACES_MAX);
		c->interfaces[c->ninterfaces++] = conf_get(p, "address")->prefix.addr;
	}
	return 0;
}

static void numbers(const struct conf_node *n, struct rb_conf *c)
{
	c->port = (uint16_t)number(n, "Port", 111);
	c->registrations = number(n, "MaxRegistrations", 8192);
	c->user_registrations = number(n, "MaxUserRegistrations", 512);
	c->factor = number(n, "UdpReplyFactor", 4);
	c->connections = number(n, "MaxConnections", 4096);
	c->connections_per_source = number(n, "MaxSourceConnections", 64);
	c->idle_s = number(n, "IdleTimeout", 300);
	c->record_s = number(n, "RecordTimeout", 10);
	c->reap_s = number(n, "ReapInterval", 60);
	c->dump_udp = answer(n, "DumpOverUdp", false);
	c->warm_start = answer(n, "WarmStart", true);
	struct conf_node *p = n ? conf_find(n->children, "SourceRate") : NULL;
	c->rate = p ? (unsigned)conf_uint(p, "calls") : 500;
	c->burst = p ? (unsigned)conf_uint(p, "burst") : 1000;
	c->remote.enabled = answer(n, "RemoteCalls", false);
	c->remote.calls = number(n, "MaxRemoteCalls", 128);
	c->remote.calls_per_source = number(n, "MaxSourceRemoteCalls", 8);
	c->remote.timeout_ms = 1000 * number(n, "RemoteTimeout", 5);
	c->remote.workers = number(n, "MaxWorkers", 8);
	c->remote.idle_ms = 60000;
	c->remote.doi = number(n, "CipsoDoi", 0);
}

int rb_conf_build(struct conf *conf, const char *instance, void **ret_built)
{
	(void)instance;
	struct rb_conf *c = xnew(struct rb_conf);
	struct conf_node *n = conf_root(conf);
	int rc = 0;
	memcpy(c->name, "RPCBIND", 8);
	memcpy(c->remote.tcpname, "TCPIP", 6);
	memcpy(c->local_socket, "/run/rpcbind.sock", 18);
	memset(c->netids, 1, sizeof(c->netids));
	numbers(n, c);
	if (n && (name(n, "RpcbindName", c->name) | name(n, "TcpName", c->remote.tcpname) | zones(n, c) | places(n, c)))
		rc = -EINVAL;
	if (rc) {
		rb_conf_free(c);
		return rc;
	}
	*ret_built = c;
	return 0;
}

void rb_conf_free(void *built)
{
	struct rb_conf *c = built;
	if (c)
		zone_free(&c->remote.zones);
	free(c);
}
