/* mech: what a signature mechanism means to OpenSSL; one table for the verifier and the signer. */
#pragma once
#include "lib/keyring/verify.h"
#include <openssl/evp.h>

struct mech {
	int key_type;	 /* EVP_PKEY_RSA, EVP_PKEY_EC */
	int padding;	 /* RSA_*_PADDING, 0 */
	const char *md;	 /* NULL: no DigestInfo */
	size_t hash_len; /* 0: any up to SIGN_HASH_MAX */
};

const struct mech *mech_find(int mech); /* NULL: none such */
/* May @key sign or verify @hash_len bytes with it. */
bool mech_fits(const struct mech *m, const EVP_PKEY *key, size_t hash_len);
/* After EVP_PKEY_sign_init, _verify_init or _verify_recover_init. 0 or -EINVAL. */
int mech_apply(const struct mech *m, EVP_PKEY_CTX *ctx);
