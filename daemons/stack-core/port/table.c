#include "daemons/stack-core/port/table.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#define OPTIONS                                                                                                                \
	{"NOAUTOLOG", CONF_FLAG, CONF_OPTIONAL, "NOAUTOLog|AUTOLog", NULL, 0, 0, "AUTOLOG does not watch this port."},         \
		{"DELAYACKS", CONF_FLAG, CONF_OPTIONAL, "DELAYAcks|NODELAYAcks", NULL, 0, 0, "Shown only: the host's TCP decides."}

const struct conf_operand port_operands[] = {
	{"PORT", CONF_UINT, 0, NULL, NULL, 1, 65535, "Port number."},
	{"PROTOCOL", CONF_WORD, 0, "TCP|UDP", NULL, 0, 0, "TCP or UDP."},
	{"JOBNAME", CONF_NAME, 0, NULL, NULL, 0, PORT_JOB, "Job name, a partial one ABC*, * for any, RESERVED for nobody, OMVS for any program."},
	OPTIONS,
	{"SHAREPORT", CONF_FLAG, CONF_OPTIONAL, "SHAREPort|SHAREPORTWLM", NULL, 0, 0, "Several jobs share the port (SO_REUSEPORT)."},
	{"BIND", CONF_ADDR, CONF_KEYWORD | CONF_OPTIONAL, NULL, NULL, 0, 0, "A bind to the unspecified address becomes one to this address."},
	{"SAF", CONF_NAME, CONF_KEYWORD | CONF_OPTIONAL, NULL, NULL, 0, PORT_SAF_NAME_MAX,
		"READ to EZB.PORTACCESS.sysname.stack.NAME is needed too."},
	{0},
};

const struct conf_operand port_unrsv_operands[] = {
	{"PROTOCOL", CONF_WORD, 0, "TCP|UDP", NULL, 0, 0, "TCP or UDP."},
	{"JOBNAME", CONF_NAME, 0, NULL, NULL, 0, PORT_JOB, "Job name, a partial one ABC*, or * for any."},
	{"DENY", CONF_FLAG, CONF_OPTIONAL, NULL, NULL, 0, 0, "Refused; with * only."},
	{"SAF", CONF_NAME, CONF_KEYWORD | CONF_OPTIONAL, NULL, NULL, 0, PORT_SAF_NAME_MAX,
		"READ to EZB.PORTACCESS.sysname.stack.NAME is needed."},
	{"WHEN", CONF_FLAG, CONF_OPTIONAL, "WHENListen|WHENBind", NULL, 0, 0, "TCP: asked at listen (the default) or at bind. UDP: at bind."},
	{0},
};

const struct conf_operand portrange_operands[] = {
	{"FIRST", CONF_UINT, 0, NULL, NULL, 1, 65535, "First port."},
	{"COUNT", CONF_UINT, 0, NULL, NULL, 1, 65535, "Number of ports; those past 65535 are ignored."},
	{"PROTOCOL", CONF_WORD, 0, "TCP|UDP", NULL, 0, 0, "TCP or UDP."},
	{"JOBNAME", CONF_NAME, 0, NULL, NULL, 0, PORT_JOB, "As for PORT, or AUTHPORT for the FTP server's passive data ports."},
	OPTIONS,
	{"SAF", CONF_NAME, CONF_KEYWORD | CONF_OPTIONAL, NULL, NULL, 0, PORT_SAF_NAME_MAX,
		"READ to EZB.PORTACCESS.sysname.stack.NAME is needed too."},
	{0},
};

const struct conf_operand portjob_operands[] = {
	{"JOBNAME", CONF_NAME, 0, NULL, NULL, 0, PORT_JOB, "Job name of the processes that run EXECUTABLE."},
	{"EXECUTABLE", CONF_STRING, CONF_KEYWORD, NULL, NULL, 0, PORT_EXE_MAX - 1, "Path of the program, /usr/sbin/vsftpd."},
	{0},
};

static bool job_parse(const char *text, struct port_stmt *s)
{
	size_t n = strlen(text);

	s->partial = n && text[n - 1] == '*';
	n -= s->partial;
	if (n > PORT_JOB || (n == PORT_JOB && s->partial))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)text[i]) && !strchr("@#$", text[i]))
			return false;
		s->job[i] = (char)toupper((unsigned char)text[i]);
	}
	s->job[n] = 0;
	if (!strcmp(s->job, "OMVS") && !s->partial) { /* any socket program: all are, here */
		s->job[0] = 0;
		s->partial = true;
	}
	return true;
}

static bool saf_name_ok(const char *s)
{
	if (!isalpha((unsigned char)*s) && !strchr("@#$", *s))
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("@#$-", *s))
			return false;
	return true;
}

uint16_t port_table_resource(const struct port_table *t, const char *saf)
{
	for (size_t i = 0; *saf && i < t->n_resources; i++)
		if (!strcmp(t->resources[i], saf))
			return (uint16_t)(i + 1);
	return 0;
}

static int take_saf(struct port_table *t, struct conf_node *n, struct port_stmt *s)
{
	const char *saf = conf_str(n, "SAF");

	if (!saf)
		return 0;
	if (!saf_name_ok(saf))
		return conf_node_error(n, "found SAF %s, expected a letter or @ # $, then letters, digits, @ # $ or hyphens", saf);
	for (size_t i = 0; saf[i]; i++)
		s->saf[i] = (char)toupper((unsigned char)saf[i]);
	if (port_table_resource(t, s->saf))
		return 0;
	t->resources = xrealloc(t->resources, t->n_resources + 1, sizeof(*t->resources));
	memcpy(t->resources[t->n_resources++], s->saf, sizeof(s->saf));
	return 0;
}

static int take_job(struct conf_node *n, struct port_stmt *s)
{
	const char *job = conf_str(n, "JOBNAME");

	if (!s->unrsv && !strcasecmp(job, "RESERVED"))
		s->use = PORT_USE_RESERVED;
	else if (s->range && !strcasecmp(job, "AUTHPORT"))
		s->use = PORT_USE_AUTHPORT;
	if (s->use == PORT_USE_AUTHPORT)
		job = "FTPD*"; /* the FTP server's passive data ports */
	if (!job_parse(job, s))
		return conf_node_error(n, "found job name %s, expected 1 to 8 letters, digits, @ # $, or fewer and a final *", job);
	return 0;
}

static bool flag_is(struct conf_node *n, const char *name, uint64_t index)
{
	const struct conf_value *v = conf_get(n, name);

	return v && v->given && v->u == index;
}

static void add(struct port_table *t, const struct port_stmt *s)
{
	t->stmts = xrealloc(t->stmts, t->n + 1, sizeof(*t->stmts));
	t->stmts[t->n++] = *s;
}

/* The entry of the statement's ports: that of another PORT for the same number when both share it, or a new one. */
static int take_ports(struct port_table *t, struct conf_node *n, struct port_stmt *s)
{
	uint16_t *slot = t->slot[s->protocol];
	unsigned taken = 0;

	if (t->n_entries == PORT_ENTRIES_MAX)
		return conf_node_error(n, "at most %d PORT and PORTRANGE entries", PORT_ENTRIES_MAX - PORT_ENTRY_FIRST);
	s->entry = t->n_entries;
	for (size_t i = 0; !s->range && i < t->n; i++)
		if (!t->stmts[i].unrsv && !t->stmts[i].range && t->stmts[i].protocol == s->protocol && t->stmts[i].first == s->first)
			s->entry = t->stmts[i].entry; /* several jobs may use one port */
	for (uint32_t p = s->first; p < s->first + s->count && p <= 65535; p++) {
		if (slot[p] && slot[p] != s->entry)
			taken++;
		else
			slot[p] = s->entry;
	}
	if (taken)
		log_warning("ports have an earlier PORT or PORTRANGE statement, which stays", "line", log_u64(n->line), "ports", log_u64(taken));
	if (s->entry == t->n_entries)
		t->n_entries++;
	return 0;
}

static int build_port(struct port_table *t, struct conf_node *n, bool range)
{
	struct port_stmt s = {.range = range, .count = 1, .autolog = true, .delayacks = true};
	const struct conf_value *bind = range ? NULL : conf_get(n, "BIND");

	s.protocol = conf_uint(n, "PROTOCOL") ? PORT_UDP : PORT_TCP;
	s.first = (uint16_t)conf_uint(n, range ? "FIRST" : "PORT");
	if (range)
		s.count = (uint32_t)conf_uint(n, "COUNT");
	s.autolog = !flag_is(n, "NOAUTOLOG", 0);
	s.delayacks = !flag_is(n, "DELAYACKS", 1);
	if (!range) {
		s.shareport = flag_is(n, "SHAREPORT", 0);
		s.shareport_wlm = flag_is(n, "SHAREPORT", 1);
	}
	if (bind)
		s.bind = bind->prefix.addr;
	if (take_job(n, &s) || take_saf(t, n, &s) || take_ports(t, n, &s))
		return -EINVAL;
	add(t, &s);
	return 0;
}

/* All UNRSV TCP entries have one WHEN; what clashes is ignored, the rest of the statement processed. */
static int build_unrsv(struct port_table *t, struct conf_node *n, bool *seen)
{
	struct port_stmt s = {.unrsv = true, .count = 1};
	const struct conf_value *when = conf_get(n, "WHEN");
	bool bind = when && when->given && when->u == 1;

	s.protocol = conf_uint(n, "PROTOCOL") ? PORT_UDP : PORT_TCP;
	s.deny = flag_is(n, "DENY", 1);
	if (take_job(n, &s) || take_saf(t, n, &s))
		return -EINVAL;
	if (s.deny && (!s.partial || s.job[0]))
		return conf_node_error(n, "found DENY for job %s, expected it with * only", conf_str(n, "JOBNAME"));
	if (s.deny && s.saf[0])
		return conf_node_error(n, "found DENY and SAF, expected one of them");
	if (s.protocol == PORT_UDP && when && when->given && !bind)
		return conf_node_error(n, "found WHENLISTEN, expected WHENBIND: UDP has no listen");
	if (s.protocol == PORT_TCP) {
		if (*seen && bind != t->when_bind) {
			log_warning("EZZ0147I PORT STATEMENT KEYWORD CONFLICTS WITH CURRENT ACCESS CONTROL: the entry is ignored", "line",
				log_u64(n->line), "keyword", bind ? "WHENBIND" : "WHENLISTEN", "current",
				t->when_bind ? "WHENBIND" : "WHENLISTEN");
			return 0;
		}
		*seen = true;
		t->when_bind = bind;
	}
	t->unrsv[s.protocol] = true;
	s.entry = s.protocol == PORT_TCP ? PORT_ENTRY_UNRSV_TCP : PORT_ENTRY_UNRSV_UDP;
	add(t, &s);
	return 0;
}

static int build_exe(struct port_table *t, struct conf_node *n)
{
	struct port_exe x = {""};
	struct port_stmt s = {0};
	const char *path = conf_str(n, "EXECUTABLE");

	if (!job_parse(conf_str(n, "JOBNAME"), &s) || s.partial || !s.job[0])
		return conf_node_error(n, "found job name %s, expected 1 to 8 letters, digits, @ # $", conf_str(n, "JOBNAME"));
	if (path[0] != '/')
		return conf_node_error(n, "found executable %s, expected a path that begins with /", path);
	if (t->n_exes == PORT_JOBS_MAX)
		return conf_node_error(n, "at most %d PORTJOB statements", PORT_JOBS_MAX);
	memcpy(x.job, s.job, sizeof(x.job));
	(void)snprintf(x.path, sizeof(x.path), "%s", path);
	t->exes = xrealloc(t->exes, t->n_exes + 1, sizeof(*t->exes));
	t->exes[t->n_exes++] = x;
	return 0;
}

int port_table_build(struct conf *c, const bool low[PORT_PROTOCOLS], struct port_table **ret)
{
	struct port_table *t = xnew(struct port_table);
	bool seen = false;
	int r = 0, one;

	*ret = NULL;
	t->n_entries = PORT_ENTRY_FIRST;
	t->low[PORT_TCP] = low[PORT_TCP];
	t->low[PORT_UDP] = low[PORT_UDP];
	for (struct conf_node *n = conf_root(c); n; n = n->next) {
		const char *name = n->stmt->name;
		if (!strcmp(name, "PORT"))
			one = build_port(t, n, false);
		else if (!strcmp(name, "PORTRange"))
			one = build_port(t, n, true);
		else if (!strcmp(name, "PORT UNRSV"))
			one = build_unrsv(t, n, &seen);
		else if (!strcmp(name, "PORTJOB"))
			one = build_exe(t, n);
		else
			continue;
		r = one < 0 ? -EINVAL : r;
	}
	if (t->n > PORT_RULES_MAX)
		r = conf_file_error(c, "at most %d PORT entries", PORT_RULES_MAX);
	if (r < 0 || (!t->n && !t->low[PORT_TCP] && !t->low[PORT_UDP])) {
		port_table_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void port_table_free(struct port_table *t)
{
	if (!t)
		return;
	free(t->stmts);
	free(t->exes);
	free(t->resources);
	free(t);
}

static bool matches(const struct port_stmt *s, const char *job)
{
	return s->partial ? !strncmp(s->job, job, strlen(s->job)) : *job && !strcmp(s->job, job);
}

/* Exact, then the longest partial name, then "*"; of equals the first. */
static const struct port_stmt *best(const struct port_table *t, uint16_t entry, uint8_t protocol, const char *job)
{
	const struct port_stmt *found = NULL;

	for (size_t i = 0; i < t->n; i++) {
		const struct port_stmt *s = &t->stmts[i];
		if (s->entry != entry || s->protocol != protocol || s->use == PORT_USE_RESERVED || !matches(s, job))
			continue;
		if (!found || (found->partial && (!s->partial || strlen(s->job) > strlen(found->job))))
			found = s;
	}
	return found;
}

const struct port_stmt *port_table_decide(const struct port_table *t, unsigned protocol, uint16_t port, const char *job,
	uid_t uid, bool listening, enum port_why *ret_why)
{
	uint16_t entry = t->slot[protocol][port];

	*ret_why = PORT_ALLOWED;
	if (!entry && port < 1024 && t->low[protocol]) {
		*ret_why = uid ? PORT_LOW : PORT_ALLOWED;
		return NULL;
	}
	if (entry ? listening : !t->unrsv[protocol] || (protocol == PORT_TCP && !t->when_bind && !listening))
		return NULL;
	const struct port_stmt *s = best(t, entry ? entry : protocol == PORT_TCP ? PORT_ENTRY_UNRSV_TCP : PORT_ENTRY_UNRSV_UDP,
		(uint8_t)protocol, job);
	if (!s)
		*ret_why = entry ? PORT_RESERVED : PORT_NO_JOB;
	else if (s->deny)
		*ret_why = PORT_DENY;
	return s;
}

const char *port_why_text(enum port_why why)
{
	static const char *const text[PORT_WHYS] = {"allowed", "the port is reserved and the job is not its user",
		"no PORT UNRSV entry names the job", "PORT UNRSV says DENY", "the user is not permitted to the SAF resource",
		"RESTRICTLOWPORTS: ports below 1024 are for uid 0"};

	return why < PORT_WHYS ? text[why] : "unknown";
}
