/* core: from a checked configuration to a running stack, at start and at reload. */
#include "daemons/stack-core/core.h"
#include "lib/base/path.h"
#include "lib/log/log.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Tunnels that the next configuration leaves alone. */
static uint32_t staying(void *arg, const char *vpn)
{
	struct core *k = arg;
	const struct tunnel *t = sadb_find(k->stack->sadb, vpn);

	return t && t->stays ? t->index : UINT32_MAX;
}

static uint32_t tunnel_index(void *arg, const char *vpn)
{
	struct core *k = arg;
	const struct tunnel *t = sadb_find(k->stack->sadb, vpn);

	return t ? t->index : UINT32_MAX;
}

void core_resolve(struct core *k)
{
	unsigned without = filter_resolve(k->stack->filters, tunnel_index, k);

	if (without)
		log_warning("filter rules name tunnels that do not exist: their packets are dropped", "rules", log_u64(without));
}

/* The policy's filters that are in force at this time. */
static int install_policy(struct core *k, const struct stack_conf *c, struct errbuf *e)
{
	struct filter_install i = {.loaded = c->policy.loaded, .find = tunnel_index, .find_arg = k, .logging = c->policy.logging,
		.predecap = c->policy.predecap, .discard_icmp = c->policy.discard_icmp};
	struct filter_spec *awake = policy_awake(&c->policy, &i.n);

	i.rules = awake;
	int r = filter_install(k->stack->filters, FILTER_POLICY, &i, e);
	free(awake);
	return r;
}

static int install(struct core *k, const struct stack_conf *c, struct errbuf *e)
{
	struct filter_install profile = {.rules = c->profile.rules, .n = c->profile.n, .loaded = true, .logging = c->profile.logging,
		.log_implicit = c->profile.log_implicit};
	int r = filter_install(k->stack->filters, FILTER_PROFILE, &profile, e);

	return r < 0 ? r : install_policy(k, c, e);
}

/* The rules of intrusion detection that are in force: those of the file, or a copy without the others. */
static void apply_ids(struct core *k, struct stack_conf *c)
{
	struct ids_policy *old = c->ids_awake;
	bool some = false;

	for (size_t i = 0; c->ids && i < c->ids->n_rules; i++)
		some = some || c->ids->rules[i].asleep;
	c->ids_awake = some ? ids_policy_awake(c->ids) : NULL;
	ids_apply(k->stack->ids, some ? c->ids_awake : c->ids);
	ids_policy_free(old); /* no worker looks at it any more */
}

void core_follow(struct core *k)
{
	time_t now = (time_t)(core_now_us() / 1000000);
	struct errbuf e = {""};

	if (policy_follow(&k->conf->policy, now)) {
		if (install_policy(k, k->conf, &e) < 0)
			log_error("filters do not follow their time conditions", "reason", e.text);
		else
			log_notice("time conditions: other filters are in force", "stack", k->stack->name);
		core_resolve(k);
	}
	if (k->conf->ids && ids_policy_follow(k->conf->ids, now)) {
		apply_ids(k, k->conf);
		log_notice("time conditions: other rules of intrusion detection are in force", "stack", k->stack->name);
	}
}

/* Numbers of tunnels that go may be given to others: while they are, rules that ask for one of these have none and drop. What does
 * not change carries traffic all the time. */
int core_apply(struct core *k, struct stack_conf *c, struct errbuf *e)
{
	struct stack *s = k->stack;
	time_t now = (time_t)(core_now_us() / 1000000);

	(void)policy_follow(&c->policy, now);
	if (c->ids)
		(void)ids_policy_follow(c->ids, now);
	manual_mark(s->sadb, c->policy.tunnels, c->policy.n_tunnels);
	(void)filter_resolve(s->filters, staying, k);
	int r = manual_apply(s->sadb, c->policy.tunnels, c->policy.n_tunnels, e);
	if (!r)
		r = install(k, c, e);
	if (!r)
		r = stack_routes(s, c->routes, c->n_routes, e);
	if (!r)
		r = ports_apply(k, c->ports, e);
	if (!r) {
		apply_ids(k, c);
		s->forwarding = c->forwarding;
		s->path_mtu4 = c->path_mtu4;
		s->path_mtu6 = c->path_mtu6;
		filter_set_returned(s->filters, c->icmp_check4, c->icmp_check6);
		s->ipsecurity4 = c->ipsecurity4;
		s->ipsecurity6 = c->ipsecurity6;
	}
	core_resolve(k);
	return r;
}

static const char *choice_path(const struct core *k, char out[PATH_TEXT_MAX])
{
	return path_make(out, "/var/lib/ravelin/stack-core@%s/filters", k->stack->name);
}

void core_remember_load(struct core *k)
{
	char path[PATH_TEXT_MAX], text[16] = "";
	int fd = open(choice_path(k, path), O_RDONLY | O_CLOEXEC);

	k->wanted = FILTER_POLICY;
	if (fd < 0)
		return;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n > 0 && !strncmp(text, "default", 7))
		k->wanted = FILTER_PROFILE;
}

static int remember(const struct core *k, enum filter_source want)
{
	char path[PATH_TEXT_MAX], temp[PATH_TEXT_MAX + 8];
	const char *text = want == FILTER_PROFILE ? "default\n" : "policy\n";

	choice_path(k, path);
	char *slash = strrchr(path, '/');
	*slash = 0;
	(void)mkdir(path, 0700);
	*slash = '/';
	(void)snprintf(temp, sizeof(temp), "%s.new", path);
	int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	bool ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text) && !fsync(fd);
	int err = ok ? 0 : errno;
	close(fd);
	if (ok && rename(temp, path) < 0)
		err = errno;
	return -err;
}

int core_switch(struct core *k, enum filter_source want)
{
	int r = remember(k, want);

	if (r < 0)
		return r;
	k->wanted = want;
	filter_switch(k->stack->filters, want);
	log_notice("filters in force", "stack", k->stack->name, "source",
		filter_in_force(k->stack->filters) == FILTER_POLICY ? "policy" : "profile");
	return 0;
}
