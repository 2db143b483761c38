/* keymat: what two peers derive from a phase 1 exchange (RFC 2409 sections 5, 5.5, 5.7, appendix B)
 * and how they prove it. All are pure functions of their arguments; 0 or -EIO (see crypto.h).
 * Nonces are the payload bodies, without generic header. */
#pragma once
#include "lib/ike/crypto.h"
#include "lib/ike/isakmp.h"

struct ike_skeys {
	uint8_t skeyid[IKE_PRF_MAX], d[IKE_PRF_MAX], a[IKE_PRF_MAX],
		e[IKE_PRF_MAX];		  /* suite.prf_len bytes each */
	uint8_t enc_key[IKE_ENC_KEY_MAX]; /* suite.key_len bytes */
};

/* Everything that goes into SKEYID and the hashes; borrowed. */
struct ike_kex {
	uint8_t icookie[ISAKMP_COOKIE], rcookie[ISAKMP_COOKIE];
	struct ike_part ni, nr;	  /* nonces */
	struct ike_part gxi, gxr; /* KE bodies */
	struct ike_part gxy;	  /* shared secret; only for the keys */
	struct ike_part psk;	  /* auth PSK only */
	struct ike_part
		sai; /* body of the initiator's SA payload, all of it as sent: the hashes only */
};
/* SKEYID by the suite's authentication method, then _d, _a, _e and the cipher's key. @ret: cleanse
 * with ike_skeys_wipe. */
int ike_skeys_derive(const struct ike_suite *s, const struct ike_kex *x, struct ike_skeys *ret);
void ike_skeys_wipe(struct ike_skeys *k);
/* The second half of it: all that follows from @k->skeyid. */
int ike_skeys_expand(const struct ike_suite *s, const struct ike_kex *x, struct ike_skeys *k);

/* HASH_I or HASH_R over the ID payload's body @id. prf_len bytes: the HASH payload, or what is
 * signed (RFC 2409 5.1). */
int ike_auth_hash(const struct ike_suite *s, const struct ike_skeys *k, const struct ike_kex *x,
	bool of_initiator, struct ike_part id, uint8_t *out);

/* IVs: of phase 1's first encrypted message; of a later exchange's first, from phase 1's last
 * ciphertext block. */
int ike_iv_phase1(const struct ike_suite *s, const struct ike_kex *x, uint8_t iv[IKE_BLOCK_MAX]);
int ike_iv_exchange(const struct ike_suite *s, const uint8_t last_block[IKE_BLOCK_MAX],
	uint32_t message_id, uint8_t iv[IKE_BLOCK_MAX]);

/* Phase 2's HASH payloads: @rest is everything behind the HASH payload up to the end of the last
 * payload (no padding). HASH(1) of quick mode, and of informational exchanges: @ni empty. HASH(2):
 * @ni is the initiator's nonce. */
int ike_hash12(const struct ike_suite *s, const struct ike_skeys *k, uint32_t message_id,
	struct ike_part ni, struct ike_part rest, uint8_t *out);
int ike_hash3(const struct ike_suite *s, const struct ike_skeys *k, uint32_t message_id,
	struct ike_part ni, struct ike_part nr, uint8_t *out);
bool ike_hash_equal(const struct ike_suite *s, const uint8_t *ours, const void *theirs,
	size_t len); /* constant time */

/* KEYMAT = prf(SKEYID_d, [g(qm)^xy |] protocol | SPI | Ni_b | Nr_b), expanded. @gqm empty: no PFS.
 */
int ike_keymat(const struct ike_suite *s, const struct ike_skeys *k, struct ike_part gqm,
	uint8_t protocol, uint32_t spi, struct ike_part ni, struct ike_part nr, uint8_t *out,
	size_t len);

/* How KEYMAT is cut: the cipher's key first (salt at its end), then the authenticator's.
 * -EPROTONOSUPPORT: no such transform. @key_bits 0: the transform's only or default length. */
int ike_key_sizes(uint8_t proto, uint16_t esp, uint16_t key_bits, uint16_t auth, uint16_t *ret_enc,
	uint16_t *ret_auth);
