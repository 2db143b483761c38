/* The writer. One record is one write(2) to a file opened for append, then one pwrite of the 86-byte head: a process killed
 * at any point leaves a torn last line or a head that is one behind, and both are told apart from tampering. */
#include "lib/audit/audit.h"
#include "lib/audit/chain.h"
#include "lib/base/path.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct audit {
	char *path, *component;
	int fd, head_fd;
	off_t size; /* where the last good record ends */
	uint64_t seq, lost, lost_unreported;
	char hash[CHAIN_HEX + 1];
	bool failing, dirty; /* dirty: a part of a record may lie behind .size */
	struct json j;
	void (*on_failure)(void *arg, int err);
	void *arg;
};

static void time_text(char out[64])
{
	struct timespec now;
	struct tm tm;
	char s[24];
	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)gmtime_r(&now.tv_sec, &tm);
	(void)strftime(s, sizeof(s), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(out, 64, "%s.%06ldZ", s, now.tv_nsec / 1000);
}

static struct json *unwritten(void) /* the record of callers without a file */
{
	static __thread struct json j;
	if (!j.buf)
		json_init(&j);
	return &j;
}

struct json *audit_begin(struct audit *a, unsigned type, unsigned subtype, unsigned qualifier)
{
	struct json *j = a ? &a->j : unwritten();
	char now[64];
	time_text(now);
	json_clear(j);
	json_open(j, '{');
	json_kv_u64(j, "seq", a ? a->seq + 1 : 0);
	json_kv_str(j, "time", now);
	json_kv_str(j, "system", path_sysname());
	json_kv_str(j, "component", a ? a->component : "");
	json_kv_u64(j, "type", type);
	json_kv_u64(j, "subtype", subtype);
	json_kv_u64(j, "qualifier", qualifier);
	return j;
}

/* 0, or -errno with nothing of @text left in the file as far as the file system allows. */
static int append(struct audit *a, const char *text, size_t len)
{
	if (a->dirty && ftruncate(a->fd, a->size) != 0)
		return -errno;
	a->dirty = false;
	ssize_t n = write(a->fd, text, len);
	if (n == (ssize_t)len) {
		a->size += n;
		return 0;
	}
	int err = n < 0 ? errno : ENOSPC;
	a->dirty = n > 0 && ftruncate(a->fd, a->size) != 0;
	return -err;
}

static int record_failed(struct audit *a, int r)
{
	a->lost++;
	a->lost_unreported++;
	if (!a->failing) {
		a->failing = true;
		log_error("audit records are being lost", "file", a->path, "error", log_errno(r));
		if (a->on_failure)
			a->on_failure(a->arg, -r);
	}
	return r;
}

static void record_written(struct audit *a, const char *hash)
{
	char head[CHAIN_HEAD_LEN + 1];
	a->seq++;
	memcpy(a->hash, hash, CHAIN_HEX);
	chain_head_text(head, a->seq, a->hash);
	if (pwrite(a->head_fd, head, CHAIN_HEAD_LEN, 0) != CHAIN_HEAD_LEN && !a->failing)
		log_error("audit head cannot be written", "file", a->path, "error", log_errno(errno));
	if (a->failing) {
		a->failing = false;
		log_notice("audit records are written again", "file", a->path, "lost", log_u64(a->lost));
		if (a->on_failure)
			a->on_failure(a->arg, 0);
	}
	a->lost_unreported = 0;
}

int audit_commit(struct audit *a)
{
	struct json *j = a ? &a->j : unwritten();
	char hash[CHAIN_HEX + 1];
	if (a && a->lost_unreported)
		json_kv_u64(j, "lost", a->lost_unreported);
	if (!a) {
		json_close(j, '}');
		return 0;
	}
	json_kv_str(j, "prev", a->hash);
	if (j->len > CHAIN_LINE_MAX)
		return record_failed(a, -EMSGSIZE);
	chain_hash(j->buf, j->len, hash);
	json_kv_str(j, "hash", hash);
	json_close(j, '}');
	json_newline(j);
	int r = append(a, j->buf, j->len);
	if (r)
		return record_failed(a, r);
	record_written(a, hash);
	return 0;
}

/* Says in the chain itself what was found at the start. The torn part is kept as text in the record. */
static void resume_record(struct audit *a, const struct chain *c, const struct chain_head *head, const char *torn)
{
	static const char *const found[] = {"ok", "edited", "truncated", "gap"};
	struct json *j = audit_begin(a, AUDIT_RACF, 0, 0);
	json_kv_str(j, "event", "audit resumed");
	json_kv_str(j, "found", c->torn && head->seq <= c->seq ? "torn" : found[c->verdict]);
	json_kv_u64(j, "line", c->bad_line);
	json_kv_u64(j, "sequence", c->bad_seq);
	if (c->torn)
		json_kv_str(j, "torn", torn);
	(void)audit_commit(a);
	log_error("audit file was not whole", "file", a->path, "found", found[c->verdict], "line", log_u64(c->bad_line));
}

static int resume(struct audit *a)
{
	struct chain_head head;
	struct chain c;
	char torn[257] = "";
	int r = chain_head_read(a->path, &head);
	FILE *f = r ? NULL : fopen(a->path, "re");
	if (!f)
		return r ? r : -errno;
	r = chain_scan(f, &head, &c);
	if (!r && c.torn && fseeko(f, c.whole, SEEK_SET) == 0)
		torn[fread(torn, 1, sizeof(torn) - 1, f)] = 0;
	(void)fclose(f);
	if (r)
		return r;
	a->seq = c.seq;
	memcpy(a->hash, c.hash, sizeof(a->hash));
	/* Records are gone: go on after the head, so that the hole stays visible for good. */
	if (head.present && head.seq > c.seq) {
		a->seq = head.seq;
		memcpy(a->hash, head.hash, sizeof(a->hash));
	}
	a->size = c.whole;
	if (c.torn && ftruncate(a->fd, a->size) != 0)
		return -errno;
	if (c.verdict)
		resume_record(a, &c, &head, torn);
	return 0;
}

static int open_files(struct audit *a)
{
	char head[4096], text[CHAIN_HEAD_LEN + 1];
	struct stat st;
	(void)snprintf(head, sizeof(head), "%s.head", a->path);
	a->fd = open(a->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (a->fd < 0)
		return -errno;
	if (flock(a->fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	a->head_fd = open(head, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (a->head_fd < 0)
		return -errno;
	int r = resume(a);
	if (r || fstat(a->head_fd, &st) != 0)
		return r ? r : -errno;
	chain_head_text(text, a->seq, a->hash);
	if (st.st_size != CHAIN_HEAD_LEN && pwrite(a->head_fd, text, CHAIN_HEAD_LEN, 0) != CHAIN_HEAD_LEN)
		log_error("audit head cannot be written", "file", a->path, "error", log_errno(errno));
	return 0;
}

int audit_open(const char *path, const char *component, struct audit **ret)
{
	struct audit *a = xnew(struct audit);
	a->path = xstrdup(path);
	a->component = xstrdup(component);
	a->fd = a->head_fd = -1;
	json_init(&a->j);
	int r = open_files(a);
	if (r) {
		audit_close(a);
		return r;
	}
	*ret = a;
	return 0;
}

void audit_close(struct audit *a)
{
	if (!a)
		return;
	if (a->fd >= 0)
		(void)close(a->fd);
	if (a->head_fd >= 0)
		(void)close(a->head_fd);
	json_fini(&a->j);
	free(a->path);
	free(a->component);
	free(a);
}

uint64_t audit_seq(const struct audit *a)
{
	return a ? a->seq : 0;
}

uint64_t audit_lost(const struct audit *a)
{
	return a ? a->lost : 0;
}

void audit_on_failure(struct audit *a, void (*fn)(void *arg, int err), void *arg)
{
	a->on_failure = fn;
	a->arg = arg;
}
