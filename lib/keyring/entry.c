/* One certificate of a ring: cert.pem, info, and whether there is a key. */
#include "lib/base/xalloc.h"
#include "lib/keyring/ring.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

int ring_info_parse(const char *text, struct ring_info *ret)
{
	char copy[128], *save = NULL;
	*ret = (struct ring_info){.is_trusted = true};
	if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
		return -EINVAL;
	char *word = strtok_r(copy, " \t\r\n", &save);
	if (!word || keyring_usage_parse(word, &ret->usage))
		return -EINVAL;
	for (unsigned i = 0; (word = strtok_r(NULL, " \t\r\n", &save)); i++) {
		if (i && strcmp(word, "DEFAULT") == 0)
			ret->is_default = true;
		else if (i && strcmp(word, "NOTRUST") == 0)
			ret->is_trusted = false;
		else if (i || strlen(word) >= sizeof(ret->owner))
			return -EINVAL;
		else if (strcmp(word, "-") != 0)
			(void)snprintf(ret->owner, sizeof(ret->owner), "%s", word);
	}
	return 0;
}

void ring_info_text(const struct ring_info *i, char out[64])
{
	(void)snprintf(out, 64, "%s %s%s%s\n", keyring_usage_text(i->usage),
		i->owner[0] ? i->owner : "-", i->is_default ? " DEFAULT" : "",
		i->is_trusted ? "" : " NOTRUST");
}

static int no_password(char *buf, int size, int write, void *arg)
{
	(void)buf, (void)size, (void)write, (void)arg;
	return -1;
}

static int parse_pem(
	const uint8_t *text, size_t len, X509 *ret[KEYRING_CHAIN_MAX], size_t *n, struct errbuf *e)
{
	BIO *b = xcheck(BIO_new_mem_buf(text, (int)len));
	X509 *x = NULL;
	int rc = 0;
	ERR_clear_error();
	while (!rc && (x = PEM_read_bio_X509(b, NULL, no_password, NULL))) {
		if (*n == KEYRING_CHAIN_MAX || i2d_X509(x, NULL) > VERIFY_CERT_MAX) {
			rc = err_set(e, EINVAL,
				"more than %d certificates, or one of more than %d bytes",
				KEYRING_CHAIN_MAX, VERIFY_CERT_MAX);
			X509_free(x);
		} else {
			ret[(*n)++] = x;
		}
	}
	if (!rc && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		rc = err_set(e, EINVAL, "certificate %zu cannot be read", *n + 1);
	ERR_clear_error();
	BIO_free(b);
	return rc;
}

int ring_parse_certs(const uint8_t *text, size_t len, X509 *ret[KEYRING_CHAIN_MAX], size_t *ret_n,
	struct errbuf *e)
{
	size_t n = 0;
	int rc = 0;
	if (memmem(text, len, "-----BEGIN", 10))
		rc = parse_pem(text, len, ret, &n, e);
	else if ((ret[0] = trust_cert(text, len)))
		n = 1;
	if (!rc && !n)
		rc = err_set(e, EINVAL, "no certificate in it");
	for (size_t i = 0; rc && i < n; i++)
		X509_free(ret[i]);
	*ret_n = rc ? 0 : n;
	return rc;
}

static void add_to_chain(struct keyring_cert *c, const X509 *x)
{
	uint8_t *p = NULL;
	int len = i2d_X509(x, &p);
	uint8_t *copy = xcheck(malloc(len > 0 ? (size_t)len : 1));
	if (len > 0)
		memcpy(copy, p, (size_t)len);
	OPENSSL_free(p);
	c->chain[c->n_chain++] = (struct verify_blob){copy, len > 0 ? (size_t)len : 0};
}

static void describe(struct ring_entry *x)
{
	struct keyring_cert *c = &x->c;
	EVP_PKEY *key = X509_get0_pubkey(x->x509);
	(void)X509_NAME_get0_der(X509_get_subject_name(x->x509), &c->subject.data, &c->subject.len);
	(void)X509_NAME_get0_der(X509_get_issuer_name(x->x509), &c->issuer.data, &c->issuer.len);
	c->not_before = trust_time(X509_get0_notBefore(x->x509));
	c->not_after = trust_time(X509_get0_notAfter(x->x509));
	c->is_ca = X509_check_ca(x->x509) > 0;
	int type = key ? EVP_PKEY_get_base_id(key) : 0;
	c->key_type = type == EVP_PKEY_RSA ? "RSA" : type == EVP_PKEY_EC ? "EC" : "other";
	c->key_bits = key ? (unsigned)EVP_PKEY_get_bits(key) : 0;
	(void)EVP_Digest(c->chain[0].data, c->chain[0].len, c->id, NULL, EVP_sha256(), NULL);
}

static int read_certs(const struct dir *d, struct ring_entry *ret, struct errbuf *e)
{
	uint8_t *text = NULL;
	size_t len = 0, n = 0;
	X509 *certs[KEYRING_CHAIN_MAX] = {NULL};
	struct errbuf why;
	int rc = dir_read(d, "cert.pem", DIR_PUBLIC, KEYRING_FILE_MAX, &text, &len, e);
	if (rc)
		return rc;
	rc = ring_parse_certs(text, len, certs, &n, &why);
	free(text);
	if (rc)
		return err_set(e, EINVAL, "%.160s/cert.pem: %.80s", d->path, why.text);
	for (size_t i = 0; i < n; i++) {
		add_to_chain(&ret->c, certs[i]);
		if (i)
			X509_free(certs[i]);
	}
	ret->x509 = certs[0];
	describe(ret);
	return 0;
}

static int read_info(const struct dir *d, struct ring_info *ret, struct errbuf *e)
{
	uint8_t *text = NULL;
	size_t len = 0;
	int rc = dir_read(d, "info", DIR_PUBLIC, 128, &text, &len, e);
	*ret = (struct ring_info){.is_trusted = true};
	if (rc == -ENOENT)
		return 0;
	if (rc)
		return rc;
	if (strlen((char *)text) != len || ring_info_parse((char *)text, ret))
		rc = err_set(e, EINVAL,
			"%.160s/info: 'PERSONAL|CERTAUTH|SITE owner [DEFAULT] [NOTRUST]' is "
			"expected",
			d->path);
	free(text);
	return rc;
}

/* A key is looked at, never opened here. */
static int find_key(const struct dir *d, bool *ret_has, struct errbuf *e)
{
	static const char *const names[] = {"key.pem", "key.p12"};
	*ret_has = false;
	for (size_t i = 0; i < 2; i++) {
		struct errbuf why;
		int rc = dir_check(d, names[i], DIR_PRIVATE, &why);
		if (rc && rc != -ENOENT)
			return err_set(e, -rc, "%s", why.text);
		*ret_has = *ret_has || !rc;
	}
	return 0;
}

static int read_all(
	const struct dir *d, enum keyring_usage only, struct ring_entry *ret, struct errbuf *e)
{
	struct ring_info info;
	int rc = read_certs(d, ret, e);
	rc = rc ? rc : read_info(d, &info, e);
	if (!rc && !only)
		rc = find_key(d, &ret->c.has_key, e);
	if (rc)
		return rc;
	ret->c.usage = only		? only
		       : info.usage	? info.usage
		       : ret->c.has_key ? KEYRING_PERSONAL
					: KEYRING_CERTAUTH;
	(void)snprintf(ret->c.owner, sizeof(ret->c.owner), "%s", info.owner);
	ret->c.is_default = !only && info.is_default;
	ret->c.is_trusted = info.is_trusted;
	return 0;
}

int ring_entry_read(const struct dir *ring, const char *file, enum keyring_usage only,
	struct ring_entry *ret, struct errbuf *e)
{
	struct dir d;
	struct ring_entry x = {.c = {.n_chain = 0}};
	if (dir_decode(file, x.c.label, sizeof(x.c.label)))
		return err_set(e, EINVAL,
			"%.160s/%.60s: not an encoded label of 1 to %d characters", ring->path,
			file, KEYRING_LABEL_MAX - 1);
	int rc = dir_open_sub(ring, file, &d, e);
	if (rc)
		return rc;
	rc = read_all(&d, only, &x, e);
	dir_close(&d);
	if (rc) {
		for (size_t i = 0; i < x.c.n_chain; i++)
			free((void *)x.c.chain[i].data);
		X509_free(x.x509);
		return rc;
	}
	*ret = x;
	return 0;
}
