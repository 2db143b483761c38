/* trace: packets that made an event, as a pcapng file that wireshark opens, each with a comment that names correlator and probe. */
#include "daemons/stack-core/ids/worker.h"
#include "lib/log/log.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { TRACE_FILE_MAX = 8 << 20 };

static bool begin(struct ids *ids)
{
	int fd = open(ids->trace_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || !(ids->trace = fdopen(fd, "w"))) {
		if (fd >= 0)
			close(fd);
		log_error("packets cannot be traced", "file", ids->trace_path, "error", log_errno(errno));
		ids->trace_path[0] = 0;
		return false;
	}
	pcapng_begin(&ids->trace_file, ids->trace, "stack-core");
	(void)pcapng_interface(&ids->trace_file, NULL, NULL, IDS_TRACE_MAX);
	return true;
}

static void rotate(struct ids *ids)
{
	char old[sizeof(ids->trace_path) + 2];
	trace_close(ids);
	(void)snprintf(old, sizeof(old), "%s.1", ids->trace_path);
	if (rename(ids->trace_path, old) < 0)
		log_warning("packet trace is not kept", "file", ids->trace_path, "error", log_errno(errno));
}

static void record(struct ids *ids, const struct trace_record *t)
{
	char comment[128];

	(void)snprintf(comment, sizeof(comment), "correlator=%u probeid=%08X %s", t->correlator, 0x04000000u | t->probe, ids_probe_text(t->probe));
	pcapng_packet(&ids->trace_file,
		&(struct pcapng_packet){.time_us = t->time_us, .data = t->data, .kept = t->kept, .len = t->len, .comments = {comment}});
	ids->traced++;
}

void trace_drain(struct ids *ids)
{
	bool any = false;
	for (unsigned i = 0; i < ids->n_workers; i++) {
		const struct trace_record *t;
		while ((t = trace_peek(ids->workers[i]))) {
			if (ids->trace && ids->trace_file.size > TRACE_FILE_MAX)
				rotate(ids);
			if (ids->trace || (ids->trace_path[0] && begin(ids))) {
				record(ids, t);
				any = true;
			}
			trace_done(ids->workers[i]);
		}
	}
	if (any && !pcapng_flush(&ids->trace_file)) {
		log_error("packet trace", "file", ids->trace_path, "error", log_errno(errno));
		trace_close(ids);
		ids->trace_path[0] = 0;
	}
}

void trace_close(struct ids *ids)
{
	if (ids->trace)
		(void)fclose(ids->trace);
	ids->trace = NULL;
}

/* What an earlier life of the daemon traced becomes the old file. */
void ids_trace_to(struct ids *ids, const char *path)
{
	char old[sizeof(ids->trace_path) + 2];
	(void)snprintf(ids->trace_path, sizeof(ids->trace_path), "%s", path);
	(void)snprintf(old, sizeof(old), "%s.1", ids->trace_path);
	if (!access(path, F_OK))
		(void)rename(path, old);
}
