/* A record proves the one before it (prev) and itself (hash); FILE.head proves that the last one is there. So
 *   a byte changed anywhere      -> hash or the next prev does not fit           EDITED
 *   a line taken out             -> the sequence jumps                           GAP
 *   lines cut off the end        -> the head's sequence was never reached        TRUNCATED
 * There is no key: who can write both files can make a new chain. Ship the head elsewhere (busmon, syslog) to find that. */
#include "lib/audit/chain.h"
#include "lib/base/sha256.h"
#include "lib/base/xalloc.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>

#define PREV_KEY ",\"prev\":\""
#define HASH_KEY ",\"hash\":\""
enum { KEY_LEN = 9, HASH_TAIL = KEY_LEN + CHAIN_HEX + 2, PREV_TAIL = KEY_LEN + CHAIN_HEX + 1 };

void chain_hash(const char *line, size_t len, char out[CHAIN_HEX + 1])
{
	uint8_t digest[32];
	sha256(line, len, digest);
	hex_text(digest, sizeof(digest), out);
}

void chain_head_text(char out[CHAIN_HEAD_LEN + 1], uint64_t seq, const char *hash)
{
	(void)snprintf(out, CHAIN_HEAD_LEN + 1, "%020" PRIu64 " %.64s\n", seq, hash);
}

int chain_head_read(const char *path, struct chain_head *ret)
{
	char file[4096], text[CHAIN_HEAD_LEN + 1] = "";
	uint8_t digest[32];
	*ret = (struct chain_head){0};
	(void)snprintf(file, sizeof(file), "%s.head", path);
	FILE *f = fopen(file, "re");
	if (!f)
		return errno == ENOENT ? 0 : -errno;
	size_t n = fread(text, 1, CHAIN_HEAD_LEN, f);
	(void)fclose(f);
	if (n != CHAIN_HEAD_LEN || text[20] != ' ' || text[CHAIN_HEAD_LEN - 1] != '\n')
		return 0;
	text[CHAIN_HEAD_LEN - 1] = 0;
	for (int i = 0; i < 20; i++)
		if (!isdigit((unsigned char)text[i]))
			return 0;
	if (hex_parse(text + 21, digest, sizeof(digest)))
		return 0;
	ret->present = true;
	ret->seq = strtoull(text, NULL, 10);
	memcpy(ret->hash, text + 21, sizeof(ret->hash));
	return 0;
}

struct record {
	uint64_t seq;
	const char *prev, *hash; /* 64 digits each, within the line */
};

/* The shape audit_commit writes; anything else is not ours. */
static bool record_parse(const char *line, size_t len, struct record *ret)
{
	const char *start = "{\"seq\":";
	size_t skip = strlen(start);
	if (len < skip + 2 + PREV_TAIL + HASH_TAIL || memcmp(line, start, skip) || !isdigit((unsigned char)line[skip]))
		return false;
	const char *hash = line + len - HASH_TAIL, *prev = hash - PREV_TAIL;
	if (memcmp(hash, HASH_KEY, KEY_LEN) || memcmp(line + len - 2, "\"}", 2) || memcmp(prev, PREV_KEY, KEY_LEN))
		return false;
	char *end;
	ret->seq = strtoull(line + skip, &end, 10);
	ret->prev = prev + KEY_LEN;
	ret->hash = hash + KEY_LEN;
	return *end == ',';
}

static void blame(struct chain *c, enum audit_verdict verdict, uint64_t line, uint64_t seq)
{
	if (c->verdict != AUDIT_OK)
		return;
	c->verdict = verdict;
	c->bad_line = line;
	c->bad_seq = seq;
}

static void scan_line(struct chain *c, const struct chain_head *head, const char *line, size_t len)
{
	struct record r;
	char hash[CHAIN_HEX + 1];
	c->line++;
	if (!record_parse(line, len, &r)) {
		blame(c, AUDIT_EDITED, c->line, c->seq + 1);
		return;
	}
	chain_hash(line, len - HASH_TAIL, hash);
	if (memcmp(hash, r.hash, CHAIN_HEX))
		blame(c, AUDIT_EDITED, c->line, r.seq);
	if (r.seq != c->seq + 1)
		blame(c, AUDIT_GAP, c->line, r.seq);
	else if (memcmp(r.prev, c->hash, CHAIN_HEX))
		blame(c, AUDIT_EDITED, c->line, r.seq);
	c->seq = r.seq;
	memcpy(c->hash, r.hash, CHAIN_HEX);
	if (head->present && head->seq == r.seq && memcmp(head->hash, r.hash, CHAIN_HEX))
		blame(c, AUDIT_EDITED, c->line, r.seq);
}

int chain_scan(FILE *f, const struct chain_head *head, struct chain *ret)
{
	struct chain c = {.verdict = AUDIT_OK};
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	memset(c.hash, '0', CHAIN_HEX);
	while ((n = getline(&line, &cap, f)) > 0) {
		if (line[n - 1] != '\n') {
			c.torn = (size_t)n;
			break;
		}
		c.whole += n;
		scan_line(&c, head, line, (size_t)n - 1);
	}
	int failed = ferror(f) ? -EIO : 0;
	free(line);
	if (failed)
		return failed;
	if (c.torn || (head->present ? head->seq > c.seq : c.seq > 0))
		blame(&c, AUDIT_TRUNCATED, c.line + 1, c.seq + 1);
	*ret = c;
	return 0;
}

int audit_verify(const char *path, uint64_t *ret_line, uint64_t *ret_seq)
{
	struct chain_head head;
	struct chain c;
	FILE *f = fopen(path, "re");
	if (!f)
		return -errno;
	/* The head is read first: a writer that goes on meanwhile makes the file longer, never shorter. */
	int r = chain_head_read(path, &head);
	if (!r)
		r = chain_scan(f, &head, &c);
	(void)fclose(f);
	if (r)
		return r;
	*ret_line = c.verdict ? c.bad_line : c.line;
	*ret_seq = c.verdict ? c.bad_seq : c.seq;
	return (int)c.verdict;
}
