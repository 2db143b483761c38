/* xdp_prog: the XDP program on a device and its tables. */
#pragma once
#include "daemons/stack-core/link/driver.h"

struct xdp_prog;
/* Attaches to @l's device: in its driver where that can, else in the kernel's generic way, which @ret_generic tells. It goes when
 * it is freed, or when the process ends in whatever way. @frags: it is to be shown frames that are in pieces. */
int xdp_prog_new(const struct link *l, bool frags, struct errbuf *e, struct xdp_prog **ret, bool *ret_generic);
void xdp_prog_free(struct xdp_prog *p);
int xdp_prog_socket(struct xdp_prog *p, uint32_t queue, int fd); /* frames of that queue go there */
/* The addresses of @l and its siblings are ours, the destinations in @list are taken. */
void xdp_prog_takes(struct xdp_prog *p, const struct link *l, const struct prefix *list, unsigned n);
