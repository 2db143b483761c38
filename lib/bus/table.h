/* table: the method and event tables of a server, checked once at its start; and resource templates. */
#pragma once
#include "lib/bus/bus.h"

enum { TABLE_METHODS_MAX = 128, TABLE_TOPICS_MAX = 63 };

struct row { /* a method that can be called */
	char name[64]; /* "defmgr.Add" */
	const struct bus_method *method;
	void *user;
	bool any; /* no authority needed */
};

struct topic {
	const char *name;
	const struct bus_event *event; /* NULL: the heartbeat */
	char resource[SAF_RESOURCE_MAX];
	uint64_t seq;
};

struct table {
	struct row rows[TABLE_METHODS_MAX]; /* sorted by name */
	unsigned n_rows;
	struct topic topics[TABLE_TOPICS_MAX + 1]; /* the heartbeat is the last */
	unsigned n_topics;
	char heartbeat[64];
	const char *name, *instance;
};

/* -EINVAL with the reason when tables, services and descriptors do not agree. */
int table_build(struct table *t, const struct bus_server_spec *spec, struct errbuf *e);
const struct row *table_find(const struct table *t, const char *name, size_t len);
/* Fills @out from a template; @request NULL for topics. -EINVAL: a field is no qualifier, text in @e. */
int table_resource(const struct table *t, const char *template, const ProtobufCMessage *request,
	char out[SAF_RESOURCE_MAX], struct errbuf *e);
