/* Who may register (zos.md section 9): callers of this host, with a uid the kernel knows; READ to EZB.RPCBIND.sysname.rpcbindname.REGISTRY
 * where that is defined; and a port below 1024 only who has root's uid or owns the socket bound to it. */
#include "daemons/rpcbindD/rpcbind.h"
#include "lib/base/xalloc.h"

enum { UNPRIVILEGED = 1024 };

void rb_find_uid(struct rb_caller *c)
{
	if (c->uid_asked)
		return;
	c->uid_asked = true;
	if (c->local)
		c->uid = diag_owner(c->netid, &c->addr, c->port, &c->here, c->here_port);
	/* A datagram outlives its socket: another may have the port by now, and for root that must not be by chance. Nobody else had a reserved one. */
	if (netid_is_udp(c->netid) && c->uid == 0 && c->port >= UNPRIVILEGED)
		c->uid = -1;
}

struct refusal {
	struct rpcbind *rb;
	struct rb_caller *c;
	const struct saf_subject *who;
	uint32_t prog, vers;
	enum netid netid;
	const char *resource, *why;
};

static void record(const struct refusal *f, const struct saf_decision *d, const char *reason)
{
	char from[ADDR_TEXT_MAX];
	struct json *j = audit_begin(f->rb->daemon->audit, AUDIT_RACF, 2, d->qualifier ? d->qualifier : 1);
	json_kv_str(j, "user", f->who->user);
	if (f->c->uid >= 0)
		json_kv_u64(j, "uid", (uint64_t)f->c->uid);
	json_kv_str(j, "class", "SERVAUTH");
	json_kv_str(j, "resource", f->resource);
	json_kv_str(j, "profile", d->profile);
	json_kv_str(j, "intent", "READ");
	json_kv_str(j, "what", "rpcbind registry");
	json_kv_u64(j, "program", f->prog);
	json_kv_u64(j, "version", f->vers);
	json_kv_str(j, "netid", netid_text(f->netid));
	json_kv_str(j, "from", addr_text(&f->c->addr, from));
	json_kv_str(j, "reason", reason ? reason : f->why);
	(void)audit_commit(f->rb->daemon->audit);
}

static void publish(const struct refusal *f)
{
	char from[ADDR_TEXT_MAX];
	Rpcbind__Refused m = RPCBIND__REFUSED__INIT;
	(void)addr_text(&f->c->addr, from);
	m.has_program = m.has_version = true;
	m.program = f->prog;
	m.version = f->vers;
	m.netid = (char *)(uintptr_t)netid_text(f->netid);
	m.from = from;
	m.user = (char *)(uintptr_t)f->who->user;
	m.has_uid = f->c->uid >= 0;
	m.uid = (uint32_t)f->c->uid;
	m.reason = (char *)(uintptr_t)f->why;
	bus_publish(f->rb->daemon->bus, "rpcbind.refused", &m.base);
}

static bool refuse(const struct refusal *f, const struct saf_decision *d)
{
	char text[SAF_REASON_MAX], from[ADDR_TEXT_MAX];
	uint32_t held = 0;
	const char *reason = d->rc == SAF_REFUSED ? saf_reason(f->rb->daemon->saf, f->who, "SERVAUTH", f->resource, d, text) : NULL;
	f->rb->counters.refused++;
	if (!log_limit_ok(&f->rb->log_refused, loop_now_ms(), 50, 1000, &held))
		return false; /* strangers may try as often as they like; the trail stays readable */
	record(f, d, reason);
	publish(f);
	log_notice(reason ? reason : f->why, "program", log_u64(f->prog), "version", log_u64(f->vers), "netid", netid_text(f->netid), "from",
		addr_text(&f->c->addr, from), "uid", log_i64(f->c->uid), "not_shown", log_u64(held));
	return false;
}

/* Why the place and the port alone forbid it; NULL: they do not. */
static const char *forbidden(struct rb_caller *c, uint32_t prog, enum netid n, uint16_t port)
{
	if (!c->local)
		return "only callers of this host may register";
	if (prog == RPCBIND_PROG)
		return "the registry registers itself";
	rb_find_uid(c);
	if (c->uid < 0)
		return "the caller's uid is not known";
	if (port && port < UNPRIVILEGED && c->uid != 0 && n != NETID_LOCAL && diag_server(n, port, c->uid) != c->uid)
		return "the port is privileged, and not the caller's";
	return NULL;
}

bool rb_may_change(struct rpcbind *rb, struct rb_caller *c, uint32_t prog, uint32_t vers, enum netid n, uint16_t port)
{
	char resource[64];
	struct saf_subject who = {.uid = (uid_t)-1};
	struct saf_decision d = {.rc = SAF_NO_DECISION, .intent = SAF_READ};
	struct refusal f = {rb, c, &who, prog, vers, n, resource, forbidden(c, prog, n, port)};
	(void)snprintf(resource, sizeof(resource), "EZB.RPCBIND.%s.%s.REGISTRY", rb->daemon->sysname, rb->conf->name);
	if (c->local && c->uid >= 0)
		(void)saf_user_by_uid(rb->daemon->saf, (uid_t)c->uid, &who, NULL);
	if (f.why)
		return refuse(&f, &d);
	if (saf_check(rb->daemon->saf, &who, "SERVAUTH", resource, SAF_READ, &d) == SAF_REFUSED) {
		f.why = "SAF refuses the registry";
		return refuse(&f, &d);
	}
	return true;
}
