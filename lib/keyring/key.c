#include "lib/keyring/key.h"
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include "lib/keyring/ring.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <string.h>

static int no_password(char *buf, int size, int write, void *arg)
{
	(void)buf, (void)size, (void)write, (void)arg;
	return -1;
}

static EVP_PKEY *from_pem(const uint8_t *text, size_t len)
{
	BIO *b = xcheck(BIO_new_mem_buf(text, (int)len));
	EVP_PKEY *key = PEM_read_bio_PrivateKey(b, NULL, no_password, NULL);
	BIO_free(b);
	return key;
}

/* The password is the first line of key.pw, if there is that file. */
static int read_password(const struct dir *d, char out[256], struct errbuf *e)
{
	struct errbuf why;
	uint8_t *text = NULL;
	size_t len = 0;
	int rc = dir_read(d, "key.pw", DIR_PRIVATE, 255, &text, &len, &why);
	out[0] = 0;
	if (rc == -ENOENT)
		return 0;
	if (rc)
		return err_set(e, -rc, "%s", why.text);
	(void)snprintf(out, 256, "%.*s", (int)strcspn((char *)text, "\r\n"), (char *)text);
	secret_wipe(text, 257);
	free(text);
	return 0;
}

static int from_p12(
	const struct dir *d, const uint8_t *der, size_t len, EVP_PKEY **ret, struct errbuf *e)
{
	char password[256];
	const unsigned char *p = der;
	int rc = read_password(d, password, e);
	PKCS12 *p12 = rc ? NULL : d2i_PKCS12(NULL, &p, (long)len);
	if (p12 && !PKCS12_parse(p12, password, ret, NULL, NULL))
		*ret = NULL;
	PKCS12_free(p12);
	secret_wipe(password, sizeof(password));
	return rc;
}

static int check_pair(
	const struct dir *d, const struct verify_blob *cert, EVP_PKEY *key, struct errbuf *e)
{
	X509 *x = trust_cert(cert->data, cert->len);
	bool fits = x && X509_check_private_key(x, key) == 1;
	X509_free(x);
	return fits ? 0
		    : err_set(e, EINVAL, "%.200s: the private key is not that of the certificate",
			      d->path);
}

int key_read(const struct dir *d, const struct verify_blob *cert, EVP_PKEY **ret, struct errbuf *e)
{
	uint8_t *data = NULL;
	size_t len = 0;
	EVP_PKEY *key = NULL;
	const char *name = "key.pem";
	int rc = dir_read(d, name, DIR_PRIVATE, KEYRING_FILE_MAX, &data, &len, e);
	if (rc == -ENOENT) {
		name = "key.p12";
		rc = dir_read(d, name, DIR_PRIVATE, KEYRING_FILE_MAX, &data, &len, e);
	}
	if (rc)
		return rc;
	if (name[4] == 'p' && name[5] == 'e')
		key = from_pem(data, len);
	else
		rc = from_p12(d, data, len, &key, e);
	secret_wipe(data, len);
	free(data);
	ERR_clear_error();
	if (!rc && !key)
		rc = err_set(e, EINVAL,
			"%.200s/%s: no private key can be read from it (encrypted, or damaged)",
			d->path, name);
	rc = rc ? rc : check_pair(d, cert, key, e);
	if (rc)
		EVP_PKEY_free(key);
	else
		*ret = key;
	return rc;
}

static int load_one(
	const struct dir *ring, const struct keyring_cert *c, struct key_set *s, struct errbuf *e)
{
	char file[DIR_NAME_MAX];
	struct dir d;
	EVP_PKEY *key = NULL;
	int rc = dir_encode(c->label, KEYRING_LABEL_MAX - 1, file)
			 ? -EINVAL
			 : dir_open_sub(ring, file, &d, e);
	if (rc)
		return rc;
	rc = key_read(&d, &c->chain[0], &key, e);
	dir_close(&d);
	if (rc)
		return rc;
	s->keys = xrealloc(s->keys, s->n + 1, sizeof(*s->keys));
	s->keys[s->n].key = key;
	memcpy(s->keys[s->n++].id, c->id, KEYRING_KEY_ID);
	return 0;
}

static int load_once(const struct keyring_spec *spec, struct key_set *ret, struct errbuf *e)
{
	char name[KEYRING_USER_MAX + KEYRING_RING_MAX];
	enum keyring_usage only;
	struct key_set s = {NULL, 0};
	struct dir d = {.fd = -1};
	struct keyring *k = NULL;
	int rc = keyring_open(spec, &k, e);
	if (rc)
		return rc;
	rc = dir_open_ring(spec, &d, name, &only, e);
	for (size_t i = 0; !rc && i < keyring_count(k); i++) {
		const struct keyring_cert *c = keyring_at(k, i);
		if (c->has_key && c->is_trusted && c->usage != KEYRING_CERTAUTH)
			rc = load_one(&d, c, &s, e);
	}
	dir_close(&d);
	keyring_unref(k);
	if (rc)
		key_set_fini(&s);
	else
		*ret = s;
	return rc;
}

/* As keyring_open; and a key may have been exchanged after its certificate was read. */
int key_set_load(const struct keyring_spec *spec, struct key_set *ret, struct errbuf *e)
{
	int rc = -ENOENT;
	for (int i = 0; i < DIR_TRIES && (rc == -ENOENT || rc == -EINVAL); i++)
		rc = load_once(spec, ret, e);
	return rc;
}

void key_set_fini(struct key_set *s)
{
	for (size_t i = 0; i < s->n; i++)
		EVP_PKEY_free(
			s->keys[i].key); /* OpenSSL clears private numbers when it frees them */
	free(s->keys);
	*s = (struct key_set){NULL, 0};
}

EVP_PKEY *key_set_find(const struct key_set *s, const uint8_t id[KEYRING_KEY_ID])
{
	for (size_t i = 0; i < s->n; i++)
		if (memcmp(s->keys[i].id, id, KEYRING_KEY_ID) == 0)
			return s->keys[i].key;
	return NULL;
}
