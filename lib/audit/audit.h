/* audit: security-relevant records in an append-only file, one JSON object a line, chained by hash.
 *
 *   {"seq":7,"time":"2026-11-24T22:47:55.123456Z","system":"SYS1","component":"defmgrD","type":80,"subtype":2,
 *    "qualifier":1, ...fields..., "prev":"<64 hex>","hash":"<64 hex>"}
 *
 * hash = SHA-256 over the line's bytes up to and not including ,"hash": ; prev = the hash of the line before (64 zeros for
 * the first). A sidecar FILE.head (written atomically) holds the last sequence and hash, so that a cut at the end is found
 * too. A record that cannot be written (disk full) is reported once by log_error and by the hook, counted in audit_lost(),
 * and does not stop the caller; the next record that can be written carries "lost":N. */
#pragma once
#include "lib/base/json.h"
#include <stdbool.h>
#include <stdint.h>

struct audit;

/* Record types: SMF 80 (RACF events, zos.md section 15) and 119 (TCP/IP). */
enum { AUDIT_RACF = 80, AUDIT_TCPIP = 119 };

/* Opens or creates @path (mode 0640), verifies and resumes its chain (a torn last line is set aside in a record that says
 * so; a shortened or edited file is resumed in a way that verification goes on finding it). 0 or -errno; -EBUSY: another
 * process writes it. */
int audit_open(const char *path, const char *component, struct audit **ret);
void audit_close(struct audit *a); /* NULL allowed */
/* Starts a record and returns the writer for its own fields (json_kv_...); audit_commit ends and writes it. NULL @a is
 * allowed in both: the record is only formatted. Not thread-safe: control thread only. */
struct json *audit_begin(struct audit *a, unsigned type, unsigned subtype, unsigned qualifier);
int audit_commit(struct audit *a);
uint64_t audit_seq(const struct audit *a);
uint64_t audit_lost(const struct audit *a);
/* @fn runs when writing starts to fail (@err = errno) and when it works again (@err 0), so that a daemon can say so on the bus. */
void audit_on_failure(struct audit *a, void (*fn)(void *arg, int err), void *arg);

enum audit_verdict { AUDIT_OK = 0, AUDIT_EDITED = 1, AUDIT_TRUNCATED = 2, AUDIT_GAP = 3 };
/* Checks a whole file; *@ret_line and *@ret_seq say where. 0, a verdict, or -errno. */
int audit_verify(const char *path, uint64_t *ret_line, uint64_t *ret_seq);
