/* ports: the daemon's side of port access control: opening, applying, following SAF, telling refusals. */
#pragma once
#include "daemons/stack-core/port/control.h"
#include "lib/bus/bus.h"

struct core;
struct core_ports;

/* A profile with port statements is in force from here on, as soon as ravelin-portguard has attached; until then an error
 * says so and it is tried again every second. */
int ports_apply(struct core *k, const struct port_table *t, struct errbuf *e);
void ports_second(struct core *k); /* opens what was not there yet */
void ports_follow(struct core *k); /* SAF, when its generation changed: costs nothing otherwise */
void ports_free(struct core *k);   /* what is in force in the kernel stays */
void ports_stats(struct core *k, uint64_t ret[PORT_COUNTS]);

void method_port_check(struct bus_call *call, const ProtobufCMessage *request);
void method_ports(struct bus_call *call, const ProtobufCMessage *request);
