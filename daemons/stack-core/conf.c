/* conf: statements of the profile. INTERFACE, BEGINROUTES, IPCONFIG and IPSEC as z/OS writes them, with Linux's devices as
 * interface types; WORKERS and IPSECPOLICY are ours. */
#include "daemons/stack-core/conf.h"
#include "lib/base/path.h"
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const struct conf_operand ports_operands[] = {
	{"RESTRICTLOWPORTS", CONF_FLAG, CONF_OPTIONAL, "RESTRICTLowports|UNRESTRICTLowports", NULL, 0, 0,
		"Ports below 1024 that no PORT statement reserves are for uid 0."},
	{0},
};

static const struct conf_operand ipconfig_operands[] = {
	{"IPSECURITY", CONF_FLAG, CONF_OPTIONAL, NULL, NULL, 0, 0, "IPv4 packets are filtered; without it every packet passes."},
	{"DATAGRAMFWD", CONF_FLAG, CONF_OPTIONAL, "DATAGRamfwd|NODATAGRamfwd", NULL, 0, 0,
		"Forward packets that are not for this host (the default), or not."},
	{"PATHMTUDISCOVERY", CONF_FLAG, CONF_OPTIONAL, "PATHMTUDISCovery|NOPATHMTUDISCovery", NULL, 0, 0,
		"Believe routers that say what the path of a tunnel carries (the default), or not."},
	{"ICMPPAYLOADCHECK", CONF_FLAG, CONF_OPTIONAL, "ICMPPAYLOADcheck|NOICMPPAYLOADcheck", NULL, 0, 0,
		"Ask the packet in an ICMP error of a tunnel for all protocols, too (the default), or not."},
	{0},
};

static const struct conf_operand ipconfig6_operands[] = {
	{"IPSECURITY", CONF_FLAG, CONF_OPTIONAL, NULL, NULL, 0, 0, "IPv6 packets are filtered; without it every packet passes."},
	{"DATAGRAMFWD", CONF_FLAG, CONF_OPTIONAL, "DATAGRamfwd|NODATAGRamfwd", NULL, 0, 0,
		"Forward packets that are not for this host (the default), or not."},
	{"PATHMTUDISCOVERY", CONF_FLAG, CONF_OPTIONAL, "PATHMTUDISCovery|NOPATHMTUDISCovery", NULL, 0, 0,
		"Believe routers that say what the path of a tunnel carries (the default), or not."},
	{"ICMPPAYLOADCHECK", CONF_FLAG, CONF_OPTIONAL, "ICMPPAYLOADcheck|NOICMPPAYLOADcheck", NULL, 0, 0,
		"Ask the packet in an ICMP error of a tunnel for all protocols, too (the default), or not."},
	{0},
};

static const struct conf_operand interface_operands[] = {
	{"NAME", CONF_NAME, 0, NULL, NULL, 0, LINK_NAME_MAX - 1, "Name of the interface."},
	{"DEFINE", CONF_WORD, CONF_KEYWORD, "AFPACKET|TUN", NULL, 0, 0, "AFPACKET: a network device; TUN: towards this host's programs."},
	{"DEVICE", CONF_STRING, CONF_KEYWORD, NULL, NULL, 0, LINK_DEVICE_MAX - 1, "Linux name of the device; a TUN is created."},
	{"DRIVER", CONF_WORD, CONF_KEYWORD | CONF_OPTIONAL, "AUTO|SOCKET|RING|XDP", "AUTO", 0, 0,
		"How an AFPACKET device is driven: packet sockets, a receive ring, or AF_XDP."},
	{"XDPMODE", CONF_WORD, CONF_KEYWORD | CONF_OPTIONAL, "AUTO|COPY|ZEROCOPY", "AUTO", 0, 0,
		"DRIVER XDP: whether the device's driver places frames in the stack's memory itself."},
	{"VLANID", CONF_UINT, CONF_KEYWORD | CONF_OPTIONAL, NULL, NULL, 1, LINK_VLAN_MAX,
		"AFPACKET: the interface is this VLAN (IEEE 802.1Q) on the device."},
	{"IPADDR", CONF_PREFIX, CONF_KEYWORD | CONF_REPEAT | CONF_HOSTBITS | CONF_OPTIONAL, NULL, NULL, 0, 0,
		"Address and prefix length, 192.0.2.1/24."},
	{"MTU", CONF_UINT, CONF_KEYWORD | CONF_OPTIONAL, NULL, NULL, 576, 65535, "At most the device's, which is the default."},
	{"SECCLASS", CONF_UINT, CONF_KEYWORD | CONF_OPTIONAL, NULL, "0", 0, 255, "Security class, for filters."},
	{"URPF", CONF_WORD, CONF_KEYWORD | CONF_OPTIONAL, "LOOSE|STRICT|OFF", "LOOSE", 0, 0,
		"Packets whose source has no route (LOOSE), or none by this interface (STRICT), are dropped."},
	{"DUPADDRDET", CONF_UINT, CONF_KEYWORD | CONF_OPTIONAL, NULL, "1", 0, DAD_PROBES_MAX,
		"How often to ask whether somebody else has the interface's addresses; 0: not at all."},
	{0},
};

static const struct conf_operand route_operands[] = {
	{"DESTINATION", CONF_PREFIX, 0, "DEFAULT|DEFAULT6", NULL, 0, 0, "Prefix, or DEFAULT (IPv4) or DEFAULT6."},
	{"GATEWAY", CONF_STRING, 0, NULL, NULL, 0, ADDR_TEXT_MAX, "Address of the next router, or = for a network on the link itself."},
	{"INTERFACE", CONF_NAME, 0, NULL, NULL, 0, LINK_NAME_MAX - 1, "Interface it goes through."},
	{"MTU", CONF_UINT, CONF_KEYWORD | CONF_OPTIONAL, NULL, NULL, 576, 65535, "At most the interface's, which is the default."},
	{0},
};
static const struct conf_stmt route_children[] = {
	{"ROUTE", route_operands, NULL, NULL, CONF_ANYNUMBER, "A static route."},
	{0},
};

static const struct conf_operand workers_operands[] = {
	{"NUMBER", CONF_UINT, 0, NULL, NULL, 1, LINK_WORKERS_MAX, "Packet threads."},
	{0},
};
static const struct conf_operand policy_operands[] = {
	{"FILE", CONF_STRING, 0, NULL, NULL, 0, PATH_TEXT_MAX - 1, "Policy file; without a leading / under the configuration directory."},
	{"COMMON", CONF_STRING, CONF_KEYWORD | CONF_OPTIONAL, NULL, NULL, 0, PATH_TEXT_MAX - 1,
		"Policy file with objects and blocks of several stacks (CommonIpSecConfig); FILE's own win."},
	{0},
};

static const struct conf_operand ids_operands[] = {
	{"FILE", CONF_STRING, 0, NULL, NULL, 0, PATH_TEXT_MAX - 1, "Policy file; without a leading / under the configuration directory."},
	{0},
};

static const struct conf_stmt stmts[] = {
	{"TCPCONFIG", ports_operands, NULL, NULL, 0, "TCP options."},
	{"UDPCONFIG", ports_operands, NULL, NULL, 0, "UDP options."},
	{"IPCONFIG", ipconfig_operands, NULL, NULL, CONF_ANYNUMBER, "IPv4 options."},
	{"IPCONFIG6", ipconfig6_operands, NULL, NULL, CONF_ANYNUMBER, "IPv6 options."},
	{"INTERFACE", interface_operands, NULL, NULL, CONF_ANYNUMBER, "A link of the stack. Its addresses are the stack's (HOME)."},
	{"BEGINROUTES", NULL, route_children, "ENDROUTES", CONF_BLOCK, "Static routes."},
	{"IPSEC", profile_ipsec_operands, profile_ipsec_children, "ENDIPSEC", CONF_BLOCK, "Default filters."},
	{"PORT", port_operands, NULL, NULL, CONF_ENTRIES | CONF_ANYNUMBER, "Reserves a port to a job."},
	{"PORT UNRSV", port_unrsv_operands, NULL, NULL, CONF_ENTRIES | CONF_ANYNUMBER, "Who may use ports that nobody reserved."},
	{"PORTRange", portrange_operands, NULL, NULL, CONF_ENTRIES | CONF_ANYNUMBER, "Reserves ports to a job."},
	{"PORTJOB", portjob_operands, NULL, NULL, CONF_ANYNUMBER, "Job name of an executable, instead of its systemd unit's."},
	{"WORKERS", workers_operands, NULL, NULL, CONF_ONCE, "Packet threads; one per processor unless given."},
	{"IPSECPOLICY", policy_operands, NULL, NULL, CONF_ONCE, "Filters and tunnels from a policy file, ravelin-ipsec-policy(5)."},
	{"IDSPOLICY", ids_operands, NULL, NULL, CONF_ONCE, "Intrusion detection from a policy file, ravelin-ids-policy(5)."},
	{0},
};

const struct conf_spec stack_profile_spec = {"stack profile", CONF_PROFILE, stmts};

static int build_addrs(struct conf_node *n, struct link *l)
{
	for (const struct conf_value *v = conf_get(n, "IPADDR"); v; v = v->next) {
		char text[PREFIX_TEXT_MAX];
		const uint8_t *b = v->prefix.addr.b;
		if (!v->prefix.addr.family)
			continue;
		if (l->n_addrs == LINK_ADDRS_MAX)
			return conf_node_error(n, "interface %s: at most %d addresses", l->name, LINK_ADDRS_MAX);
		bool bad = v->prefix.addr.family == 4 ? b[0] == 0 || b[0] == 127 || b[0] >= 224 : b[0] == 0xff || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80);
		if (bad)
			return conf_node_error(n, "found %s, expected an address that a host may have", prefix_text(&v->prefix, text));
		l->addrs[l->n_addrs++] = v->prefix;
	}
	return 0;
}

static int build_driver(struct conf_node *n, struct link *l)
{
	l->choice = (enum link_choice)conf_uint(n, "DRIVER");
	l->xdp = (enum link_xdp)conf_uint(n, "XDPMODE");
	l->vlan = (uint16_t)conf_uint(n, "VLANID");
	if (l->type != LINK_AFPACKET && (l->choice || l->xdp || l->vlan))
		return conf_node_error(n, "found DRIVER, XDPMODE or VLANID, expected them with AFPACKET only");
	if (l->xdp && l->choice != LINK_DRIVER_XDP)
		return conf_node_error(n, "found XDPMODE, expected it with DRIVER XDP only");
	return 0;
}

/* Two interfaces on one device are two VLANs of it, and the device is driven in one way. */
static int check_pair(struct conf_node *n, const struct link *l, const struct link *other)
{
	if (!strcasecmp(other->name, l->name))
		return conf_node_error(n, "found a second interface %s", l->name);
	if (l->type == LINK_TUN && other->type == LINK_TUN)
		return conf_node_error(n, "found a second TUN, expected one at most");
	if (strcmp(other->device, l->device))
		return 0;
	if (l->type == LINK_TUN || other->type == LINK_TUN || l->vlan == other->vlan)
		return conf_node_error(n, "device %s belongs to interface %s already%s", l->device, other->name,
			l->type == LINK_AFPACKET && other->type == LINK_AFPACKET ? "; expected another VLANID" : "");
	if (l->choice != other->choice || l->xdp != other->xdp)
		return conf_node_error(n, "found another DRIVER or XDPMODE for device %s than interface %s has", l->device, other->name);
	return 0;
}

static int build_interface(struct conf_node *n, struct stack_conf *s)
{
	struct link *l = &s->links[s->n_links];

	if (s->n_links == LINKS_MAX)
		return conf_node_error(n, "at most %d interfaces", LINKS_MAX);
	memset(l, 0, sizeof(*l));
	(void)snprintf(l->name, sizeof(l->name), "%s", conf_str(n, "NAME"));
	(void)snprintf(l->device, sizeof(l->device), "%s", conf_str(n, "DEVICE"));
	l->type = conf_uint(n, "DEFINE") == 0 ? LINK_AFPACKET : LINK_TUN;
	l->mtu = (uint32_t)conf_uint(n, "MTU");
	l->secclass = (uint8_t)conf_uint(n, "SECCLASS");
	l->urpf = (uint8_t)conf_uint(n, "URPF");
	l->dad_probes = (uint8_t)conf_uint(n, "DUPADDRDET");
	int r = build_driver(n, l);
	for (unsigned i = 0; !r && i < s->n_links; i++)
		r = check_pair(n, l, &s->links[i]);
	r = r ? r : build_addrs(n, l);
	if (r < 0)
		return r;
	bool six = false;
	for (unsigned i = 0; i < l->n_addrs; i++)
		six |= l->addrs[i].addr.family == 6;
	if (six && l->mtu && l->mtu < 1280)
		return conf_node_error(n, "found MTU %u, expected at least 1280 for IPv6", l->mtu);
	l->index = (uint16_t)s->n_links++;
	return 0;
}

static int build_route(struct conf_node *n, struct stack_conf *s)
{
	const struct conf_value *dest = conf_get(n, "DESTINATION");
	const char *gateway = conf_str(n, "GATEWAY"), *name = conf_str(n, "INTERFACE");
	struct fib_route r = {.dst = dest->prefix, .kind = FIB_LINK, .mtu = (uint32_t)conf_uint(n, "MTU")};
	const struct link *l = NULL;

	if (dest->is_word)
		r.dst = (struct prefix){.addr.family = strcasecmp(dest->s, "DEFAULT6") ? 4 : 6};
	for (unsigned i = 0; i < s->n_links; i++)
		if (!strcasecmp(s->links[i].name, name))
			l = &s->links[i];
	if (!l)
		return conf_node_error(n, "found interface %s, which no INTERFACE statement defines", name);
	r.link = l->index;
	if (strcmp(gateway, "=")) {
		r.kind = FIB_GATEWAY;
		if (addr_parse(gateway, &r.gateway) < 0 || r.gateway.family != r.dst.addr.family)
			return conf_node_error(n, "found gateway '%s', expected = or an IPv%d address", gateway, r.dst.addr.family);
		if (l->type == LINK_AFPACKET && !link_on_net(l, &r.gateway))
			return conf_node_error(n, "gateway %s is on no network of interface %s", gateway, l->name);
	}
	if (s->n_routes == FIB_ROUTES_MAX / 2)
		return conf_node_error(n, "at most %d routes", FIB_ROUTES_MAX / 2);
	s->routes = xrealloc(s->routes, s->n_routes + 1, sizeof(*s->routes));
	s->routes[s->n_routes++] = r;
	return 0;
}

static struct conf *read_policy(const char *file, int *r)
{
	char path[PATH_TEXT_MAX];
	struct conf *c = NULL;

	if (!file)
		return NULL;
	if (file[0] == '/')
		(void)snprintf(path, sizeof(path), "%s", file);
	else
		path_make(path, "/etc/ravelin/%s", file);
	int one = ipsec_policy_read(path, &c);
	*r = *r ? *r : one;
	return c;
}

/* The stack keeps filters and manual tunnels only; the rest, shared keys above all, is dropped at once. */
static int build_policy(struct conf_node *n, struct stack_conf *s)
{
	struct ipsec_policy *p = NULL;
	int r = 0;
	struct conf *files[] = {read_policy(conf_str(n, "FILE"), &r), read_policy(conf_str(n, "COMMON"), &r)};

	if (!r)
		r = ipsec_policy_build(files[0], files[1], &p);
	if (!r)
		r = policy_build(p, &s->policy);
	for (size_t f = 0; f < 2; f++)
		for (unsigned i = 0; files[f] && i < conf_error_count(files[f]); i++)
			(void)conf_file_error(n->conf, "%s", conf_error(files[f], i));
	ipsec_policy_free(p);
	for (size_t f = 0; !p && f < 2; f++)
		conf_free(files[f]);
	return r;
}

static int build_ids(struct conf_node *n, struct stack_conf *s)
{
	char path[PATH_TEXT_MAX];
	struct conf *c = NULL;
	const char *file = conf_str(n, "FILE");

	if (file[0] == '/')
		(void)snprintf(path, sizeof(path), "%s", file);
	else
		path_make(path, "/etc/ravelin/%s", file);
	int r = conf_parse_file(&ids_policy_spec, path, &c);
	r = r ? r : ids_policy_build(c, &s->ids);
	for (unsigned i = 0; i < conf_error_count(c); i++)
		(void)conf_file_error(n->conf, "%s", conf_error(c, i));
	conf_free(c);
	return r;
}

/* The first of operand @name's two words turns @v on, the second one off; without them @v stays. */
static void build_choice(const struct conf_node *n, const char *name, bool *v)
{
	const struct conf_value *f = conf_get(n, name);

	if (f && f->given)
		*v = f->u == 0;
}

static int build_node(struct conf_node *n, struct stack_conf *s)
{
	const char *name = n->stmt->name;
	int r = 0;

	if (!strcmp(name, "IPCONFIG") || !strcmp(name, "IPCONFIG6")) {
		bool six = name[8];
		const struct conf_value *on = conf_get(n, "IPSECURITY");
		if (on && on->given)
			*(six ? &s->ipsecurity6 : &s->ipsecurity4) = true;
		build_choice(n, "DATAGRAMFWD", &s->forwarding);
		build_choice(n, "PATHMTUDISCOVERY", six ? &s->path_mtu6 : &s->path_mtu4);
		build_choice(n, "ICMPPAYLOADCHECK", six ? &s->icmp_check6 : &s->icmp_check4);
	} else if (!strcmp(name, "TCPCONFIG") || !strcmp(name, "UDPCONFIG")) {
		const struct conf_value *low = conf_get(n, "RESTRICTLOWPORTS");
		s->low_ports[name[0] == 'T' ? PORT_TCP : PORT_UDP] = low && low->given && low->u == 0;
	} else if (!strcmp(name, "WORKERS")) {
		s->workers = (unsigned)conf_uint(n, "NUMBER");
	} else if (!strcmp(name, "BEGINROUTES")) {
		for (struct conf_node *c = n->children; c; c = c->next)
			r = build_route(c, s) < 0 ? -EINVAL : r;
	} else if (!strcmp(name, "IPSECPOLICY")) {
		r = build_policy(n, s);
	} else if (!strcmp(name, "IDSPOLICY")) {
		r = build_ids(n, s);
	}
	return r;
}

int stack_conf_build(struct conf *c, const char *instance, void **ret_built)
{
	struct stack_conf *s = xnew(struct stack_conf);
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int r = 0;

	(void)instance;
	s->forwarding = s->path_mtu4 = s->path_mtu6 = s->icmp_check4 = s->icmp_check6 = true;
	s->workers = cpus < 1 ? 1 : cpus > LINK_WORKERS_MAX ? LINK_WORKERS_MAX : (unsigned)cpus;
	for (struct conf_node *n = conf_root(c); n; n = n->next)
		if (!strcmp(n->stmt->name, "INTERFACE"))
			r = build_interface(n, s) < 0 ? -EINVAL : r;
	for (struct conf_node *n = conf_root(c); n; n = n->next)
		r = build_node(n, s) < 0 ? -EINVAL : r;
	if (!s->n_links && !r)
		r = conf_file_error(c, "found no INTERFACE statement, expected at least one");
	if (profile_filters_build(conf_top(c, "IPSEC"), &s->profile) < 0)
		r = -EINVAL;
	if (port_table_build(c, s->low_ports, &s->ports) < 0)
		r = -EINVAL;
	if (r < 0) {
		stack_conf_free(s);
		return -EINVAL;
	}
	*ret_built = s;
	return 0;
}

void stack_conf_free(void *built)
{
	struct stack_conf *s = built;

	if (!s)
		return;
	free(s->routes);
	profile_filters_fini(&s->profile);
	policy_fini(&s->policy);
	port_table_free(s->ports);
	ids_policy_free(s->ids_awake);
	ids_policy_free(s->ids);
	free(s);
}

int stack_conf_may_follow(const struct stack_conf *a, const struct stack_conf *b, struct errbuf *why)
{
	if (a->workers != b->workers)
		return err_set(why, EINVAL, "WORKERS is %u instead of %u: it cannot change while the stack runs: restart it", b->workers, a->workers);
	return 0;
}

void stack_conf_place(struct stack_conf *c, const uint16_t place[LINKS_MAX])
{
	for (unsigned i = 0; i < c->n_routes; i++)
		c->routes[i].link = place[c->routes[i].link];
}
