/* methods: handlers of proto/ike.proto; methods.c has the table. */
#pragma once
#include "daemons/ikeD/iked.h"

/* The configured stack, or NULL and the call is answered. */
struct iked_stack *methods_stack(struct bus_call *call, const char *name);

void list_tunnels(struct bus_call *call, const ProtobufCMessage *req);
void list_dyn_tunnels(struct bus_call *call, const ProtobufCMessage *req);
void list_stack_tunnels(struct bus_call *call, const ProtobufCMessage *req);
void list_nat_ports(struct bus_call *call, const ProtobufCMessage *req);
void change_activate(struct bus_call *call, const ProtobufCMessage *req);
void change_deactivate(struct bus_call *call, const ProtobufCMessage *req);
void change_refresh(struct bus_call *call, const ProtobufCMessage *req);
