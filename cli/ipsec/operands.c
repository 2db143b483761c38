/* The operands of `ipsec -F add` and `-F update`: one row each. */
#include "cli/ipsec/command.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* @text as a number up to @max, or -EINVAL. */
static int number(const char *text, unsigned long max, uint32_t *ret)
{
	size_t n = strspn(text, "0123456789");
	if (!n || n > 9 || text[n])
		return -EINVAL;
	unsigned long v = strtoul(text, NULL, 10);
	if (v > max)
		return -EINVAL;
	*ret = (uint32_t)v;
	return 0;
}

static int found(const char *operand, const char *text, const char *allowed, struct errbuf *e)
{
	return err_set(e, EINVAL, "%s: found '%.60s'; allowed: %s", operand, text, allowed);
}

/* "n", "n-m" or "all". */
static int range(const char *operand, const char *text, protobuf_c_boolean *has_low, uint32_t *low, protobuf_c_boolean *has_high,
	uint32_t *high, struct errbuf *e)
{
	char first[16];
	const char *dash = strchr(text, '-');
	size_t n = dash ? (size_t)(dash - text) : strlen(text);
	*has_low = *has_high = false;
	if (!strcasecmp(text, "all"))
		return 0;
	if (n >= sizeof(first))
		return found(operand, text, "all or n[-m] of 1-65535", e);
	memcpy(first, text, n);
	first[n] = 0;
	if (number(first, 65535, low) || number(dash ? dash + 1 : first, 65535, high))
		return found(operand, text, "all or n[-m] of 1-65535", e);
	*has_low = *has_high = true;
	return 0;
}

static int op_srcip(const char *v, Defmgr__Filter *f, struct errbuf *e)
{
	(void)e;
	f->source = (char *)v;
	return 0;
}

static int op_destip(const char *v, Defmgr__Filter *f, struct errbuf *e)
{
	(void)e;
	f->destination = (char *)v;
	return 0;
}

static int op_prot(const char *v, Defmgr__Filter *f, struct errbuf *e)
{
	(void)e;
	f->protocol = (char *)v;
	return 0;
}

static int op_srcport(const char *v, Defmgr__Filter *f, struct errbuf *e)
{
	return range("srcport", v, &f->has_source_port_low, &f->source_port_low, &f->has_source_port_high, &f->source_port_high, e);
}

static int op_destport(const char *v, Defmgr__Filter *f, struct errbuf *e)
{
	return range("destport", v, &f->has_dest_port_low, &f->dest_port_low, &f->has_dest_port_high, &f->dest_port_high, e);
}

static int op_type(const char *v, Defmgr__Filter *f, struct errbuf *e)
{
	f->has_type = strcasecmp(v, "all") != 0;
	return f->has_type && number(v, 255, &f->type) ? found("type", v, "all or 0-255", e) : 0;
}

static int op_code(const char *v, Defmgr__Filter *f, struct errbuf *e)
{
	f->has_code = strcasecmp(v, "all") != 0;
	return f->has_code && number(v, 255, &f->code) ? found("code", v, "all or 0-255", e) : 0;
}

static int op_secclass(const char *v, Defmgr__Filter *f, struct errbuf *e)
{
	f->has_secclass = true;
	return number(v, 255, &f->secclass) ? found("secclass", v, "0-255", e) : 0;
}

static int op_loglimit(const char *v, Defmgr__Filter *f, struct errbuf *e)
{
	f->has_loglimit = true;
	return number(v, 9999, &f->loglimit) ? found("loglimit", v, "0-9999", e) : 0;
}

static int op_lifetime(const char *v, Defmgr__Filter *f, struct errbuf *e)
{
	f->has_lifetime_min = true;
	return number(v, 20160, &f->lifetime_min) || !f->lifetime_min ? found("lifetime", v, "1-20160 minutes", e) : 0;
}

/* Position of @v among the words of @allowed ("a|b|c"), from 1; -EINVAL. */
static int choice(const char *operand, const char *v, const char *allowed, struct errbuf *e)
{
	int at = 1;
	for (const char *p = allowed; *p; at++) {
		size_t n = strcspn(p, "|");
		if (strlen(v) == n && !strncasecmp(v, p, n))
			return at;
		p += n + (p[n] == '|');
	}
	return found(operand, v, allowed, e);
}

static int op_dir(const char *v, Defmgr__Filter *f, struct errbuf *e)
{
	int c = choice("dir", v, "inbound|outbound|bidirectional", e);
	f->has_direction = true;
	f->direction = (Defmgr__Filter__Direction)c;
	return c < 0 ? c : 0;
}

static int op_routing(const char *v, Defmgr__Filter *f, struct errbuf *e)
{
	int c = choice("routing", v, "local|routed|either", e);
	f->has_routing = true;
	f->routing = (Defmgr__Filter__Routing)c;
	return c < 0 ? c : 0;
}

static int op_mode(const char *v, Defmgr__Filter *f, struct errbuf *e)
{
	int c = choice("mode", v, "block|simulate", e);
	f->has_mode = true;
	f->mode = (Defmgr__Filter__Mode)c;
	return c < 0 ? c : 0;
}

static int op_log(const char *v, Defmgr__Filter *f, struct errbuf *e)
{
	int c = choice("log", v, "yes|no", e);
	f->has_log = true;
	f->log = c == 1;
	return c < 0 ? c : 0;
}

static int op_fragments(const char *v, Defmgr__Filter *f, struct errbuf *e)
{
	int c = choice("fragmentsonly", v, "yes|no", e);
	f->has_fragments_only = true;
	f->fragments_only = c == 1;
	return c < 0 ? c : 0;
}

static const struct {
	const char *name;
	int (*parse)(const char *value, Defmgr__Filter *f, struct errbuf *e);
	const char *allowed;
} operands[] = {{"srcip", op_srcip, "all, address or address/prefixLength"},
	{"destip", op_destip, "all, address or address/prefixLength"},
	{"prot", op_prot, "all, tcp, udp, icmp, icmpv6, ospf, igmp, esp, ah, opaque or 0-255"},
	{"srcport", op_srcport, "all or n[-m] of 1-65535"}, {"destport", op_destport, "all or n[-m] of 1-65535"},
	{"type", op_type, "all or 0-255"}, {"code", op_code, "all or 0-255"},
	{"dir", op_dir, "inbound|outbound|bidirectional"}, {"routing", op_routing, "local|routed|either"},
	{"mode", op_mode, "block|simulate"}, {"log", op_log, "yes|no"}, {"loglimit", op_loglimit, "0-9999"},
	{"lifetime", op_lifetime, "1-20160 minutes"}, {"fragmentsonly", op_fragments, "yes|no"},
	{"secclass", op_secclass, "0-255"}};

int ipsec_operand(const char *const *words, Defmgr__Filter *ret, struct errbuf *e)
{
	for (size_t i = 0; i < sizeof(operands) / sizeof(*operands); i++) {
		if (strcasecmp(words[0], operands[i].name))
			continue;
		if (!words[1] || words[1][0] == '-')
			return err_set(e, EINVAL, "%s: no value; allowed: %s", operands[i].name, operands[i].allowed);
		int rc = operands[i].parse(words[1], ret, e);
		return rc ? rc : 2;
	}
	return 0;
}

int ipsec_protocol(const char *text, uint32_t *ret)
{
	static const struct {
		const char *name;
		uint32_t number;
	} names[] = {{"icmp", 1}, {"igmp", 2}, {"tcp", 6}, {"udp", 17}, {"esp", 50}, {"ah", 51}, {"icmpv6", 58}, {"ospf", 89}};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcasecmp(text, names[i].name)) {
			*ret = names[i].number;
			return 0;
		}
	return number(text, 255, ret);
}

int ipsec_stack_name(const char *text, char ret[9], struct errbuf *e)
{
	size_t n = strlen(text);
	for (size_t i = 0; i < n && n <= 8; i++) {
		char c = text[i];
		if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		if (!(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '@' && c != '#' && c != '$')
			n = 0;
		ret[i] = c;
	}
	if (!n || n > 8)
		return err_set(e, EINVAL, "-p: found '%.40s'; allowed: a stack name of 1-8 letters, digits and @ # $", text);
	ret[n] = 0;
	return 0;
}
