/* frag: IKEv1 fragmentation as Windows, Cisco and strongSwan do it: a message too big for the path
 * is cut after encryption, and each piece travels in a message of its own whose only payload, 132,
 * is not encrypted: fragment id, number from 1, flags (1: last), data. What is put together again
 * is a whole message with its header. Nothing authenticates a piece, so reassembly is bounded and a
 * piece that contradicts another begins anew. */
#pragma once
#include "lib/ike/isakmp.h"

enum { FRAG_HEADER = 8, FRAG_PIECES_MAX = 64, FRAG_BYTES_MAX = 32768, FRAG_LAST = 1 };
enum frag_outcome { FRAG_WAIT = 1, FRAG_DUPLICATE = 2 };

struct frag_limits { /* 0: FRAG_PIECES_MAX, FRAG_BYTES_MAX */
	unsigned pieces;
	size_t bytes;
};
struct frag; /* what one peer's pieces grow into: one message at a time */
struct frag *frag_new(const struct frag_limits *l);
void frag_free(struct frag *f); /* NULL allowed */
/* A FRAGMENT payload's body at @now_us. 0: the message is complete: *ret borrowed until the next
 * call. FRAG_WAIT: more to come. FRAG_DUPLICATE: had that piece. -EPROTO: malformed, beyond limits;
 * what was gathered is dropped. A new fragment id drops the old message; pieces older than @ttl_us
 * are dropped too. */
int frag_add(struct frag *f, const void *body, size_t len, uint64_t now_us, uint64_t ttl_us,
	const uint8_t **ret, size_t *ret_len, struct ike_refusal *why);
size_t frag_held(const struct frag *f); /* bytes held now */

/* Cuts the message @msg into datagrams of at most @mtu bytes (header and payload header included),
 * each given to @send. 0, -EINVAL: mtu too small, -EMSGSIZE: more than FRAG_PIECES_MAX. @id: not 0,
 * another one for each message (and the same for a resend). */
int frag_split(const void *msg, size_t len, size_t mtu, uint16_t id,
	void (*send)(void *ctx, const void *data, size_t len), void *ctx);
