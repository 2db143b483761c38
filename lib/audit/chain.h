/* chain: reads an audit file line by line and says how far its hash chain holds. Shared by audit_open and audit_verify. */
#pragma once
#include "lib/audit/audit.h"
#include <stdio.h>
#include <sys/types.h>

enum { CHAIN_HEX = 64, CHAIN_LINE_MAX = 1 << 20, CHAIN_HEAD_LEN = 20 + 1 + CHAIN_HEX + 1 };

/* What FILE.head says: the last record that was written. */
struct chain_head {
	bool present;
	uint64_t seq;
	char hash[CHAIN_HEX + 1];
};

struct chain {
	enum audit_verdict verdict; /* the first thing found wrong, and where */
	uint64_t bad_line, bad_seq;
	uint64_t line, seq; /* of the last complete line that has a sequence */
	char hash[CHAIN_HEX + 1];
	off_t whole; /* bytes up to and including the last line feed */
	size_t torn; /* bytes after it */
};

int chain_head_read(const char *path, struct chain_head *ret); /* @path of the audit file; absent is not an error */
void chain_head_text(char out[CHAIN_HEAD_LEN + 1], uint64_t seq, const char *hash);
int chain_scan(FILE *f, const struct chain_head *head, struct chain *ret);
void chain_hash(const char *line, size_t len, char out[CHAIN_HEX + 1]);
