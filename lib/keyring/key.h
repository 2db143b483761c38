/* key: private keys. Only the signer process and racdcert link this; a daemon that talks to
 * strangers does not. */
#pragma once
#include "lib/keyring/keyring.h"
#include <openssl/evp.h>

struct dir;
/* The key of the entry folder @d (key.pem or key.p12), which must be that of @cert_der. -ENOENT: no
 * key. Caller frees. */
int key_read(const struct dir *d, const struct verify_blob *cert, EVP_PKEY **ret, struct errbuf *e);

struct key {
	uint8_t id[KEYRING_KEY_ID];
	EVP_PKEY *key;
};
struct key_set {
	struct key *keys;
	size_t n;
};
/* All keys of trusted, personal and site certificates of the ring. */
int key_set_load(const struct keyring_spec *spec, struct key_set *ret, struct errbuf *e);
void key_set_fini(struct key_set *s);
EVP_PKEY *key_set_find(const struct key_set *s, const uint8_t id[KEYRING_KEY_ID]);
