/* Zones are few (a site's networks) and asked for only by calls that are passed on: an array in order of prefix length is enough. */
#include "daemons/rpcbindD/zone.h"
#include "lib/base/xalloc.h"
#include <ctype.h>

static bool is_name(const char *s)
{
	size_t n = strlen(s);
	if (n == 0 || n >= ZONE_NAME_MAX || isdigit((unsigned char)s[0]))
		return false;
	for (; *s; s++)
		if (!isascii((unsigned char)*s) || (!isalnum((unsigned char)*s) && !strchr("@#$", *s)))
			return false;
	return true;
}

int zone_add(struct zone_table *t, const struct prefix *p, const char *name)
{
	unsigned at = 0;
	if (!is_name(name) || !addr_len(&p->addr))
		return -EINVAL;
	if (t->count >= ZONE_MAX)
		return -ENOSPC;
	for (unsigned i = 0; i < t->count; i++) {
		const struct prefix *q = &t->entries[i].prefix;
		if (q->len == p->len && addr_equal(&q->addr, &p->addr))
			return -EEXIST;
		if (q->len >= p->len)
			at = i + 1;
	}
	t->entries = xrealloc(t->entries, t->count + 1, sizeof(*t->entries));
	memmove(&t->entries[at + 1], &t->entries[at], (t->count - at) * sizeof(*t->entries));
	struct zone_entry *e = &t->entries[at];
	e->prefix = *p;
	for (size_t i = 0; i < ZONE_NAME_MAX; i++)
		e->name[i] = 0;
	for (size_t i = 0; i < ZONE_NAME_MAX - 1 && name[i]; i++)
		e->name[i] = (char)toupper((unsigned char)name[i]);
	t->count++;
	return 0;
}

void zone_free(struct zone_table *t)
{
	free(t->entries);
	*t = (struct zone_table){0};
}

/* An IPv4 client of an IPv6 socket is still an IPv4 client. */
static struct addr unmapped(const struct addr *a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	return a->family == 6 && memcmp(a->b, mapped, 12) == 0 ? addr_v4(a->b + 12) : *a;
}

const char *zone_find(const struct zone_table *t, const struct addr *a)
{
	struct addr plain = unmapped(a);
	for (unsigned i = 0; i < t->count; i++)
		if (prefix_covers(&t->entries[i].prefix, &plain))
			return t->entries[i].name;
	return NULL;
}

int zone_label(const struct zone_table *t, struct saf *s, const char *sysname, const char *tcpname, const struct addr *a,
	char ret_label[SAF_USER_MAX])
{
	char resource[SAF_RESOURCE_MAX], label[SAF_USER_MAX];
	const char *zone = zone_find(t, a);
	if (!zone)
		return -ENOENT;
	int n = snprintf(resource, sizeof(resource), "EZB.NETACCESS.%s.%s.%s", sysname, tcpname, zone);
	if (n < 0 || (size_t)n >= sizeof(resource) || saf_profile_label(s, "SERVAUTH", resource, label) || !label[0])
		return -ENOENT;
	memcpy(ret_label, label, SAF_USER_MAX);
	return 0;
}
