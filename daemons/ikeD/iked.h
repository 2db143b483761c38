/* iked: the IKE daemon. One per host; for each stack that iked.conf names it has one engine (lib/ike, which does no I/O) and is its hands:
 *
 *   stack.c     a stack's life: is it there, what addresses, which tunnels does it still hold (they are resumed), what if it comes back
 *   sockets.c   UDP 500 and 4500 on each of its addresses, with and without the non-ESP marker (RFC 3948); NAT keepalives
 *   tunnel.c    what the engine wants installed, as calls to stack-core, and back
 *   start.c     who starts negotiations: packets that hit an anchor, AutoActivate, operators
 *   event.c     what happened: bus, log in z/OS's shape, SMF 119 records
 *   methods.c view.c text.c conf.c iked.c   requests; their rows; words; iked.conf; start, reload, end
 *
 * The private keys are in a process of their own (lib/keyring/signer_local.h); shared keys are in the policy, in memory alone. A negotiation
 * never waits for the bus or the signer: both answer through the loop. */
#pragma once
#include "lib/daemon/daemon.h"
#include "lib/ike/ike.h"
#include "lib/keyring/signer_local.h"
#include "lib/log/log.h"
#include "proto/common.pb-c.h"
#include "proto/ike.pb-c.h"
#include "proto/stack.pb-c.h"
#include <limits.h>
#include <string.h>

enum {
	IKED_STACKS_MAX = 16,
	IKED_STACK_NAME_MAX = 8,
	IKED_ADDRS_MAX = 64,	 /* of one stack; each has two sockets */
	IKED_CAS_MAX = 64,	 /* SupportedCertAuth */
	IKED_WAITING_MAX = 256,	 /* activations whose caller waits for the outcome */
	IKED_PORT = 500,
	IKED_NAT_PORT = 4500,
	IKED_DEADLINE_MS = 5000, /* of a call to a stack */
};

enum { SMF_IKE_TUNNEL = 1, SMF_DYN_TUNNEL = 2 }; /* bits of SMF119 */

struct iked_stack_conf {
	char name[IKED_STACK_NAME_MAX + 1];
	char file[PATH_MAX], common[PATH_MAX]; /* common: "" none */
	struct ipsec_policy *policy;
};

struct iked_conf {
	unsigned syslog_level, smf;
	uint32_t retries, init_wait_s, dpd_interval_s, dpd_timeout_s, half_open, half_open_source;
	char keyring[POLICY_NAME_MAX + KEYRING_USER_MAX];
	bool keyring_given, esn;
	char cas[IKED_CAS_MAX][KEYRING_LABEL_MAX];
	unsigned n_cas;
	struct iked_stack_conf stacks[IKED_STACKS_MAX];
	unsigned n_stacks;
};

extern const struct conf_spec iked_conf_spec;
int iked_conf_build(struct conf *c, const char *instance, void **ret_built);
void iked_conf_free(void *built);

struct iked;
struct iked_stack;

struct iked_socket {
	struct iked_stack *stack;
	struct addr addr;
	uint16_t port;
	int fd;
	struct loop_fd *watch;
	bool wanted; /* while addresses are compared */
};

/* One LocalDynVpnRule with AutoActivate, by its place in the policy. */
struct iked_auto {
	uint64_t retry_us, backoff_us;
	bool there;
};

/* An operator who waits for what becomes of an activation. */
struct iked_waiting {
	struct bus_call *call;
	struct iked_stack *stack;
	char id[16];
	uint64_t deadline_us;
};

struct iked_stack {
	struct iked *iked;
	struct iked_stack_conf conf;
	struct ike *engine;
	struct ike_ops ops;
	bool running, ready; /* ready: its tunnels are known to us, negotiations may go on */
	bool asking, linking;
	bool refuses;
	uint64_t boot_id, retry_ms;
	uint64_t children_boot_id; /* of the run that holds what the engine has installed; 0: not asked yet */
	uint32_t resumed, renegotiated; /* while a run's tunnels are being learned */
	struct bus_pulse *pulse;
	struct bus_client *client; /* the pulse's; NULL at the end */
	struct iked_socket sockets[2 * IKED_ADDRS_MAX];
	unsigned n_sockets;
	struct iked_auto *autos;
	uint64_t keepalive_us, links_ms;
	struct log_limit trouble[2];
	uint64_t bind_failed_ms;
};

struct iked_counters {
	uint64_t received, sent, send_failed, not_ike, too_long, keepalives, installs, install_failures, acquires, acquires_refused, autos,
		resumed, renegotiated, stack_lost, audit_records, pairs_ahead;
};

struct iked {
	struct daemon *daemon;
	struct iked_conf *conf;
	struct signer *signer, *narrow; /* narrow: what the engines see */
	struct iked_stack *stacks[IKED_STACKS_MAX];
	unsigned n_stacks;
	struct loop_timer *tick, *engine_timer, *quiet_timer;
	struct iked_waiting waiting[IKED_WAITING_MAX];
	unsigned n_waiting;
	struct iked_counters counters;
};

extern const struct daemon_spec iked_spec;
extern const struct bus_method iked_methods[];
extern const struct bus_event iked_events[];

uint64_t iked_now_us(void);  /* monotonic */
uint64_t iked_wall_us(void); /* since 1970 */
/* A time of the engine (monotonic) as wall clock; 0 stays 0, "never" becomes 0. */
uint64_t iked_wall_of(uint64_t mono_us);
struct iked_stack *iked_stack_find(struct iked *k, const char *name); /* any case */
/* After every entry into an engine: its next deadline becomes the timer's. */
void iked_arm(struct iked *k);

/* stack.c */
int iked_stack_new(struct iked *k, const struct iked_stack_conf *c, struct iked_stack **ret, struct errbuf *e);
void iked_stack_free(struct iked_stack *s);
/* The new policy; takes it over from @c. */
void iked_stack_policy(struct iked_stack *s, struct iked_stack_conf *c);
void iked_stacks_tick(void *arg);

/* sockets.c */
void sockets_set(struct iked_stack *s, const struct addr *addrs, unsigned n);
void sockets_close(struct iked_stack *s);
void sockets_send(void *stack, const struct ike_path *path, const void *data, size_t len);
void sockets_keepalive(struct iked_stack *s, uint64_t now_us);

/* tunnel.c */
void tunnel_ops(struct ike_ops *ops);
int tunnel_from_stack(const Stack__DynamicTunnel *t, uint64_t wall_us, struct ike_child *ret); /* -EINVAL: not one of ours */
void tunnel_move(struct iked_stack *s, const struct ike_child *c, const struct ike_path *path);

/* start.c */
int start_local(struct iked_stack *s, const struct local_vpn_rule *r, struct errbuf *e, char id[16]);
void start_acquire(struct iked_stack *s, const Stack__Acquire *a);
/* What a packet @a that met the anchor @r is to be protected with. */
void start_selector(const struct policy_rule *r, const Stack__Acquire *a, const struct addr *src, const struct addr *dst, struct selector *ret);
void start_autos(struct iked_stack *s, uint64_t now_us);
void start_autos_reset(struct iked_stack *s);

/* event.c */
void event_from_engine(void *stack, const struct ike_event *e);
void event_stack(struct iked_stack *s, const char *topic, uint32_t resumed, uint32_t renegotiated);

/* methods.c */
/* What became of the activation of @id: ends the wait for it. */
void methods_outcome(struct iked_stack *s, const char *id, bool up, const char *text);
void methods_expire(struct iked *k, uint64_t now_us);
void methods_end(struct iked *k, struct iked_stack *s); /* NULL: all */

/* view.c: rows of replies and events; each holds its own text. */
struct iked_tunnel_view {
	Ike__Tunnel msg;
	char local[ADDR_TEXT_MAX], remote[ADDR_TEXT_MAX], icookie[17], rcookie[17];
};
struct iked_dyn_view {
	Ike__DynTunnel msg;
	char local[ADDR_TEXT_MAX], remote[ADDR_TEXT_MAX], sel_local[RANGE_TEXT_MAX], sel_remote[RANGE_TEXT_MAX];
	char oa_local[ADDR_TEXT_MAX], oa_remote[ADDR_TEXT_MAX];
	char dscp[POLICY_DSCP_TEXT];
};
void view_tunnel(const struct iked_stack *s, const struct ike_p1_info *p, struct iked_tunnel_view *ret);
void view_dyn(const struct iked_stack *s, const struct ike_child_info *c, struct iked_dyn_view *ret);
void view_child(const struct iked_stack *s, const struct ike_child *c, struct iked_dyn_view *ret);

/* text.c */
const char *text_p1_state(enum ike_state s);
const char *text_child_state(enum ike_child_state s);
const char *text_p1_cipher(unsigned enc);
const char *text_hash(unsigned hash);
const char *text_esp(unsigned transform);
const char *text_auth(unsigned auth);
const char *text_id_type(unsigned type);

/* narrow.c: a signer that knows only the CAs of SupportedCertAuth. Does not own @inner. */
struct signer *narrow_new(struct signer *inner, struct iked *k);
