/* guard: ends a connection to one of our listening sockets whose peer sends a message without end (frames.h).
 *
 * libzmq shows an application whole messages only, and has no option for what an unfinished one may take: one local peer, even without
 * any authority, could fill a daemon's memory (measured: three times 300 MB of frames, large and empty ones, grew a daemon by 4 GB).
 * What libzmq does with the system is in our hands, though: it calls accept4(2) and recv(2) by name, and the names are bound to the
 * functions here, which the program has before the C library. For sockets that are not a guarded listener's they do what the C
 * library's do and nothing else. */
#pragma once
#include <stdint.h>

/* Connections accepted from the listening socket @fd are guarded from now on. */
void guard_listener(int fd);
/* Connections ended because of what they sent, since the process began. */
uint64_t guard_ended(void);
