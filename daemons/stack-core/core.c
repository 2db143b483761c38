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

static int install(struct core *k, const struct stack_conf *c, struct errbuf *e)
{
	struct filter_install profile = {.rules = c->profile.rules, .n = c->profile.n, .loaded = true, .logging = c->profile.logging,
		.log_implicit = c->profile.log_implicit};
	struct filter_install policy = {.rules = c->policy.rules, .n = c->policy.n, .loaded = c->policy.loaded, .find = tunnel_index, .find_arg = k,
		.logging = c->policy.logging, .predecap = c->policy.predecap, .discard_icmp = c->policy.discard_icmp};
	int r = filter_install(k->stack->filters, FILTER_PROFILE, &profile, e);

	return r < 0 ? r : filter_install(k->stack->filters, FILTER_POLICY, &policy, e);
}

/* Numbers of tunnels that go may be given to others: while they are, rules that ask for one of these have none and drop. What does
 * not change carries traffic all the time. */
int core_apply(struct core *k, const struct stack_conf *c, struct errbuf *e)
{
	struct stack *s = k->stack;

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
		for (unsigned i = 0; i < c->n_links; i++)
			__atomic_store_n(&s->links[i].secclass, c->links[i].secclass, __ATOMIC_RELAXED);
		ids_apply(s->ids, c->ids);
		s->forwarding = c->forwarding;
		s->path_mtu4 = c->path_mtu4;
		s->path_mtu6 = c->path_mtu6;
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
