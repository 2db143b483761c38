/* crypto: hash, prf and cipher of a phase 1 SA (RFC 2409 sections 4 and 5, appendix B; RFC 4434).
 * Keys come and go as bytes; callers cleanse theirs with secret_wipe, everything internal is
 * cleansed here. Functions return 0, or -EIO when OpenSSL refuses (out of memory, FIPS), in which
 * case outputs are zero. */
#pragma once
#include "lib/policy/ipsec.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	IKE_HASH_MAX = 64,
	IKE_PRF_MAX = 64,
	IKE_BLOCK_MAX = 16,
	IKE_ENC_KEY_MAX = 32,
	XCBC_LEN = 16
};

struct ike_suite {
	uint16_t enc, hash, auth, group;
	bool xcbc;
	uint8_t key_len, block;	   /* of the cipher; block is also the IV's length */
	uint8_t hash_len, prf_len; /* prf_len: of SKEYID and its family, of HASH payloads */
};
/* 0, or -EPROTONOSUPPORT: not ours, or this build has no such algorithm. DES needs no
 * legacy provider: it is 3DES with three equal keys. */
int ike_suite_of(const struct kex_offer *o, struct ike_suite *ret);

struct ike_part {
	const void *p;
	size_t len;
};
#define IKE_PART(data, length) ((struct ike_part){(data), (length)})

/* hash(), as for IVs and NAT-D: IKE_HASH_*. */
size_t ike_hash_len(uint16_t hash); /* 0: unknown */
int ike_hash(uint16_t hash, const struct ike_part *parts, size_t n, uint8_t *out);
/* prf(key, parts): HMAC of the suite's hash, or AES-XCBC-PRF-128 with a key of any length. @out:
 * prf_len bytes. */
int ike_prf(const struct ike_suite *s, const void *key, size_t key_len,
	const struct ike_part *parts, size_t n, uint8_t *out);
/* AES-XCBC-MAC (RFC 3566, without truncation) with 16 bytes of key, and AES-XCBC-PRF-128 (RFC
 * 4434). */
int xcbc_mac(
	const uint8_t key[XCBC_LEN], const struct ike_part *parts, size_t n, uint8_t out[XCBC_LEN]);
int xcbc_prf(const void *key, size_t key_len, const struct ike_part *parts, size_t n,
	uint8_t out[XCBC_LEN]);

/* CBC in place; @len is a multiple of the block (-EINVAL otherwise). @iv is replaced by the last
 * ciphertext block: the next message's IV in the same exchange. Decrypting: keep the old IV until
 * the message proved good. */
int ike_encrypt(const struct ike_suite *s, const uint8_t *key, uint8_t iv[IKE_BLOCK_MAX],
	void *data, size_t len);
int ike_decrypt(const struct ike_suite *s, const uint8_t *key, uint8_t iv[IKE_BLOCK_MAX],
	void *data, size_t len);
