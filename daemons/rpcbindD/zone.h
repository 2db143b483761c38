/* zone: which network security zone an address belongs to, and the label of that zone.
 *
 * As NETACCESS of a z/OS stack's profile: prefixes are mapped to zone names, the longest prefix that covers an address decides,
 * and the zone is the resource EZB.NETACCESS.sysname.tcpname.zone in class SERVAUTH; the SECLABEL of the profile that covers it is the
 * label of what comes from there (zos.md section 1, "SECLABEL dominance", and section 9). */
#pragma once
#include "lib/base/addr.h"
#include "lib/saf/saf.h"

enum { ZONE_MAX = 1024, ZONE_NAME_MAX = 9 };

struct zone_entry {
	struct prefix prefix;
	char name[ZONE_NAME_MAX];
};

struct zone_table {
	struct zone_entry *entries; /* longest prefix first */
	unsigned count;
};

/* -EEXIST: the prefix has a zone already; -ENOSPC: ZONE_MAX; -EINVAL: not a name of 1 to 8 letters, digits, @ # $ with a letter first. The
 * name is stored in upper case. */
int zone_add(struct zone_table *t, const struct prefix *p, const char *name);
void zone_free(struct zone_table *t); /* leaves it empty */
const char *zone_find(const struct zone_table *t, const struct addr *a); /* NULL: in no zone */
/* The label of the zone of @a: 0; -ENOENT: no zone, no profile for it, or the profile has no label. */
int zone_label(const struct zone_table *t, struct saf *s, const char *sysname, const char *tcpname, const struct addr *a,
	char ret_label[SAF_USER_MAX]);
