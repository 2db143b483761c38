/* endpoint: run directories, listening sockets, the process's ZeroMQ context and multipart messages.
 *
 * Sockets are made here and handed to libzmq (ZMQ_USE_FD), for three reasons: they have mode 0666 from their first moment; a new
 * one takes the old one's name by rename(2), so a socket can be replaced while clients connect; and libzmq, which
 * unlinks whatever lies at the path when it binds or closes, touches no name. */
#pragma once
#include "lib/base/err.h"
#include "lib/base/path.h"
#include "lib/bus/gate.h"
#include <stdbool.h>
#include <sys/types.h>
#include <zmq.h>

void *endpoint_context(void);	  /* the process's (made anew after fork); give back with the next */
void endpoint_context_put(void);

bool endpoint_name_ok(const char *name);
/* Makes the directory where missing and locks it. -EADDRINUSE: another instance has it. -EPERM: others could write in it. */
int endpoint_lock(const char *name, int *ret_fd, struct errbuf *e);
void endpoint_unlink(const char *name, const char *file);
/* Binds @socket to ROOT/run/ravelin/NAME/FILE; @g: what its peers may hold (guard.h). */
int endpoint_bind(void *socket, const char *name, const char *file, struct gate *g, struct errbuf *e);
int endpoint_connect(void *socket, const char *name, const char *file);
bool endpoint_alive(const char *name); /* does a process listen at rpc? */
int endpoint_owner(const char *name, uid_t *ret);

void endpoint_set(void *socket, int option, int value);

/* Receives one message without waiting. Returns its number of parts (may be above @max: those are dropped), 0 when nothing is
 * there; part[0..min(n,max)) are to be closed with parts_close. @ret_cost (NULL allowed): frames_cost of all of them. */
int parts_recv(void *socket, zmq_msg_t *part, int max, uint64_t *ret_cost);
void parts_close(zmq_msg_t *part, int n, int max);
/* Sends copies; returns false when the first frame was not accepted (nothing is sent then). */
struct bytes {
	const void *data;
	size_t len;
};
bool parts_send(void *socket, const struct bytes *parts, int n);
