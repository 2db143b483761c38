/* links: the links of a running stack become what a profile describes: added, changed, taken away, all or none. A link has its place in
 * stack->links (its index: routes, neighbours and packets know it by that) as long as it is there; a place that was left is used again.
 *
 *   links_begin   those that are new are opened aside, while packets flow; then the workers stand still between two rounds (what
 *                 comes waits in the kernel's queues), and the new ones are there and the changed ones other
 *   the caller    routes, filters, ... of the new description: nothing leads to those that go any more
 *   links_commit  the workers stand still again, and those that go are gone; or
 *   links_undo    everything is as it was
 *
 * How long they stand still, measured over 190 changes with two workers under 250 packets a second (43-reload's, unoptimised, two cores that
 * other programs used, too): a worker is there after 0.06 ms (median; 90 % 0.12), and they are held for 0.16 ms (90 % 0.23); the longest
 * of all was 4 ms for each, a processor that somebody else had.
 */
#pragma once
#include "daemons/stack-core/stack.h"

struct links_change;

enum links_what { LINKS_ADDED, LINKS_REMOVED, LINKS_CHANGED };

/* @want: as described, @n of them; @ret_place says where each is. -errno: nothing changed. */
int links_begin(struct stack *s, const struct link *want, unsigned n, uint16_t ret_place[LINKS_MAX], struct links_change **ret, struct errbuf *e);
/* Both free @c. @told (NULL: nobody) hears of each, those that went while they are still described. */
void links_commit(struct links_change *c, void (*told)(void *arg, const struct link *l, enum links_what what), void *arg);
/* The links as they were, for the routes of the old description; links_undo_end when these are in force. */
void links_undo(struct links_change *c);
void links_undo_end(struct links_change *c);
