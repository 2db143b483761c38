#include "daemons/ravelin-bouncer/decisions.h"
#include "lib/base/xalloc.h"
#include <strings.h>
#include <yajl/yajl_parse.h>

enum { TEXT_MAX = 64 };

/* Where the next value goes. */
enum place { OTHER, NEW, DELETED };
enum member { M_NONE, M_DURATION, M_SCOPE, M_TYPE, M_VALUE, MEMBERS };

struct decisions_reader {
	yajl_handle yajl;
	struct decisions d;
	size_t max;
	unsigned depth;
	enum place place;
	enum member member;
	bool seen_new, seen_deleted, too_many, over; /* over: a member was too long */
	char text[MEMBERS][TEXT_MAX + 1];
};

/* --- one decision --- */

static bool source_of(const char *scope, const char *value, struct prefix *ret)
{
	char text[TEXT_MAX + 1];
	(void)snprintf(text, sizeof(text), "%s", value);
	char *slash = strchr(text, '/'), *end;
	if (slash)
		*slash++ = 0;
	if (addr_parse(text, &ret->addr))
		return false;
	unsigned long most = addr_len(&ret->addr) * 8, len = most;
	if (slash)
		len = *slash >= '0' && *slash <= '9' ? strtoul(slash, &end, 10) : most + 1;
	if (len > most || (slash && *end) || (!strcasecmp(scope, "ip") && len != most))
		return false;
	ret->len = (uint8_t)len;
	prefix_mask(ret);
	return true;
}

static void keep(struct decisions_reader *r, struct decision_list *l, const struct decision *d)
{
	if (l->n == r->max) {
		r->too_many = true;
		return;
	}
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 256;
		l->v = xrealloc(l->v, l->cap, sizeof(*l->v));
	}
	l->v[l->n++] = *d;
}

static void decision_end(struct decisions_reader *r)
{
	const char *scope = r->text[M_SCOPE];
	bool added = r->place == NEW;
	struct decision d = {.life_us = 0};
	if (strcasecmp(r->text[M_TYPE], "ban"))
		r->d.other_type += added;
	else if (strcasecmp(scope, "ip") && strcasecmp(scope, "range"))
		r->d.other_scope += added;
	else if (r->over || !source_of(scope, r->text[M_VALUE], &d.source) || (added && !duration_parse(r->text[M_DURATION], &d.life_us)))
		r->d.unreadable += added;
	else if (!added || d.life_us)
		keep(r, added ? &r->d.added : &r->d.removed, &d);
}

/* --- what yajl tells; 0 ends it --- */

/* May a plain value stand here? Not as the whole, not where a list belongs, not in a list. */
static int plain(const struct decisions_reader *r)
{
	return r->depth > 2 || (r->depth && r->place == OTHER);
}

static int on_null(void *arg)
{
	const struct decisions_reader *r = arg;
	return r->depth == 1 || plain(r); /* an empty list is null */
}

static int on_bool(void *arg, int v)
{
	(void)v;
	return plain(arg);
}

static int on_number(void *arg, const char *s, size_t len)
{
	(void)s, (void)len;
	return plain(arg);
}

static int on_string(void *arg, const unsigned char *s, size_t len)
{
	struct decisions_reader *r = arg;
	if (r->depth != 3 || r->place == OTHER || r->member == M_NONE)
		return plain(r);
	if (len > TEXT_MAX || memchr(s, 0, len)) {
		r->over = true;
		return 1;
	}
	memcpy(r->text[r->member], s, len);
	r->text[r->member][len] = 0;
	return 1;
}

static bool is(const unsigned char *s, size_t len, const char *word)
{
	return len == strlen(word) && !memcmp(s, word, len);
}

static int on_key(void *arg, const unsigned char *s, size_t len)
{
	struct decisions_reader *r = arg;
	if (r->depth == 1) {
		r->place = is(s, len, "new") ? NEW : is(s, len, "deleted") ? DELETED : OTHER;
		bool again = r->place == NEW ? r->seen_new : r->place == DELETED && r->seen_deleted;
		r->seen_new |= r->place == NEW;
		r->seen_deleted |= r->place == DELETED;
		return !again;
	}
	if (r->depth == 3)
		r->member = is(s, len, "duration") ? M_DURATION : is(s, len, "scope") ? M_SCOPE : is(s, len, "type") ? M_TYPE :
			is(s, len, "value") ? M_VALUE : M_NONE;
	return 1;
}

static int open_any(struct decisions_reader *r, bool map)
{
	unsigned at = r->depth;
	if (at == DECISIONS_DEPTH_MAX || (at == 0 && !map))
		return 0;
	/* the lists are arrays of objects */
	if (r->place != OTHER && ((at == 1 && map) || (at == 2 && !map)))
		return 0;
	if (at == 2 && map) {
		memset(r->text, 0, sizeof(r->text));
		r->member = M_NONE;
		r->over = false;
	}
	if (at == 3) /* a member that is no text: as if it had none */
		r->member = M_NONE;
	r->depth++;
	return 1;
}

static int on_map(void *arg)
{
	return open_any(arg, true);
}

static int on_array(void *arg)
{
	return open_any(arg, false);
}

static int on_close(void *arg)
{
	struct decisions_reader *r = arg;
	if (r->depth == 3 && r->place != OTHER)
		decision_end(r);
	r->depth--;
	return !r->too_many;
}

struct decisions_reader *decisions_reader_new(size_t max)
{
	static const yajl_callbacks callbacks = {on_null, on_bool, NULL, NULL, on_number, on_string, on_map, on_key, on_close, on_array, on_close};
	struct decisions_reader *r = xnew(struct decisions_reader);
	r->max = max;
	r->yajl = yajl_alloc(&callbacks, NULL, r);
	if (!r->yajl)
		abort();
	return r;
}

void decisions_reader_free(struct decisions_reader *r)
{
	if (!r)
		return;
	yajl_free(r->yajl);
	free(r->d.added.v);
	free(r->d.removed.v);
	free(r);
}

static int judge(const struct decisions_reader *r, yajl_status s, struct errbuf *e)
{
	if (r->too_many)
		return err_set(e, E2BIG, "more than %zu decisions in one answer", r->max);
	if (s == yajl_status_client_canceled)
		return err_set(e, EINVAL, "not a list of decisions: new and deleted, each an array of objects or null");
	if (s != yajl_status_ok)
		return err_set(e, EINVAL, "not JSON, %zu bytes into a part of it", yajl_get_bytes_consumed(r->yajl));
	return 0;
}

int decisions_feed(struct decisions_reader *r, const void *data, size_t len, struct errbuf *e)
{
	return judge(r, yajl_parse(r->yajl, data, len), e);
}

int decisions_end(struct decisions_reader *r, struct errbuf *e)
{
	int rc = judge(r, yajl_complete_parse(r->yajl), e);
	if (!rc && (!r->seen_new || !r->seen_deleted || r->depth))
		rc = err_set(e, EINVAL, "not a list of decisions: new or deleted is missing");
	return rc;
}

const struct decisions *decisions_of(const struct decisions_reader *r)
{
	return &r->d;
}
