/* bouncer.conf. */
#include "daemons/ravelin-bouncer/bouncer.h"
#include "lib/base/path.h"
#include "lib/base/xalloc.h"
#include <ctype.h>
#include <strings.h>

static const struct conf_operand url_ops[] = {
	{"url", CONF_STRING, 0, NULL, "http://127.0.0.1:8080", 0, URL_MAX - 1, "of CrowdSec's local API, http:// or https://"}, {.type = CONF_END}};
static const struct conf_operand key_ops[] = {
	{"path", CONF_STRING, 0, NULL, NULL, 0, 255, "file with the API key: 'cscli bouncers add NAME -o raw'; default ROOT/etc/ravelin/bouncer.key"},
	{.type = CONF_END}};
static const struct conf_operand ca_ops[] = {
	{"path", CONF_STRING, 0, NULL, NULL, 0, 255, "certificates that an https:// API is checked by; default: the system's"}, {.type = CONF_END}};
static const struct conf_operand stack_ops[] = {
	{"name", CONF_NAME, 0, NULL, NULL, 0, STACK_MAX, "stack that gets the filters; default: the first of dmd.conf"}, {.type = CONF_END}};
static const struct conf_operand tag_ops[] = {
	{"word", CONF_NAME, 0, NULL, "cs", 0, TAG_MAX, "what the filters' names begin with; cannot change while the daemon runs"}, {.type = CONF_END}};
static const struct conf_operand interval_ops[] = {
	{"seconds", CONF_UINT, 0, NULL, "10", 1, 3600, "between questions for changes"}, {.type = CONF_END}};
static const struct conf_operand timeout_ops[] = {
	{"seconds", CONF_UINT, 0, NULL, "60", 1, 600, "for an answer to be complete"}, {.type = CONF_END}};
static const struct conf_operand resync_ops[] = {
	{"minutes", CONF_UINT, 0, NULL, "60", 1, 1440, "between comparisons of everything"}, {.type = CONF_END}};
static const struct conf_operand answer_ops[] = {
	{"MiB", CONF_UINT, 0, NULL, "64", 1, 1024, "longest answer"}, {.type = CONF_END}};
static const struct conf_operand max_ops[] = {
	{"n", CONF_UINT, 0, NULL, "100000", 1, TABLE_MAX, "most filters; further decisions are counted"}, {.type = CONF_END}};
static const struct conf_operand mode_ops[] = {
	{"mode", CONF_WORD, 0, "Block|Simulate", "Block", 0, 0, "of the filters; Simulate: they only log"}, {.type = CONF_END}};
static const struct conf_operand direction_ops[] = {
	{"word", CONF_WORD, 0, "Inbound|Bidirectional", "Bidirectional", 0, 0, "Bidirectional: what is sent to the source is stopped too"},
	{.type = CONF_END}};
static const struct conf_operand log_ops[] = {
	{"word", CONF_WORD, 0, "Yes|No", "No", 0, 0, "whether matches are logged"}, {.type = CONF_END}};
static const struct conf_operand loglimit_ops[] = {
	{"n", CONF_UINT, 0, NULL, NULL, 0, FILTER_LOGLIMIT_MAX, "messages in 5 minutes of one filter; default: the stack's"}, {.type = CONF_END}};
static const struct conf_operand widest4_ops[] = {
	{"length", CONF_UINT, 0, NULL, "8", 0, 32, "IPv4 ranges with a shorter prefix are not blocked"}, {.type = CONF_END}};
static const struct conf_operand widest6_ops[] = {
	{"length", CONF_UINT, 0, NULL, "16", 0, 128, "IPv6 ranges with a shorter prefix are not blocked"}, {.type = CONF_END}};
static const struct conf_operand exclude_ops[] = {
	{"address", CONF_PREFIX, 0, NULL, NULL, 0, 0, "never blocked, nor any range that contains some of it"}, {.type = CONF_END}};

static const struct conf_stmt children[] = {
	{"Url", url_ops, NULL, NULL, CONF_ONCE, "whom to ask"},
	{"KeyFile", key_ops, NULL, NULL, CONF_ONCE, "by which key"},
	{"CaFile", ca_ops, NULL, NULL, CONF_ONCE, "for https"},
	{"Stack", stack_ops, NULL, NULL, CONF_ONCE, "where to block; cannot change while the daemon runs"},
	{"FilterName", tag_ops, NULL, NULL, CONF_ONCE, "letters, digits and @ $ _ . -"},
	{"Interval", interval_ops, NULL, NULL, CONF_ONCE, "how often"},
	{"Timeout", timeout_ops, NULL, NULL, CONF_ONCE, "how long"},
	{"Resync", resync_ops, NULL, NULL, CONF_ONCE, "how often all"},
	{"MaxAnswer", answer_ops, NULL, NULL, CONF_ONCE, "a bound"},
	{"MaxFilters", max_ops, NULL, NULL, CONF_ONCE, "a bound"},
	{"Mode", mode_ops, NULL, NULL, CONF_ONCE, "what a filter does"},
	{"Direction", direction_ops, NULL, NULL, CONF_ONCE, "of a filter"},
	{"Log", log_ops, NULL, NULL, CONF_ONCE, "of a filter"},
	{"LogLimit", loglimit_ops, NULL, NULL, CONF_ONCE, "of a filter"},
	{"WidestRange", widest4_ops, NULL, NULL, CONF_ONCE, "a bound"},
	{"WidestRange6", widest6_ops, NULL, NULL, CONF_ONCE, "a bound"},
	{"Exclude", exclude_ops, NULL, NULL, CONF_ANYNUMBER, "addresses that must stay reachable whatever a list says, up to 256"},
	{NULL}};
static const struct conf_stmt stmts[] = {
	{"BouncerConfig", NULL, children, NULL, CONF_BLOCK | CONF_ONCE, "the daemon"}, {NULL}};
const struct conf_spec bouncer_conf_spec = {"bouncer.conf", CONF_POLICY, stmts};

static struct conf_node *child(struct conf_node *n, const char *stmt)
{
	return n ? conf_find(n->children, stmt) : NULL;
}

static uint64_t number(struct conf_node *n, const char *stmt, const char *operand, uint64_t otherwise)
{
	struct conf_node *p = child(n, stmt);
	return p ? conf_uint(p, operand) : otherwise;
}

static int build_path(struct conf_node *n, const char *stmt, char *out, size_t size)
{
	struct conf_node *p = child(n, stmt);
	if (!p)
		return 0;
	if (conf_str(p, "path")[0] != '/')
		return conf_node_error(p, "found '%.100s', expected an absolute path", conf_str(p, "path"));
	(void)snprintf(out, size, "%s%s", path_root(), conf_str(p, "path"));
	return 0;
}

static int build_texts(struct conf_node *n, struct bouncer_conf *c)
{
	char path[PATH_TEXT_MAX];
	struct conf_node *p = child(n, "Url");
	(void)snprintf(c->url, sizeof(c->url), "%s", p ? conf_str(p, "url") : "http://127.0.0.1:8080");
	if (strncasecmp(c->url, "http://", 7) && strncasecmp(c->url, "https://", 8))
		return conf_node_error(p, "found '%.100s', expected http://HOST:PORT or https://HOST:PORT", c->url);
	while (c->url[0] && c->url[strlen(c->url) - 1] == '/')
		c->url[strlen(c->url) - 1] = 0;
	(void)snprintf(c->key_file, sizeof(c->key_file), "%s", path_make(path, "/etc/ravelin/bouncer.key"));
	p = child(n, "FilterName");
	(void)snprintf(c->tag, sizeof(c->tag), "%s", p ? conf_str(p, "word") : "cs");
	if (!filter_tag_ok(c->tag))
		return conf_node_error(p, "found '%s', expected letters, digits and @ $ _ . - (not first)", c->tag);
	p = child(n, "Stack");
	for (size_t i = 0; p && conf_str(p, "name")[i] && i < STACK_MAX; i++)
		c->stack[i] = (char)toupper((unsigned char)conf_str(p, "name")[i]);
	return build_path(n, "KeyFile", c->key_file, sizeof(c->key_file)) || build_path(n, "CaFile", c->ca_file, sizeof(c->ca_file)) ? -EINVAL : 0;
}

static int build_excludes(struct conf_node *n, struct bouncer_conf *c)
{
	for (struct conf_node *p = child(n, "Exclude"); p; p = conf_next(p, "Exclude")) {
		const struct conf_value *v = conf_get(p, "address");
		if (c->nexcludes == EXCLUDES_MAX)
			return conf_node_error(p, "found an Exclude too many, expected at most %d", EXCLUDES_MAX);
		if (!v || !v->prefix.addr.family)
			return conf_node_error(p, "found no address, expected address or address/prefixLength");
		c->excludes[c->nexcludes++] = v->prefix;
	}
	return 0;
}

int bouncer_conf_build(struct conf *conf, const char *instance, void **ret)
{
	struct bouncer_conf *c = xnew(struct bouncer_conf);
	struct conf_node *n = conf_root(conf), *p;
	(void)instance;
	c->interval_s = (uint32_t)number(n, "Interval", "seconds", 10);
	c->timeout_s = (uint32_t)number(n, "Timeout", "seconds", 60);
	c->resync_min = (uint32_t)number(n, "Resync", "minutes", 60);
	c->max_answer = (uint32_t)number(n, "MaxAnswer", "MiB", 64) << 20;
	c->max_filters = (uint32_t)number(n, "MaxFilters", "n", TABLE_MAX);
	c->simulate = number(n, "Mode", "mode", 0) == 1;
	c->inbound = number(n, "Direction", "word", 1) == 0;
	c->log = number(n, "Log", "word", 1) == 0;
	c->widest4 = (uint8_t)number(n, "WidestRange", "length", 8);
	c->widest6 = (uint8_t)number(n, "WidestRange6", "length", 16);
	p = child(n, "LogLimit");
	c->loglimit = p ? (int)conf_uint(p, "n") : -1;
	if (build_texts(n, c) || build_excludes(n, c)) {
		free(c);
		return -EINVAL;
	}
	*ret = c;
	return 0;
}
