/* AES-XCBC-MAC (RFC 3566): CBC-MAC with three keys made of one, so that messages of any length are
 * safe; and the PRF that takes keys of any length (RFC 4434). The last block is held back: it is
 * mixed with K2 when it is full and with K3 when it had to be padded. */
#include "lib/base/secret.h"
#include "lib/ike/crypto.h"
#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

struct xcbc {
	EVP_CIPHER_CTX *aes; /* with K1 once begun */
	uint8_t k2[XCBC_LEN], k3[XCBC_LEN], chain[XCBC_LEN], held[XCBC_LEN];
	size_t n_held;
	bool good;
};

static EVP_CIPHER *ecb; /* looked up once (crypto.c says why) */
static pthread_once_t ecb_once = PTHREAD_ONCE_INIT;

static void fetch_ecb(void)
{
	ecb = EVP_CIPHER_fetch(NULL, "AES-128-ECB", NULL);
}

static void block(struct xcbc *x, const uint8_t in[XCBC_LEN], uint8_t out[XCBC_LEN])
{
	int n = 0;
	x->good = x->good && EVP_EncryptUpdate(x->aes, out, &n, in, XCBC_LEN) && n == XCBC_LEN;
}

static void use_key(struct xcbc *x, const uint8_t key[XCBC_LEN])
{
	x->good = x->good && EVP_EncryptInit_ex2(x->aes, ecb, key, NULL, NULL) &&
		  EVP_CIPHER_CTX_set_padding(x->aes, 0);
}

static void begin(struct xcbc *x, const uint8_t key[XCBC_LEN])
{
	uint8_t constant[XCBC_LEN], k1[XCBC_LEN] = {0};

	memset(x, 0, sizeof(*x));
	(void)pthread_once(&ecb_once, fetch_ecb);
	x->aes = EVP_CIPHER_CTX_new();
	x->good = x->aes && ecb;
	use_key(x, key);
	memset(constant, 1, sizeof(constant));
	block(x, constant, k1);
	memset(constant, 2, sizeof(constant));
	block(x, constant, x->k2);
	memset(constant, 3, sizeof(constant));
	block(x, constant, x->k3);
	use_key(x, k1);
	secret_wipe(k1, sizeof(k1));
}

static void mix(uint8_t *into, const uint8_t *with)
{
	for (size_t i = 0; i < XCBC_LEN; i++)
		into[i] ^= with[i];
}

static void add(struct xcbc *x, const uint8_t *p, size_t len)
{
	while (len) {
		if (x->n_held == XCBC_LEN) {
			mix(x->held, x->chain);
			block(x, x->held, x->chain);
			x->n_held = 0;
		}
		size_t take = XCBC_LEN - x->n_held < len ? XCBC_LEN - x->n_held : len;
		memcpy(x->held + x->n_held, p, take);
		x->n_held += take;
		p += take;
		len -= take;
	}
}

static int end(struct xcbc *x, uint8_t out[XCBC_LEN])
{
	bool full = x->n_held == XCBC_LEN;

	if (!full) {
		memset(x->held + x->n_held, 0, XCBC_LEN - x->n_held);
		x->held[x->n_held] = 0x80;
	}
	mix(x->held, full ? x->k2 : x->k3);
	mix(x->held, x->chain);
	block(x, x->held, out);
	bool good = x->good;
	if (!good)
		memset(out, 0, XCBC_LEN);
	EVP_CIPHER_CTX_free(x->aes);
	secret_wipe(x, sizeof(*x));
	return good ? 0 : -EIO;
}

int xcbc_mac(
	const uint8_t key[XCBC_LEN], const struct ike_part *parts, size_t n, uint8_t out[XCBC_LEN])
{
	struct xcbc x;

	begin(&x, key);
	for (size_t i = 0; i < n; i++)
		add(&x, parts[i].p, parts[i].len);
	return end(&x, out);
}

int xcbc_prf(const void *key, size_t key_len, const struct ike_part *parts, size_t n,
	uint8_t out[XCBC_LEN])
{
	static const uint8_t zero[XCBC_LEN];
	uint8_t fixed[XCBC_LEN] = {0};
	int rc = 0;

	if (key_len > XCBC_LEN)
		rc = xcbc_mac(zero, &IKE_PART(key, key_len), 1, fixed);
	else if (key_len)
		memcpy(fixed, key, key_len);
	if (!rc)
		rc = xcbc_mac(fixed, parts, n, out);
	else
		memset(out, 0, XCBC_LEN);
	secret_wipe(fixed, sizeof(fixed));
	return rc;
}
