/* devices: what becomes of the devices under the links while the stack runs, as rtnetlink(7) tells it. Nothing here waits for packets.
 *
 *   set down, carrier lost   the link is down: an event, a count. Its queues stay, and packets flow again when it is up
 *   gone                     (unplugged, deleted, moved away) the same, and its queues lead nowhere: they wake nobody any more
 *   there again by its name  queues are opened anew (link/again.c), the workers stand still while they are put in the place of the old ones
 *   another MAC address      is ours from now on
 *
 * A link that came up may have other neighbours: those it knew are forgotten, and its addresses are asked for and announced as at the start.
 * The TUN is our own: when somebody deletes it, it is made again, with its addresses and the host's routes. Other links notice none of it. */
#pragma once
#include "daemons/stack-core/stack.h"

struct devices;
struct devices *devices_new(struct stack *s); /* never NULL: without netlink it looks once a second */
void devices_free(struct devices *d);	      /* NULL allowed */
void devices_tick(struct stack *s, uint64_t now_ms);
void devices_changed(struct stack *s); /* the links are others: they are looked at */
