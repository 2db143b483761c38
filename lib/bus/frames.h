/* frames: the outer form of what a peer sends (ZMTP 3, RFC 23/ZMTP of the ZeroMQ project): a greeting of 64 bytes, then frames, each
 * of flags, length and body. Follows them without keeping a byte of a body, for one question: does a message grow past what one may
 * be? libzmq limits the length of a frame (ZMQ_MAXMSGSIZE) and the number of whole messages that wait (ZMQ_RCVHWM), but not the frames
 * of a message whose last one never comes: it would keep them all. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A request has three frames; more are let through so that a mistaken client gets an answer that says so. */
enum { FRAMES_MAX = 64, FRAMES_BYTES_MAX = 2 << 20, FRAMES_GREETING = 64 };

struct frames {
	unsigned greeted; /* bytes of the greeting seen */
	uint8_t head[9];
	unsigned n_head;
	uint64_t body;	/* still to come of this frame */
	unsigned parts; /* of the message that is not whole yet */
	uint64_t bytes;
	uint64_t cost; /* of frames that began since whoever follows set this to 0 */
};

/* The most memory that libzmq keeps for a frame of @len bytes: the frame, and where it is not copied the buffer of 8 KiB that it came
 * in. Commands cost nothing, as nothing keeps them. */
uint64_t frames_cost(uint64_t len);

/* The next @len bytes of the connection. false: no ZMTP 3, a frame above BUS_MESSAGE_MAX, or a message above the limits; the
 * connection has to end, and this must not be called again for it. */
bool frames_take(struct frames *f, const void *data, size_t len);
