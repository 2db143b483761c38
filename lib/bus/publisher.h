/* publisher: the events socket of a server. */
#pragma once
#include "lib/bus/authority.h"
#include "lib/bus/table.h"

struct publisher;
int publisher_new(struct loop *l, const char *name, struct table *t, const struct authority *a, struct publisher **ret,
	struct errbuf *e);
void publisher_free(struct publisher *p);
uint64_t publisher_boot_id(const struct publisher *p);
void publisher_publish(struct publisher *p, const char *topic, const ProtobufCMessage *body);
