/* tag: filters that belong together, and whose names nobody has to think of: those of a list that somebody keeps elsewhere (a blocklist, the
 * bans of a jail), those of one rule. The name says tag and source, so that adding twice finds the first, and removing needs no memory. A
 * name is 32 characters at most: where that is too little for an IPv6 prefix or a long tag, it is the tag's first four, '#', five that
 * tell tags apart, and 22 of a digest of tag and source (132 bits). */
#include "daemons/defmgrD/filter.h"
#include "lib/base/sha256.h"
#include <string.h>

enum { HEAD = 4, MARK = 5, TAIL = 22 };

/* @n characters of 6 bits each of the digest of @text. */
static void digest(const char *text, char *out, unsigned n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@";
	uint8_t d[32];
	uint32_t bits = 0;
	unsigned have = 0, at = 0;
	sha256(text, strlen(text), d);
	for (unsigned i = 0; i < n; i++) {
		if (have < 6) {
			bits = bits << 8 | d[at++];
			have += 8;
		}
		have -= 6;
		out[i] = digits[bits >> have & 63];
	}
	out[n] = 0;
}

/* What the name of a long one begins with. */
static void long_head(const char *tag, char out[HEAD + 1 + MARK + 1])
{
	char mark[MARK + 1];
	digest(tag, mark, MARK);
	(void)snprintf(out, HEAD + 1 + MARK + 1, "%.*s#%s", HEAD, tag, mark);
}

void filter_tag_name(const char *tag, const struct prefix *source, char out[FILTER_NAME_MAX + 1])
{
	char text[ADDR_TEXT_MAX], all[FILTER_NAME_MAX + ADDR_TEXT_MAX + 8], head[HEAD + 1 + MARK + 1], tail[TAIL + 1];
	(void)addr_text(&source->addr, text);
	if (source->len == addr_len(&source->addr) * 8)
		(void)snprintf(all, sizeof(all), "%.32s:%s", tag, text);
	else
		(void)snprintf(all, sizeof(all), "%.32s:%s-%u", tag, text, source->len);
	if (strlen(all) <= FILTER_NAME_MAX) {
		memcpy(out, all, strlen(all) + 1);
		return;
	}
	long_head(tag, head);
	digest(all, tail, TAIL);
	(void)snprintf(out, FILTER_NAME_MAX + 1, "%s%s", head, tail);
}

bool filter_tag_ok(const char *tag)
{
	return filter_name_ok(tag) && !strpbrk(tag, ":#");
}

bool filter_tagged(const struct filter *f, const char *tag)
{
	char head[HEAD + 1 + MARK + 1];
	size_t n = strlen(tag);
	if (n < FILTER_NAME_MAX && !strncmp(f->name, tag, n) && f->name[n] == ':')
		return true;
	if (f->name[n < HEAD ? n : HEAD] != '#')
		return false;
	long_head(tag, head);
	return !strncmp(f->name, head, strlen(head));
}

static bool same_prefix(const struct prefix *a, const struct prefix *b)
{
	return a->addr.family == b->addr.family && (!a->addr.family || (a->len == b->len && addr_equal(&a->addr, &b->addr)));
}

bool filter_same_match(const struct filter *a, const struct filter *b)
{
	return same_prefix(&a->source, &b->source) && same_prefix(&a->dest, &b->dest) && a->protocol == b->protocol && a->type == b->type &&
		a->code == b->code && a->opaque == b->opaque && a->fragments == b->fragments && a->direction == b->direction &&
		a->routing == b->routing && a->secclass == b->secclass && !memcmp(a->sport, b->sport, sizeof(a->sport)) &&
		!memcmp(a->dport, b->dport, sizeof(a->dport));
}
