/* capture: records as a pcapng file. An interface is a stage and a link ("filter-in LEFT"); verdict, rule, tunnel and reason of a drop
 * are comments of the packet. */
#include "cli/stackctl/trace.h"
#include "lib/base/path.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What was captured is for its owner alone, also in a file that was there already. */
static int open_private(const struct capture *f)
{
	struct stat st;
	int fd = open(f->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0) {
		(void)cli_fail(f->c, CLI_FAILED, "%s: %s", f->path, strerror(errno));
		return -1;
	}
	if (fstat(fd, &st) || (S_ISREG(st.st_mode) && (st.st_uid != geteuid() || fchmod(fd, 0600) || ftruncate(fd, 0)))) {
		(void)cli_fail(f->c, CLI_FAILED, "%s: not a file of this user's", f->path);
		(void)close(fd);
		return -1;
	}
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return fd;
}

static bool begin(struct capture *f)
{
	if (!strcmp(f->path, "-")) {
		f->out = stdout;
	} else {
		int fd = open_private(f);
		f->out = fd < 0 ? NULL : fdopen(fd, "w");
		if (fd >= 0 && !f->out)
			(void)close(fd);
	}
	f->failed = !f->out;
	if (f->out)
		pcapng_begin(&f->file, f->out, "stackctl " RAVELIN_VERSION);
	return f->out;
}

static bool outbound(const Stack__TraceRecord *m)
{
	return !strcmp(m->stage, "filter-out") || !strcmp(m->stage, "ipsec-out") || !strcmp(m->stage, "link-tx");
}

static uint32_t interface_of(struct capture *f, const Stack__TraceRecord *m)
{
	const char *link = outbound(m) ? m->out_link : m->in_link;
	char name[sizeof(f->names[0])];
	uint32_t i = 0;
	(void)snprintf(name, sizeof(name), "%.20s %.20s", m->stage, link ? link : "-");
	for (; i < f->file.interfaces; i++)
		if (!strcmp(f->names[i], name))
			return i;
	if (i == CAPTURE_INTERFACES)
		return CAPTURE_INTERFACES - 1; /* more stages and links than a stack has */
	memcpy(f->names[i], name, sizeof(name));
	return pcapng_interface(&f->file, name, NULL, f->snaplen);
}

bool capture_packet(void *arg, const Stack__TraceRecord *m)
{
	struct capture *f = arg;
	char verdict[160], reason[160], tunnel[160], packet[64];
	if (!f->out && (f->failed || !begin(f)))
		return false;
	if (!m)
		return pcapng_flush(&f->file);
	(void)snprintf(verdict, sizeof(verdict), "%s%s%.70s", m->verdict, m->rule ? " by rule " : "", m->rule ? m->rule : "");
	(void)snprintf(reason, sizeof(reason), "%s: %s", m->reason ? m->reason : "", m->reason_text ? m->reason_text : "");
	int at = snprintf(tunnel, sizeof(tunnel), m->tunnel_id ? "tunnel %s (%.70s)" : "tunnel -", m->tunnel_id, m->tunnel);
	if (m->has_spi && at > 0)
		(void)snprintf(tunnel + at, sizeof(tunnel) - (size_t)at, " SPI 0x%08x", m->spi);
	(void)snprintf(packet, sizeof(packet), "packet %u.%u%s", m->worker, m->packet, m->segment ? ", a super-packet" : "");
	struct pcapng_packet p = {.interface = interface_of(f, m), .time_us = m->time_us, .data = m->data.data, .kept = (uint32_t)m->data.len,
		.len = m->length, .direction = outbound(m) ? PCAPNG_OUTBOUND : PCAPNG_INBOUND};
	unsigned n = 0;
	p.comments[n++] = verdict;
	if (m->reason)
		p.comments[n++] = reason;
	if (m->tunnel_id || m->has_spi)
		p.comments[n++] = tunnel;
	p.comments[n] = packet;
	pcapng_packet(&f->file, &p);
	return !f->file.failed;
}

int capture_end(struct capture *f)
{
	if (!f->out)
		return f->failed ? CLI_FAILED : CLI_OK;
	bool ok = pcapng_flush(&f->file);
	if (f->out != stdout)
		ok = !fclose(f->out) && ok;
	return ok ? CLI_OK : cli_fail(f->c, CLI_FAILED, "%s: %s", f->path, strerror(errno));
}
