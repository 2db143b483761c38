/* control: keeps the kernel's port access tables what the profile and SAF say, and tells refusals.
 *
 * The programs and maps were loaded, attached and pinned by ravelin-portguard, as root; the stack, which has no right to
 * load programs, only opens the pinned maps that belong to its user. What is in them stays in force while the stack restarts,
 * and until "ravelin-portguard detach". A new profile is written beside the old one (the other half of every table) and one
 * store makes it current; a change of SAF only adds and removes users. No bind ever sees half of a change. */
#pragma once
#include "daemons/stack-core/port/table.h"
#include "daemons/stack-core/port/pins.h"
#include "lib/loop/loop.h"
#include "lib/saf/saf.h"

struct port_control;
/* A refusal, as the kernel told it. */
typedef void (*port_event_fn)(void *arg, const struct port_event *e);

/* Opens the maps under @pins/@instance. -ENOENT: nothing is attached; other -errno with text. */
int port_control_open(struct loop *l, const char *pins, const char *instance, port_event_fn fn, void *arg, struct errbuf *err,
	struct port_control **ret);
void port_control_free(struct port_control *c); /* the kernel's tables stay */
/* Puts @t (NULL: nothing is controlled) in force. @t is kept and must live until the next call. SAF resources are
 * EZB.PORTACCESS.@sysname.@stack.NAME. 0 or -errno with text, then the old table stays. */
int port_control_apply(struct port_control *c, const struct port_table *t, struct saf *saf, const char *sysname,
	const char *stack, struct errbuf *err);
/* Follows SAF: does nothing unless its generation changed since. Users that gained or lost READ. */
int port_control_follow(struct port_control *c, struct saf *saf, unsigned *ret_changed);
void port_control_counts(struct port_control *c, uint64_t ret[PORT_COUNTS]);
/* The job that PORTJOB gave the executable, into @job; false: none. */
bool port_control_exe(struct port_control *c, uint64_t inode, uint32_t device, char job[PORT_JOB + 1]);
/* The resource's name of an event or statement. */
const char *port_control_resource(const char *sysname, const char *stack, const char *saf, char out[SAF_RESOURCE_MAX]);
/* Ends a listening TCP socket of this network namespace that its owner was not allowed to have (SOCK_DESTROY). 0 or -errno. */
int port_destroy_listener(uint16_t port, uint64_t cookie);
