/* conf: the stack's profile (stacks/NAME.profile) and the policy file it names, as a checked description. */
#pragma once
#include "daemons/stack-core/filter/policy.h"
#include "daemons/stack-core/port/table.h"
#include "daemons/stack-core/stack.h"
#include "lib/conf/conf.h"
#include "lib/policy/ids.h"

extern const struct conf_spec stack_profile_spec;

struct stack_conf {
	struct link links[LINKS_MAX]; /* described, not open */
	unsigned n_links;
	struct fib_route *routes;
	unsigned n_routes;
	bool low_ports[PORT_PROTOCOLS];
	bool forwarding, ipsecurity4, ipsecurity6, path_mtu4, path_mtu6, icmp_check4, icmp_check6;
	unsigned workers;
	struct profile_filters profile;
	struct port_table *ports; /* PORT, PORTRANGE, PORTJOB; NULL: none */
	struct ids_policy *ids; /* NULL: none */
	struct ids_policy *ids_awake; /* of it, what is in force now; NULL: all, or none */
	struct policy policy; /* .loaded false: no policy file */
};

/* struct daemon_spec's build and built_free. */
int stack_conf_build(struct conf *c, const char *instance, void **ret_built);
void stack_conf_free(void *built);
/* -EINVAL: @b is not what the stack of @a can become while it runs: @why. What its links can become: links.h. */
int stack_conf_may_follow(const struct stack_conf *a, const struct stack_conf *b, struct errbuf *why);
void stack_conf_place(struct stack_conf *c, const uint16_t place[LINKS_MAX]); /* its links have those indices in the stack */
