/* traces: sessions that clients opened on tap/, and the records that wait for them. Control thread only. */
#pragma once
#include "daemons/stack-core/tap/tap.h"
#include "lib/daemon/daemon.h"

enum { TRACES_MAX = 16, TRACE_QUEUE = 8 << 20, TRACE_SECONDS_MAX = 86400, TRACE_IDLE_MS = 3000, TRACE_WAIT_MS = 10000, TRACE_REPLY = 512 << 10 };

struct core;

struct trace {
	uint64_t id; /* 0: free */
	int slot;    /* in tap/; -1: it has ended, what it got can still be read */
	uid_t uid;
	char user[SAF_USER_MAX];
	const char *why; /* it ended */
	uint64_t ends_ms, read_ms, records, lost, lost_before;
	uint8_t *queue; /* records as tap/ made them, from head to tail */
	size_t head, tail, size;
	struct bus_call *waits; /* a read, until there is something or wait_ms */
	uint64_t wait_ms;
	unsigned limit; /* of that read */
};

/* Filled in: who and what. The trace, or NULL with text in @e. */
struct trace *traces_start(struct core *k, const struct tap_spec *s, const struct saf_subject *who, unsigned count, unsigned seconds, struct errbuf *e);
struct trace *traces_find(struct core *k, uint64_t id);
void traces_stop(struct core *k, struct trace *t, const char *why); /* no more records come */
void traces_forget(struct trace *t);
/* The oldest record that waits, NULL: none; traces_taken lets it go. */
const struct tap_record *traces_next(const struct trace *t, size_t *at);
void traces_taken(struct trace *t, size_t at);
uint64_t traces_lost(const struct core *k, const struct trace *t);
unsigned traces_count(const struct core *k);
void traces_control(struct core *k); /* often */
void traces_free(struct core *k);
void traces_stats(struct core *k, daemon_stat_fn fn, void *arg);

/* traces_methods.c */
void method_trace_start(struct bus_call *call, const ProtobufCMessage *request);
void method_trace_read(struct bus_call *call, const ProtobufCMessage *request);
void method_trace_stop(struct bus_call *call, const ProtobufCMessage *request);
void traces_answer(struct core *k, struct trace *t); /* its read that waits */
/* meters.c */
void method_meters(struct bus_call *call, const ProtobufCMessage *request);
void method_flows(struct bus_call *call, const ProtobufCMessage *request);
void meters_stats(struct core *k, daemon_stat_fn fn, void *arg);
