/* trace: what trace.c and capture.c share. */
#pragma once
#include "cli/common/cli.h"
#include "lib/pcapng/pcapng.h"
#include "proto/stack.pb-c.h"

enum { TRACE_LINE = 512, CAPTURE_INTERFACES = 128 };

/* A record; NULL: these were all that there are for now. False: no more are wanted. */
typedef bool (*trace_fn)(void *arg, const Stack__TraceRecord *m);

void trace_line(const Stack__TraceRecord *m, char out[TRACE_LINE]);
void trace_signals(void);
bool trace_stopped(void);

/* capture.c: a file for wireshark. It is made when the trace has begun, so that a refusal leaves none behind. */
struct capture {
	const struct cli *c;
	const char *path; /* "-": standard output */
	uint32_t snaplen;
	FILE *out;
	bool failed;
	struct pcapng file;
	char names[CAPTURE_INTERFACES][48]; /* of the interfaces so far: stage and link */
};
bool capture_packet(void *capture, const Stack__TraceRecord *m); /* a trace_fn */
int capture_end(struct capture *f); /* exit status */
