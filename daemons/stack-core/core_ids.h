/* core_ids: intrusion detection between the stack and the bus: log lines, events, the display. */
#pragma once
#include "lib/bus/bus.h"
#include "lib/daemon/daemon.h"

struct core;

void core_ids_start(struct core *k);
void core_ids_control(struct core *k); /* tells what workers recorded */
void core_ids_stats(struct core *k, daemon_stat_fn fn, void *arg);
void method_ids(struct bus_call *call, const ProtobufCMessage *request);
