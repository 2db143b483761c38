/* trace: packets that made an event, as a pcapng file (draft-ietf-opsawg-pcapng) that wireshark opens: a section header, one interface
 * of raw IP packets in microseconds, an enhanced packet block each with a comment that names correlator and probe. */
#include "daemons/stack-core/ids/worker.h"
#include "lib/log/log.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { TRACE_FILE_MAX = 8 << 20, LINKTYPE_RAW = 101, BLOCK_SECTION = 0x0a0d0d0a, BLOCK_INTERFACE = 1, BLOCK_PACKET = 6 };

static void word(struct ids *ids, uint32_t v)
{
	ids->trace_size += fwrite(&v, 1, 4, ids->trace);
}

static void bytes(struct ids *ids, const void *data, uint32_t len)
{
	static const uint8_t zero[4];
	ids->trace_size += fwrite(data, 1, len, ids->trace);
	ids->trace_size += fwrite(zero, 1, -len & 3, ids->trace);
}

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
	ids->trace_size = 0;
	const uint32_t section[] = {BLOCK_SECTION, 28, 0x1a2b3c4d, 1, 0xffffffff, 0xffffffff, 28};
	const uint32_t interface[] = {BLOCK_INTERFACE, 20, LINKTYPE_RAW, IDS_TRACE_MAX, 20};
	bytes(ids, section, sizeof(section));
	bytes(ids, interface, sizeof(interface));
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
	int n = snprintf(comment, sizeof(comment), "correlator=%u probeid=%08X %s", t->correlator, 0x04000000u | t->probe, ids_probe_text(t->probe));
	uint32_t padded = (t->kept + 3) & ~3u, option = ((uint32_t)n + 3) & ~3u, total = 32 + padded + 4 + option + 4;
	word(ids, BLOCK_PACKET);
	word(ids, total);
	word(ids, 0);
	word(ids, (uint32_t)(t->time_us >> 32));
	word(ids, (uint32_t)t->time_us);
	word(ids, t->kept);
	word(ids, t->len);
	bytes(ids, t->data, t->kept);
	word(ids, 1u | (uint32_t)n << 16); /* opt_comment */
	bytes(ids, comment, (uint32_t)n);
	word(ids, 0);
	word(ids, total);
	ids->traced++;
}

void trace_drain(struct ids *ids)
{
	bool any = false;
	for (unsigned i = 0; i < ids->n_workers; i++) {
		const struct trace_record *t;
		while ((t = trace_peek(ids->workers[i]))) {
			if (ids->trace && ids->trace_size > TRACE_FILE_MAX)
				rotate(ids);
			if (ids->trace || (ids->trace_path[0] && begin(ids))) {
				record(ids, t);
				any = true;
			}
			trace_done(ids->workers[i]);
		}
	}
	if (any && fflush(ids->trace)) {
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
