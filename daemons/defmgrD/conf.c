/* dmd.conf, as zos.md section 4 has it. */
#include "daemons/defmgrD/defmgr.h"
#include "lib/base/path.h"
#include "lib/base/xalloc.h"
#include <ctype.h>
#include <strings.h>

static const struct conf_operand log_level_ops[] = {
	{"mask", CONF_UINT, 0, NULL, "7", 0, 255, "1 errors, 2 changes of state, 4 each filter added, updated, deleted or expired"},
	{.type = CONF_END}};
static const struct conf_operand directory_ops[] = {
	{"path", CONF_STRING, 0, NULL, NULL, 0, 255, "directory that keeps the filters; cannot change while the daemon runs"},
	{.type = CONF_END}};
static const struct conf_operand mode_ops[] = {
	{"mode", CONF_WORD, 0, "Active|Simulate|Inactive", "Active", 0, 0,
		"Active: filters act as each says; Simulate: all only log; Inactive: the stack has none"},
	{.type = CONF_END}};
static const struct conf_operand lifetime_ops[] = {
	{"minutes", CONF_UINT, 0, NULL, "1440", 1, FILTER_LIFETIME_MAX, "longer lifetimes are cut to this"}, {.type = CONF_END}};
static const struct conf_operand loglimit_ops[] = {
	{"n", CONF_UINT, 0, NULL, "0", 0, FILTER_LOGLIMIT_MAX, "messages in 5 minutes for a filter that says no other; 0: no limit"},
	{.type = CONF_END}};
static const struct conf_operand exclude_ops[] = {
	{"address", CONF_PREFIX, 0, NULL, NULL, 0, 0, "packets from or to it are not touched by defensive filters"},
	{.type = CONF_END}};
static const struct conf_operand stack_ops[] = {
	{"name", CONF_NAME, 0, NULL, NULL, 0, DM_STACK_NAME_MAX, "stack name, as in stack-core@NAME"}, {.type = CONF_END}};

static const struct conf_stmt dm_children[] = {
	{"SyslogLevel", log_level_ops, NULL, NULL, CONF_ONCE, "what is logged"},
	{"DefensiveFilterDirectory", directory_ops, NULL, NULL, CONF_ONCE,
		"where filters are kept; default ROOT/var/lib/ravelin/defmgrD"},
	{NULL}};
static const struct conf_stmt stack_children[] = {
	{"Mode", mode_ops, NULL, NULL, CONF_ONCE, "what defensive filters do in this stack"},
	{"MaxLifetime", lifetime_ops, NULL, NULL, CONF_ONCE, "longest life of a filter, in minutes"},
	{"DefaultLogLimit", loglimit_ops, NULL, NULL, CONF_ONCE, "log limit of filters that give none"},
	{"Exclude", exclude_ops, NULL, NULL, CONF_ANYNUMBER, "address or prefix out of reach of defensive filters, up to 10"},
	{NULL}};
static const struct conf_stmt stmts[] = {
	{"DmConfig", NULL, dm_children, NULL, CONF_BLOCK | CONF_ONCE, "the daemon itself"},
	{"DmStackConfig", stack_ops, stack_children, NULL, CONF_BLOCK | CONF_ANYNUMBER,
		"a stack that takes defensive filters; the first one is the default stack"},
	{"DmDefenceRule", dm_rule_ops, dm_rule_children, NULL, CONF_BLOCK | CONF_ANYNUMBER,
		"detections of the stacks that become filters by themselves, up to 32 rules"},
	{NULL}};
const struct conf_spec dm_conf_spec = {"dmd.conf", CONF_POLICY, stmts};

const char *dm_mode_text(enum dm_mode m)
{
	static const char *const text[] = {"Active", "Simulate", "Inactive"};
	return text[m];
}

static int build_dm(struct conf_node *n, struct dm_conf *ret)
{
	struct conf_node *p = conf_find(n->children, "SyslogLevel");
	if (p)
		ret->log_level = (unsigned)conf_uint(p, "mask");
	p = conf_find(n->children, "DefensiveFilterDirectory");
	if (!p)
		return 0;
	const char *path = conf_str(p, "path");
	if (path[0] != '/')
		return conf_node_error(p, "found '%.100s', expected an absolute path", path);
	(void)snprintf(ret->directory, sizeof(ret->directory), "%s%s", path_root(), path);
	return 0;
}

static int build_excludes(struct conf_node *n, struct dm_stack_conf *ret)
{
	int rc = 0;
	for (struct conf_node *p = conf_find(n->children, "Exclude"); p; p = conf_next(p, "Exclude")) {
		if (ret->nexcludes == DM_EXCLUDES_MAX)
			return conf_node_error(p, "found an Exclude too many, expected at most %d for a stack", DM_EXCLUDES_MAX);
		const struct conf_value *v = conf_get(p, "address");
		if (!v || !v->prefix.addr.family)
			rc = conf_node_error(p, "found no address, expected address or address/prefixLength");
		else
			ret->excludes[ret->nexcludes++] = v->prefix;
	}
	return rc;
}

static int build_stack(struct conf_node *n, struct dm_conf *c)
{
	const char *name = conf_str(n, "name");
	struct dm_stack_conf *s = &c->stacks[c->nstacks];
	if (c->nstacks == DM_STACKS_MAX)
		return conf_node_error(n, "found a DmStackConfig too many, expected at most %d", DM_STACKS_MAX);
	*s = (struct dm_stack_conf){.limits = {1440, 0}};
	for (size_t i = 0; name[i] && i < DM_STACK_NAME_MAX; i++) {
		if (!isalnum((unsigned char)name[i]) && !strchr("@#$", name[i]))
			return conf_node_error(n, "found '%s', expected a stack name of letters, digits and @ # $", name);
		s->name[i] = (char)toupper((unsigned char)name[i]);
	}
	for (unsigned i = 0; i < c->nstacks; i++)
		if (!strcmp(c->stacks[i].name, s->name))
			return conf_node_error(n, "found '%s' again, expected one DmStackConfig for a stack", name);
	struct conf_node *p = conf_find(n->children, "Mode");
	if (p)
		s->mode = (enum dm_mode)conf_uint(p, "mode");
	p = conf_find(n->children, "MaxLifetime");
	if (p)
		s->limits.max_lifetime = (uint32_t)conf_uint(p, "minutes");
	p = conf_find(n->children, "DefaultLogLimit");
	if (p)
		s->limits.default_loglimit = (uint16_t)conf_uint(p, "n");
	c->nstacks++;
	return build_excludes(n, s);
}

int dm_conf_build(struct conf *conf, const char *instance, void **ret_built)
{
	(void)instance;
	struct dm_conf *c = xnew(struct dm_conf);
	char path[PATH_TEXT_MAX];
	int rc = 0;
	c->log_level = 7;
	(void)snprintf(c->directory, sizeof(c->directory), "%s", path_make(path, "/var/lib/ravelin/defmgrD"));
	for (struct conf_node *n = conf_root(conf); n; n = n->next)
		if (!strcmp(n->stmt->name, "DmConfig")	      ? build_dm(n, c) :
			!strcmp(n->stmt->name, "DmStackConfig") ? build_stack(n, c) :
								  dm_rule_build(n, c))
			rc = -EINVAL;
	if (rc) {
		free(c);
		return rc;
	}
	*ret_built = c;
	return 0;
}

void dm_conf_free(void *built)
{
	free(built);
}
