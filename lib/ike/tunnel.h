/* tunnel: what the files of phase 2 tunnels share beyond engine.h. */
#pragma once
#include "lib/ike/engine.h"

/* tunnel_index.c */
void tunnel_link(struct tunnel *t); /* by what it protects and between whom: anew after either changed */
void tunnel_unlink(struct tunnel *t);
struct tunnel_list *tunnels_at(struct ike *k, const struct ike_path *path); /* between these ends, and others with the same digest */
bool tunnel_ends_equal(const struct ike_path *a, const struct ike_path *b);
bool tunnel_belongs(const struct tunnel *t, const struct p1 *p); /* it lives, and its peer is that of @p */

/* tunnel_old.c */
void old_child_keep(struct tunnel *t); /* the pair in force becomes one that is only understood still */
void old_child_gone(struct ike *k, struct old_child *o, const char *why);
void old_children_free(struct tunnel *t);

/* tunnel_orphan.c */
void tunnel_adopt(struct ike *k, void *tunnel); /* its timer: it gets a phase 1 */

/* tunnel.c: by the first KeyExchangeRule of the two ends that lets us begin; NULL with the reason. */
struct p1 *tunnel_begin_p1(struct tunnel *t, struct errbuf *e);
