#include "lib/saf/verify/password.h"
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include <crypt.h>
#include <errno.h>
#include <openssl/crypto.h>

static const char unknown_user[] = "$y$j9T$XxXxXxXxXxXxXxXxXxXxX.$";

static char *hashed(const char *password, const char *setting, struct crypt_data *d)
{
	char *h = crypt_r(password, setting, d);
	return h && h[0] != '*' ? h : NULL;
}

int password_hash(const char *password, char ret_hash[PASSWORD_HASH_MAX])
{
	struct crypt_data *d = xnew(struct crypt_data);
	char salt[CRYPT_GENSALT_OUTPUT_SIZE];
	int rc = -ENOSYS;
	char *h = crypt_gensalt_rn("$y$", 0, NULL, 0, salt, (int)sizeof(salt)) ? hashed(password, salt, d) : NULL;
	if (h && strlen(h) < PASSWORD_HASH_MAX) {
		memcpy(ret_hash, h, strlen(h) + 1);
		rc = 0;
	}
	secret_wipe(d, sizeof(*d));
	free(d);
	return rc;
}

bool password_matches(const char *password, const char *hash)
{
	struct crypt_data *d = xnew(struct crypt_data);
	char *h = hashed(password, hash ? hash : unknown_user, d);
	size_t n = hash ? strlen(hash) : 0;
	bool same = h && hash && strlen(h) == n && CRYPTO_memcmp(h, hash, n) == 0;
	secret_wipe(d, sizeof(*d));
	free(d);
	return same;
}
