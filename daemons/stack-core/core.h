/* core: the daemon's state around a stack: what its methods and events need. Control thread only. */
#pragma once
#include "daemons/stack-core/conf.h"
#include "daemons/stack-core/core_ids.h"
#include "daemons/stack-core/ipsec/dynamic.h"
#include "daemons/stack-core/links.h"
#include "daemons/stack-core/ports.h"
#include "daemons/stack-core/traces.h"
#include "lib/daemon/daemon.h"

/* At most so many events a second; the others are counted and told with the next. */
struct token_bucket {
	uint64_t at_ms, suppressed;
	unsigned tokens;
};

struct core {
	struct daemon *daemon;
	struct stack *stack;
	struct stack_conf *conf; /* in force */
	struct loop_fd *control;
	struct loop_timer *tick, *second;
	struct token_bucket wants, unknown; /* events that strangers cause */
	struct core_traces *traces;
	struct core_ports *ports; /* port access control; NULL: no statements yet */
	struct Stack__Handover *handover; /* what the last run left, until it is used */
	uint64_t boot_id; /* of this run, once it leaves */
	uint64_t heir_of; /* boot id of the last run, when all of its tunnels are here; else 0 */
	enum filter_source wanted; /* "ipsec -f default" or "reload", remembered over restarts */
};

/* The filters, tunnels and routes of @c into the stack; takes nothing. */
int core_apply(struct core *k, struct stack_conf *c, struct errbuf *e);
void core_follow(struct core *k); /* each second: rules whose time begins or ends */
int core_switch(struct core *k, enum filter_source want); /* and remembers it */
void core_resolve(struct core *k);			     /* after tunnels came or went */
void core_remember_load(struct core *k);

/* events.c */
extern const struct bus_event core_events[];
void events_started(struct core *k);
void events_filters(struct core *k, uint64_t now_us); /* drains the filter log */
void events_neighbour(void *core, const struct neigh *n);
void events_conflict(void *core, uint16_t link, const struct addr *a, const uint8_t mac[6], bool refused);
void events_device(void *core, const struct link *l, bool up, const char *why);
void events_link(void *core, const struct link *l, enum links_what what);
void events_tunnel(struct core *k, const struct tunnel *t, const char *why);

/* tunnels_events.c */
void tunnels_want(void *core, const struct hold_want *want);
void tunnels_notice(void *core, const struct ipsec_notice *n);
void tunnels_second(struct core *k); /* lifetimes */
void tunnels_audit(struct core *k, const struct tunnel *t, const struct generation *g, bool added, const char *why);

/* tunnels.c */
void method_install(struct bus_call *call, const ProtobufCMessage *request);
void method_ready(struct bus_call *call, const ProtobufCMessage *request);
void method_remove(struct bus_call *call, const ProtobufCMessage *request);
void method_move(struct bus_call *call, const ProtobufCMessage *request);
void method_dynamic(struct bus_call *call, const ProtobufCMessage *request);

/* methods.c, filters.c */
extern const struct bus_method core_methods[];
void method_filters(struct bus_call *call, const ProtobufCMessage *request);
void method_switch(struct bus_call *call, const ProtobufCMessage *request);
void method_traffic(struct bus_call *call, const ProtobufCMessage *request);
void method_defend(struct bus_call *call, const ProtobufCMessage *request);
void method_matches(struct bus_call *call, const ProtobufCMessage *request);

uint64_t core_now_us(void); /* wall clock */
