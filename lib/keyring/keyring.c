/* A ring in memory: read whole at open, never changed after. */
#include "lib/keyring/keyring.h"
#include "lib/base/xalloc.h"
#include "lib/keyring/ring.h"
#include <ctype.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <strings.h>

const char *keyring_usage_text(enum keyring_usage u)
{
	return u == KEYRING_PERSONAL   ? "PERSONAL"
	       : u == KEYRING_CERTAUTH ? "CERTAUTH"
	       : u == KEYRING_SITE     ? "SITE"
				       : "-";
}

int keyring_usage_parse(const char *text, enum keyring_usage *ret)
{
	for (enum keyring_usage u = KEYRING_PERSONAL; u <= KEYRING_SITE; u++) {
		if (strcasecmp(text, keyring_usage_text(u)) == 0) {
			*ret = u;
			return 0;
		}
	}
	return -EINVAL;
}

static bool is_user(const char *s)
{
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@#$");
	return n && n < KEYRING_USER_MAX && !s[n];
}

int keyring_parse_name(const char *name, const char *dflt_user, char ret_user[KEYRING_USER_MAX],
	char ret_ring[KEYRING_RING_MAX], struct errbuf *e)
{
	char user[KEYRING_USER_MAX + 1] = "";
	const char *slash = strchr(name, '/'), *ring = slash ? slash + 1 : name;
	size_t n = slash ? (size_t)(slash - name) : dflt_user ? strlen(dflt_user) : 0;
	for (size_t i = 0; i < n && i < KEYRING_USER_MAX; i++)
		user[i] = (char)toupper((unsigned char)(slash ? name : dflt_user)[i]);
	bool is_virtual = strcmp(user, "*AUTH*") == 0 || strcmp(user, "*SITE*") == 0;
	if (strcmp(user, "*TOKEN*") == 0)
		return err_set(e, EINVAL, "KeyRing %.80s: PKCS #11 tokens are not supported", name);
	if (!is_user(user) && !is_virtual)
		return err_set(e, EINVAL,
			"KeyRing %.80s: userid/ringname, or ringname of the own user, is expected",
			name);
	if (!ring[0] || strlen(ring) >= KEYRING_RING_MAX || strchr(ring, '/'))
		return err_set(e, EINVAL,
			"KeyRing %.80s: the ring's name has 1 to %d characters and no /", name,
			KEYRING_RING_MAX - 1);
	(void)snprintf(ret_user, KEYRING_USER_MAX, "%.8s", user);
	(void)snprintf(ret_ring, KEYRING_RING_MAX, "%s", ring);
	return 0;
}

static void entry_fini(struct ring_entry *x)
{
	for (size_t i = 0; i < x->c.n_chain; i++)
		free((void *)x->c.chain[i].data);
	X509_free(x->x509);
}

static void ring_free(struct keyring *k)
{
	for (size_t i = 0; i < k->n; i++)
		entry_fini(&k->entries[i]);
	free(k->entries);
	for (size_t i = 0; i < k->n_crls; i++)
		free((void *)k->crls[i].data);
	free(k->crls);
	free(k);
}

static int by_label(const void *a, const void *b)
{
	return strcmp(
		((const struct ring_entry *)a)->c.label, ((const struct ring_entry *)b)->c.label);
}

static int check_default(const struct keyring *k, struct errbuf *e)
{
	size_t n = 0;
	for (size_t i = 0; i < k->n; i++)
		n += k->entries[i].c.is_default;
	return n <= 1 ? 0
		      : err_set(e, EINVAL, "key ring %.80s has %zu default certificates", k->name,
				n);
}

static int read_entries(
	struct keyring *k, const struct dir *d, enum keyring_usage only, struct errbuf *e)
{
	char **names = NULL;
	size_t n = 0;
	int rc = dir_list(d, KEYRING_CERTS_MAX, &names, &n, e);
	k->entries = xcalloc(n, sizeof(*k->entries));
	for (size_t i = 0; !rc && i < n; i++) {
		rc = ring_entry_read(d, names[i], only, &k->entries[i], e);
		if (!rc)
			k->n++;
	}
	dir_list_free(names, n);
	if (!rc && k->n)
		qsort(k->entries, k->n, sizeof(*k->entries), by_label);
	return rc ? rc : check_default(k, e);
}

static int add_crl(struct keyring *k, const struct dir *d, const char *name, struct errbuf *e)
{
	uint8_t *text = NULL, *der = NULL;
	size_t len = 0;
	int rc = dir_read(d, name, DIR_PUBLIC, VERIFY_TRUST_CRL_MAX, &text, &len, e);
	if (rc)
		return rc;
	BIO *b = BIO_new_mem_buf(text, (int)len);
	X509_CRL *crl = memmem(text, len, "-----BEGIN", 10)
				? PEM_read_bio_X509_CRL(b, NULL, NULL, NULL)
				: trust_crl(text, len);
	int n = crl ? i2d_X509_CRL(crl, &der) : -1;
	BIO_free(b);
	X509_CRL_free(crl);
	free(text);
	ERR_clear_error();
	if (n <= 0)
		return err_set(e, EINVAL, "%.160s/%.60s: not a CRL", d->path, name);
	k->crls = xrealloc(k->crls, k->n_crls + 1, sizeof(*k->crls));
	uint8_t *copy = xcheck(malloc((size_t)n)); /* freed with free(), unlike OpenSSL's */
	memcpy(copy, der, (size_t)n);
	OPENSSL_free(der);
	k->crls[k->n_crls++] = (struct verify_blob){copy, (size_t)n};
	return 0;
}

static int read_crls(struct keyring *k, const struct dir *ring, struct errbuf *e)
{
	struct dir d;
	char **names = NULL;
	size_t n = 0;
	struct errbuf none;
	int rc = dir_open_sub(ring, DIR_CRLS, &d, &none);
	if (rc == -ENOENT)
		return 0;
	if (rc)
		return err_set(e, -rc, "%s", none.text);
	rc = dir_list(&d, KEYRING_CRLS_MAX, &names, &n, e);
	for (size_t i = 0; !rc && i < n; i++)
		rc = add_crl(k, &d, names[i], e);
	dir_list_free(names, n);
	dir_close(&d);
	return rc;
}

static int open_once(
	const struct keyring_spec *spec, struct keyring **ret, bool *ret_found, struct errbuf *e)
{
	struct dir d = {.fd = -1};
	enum keyring_usage only = 0;
	struct keyring *k = xnew(struct keyring);
	k->refs = 1;
	int rc = dir_open_ring(spec, &d, k->name, &only, e);
	*ret_found = !rc;
	rc = rc ? rc : read_entries(k, &d, only, e);
	rc = rc ? rc : read_crls(k, &d, e);
	dir_close(&d);
	if (rc) {
		ring_free(k);
		return rc;
	}
	*ret = k;
	return 0;
}

/* RACDCERT exchanges whole folders; whoever has one open then misses its files, once. */
int keyring_open(const struct keyring_spec *spec, struct keyring **ret, struct errbuf *e)
{
	struct keyring *k = NULL;
	bool found = true;
	int rc = -ENOENT;
	for (int i = 0; i < DIR_TRIES && rc == -ENOENT && found; i++)
		rc = open_once(spec, &k, &found, e);
	if (rc)
		return rc == -ENOENT && found ? -EINVAL : rc; /* -ENOENT means: no such ring */
	ring_complete_chains(k);
	*ret = k;
	return 0;
}

struct keyring *keyring_ref(struct keyring *k)
{
	k->refs++;
	return k;
}

void keyring_unref(struct keyring *k)
{
	if (k && --k->refs == 0)
		ring_free(k);
}

const char *keyring_name(const struct keyring *k)
{
	return k->name;
}

size_t keyring_count(const struct keyring *k)
{
	return k->n;
}

const struct keyring_cert *keyring_at(const struct keyring *k, size_t n)
{
	return n < k->n ? &k->entries[n].c : NULL;
}

const struct keyring_cert *keyring_find(const struct keyring *k, const char *label)
{
	const struct keyring_cert *folded = NULL;
	for (size_t i = 0; i < k->n; i++) {
		if (strcmp(k->entries[i].c.label, label) == 0)
			return &k->entries[i].c;
		if (!folded && strcasecmp(k->entries[i].c.label, label) == 0)
			folded = &k->entries[i].c;
	}
	return folded;
}

const struct keyring_cert *keyring_find_id(
	const struct keyring *k, const uint8_t id[KEYRING_KEY_ID])
{
	for (size_t i = 0; i < k->n; i++)
		if (memcmp(k->entries[i].c.id, id, KEYRING_KEY_ID) == 0)
			return &k->entries[i].c;
	return NULL;
}

const struct keyring_cert *keyring_default(const struct keyring *k)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->entries[i].c.is_default)
			return &k->entries[i].c;
	return NULL;
}
