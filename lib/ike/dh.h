/* dh: the Diffie-Hellman groups of IKEv1 (RFC 2409 section 6, 3526, 5114, 5903) through OpenSSL.
 *
 * MODP peers' values are checked by us (2 <= y <= p-2, and y^q = 1 in group 24, whose subgroup is
 * small) instead of by OpenSSL's full validation, which costs four times the exchange itself and
 * adds nothing in safe-prime groups. Points of the ECP groups are checked by OpenSSL to lie on the
 * curve.
 *
 * A public value is as it stands in a KE payload: MODP numbers padded with zeros to the prime's
 * length; ECP x|y. A shared secret is the padded number, or x alone (RFC 5903 section 7). */
#pragma once
#include "lib/ike/notify.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DH_PUBLIC_MAX = 512, DH_SHARED_MAX = 512, DH_POOL_MAX = 256 };

bool dh_group_known(uint16_t group);
size_t dh_public_len(uint16_t group); /* 0: unknown */
size_t dh_shared_len(uint16_t group);

struct dh_key;					     /* a private value with its public one */
int dh_key_new(uint16_t group, struct dh_key **ret); /* 0, -EPROTONOSUPPORT, -EIO */
/* A pair that already exists (big-endian private value, public one as in a KE payload). 0,
 * -EPROTONOSUPPORT, -EINVAL. */
int dh_key_import(uint16_t group, const void *private, size_t private_len, const void *public,
	size_t public_len, struct dh_key **ret);
void dh_key_free(struct dh_key *k); /* NULL allowed; cleanses */
uint16_t dh_key_group(const struct dh_key *k);
const uint8_t *dh_key_public(const struct dh_key *k); /* dh_public_len bytes */
/* The secret shared with whoever has @peer: dh_shared_len bytes. -EPROTO with
 * INVALID-KEY-INFORMATION for a value of the wrong length, out of range or off the curve; -EIO. */
int dh_shared(const struct dh_key *k, const void *peer, size_t len, uint8_t *out,
	struct ike_refusal *why);

/* Key pairs made in quiet moments. Each is given out once. */
struct dh_pool;
struct dh_pool *dh_pool_new(void);
void dh_pool_free(struct dh_pool *p); /* NULL allowed */
void dh_pool_want(struct dh_pool *p, uint16_t group,
	unsigned n); /* how many to keep, up to DH_POOL_MAX; unknown groups are ignored */
bool dh_pool_work(struct dh_pool *p); /* makes at most one pair; false: nothing was missing */
bool dh_pool_lacks(const struct dh_pool *p); /* is something missing? */
int dh_pool_take(struct dh_pool *p, uint16_t group,
	struct dh_key **ret); /* from stock, or made now; caller frees */
