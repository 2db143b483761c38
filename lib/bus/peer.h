/* peer: who is at the other end, in the kernel's word. libzmq asks SO_PEERCRED for each ipc connection and shows the answer
 * as the message property "Peer-Address" = "localhost:UID:GID:PID" (the first part is a getnameinfo() result: anything).
 * It is the only property read: User-Id, Identity and X-... are what the peer said in its READY command (ZMTP 3.0). */
#pragma once
#include <sys/types.h>
#include <zmq.h>

struct peer {
	uid_t uid;
	gid_t gid;
	pid_t pid; /* for logs only: it may be gone or reused */
};

/* The last three ':' fields, each a decimal number. -EINVAL: anything else, as the bare address of a tcp peer. */
int peer_parse(const char *address, struct peer *ret);
int peer_of(zmq_msg_t *msg, struct peer *ret);
