#include "lib/ike/keymat.h"
#include "lib/base/secret.h"
#include "lib/ike/payload.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#define N(parts) (sizeof(parts) / sizeof((parts)[0]))

void ike_skeys_wipe(struct ike_skeys *k)
{
	secret_wipe(k, sizeof(*k));
}

static int skeyid(const struct ike_suite *s, const struct ike_kex *x, uint8_t *out)
{
	uint8_t nonces[2 * IKE_NONCE_MAX];

	if (s->auth == IKE_AUTH_PSK)
		return ike_prf(s, x->psk.p, x->psk.len, (struct ike_part[]){x->ni, x->nr}, 2, out);
	if (x->ni.len > IKE_NONCE_MAX || x->nr.len > IKE_NONCE_MAX)
		return -EIO;
	memcpy(nonces, x->ni.p, x->ni.len);
	memcpy(nonces + x->ni.len, x->nr.p, x->nr.len);
	return ike_prf(s, nonces, x->ni.len + x->nr.len, &x->gxy, 1, out);
}

/* SKEYID_d, _a, _e: prf(SKEYID, [the one before |] g^xy | CKY-I | CKY-R | 0, 1, 2). */
static int skeyid_x(const struct ike_suite *s, const struct ike_kex *x, const uint8_t *skeyid_key,
	const uint8_t *before, uint8_t number, uint8_t *out)
{
	struct ike_part parts[] = {{before, before ? s->prf_len : 0}, x->gxy,
		{x->icookie, ISAKMP_COOKIE}, {x->rcookie, ISAKMP_COOKIE}, {&number, 1}};
	return ike_prf(s, skeyid_key, s->prf_len, parts, N(parts), out);
}

/* Appendix B: the cipher's key is the beginning of SKEYID_e, or of K1 | K2 | ... when that is too
 * short, with K1 = prf(SKEYID_e, 0), Kn = prf(SKEYID_e, Kn-1). */
static int cipher_key(const struct ike_suite *s, const uint8_t *e, uint8_t *out)
{
	uint8_t k[IKE_PRF_MAX];
	const uint8_t zero = 0;
	struct ike_part before = {&zero, 1};
	int rc = 0;

	if (s->key_len <= s->prf_len) {
		memcpy(out, e, s->key_len);
		return 0;
	}
	for (size_t at = 0; at < s->key_len && !rc; at += s->prf_len) {
		size_t take = s->key_len - at < s->prf_len ? s->key_len - at : s->prf_len;
		rc = ike_prf(s, e, s->prf_len, &before, 1, k);
		memcpy(out + at, k, take);
		before = IKE_PART(k, s->prf_len);
	}
	secret_wipe(k, sizeof(k));
	return rc;
}

int ike_skeys_expand(const struct ike_suite *s, const struct ike_kex *x, struct ike_skeys *k)
{
	int rc = skeyid_x(s, x, k->skeyid, NULL, 0, k->d);

	if (!rc)
		rc = skeyid_x(s, x, k->skeyid, k->d, 1, k->a);
	if (!rc)
		rc = skeyid_x(s, x, k->skeyid, k->a, 2, k->e);
	if (!rc)
		rc = cipher_key(s, k->e, k->enc_key);
	if (rc)
		ike_skeys_wipe(k);
	return rc;
}

int ike_skeys_derive(const struct ike_suite *s, const struct ike_kex *x, struct ike_skeys *ret)
{
	memset(ret, 0, sizeof(*ret));
	int rc = skeyid(s, x, ret->skeyid);

	if (!rc)
		rc = ike_skeys_expand(s, x, ret);
	if (rc)
		ike_skeys_wipe(ret);
	return rc;
}

int ike_auth_hash(const struct ike_suite *s, const struct ike_skeys *k, const struct ike_kex *x,
	bool of_initiator, struct ike_part id, uint8_t *out)
{
	struct ike_part i[] = {x->gxi, x->gxr, {x->icookie, ISAKMP_COOKIE},
		{x->rcookie, ISAKMP_COOKIE}, x->sai, id};
	struct ike_part r[] = {x->gxr, x->gxi, {x->rcookie, ISAKMP_COOKIE},
		{x->icookie, ISAKMP_COOKIE}, x->sai, id};
	return ike_prf(s, k->skeyid, s->prf_len, of_initiator ? i : r, N(i), out);
}

static int iv_of(const struct ike_suite *s, const struct ike_part *parts, size_t n,
	uint8_t iv[IKE_BLOCK_MAX])
{
	uint8_t hash[IKE_HASH_MAX];
	int rc = ike_hash(s->hash, parts, n, hash);

	memset(iv, 0, IKE_BLOCK_MAX);
	memcpy(iv, hash, s->block);
	return rc;
}

int ike_iv_phase1(const struct ike_suite *s, const struct ike_kex *x, uint8_t iv[IKE_BLOCK_MAX])
{
	return iv_of(s, (struct ike_part[]){x->gxi, x->gxr}, 2, iv);
}

int ike_iv_exchange(const struct ike_suite *s, const uint8_t last_block[IKE_BLOCK_MAX],
	uint32_t message_id, uint8_t iv[IKE_BLOCK_MAX])
{
	uint8_t last[IKE_BLOCK_MAX], id[4];
	struct wr w = wr_init(id, sizeof(id));

	wr_u32(&w, message_id);
	memcpy(last, last_block, s->block); /* @iv may be @last_block */
	return iv_of(s, (struct ike_part[]){{last, s->block}, {id, sizeof(id)}}, 2, iv);
}

int ike_hash12(const struct ike_suite *s, const struct ike_skeys *k, uint32_t message_id,
	struct ike_part ni, struct ike_part rest, uint8_t *out)
{
	uint8_t id[4];
	struct wr w = wr_init(id, sizeof(id));

	wr_u32(&w, message_id);
	struct ike_part parts[] = {{id, sizeof(id)}, ni, rest};
	return ike_prf(s, k->a, s->prf_len, parts, N(parts), out);
}

int ike_hash3(const struct ike_suite *s, const struct ike_skeys *k, uint32_t message_id,
	struct ike_part ni, struct ike_part nr, uint8_t *out)
{
	uint8_t zero_id[5];
	struct wr w = wr_init(zero_id, sizeof(zero_id));

	wr_u8(&w, 0);
	wr_u32(&w, message_id);
	struct ike_part parts[] = {{zero_id, sizeof(zero_id)}, ni, nr};
	return ike_prf(s, k->a, s->prf_len, parts, N(parts), out);
}

bool ike_hash_equal(const struct ike_suite *s, const uint8_t *ours, const void *theirs, size_t len)
{
	return len == s->prf_len && CRYPTO_memcmp(ours, theirs, len) == 0;
}

int ike_keymat(const struct ike_suite *s, const struct ike_skeys *k, struct ike_part gqm,
	uint8_t protocol, uint32_t spi, struct ike_part ni, struct ike_part nr, uint8_t *out,
	size_t len)
{
	uint8_t seed[5], block[IKE_PRF_MAX];
	struct wr w = wr_init(seed, sizeof(seed));
	int rc = 0;

	wr_u8(&w, protocol);
	wr_u32(&w, spi);
	struct ike_part parts[] = {{block, 0}, gqm, {seed, sizeof(seed)}, ni, nr};
	for (size_t at = 0; at < len && !rc; at += s->prf_len) {
		size_t take = len - at < s->prf_len ? len - at : s->prf_len;
		rc = ike_prf(s, k->d, s->prf_len, parts, N(parts), block);
		memcpy(out + at, block, take);
		parts[0].len = s->prf_len; /* from the second on, the one before goes in */
	}
	secret_wipe(block, sizeof(block));
	if (rc)
		secret_wipe(out, len);
	return rc;
}

static bool auth_size(uint16_t auth, uint16_t *ret)
{
	static const struct {
		uint16_t auth, size;
	} sizes[] = {{IPSEC_AUTH_NONE, 0}, {IPSEC_AUTH_MD5, 16}, {IPSEC_AUTH_SHA1, 20},
		{IPSEC_AUTH_SHA2_256, 32}, {IPSEC_AUTH_SHA2_384, 48}, {IPSEC_AUTH_SHA2_512, 64},
		{IPSEC_AUTH_XCBC, 16}, {IPSEC_AUTH_AES_GMAC_128, 16 + 4},
		{IPSEC_AUTH_AES_GMAC_256, 32 + 4}};

	for (size_t i = 0; i < N(sizes); i++) {
		if (sizes[i].auth == auth) {
			*ret = sizes[i].size;
			return true;
		}
	}
	return false;
}

/* The cipher's key with its salt; 0: no such transform or length. */
static size_t enc_size(uint16_t esp, uint16_t bits, bool *ret_combined)
{
	size_t bytes = bits ? bits / 8 : 16;
	bool aes = (bytes == 16 || bytes == 24 || bytes == 32) && bits % 8 == 0;

	*ret_combined = false;
	switch (esp) {
	case IPSEC_ESP_DES:
		return bits && bits != 64 ? 0 : 8;
	case IPSEC_ESP_3DES:
		return bits && bits != 192 ? 0 : 24;
	case IPSEC_ESP_AES_CBC:
		return aes ? bytes : 0;
	case IPSEC_ESP_AES_CTR:
		return aes ? bytes + 4 : 0;
	case IPSEC_ESP_AES_CCM_16:
		*ret_combined = true;
		return aes ? bytes + 3 : 0;
	case IPSEC_ESP_AES_GCM_16:
	case IPSEC_ESP_AES_GMAC:
		*ret_combined = true;
		return aes ? bytes + 4 : 0;
	}
	return 0;
}

int ike_key_sizes(uint8_t proto, uint16_t esp, uint16_t key_bits, uint16_t auth, uint16_t *ret_enc,
	uint16_t *ret_auth)
{
	uint16_t auth_len;
	bool combined;

	if (!auth_size(auth, &auth_len))
		return -EPROTONOSUPPORT;
	if (proto == IPSEC_PROTO_AH) {
		if (esp || !auth)
			return -EPROTONOSUPPORT;
		*ret_enc = 0;
		*ret_auth = auth_len;
		return 0;
	}
	size_t enc = enc_size(esp, key_bits, &combined);
	bool bare_null = esp == IPSEC_ESP_NULL && auth && !key_bits;
	bool gmac_in_esp = auth == IPSEC_AUTH_AES_GMAC_128 || auth == IPSEC_AUTH_AES_GMAC_256;
	if (proto != IPSEC_PROTO_ESP || (!enc && !bare_null) || (combined && auth) || gmac_in_esp)
		return -EPROTONOSUPPORT;
	*ret_enc = (uint16_t)enc;
	*ret_auth = auth_len;
	return 0;
}
