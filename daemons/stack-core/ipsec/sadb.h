/* sadb: what dynamic.c uses of the database beyond sa.h. Inside ipsec/ only. */
#pragma once
#include "daemons/stack-core/ipsec/sa.h"

/* An index and a place in the table; t->index is set. -ENOSPC. */
int sadb_place(struct sadb *db, struct tunnel *t, struct errbuf *err);
void sadb_unplace(struct sadb *db, struct tunnel *t); /* no worker finds it any more; see sadb_give_index */
void sadb_give_index(struct sadb *db, uint32_t index); /* any thread, after a grace period */
void sadb_link(struct sadb *db, struct sa *in, struct sa *out); /* workers find them by SPI */
void sadb_unlink(struct sadb *db, struct sa *in, struct sa *out);
static inline void sa_belong(struct sa *sa, struct tunnel *t)
{
	for (; sa; sa = sa->over)
		sa->tunnel = t;
}
/* Is there an inbound SA that packets for @in could mean too? */
bool sadb_taken(struct sadb *db, const struct sa *in);
struct tunnel *sadb_dynamic(struct sadb *db, const char *id);
void sadb_name_dynamic(struct sadb *db, struct tunnel *t);
void sadb_unname_dynamic(struct sadb *db, struct tunnel *t);
