/* crypto_imb_key: managers of intel-ipsec-mb, and expanded keys. An expanded key is as good as the key itself: it lives in
 * memory that is locked where the limit allows, left out of core dumps, and cleansed when it is freed. */
#include "daemons/stack-core/ipsec/crypto_imb.h"
#include "daemons/stack-core/ipsec/keymem.h"
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include <pthread.h>

/* The manager with which keys are expanded: the control thread's, whichever that is. */
static pthread_mutex_t expand_lock = PTHREAD_MUTEX_INITIALIZER;
static IMB_MGR *expand;
static bool expand_tried;

static bool usable(IMB_MGR *m)
{
	return !imb_get_errno(m) && (m->features & IMB_FEATURE_SELF_TEST_PASS);
}

static IMB_MGR *manager_new(void)
{
	IMB_MGR *m = alloc_mb_mgr(0);
	IMB_ARCH arch = IMB_ARCH_NONE;

	if (!m)
		return NULL;
	init_mb_mgr_auto(m, &arch);
	if (arch == IMB_ARCH_NONE || !usable(m)) {
		free_mb_mgr(m);
		return NULL;
	}
	return m;
}

static IMB_MGR *sha_manager_new(const IMB_MGR *wide)
{
	if (!(wide->features & IMB_FEATURE_SHANI) || wide->used_arch >= IMB_ARCH_AVX512)
		return manager_new();
	IMB_MGR *m = alloc_mb_mgr(0);
	if (!m)
		return NULL;
	init_mb_mgr_sse(m);
	if (!usable(m)) {
		free_mb_mgr(m);
		return NULL;
	}
	return m;
}

struct imb_worker *imb_worker_new(void)
{
	struct imb_worker *w = xcheck(aligned_alloc(64, (sizeof(*w) + 63) / 64 * 64));

	memset(w, 0, sizeof(*w));
	w->wide = manager_new();
	if (w->wide)
		w->lanes = sha_manager_new(w->wide);
	if (!w->lanes) {
		imb_worker_free(w);
		return NULL;
	}
	return w;
}

void imb_worker_free(struct imb_worker *w)
{
	if (!w)
		return;
	if (w->wide)
		free_mb_mgr(w->wide);
	if (w->lanes)
		free_mb_mgr(w->lanes);
	secret_wipe(w, sizeof(*w));
	free(w);
}

static IMB_MGR *expand_manager(void) /* locked by the caller */
{
	if (!expand_tried) {
		expand_tried = true;
		expand = manager_new();
	}
	return expand;
}

bool crypto_imb_usable(void)
{
	pthread_mutex_lock(&expand_lock);
	bool usable = expand_manager() != NULL;
	pthread_mutex_unlock(&expand_lock);
	return usable;
}

static void one_block(IMB_MGR *m, enum crypto_auth auth, const uint8_t *block, uint8_t *state)
{
	switch (auth) {
	case AUTH_HMAC_MD5_96:
		IMB_MD5_ONE_BLOCK(m, block, state);
		break;
	case AUTH_HMAC_SHA1_96:
		IMB_SHA1_ONE_BLOCK(m, block, state);
		break;
	case AUTH_HMAC_SHA2_256_128:
		IMB_SHA256_ONE_BLOCK(m, block, state);
		break;
	case AUTH_HMAC_SHA2_384_192:
		IMB_SHA384_ONE_BLOCK(m, block, state);
		break;
	default:
		IMB_SHA512_ONE_BLOCK(m, block, state);
		break;
	}
}

/* RFC 2104: the hash states after key ^ ipad and key ^ opad. Our keys are never longer than a
 * block. */
static void expand_hmac(
	IMB_MGR *m, enum crypto_auth auth, const uint8_t *key, size_t len, struct imb_key *ik)
{
	uint8_t block[128];

	for (unsigned pad = 0; pad < 2; pad++) {
		memset(block, pad ? 0x5c : 0x36, sizeof(block));
		for (size_t i = 0; i < len; i++)
			block[i] ^= key[i];
		one_block(m, auth, block, pad ? ik->opad : ik->ipad);
	}
	secret_wipe(block, sizeof(block));
}

static void expand_cipher(
	IMB_MGR *m, enum crypto_cipher cipher, const struct crypto_key_bytes *b, struct imb_key *ik)
{
	if (cipher == CIPHER_AES_GCM) {
		if (b->key_len == 16)
			IMB_AES128_GCM_PRE(m, b->key, &ik->gcm);
		else if (b->key_len == 24)
			IMB_AES192_GCM_PRE(m, b->key, &ik->gcm);
		else
			IMB_AES256_GCM_PRE(m, b->key, &ik->gcm);
		/* the managers of the workers are of the same kind as this one */
		ik->seal = b->key_len == 16 ? m->gcm128_enc : b->key_len == 24 ? m->gcm192_enc : m->gcm256_enc;
		ik->open = b->key_len == 16 ? m->gcm128_dec : b->key_len == 24 ? m->gcm192_dec : m->gcm256_dec;
	} else if (cipher == CIPHER_CHACHA20_POLY1305) {
		memcpy(ik->chacha, b->key, sizeof(ik->chacha));
	} else if (cipher == CIPHER_AES_CBC) {
		if (b->key_len == 16)
			IMB_AES_KEYEXP_128(m, b->key, ik->enc, ik->dec);
		else if (b->key_len == 24)
			IMB_AES_KEYEXP_192(m, b->key, ik->enc, ik->dec);
		else
			IMB_AES_KEYEXP_256(m, b->key, ik->enc, ik->dec);
	}
}

int imb_key_new(struct crypto_key *k, const struct crypto_key_bytes *b, struct errbuf *err)
{
	struct imb_key *ik = keymem_new(sizeof(*ik));

	pthread_mutex_lock(&expand_lock);
	IMB_MGR *m = expand_manager();
	if (m) {
		expand_cipher(m, k->cipher, b, ik);
		if (k->auth == AUTH_AES128_XCBC_96)
			IMB_AES_XCBC_KEYEXP(m, b->auth_key, ik->k1, ik->k2, ik->k3);
		else if (k->auth != AUTH_NONE && k->auth != AUTH_AH)
			expand_hmac(m, k->auth, b->auth_key, b->auth_len, ik);
	}
	pthread_mutex_unlock(&expand_lock);
	k->imb = ik;
	if (!m) {
		imb_key_free(k);
		return err_set(err, ENOTSUP, "intel-ipsec-mb does not work on this CPU");
	}
	return 0;
}

void imb_key_free(struct crypto_key *k)
{
	keymem_free(k->imb, sizeof(*k->imb));
	k->imb = NULL;
}
