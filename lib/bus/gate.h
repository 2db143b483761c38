/* gate: how many connections the peers of one listening socket may have, and how many bytes of their messages may wait for the daemon,
 * by connection and by uid. libzmq counts messages (ZMQ_RCVHWM, per connection), not bytes and not connections: a thousand requests of
 * 1 MiB would wait per connection, and a stranger would open connections until accept4(2) says EMFILE, on which libzmq 4.3 aborts.
 *
 * A connection holds what its frames cost from their first byte until the daemon has taken the message. What it holds when it ends
 * stays its uid's, as libzmq still delivers it: ending and coming again gains nothing. Not all of that is ever delivered (a handshake
 * that fails behind the bytes), so a daemon that finds nothing waiting says so, and what was left before its last such look is gone.
 *
 * uid 0 has no limit but the one per connection: it could end the daemon anyway. Not locked: guard.c is the only user, and locks. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct gate_limits {
	unsigned uid_connections, connections; /* of one uid, of all: neither counts uid 0 */
	uint64_t place_bytes, uid_bytes;       /* that wait, of one connection, of one uid */
};

struct gate;
struct gate_place; /* one connection's */

struct gate *gate_new(const struct gate_limits *limits);
struct gate *gate_ref(struct gate *g);
void gate_unref(struct gate *g); /* NULL allowed; the last one frees */

struct gate_place *gate_enter(struct gate *g, uid_t uid); /* NULL: as many as there may be */
void gate_leave(struct gate_place *p);
bool gate_hold(struct gate_place *p, uint64_t bytes); /* false: more than may wait, and not held */
/* A message of @uid that cost @bytes has been taken; @p NULL: its connection is not known any more. */
void gate_take(struct gate *g, struct gate_place *p, uid_t uid, uint64_t bytes);
void gate_empty(struct gate *g); /* nothing waits */

struct gate *gate_of(const struct gate_place *p);
uid_t gate_uid(const struct gate_place *p);
uint64_t gate_held(const struct gate *g, uid_t uid);
