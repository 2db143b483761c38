/* decisions: an answer of CrowdSec's local API to GET /v1/decisions/stream, read as it arrives:
 *
 *   {"new": [{"duration": "3h59m1.5s", "scope": "Ip", "type": "ban", "value": "192.0.2.7", ...}, ...] | null, "deleted": [...] | null}
 *
 * Of a decision four members count; what else there is, is skipped. Scopes Ip and Range and type ban are taken, others counted. The text is
 * a stranger's: it is never held as a whole, nothing in it is believed, and nothing of it may be used before decisions_end() has
 * said that it was complete: half of a list must not pass for a list. */
#pragma once
#include "lib/base/addr.h"
#include "lib/base/err.h"

enum { DECISIONS_DEPTH_MAX = 8 };

struct decision {
	struct prefix source;
	uint64_t life_us; /* from now; 0: over */
};

struct decision_list {
	struct decision *v;
	size_t n, cap;
};

struct decisions {
	struct decision_list added, removed;
	uint64_t other_scope, other_type, unreadable; /* of "new" */
};

struct decisions_reader;

/* At most @max in each list: more are -E2BIG. */
struct decisions_reader *decisions_reader_new(size_t max);
void decisions_reader_free(struct decisions_reader *r);
/* 0; -EINVAL: not such an answer; -E2BIG. After a failure only free it. */
int decisions_feed(struct decisions_reader *r, const void *data, size_t len, struct errbuf *e);
int decisions_end(struct decisions_reader *r, struct errbuf *e);
const struct decisions *decisions_of(const struct decisions_reader *r); /* after decisions_end gave 0 */

/* "3h59m1.5s", as Go prints durations: units h m s ms us µs ns, '-' in front: 0. False: no such text. At most a hundred years. */
bool duration_parse(const char *text, uint64_t *ret_us);
