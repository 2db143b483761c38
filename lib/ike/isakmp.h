/* isakmp: the frame of every message (RFC 2408 section 3): header, and a chain of payloads that
 * each name the type of the next. Pure functions over bounded buffers; nothing here allocates, and
 * what is read borrows from the input.
 *
 * Reading is strict: a length that is not exact, a reserved byte that is not zero, an unknown
 * payload type below the private range or more than ISAKMP_PAYLOADS_MAX payloads refuse the whole
 * message, with the notify that says so. */
#pragma once
#include "lib/base/rd.h"
#include "lib/base/wr.h"
#include "lib/ike/notify.h"

enum {
	ISAKMP_COOKIE = 8,
	ISAKMP_HEADER = 28,
	ISAKMP_VERSION = 0x10,
	ISAKMP_PAYLOADS_MAX = 48,
	ISAKMP_MESSAGE_MAX = 65535
};
enum isakmp_exchange {
	ISAKMP_MAIN = 2,
	ISAKMP_AGGRESSIVE = 4,
	ISAKMP_INFORMATIONAL = 5,
	ISAKMP_QUICK = 32
};
enum isakmp_flag { ISAKMP_ENCRYPTED = 1, ISAKMP_COMMIT = 2, ISAKMP_AUTH_ONLY = 4 };
enum isakmp_type {
	ISAKMP_NONE = 0,
	ISAKMP_SA = 1,
	ISAKMP_PROPOSAL = 2,
	ISAKMP_TRANSFORM = 3,
	ISAKMP_KE = 4,
	ISAKMP_ID = 5,
	ISAKMP_CERT = 6,
	ISAKMP_CERTREQ = 7,
	ISAKMP_HASH = 8,
	ISAKMP_SIG = 9,
	ISAKMP_NONCE = 10,
	ISAKMP_NOTIFY = 11,
	ISAKMP_DELETE = 12,
	ISAKMP_VID = 13,
	ISAKMP_NAT_D = 20,
	ISAKMP_NAT_OA = 21,
	ISAKMP_NAT_D_DRAFT = 130,
	ISAKMP_NAT_OA_DRAFT = 131,
	ISAKMP_FRAGMENT = 132
};

struct isakmp_header {
	uint8_t icookie[ISAKMP_COOKIE], rcookie[ISAKMP_COOKIE];
	uint8_t next, version, exchange, flags;
	uint32_t id, length; /* length: as read, >= ISAKMP_HEADER and equal to the datagram's */
};
/* 0 or -EPROTO. @len must be the length that the header states; the initiator's cookie is never
 * zero. The fields up to the error are filled in, so that a refusal can be addressed (zero when the
 * datagram is shorter than a header). */
int isakmp_header_read(
	const void *data, size_t len, struct isakmp_header *ret, struct ike_refusal *why);
void isakmp_header_write(struct wr *w, const struct isakmp_header *h);
bool isakmp_cookie_zero(const uint8_t cookie[ISAKMP_COOKIE]);

struct isakmp_payload {
	uint8_t type;	      /* enum isakmp_type */
	const uint8_t *start; /* its generic header */
	const uint8_t *body;  /* behind the 4 bytes of generic header; what hashes call "_b" */
	size_t len;	      /* of body */
};
struct isakmp_payloads {
	size_t n;
	const uint8_t *end; /* behind the last payload: where padding begins; hashes of phase 2 stop
			       here */
	struct isakmp_payload at[ISAKMP_PAYLOADS_MAX];
};
/* Walks the chain behind the header in exactly @data..@data+@len. @first: the header's next
 * payload. @pad_max: 0 in clear; in decrypted bodies so many bytes may follow (the peer's padding).
 * 0 or -EPROTO. A body that did not decrypt properly ends here. */
int isakmp_walk(uint8_t first, const void *data, size_t len, size_t pad_max,
	struct isakmp_payloads *ret, struct ike_refusal *why);
/* The @nth (from 0) of a type, or NULL. */
const struct isakmp_payload *isakmp_find(const struct isakmp_payloads *p, uint8_t type, size_t nth);
size_t isakmp_count(const struct isakmp_payloads *p, uint8_t type);

/* Building: start, add payloads, finish. Errors are sticky as in wr; finish tells. Pointers into
 * the buffer stay valid. */
struct isakmp_build {
	struct wr w;
	uint8_t *next_at; /* where the type of the next payload goes */
	uint8_t *open;	  /* generic header of the payload being written */
};
/* @h's next and length are filled in later. */
void isakmp_start(struct isakmp_build *b, void *buf, size_t size, const struct isakmp_header *h);
void isakmp_add(struct isakmp_build *b, uint8_t type, const void *body, size_t len);
/* A payload whose body is filled in later (HASH, over what follows it): returns its zeroed body,
 * NULL when it did not fit. */
uint8_t *isakmp_add_hole(struct isakmp_build *b, uint8_t type, size_t len);
/* A payload whose body is written to &b->w between the two. */
void isakmp_open(struct isakmp_build *b, uint8_t type);
void isakmp_close(struct isakmp_build *b);
/* Pads with zero bytes so that the body behind the header is a multiple of @block (1: no padding),
 * and sets the length. The message's length, or 0 when it did not fit. */
size_t isakmp_finish(struct isakmp_build *b, size_t block);
/* Where the next payload will begin: hashes are computed from one mark to another. */
static inline const uint8_t *isakmp_mark(const struct isakmp_build *b)
{
	return b->w.p;
}
