/* wire: what goes over the socketpair between a daemon and its signer process, one SEQPACKET
 * message each, at most WIRE_MAX bytes.
 *
 *   READY   child   u8 1, u8 version, u16 keys
 *   FAILED  child   u8 2, u8 0, u32 errno, u16 n, n text
 *   SIGN    parent  u8 3, u8 mech, u64 id, 32 key id, u16 n, n hash
 *   SIGNED  child   u8 4, u8 0, u64 id, u32 errno (0: done), u16 n, n signature or text
 *
 * A message is exactly that long. Both ends refuse anything else and end the connection: each of
 * them may have been taken over. */
#pragma once
#include "lib/keyring/keyring.h"

enum {
	WIRE_VERSION = 1,
	WIRE_DATA_MAX = SIGN_SIGNATURE_MAX,
	WIRE_MAX = WIRE_DATA_MAX + 64,
	WIRE_FD = 3
};
enum wire_op { WIRE_READY = 1, WIRE_FAILED, WIRE_SIGN, WIRE_SIGNED };

struct wire_msg {
	uint8_t op;
	uint8_t mech;	 /* SIGN */
	uint16_t keys;	 /* READY */
	uint32_t status; /* FAILED, SIGNED: errno */
	uint64_t id;	 /* SIGN, SIGNED */
	uint8_t key[KEYRING_KEY_ID];
	uint16_t len;
	uint8_t data[WIRE_DATA_MAX];
};

/* bytes; 0: @m is none of ours */
size_t wire_encode(const struct wire_msg *m, uint8_t out[WIRE_MAX]);
int wire_decode(const void *data, size_t len, struct wire_msg *ret); /* 0 or -EBADMSG */
void wire_set_text(struct wire_msg *m, const char *text);	     /* cut to what fits */
