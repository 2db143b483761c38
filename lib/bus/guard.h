/* guard: ends a connection to one of our listening sockets whose peer sends a message without end (frames.h), or makes more bytes wait
 * than it may, and refuses one connection too many (gate.h).
 *
 * libzmq shows an application whole messages only, and has no option for what an unfinished one may take: one local peer, even without
 * any authority, could fill a daemon's memory (measured: three times 300 MB of frames, large and empty ones, grew a daemon by 4 GB).
 * What libzmq does with the system is in our hands, though: it calls accept4(2), recv(2) and close(2) by name, and the names are bound
 * to the functions here, which the program has before the C library. For sockets that are not a guarded listener's they do what the C
 * library's do and nothing else: one look into a table. accept4 and close of a guarded one tell when a number stands for another socket,
 * so recv asks the kernel nothing. */
#pragma once
#include "lib/bus/gate.h"
#include "lib/bus/peer.h"
#include <stdint.h>

/* Connections accepted from the listening socket @fd are guarded from now on, until it is closed. @g: a reference is kept. */
void guard_listener(int fd, struct gate *g);
/* @m, a part of a message that came through @g from @from, has been taken; all its parts cost @cost (frames_cost). */
void guard_taken(struct gate *g, zmq_msg_t *m, const struct peer *from, uint64_t cost);
void guard_empty(struct gate *g); /* nothing waits behind @g */
void guard_gate_free(struct gate *g);

struct guard_counts { /* since the process began */
	uint64_t oversized; /* connections ended for a message without end, or too large */
	uint64_t overfull;  /* connections ended because too much of theirs, or of their uid's, waited */
	uint64_t crowded;   /* connections refused: too many */
};
void guard_counts(struct guard_counts *ret);
