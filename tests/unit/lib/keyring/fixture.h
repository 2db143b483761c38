/* Certificates made on the spot, and key rings in a temporary directory. */
#pragma once
#include "lib/keyring/keyring.h"
#include "lib/base/xalloc.h"
#include "tests/support/check_main.h"
#include <ftw.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { NOW = 1764000000 }; /* 2025-11-24 */

struct made {
	X509 *x509;
	EVP_PKEY *key;
	uint8_t *der;
	size_t len;
};

struct make {
	const char *cn;
	const struct made *issuer; /* NULL: itself */
	bool ca;
	const char *san, *key_usage, *eku; /* OpenSSL configuration syntax; NULL none */
	/* relative to NOW, seconds; 0 0: a day before, a year after */
	int64_t from, to;
	unsigned bits;	/* 0: 2048; 256: P-256 */
	const char *md; /* NULL: SHA256 */
};

static inline void make_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ck_assert_msg(e != NULL, "extension %s", value);
	ck_assert_int_eq(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
}

static inline void made_der(struct made *m)
{
	m->der = NULL;
	int n = i2d_X509(m->x509, &m->der);
	ck_assert_int_gt(n, 0);
	m->len = (size_t)n;
}

static inline struct made make_cert(const struct make *w)
{
	static long serial = 1;
	struct made m = {X509_new(), NULL, NULL, 0};
	m.key = w->bits == 256 ? EVP_EC_gen("P-256") : EVP_RSA_gen(w->bits ? w->bits : 2048);
	ck_assert_ptr_nonnull(m.key);
	X509 *issuer = w->issuer ? w->issuer->x509 : m.x509;
	X509_NAME *name = X509_get_subject_name(m.x509);
	X509_set_version(m.x509, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(m.x509), serial++);
	X509_NAME_add_entry_by_txt(name, "C", MBSTRING_ASC, (const unsigned char *)"US", -1, -1, 0);
	X509_NAME_add_entry_by_txt(
		name, "O", MBSTRING_ASC, (const unsigned char *)"Example", -1, -1, 0);
	X509_NAME_add_entry_by_txt(
		name, "CN", MBSTRING_ASC, (const unsigned char *)w->cn, -1, -1, 0);
	X509_set_issuer_name(m.x509, X509_get_subject_name(issuer));
	int64_t from = w->from || w->to ? w->from : -86400,
		to = w->from || w->to ? w->to : 365 * 86400;
	ASN1_TIME_set(X509_getm_notBefore(m.x509), (time_t)(NOW + from));
	ASN1_TIME_set(X509_getm_notAfter(m.x509), (time_t)(NOW + to));
	X509_set_pubkey(m.x509, m.key);
	if (w->ca)
		make_ext(m.x509, issuer, NID_basic_constraints, "critical,CA:TRUE");
	if (w->key_usage)
		make_ext(m.x509, issuer, NID_key_usage, w->key_usage);
	if (w->eku)
		make_ext(m.x509, issuer, NID_ext_key_usage, w->eku);
	if (w->san)
		make_ext(m.x509, issuer, NID_subject_alt_name, w->san);
	ck_assert_int_gt(X509_sign(m.x509, w->issuer ? w->issuer->key : m.key,
				 EVP_get_digestbyname(w->md ? w->md : "SHA256")),
		0);
	made_der(&m);
	return m;
}

static inline void made_free(struct made *m)
{
	X509_free(m->x509);
	EVP_PKEY_free(m->key);
	OPENSSL_free(m->der);
	*m = (struct made){NULL, NULL, NULL, 0};
}

/* A CRL of @ca that lists @revoked (NULL: nothing), valid @from..@to relative to NOW. */
static inline size_t make_crl(const struct made *ca, const struct made *signer,
	const struct made *revoked, int64_t from, int64_t to, uint8_t **ret)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *t = ASN1_TIME_set(NULL, (time_t)(NOW + from));
	X509_CRL_set_version(crl, 1);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->x509));
	X509_CRL_set1_lastUpdate(crl, t);
	if (revoked) {
		X509_REVOKED *r = X509_REVOKED_new();
		X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(revoked->x509));
		X509_REVOKED_set_revocationDate(r, t);
		X509_CRL_add0_revoked(crl, r);
	}
	ASN1_TIME_set(t, (time_t)(NOW + to));
	X509_CRL_set1_nextUpdate(crl, t);
	ASN1_TIME_free(t);
	ck_assert_int_gt(X509_CRL_sign(crl, signer->key, EVP_sha256()), 0);
	*ret = NULL;
	int n = i2d_X509_CRL(crl, ret);
	ck_assert_int_gt(n, 0);
	X509_CRL_free(crl);
	return (size_t)n;
}

static char ring_top[64];

static inline void ring_setup(void)
{
	(void)snprintf(ring_top, sizeof(ring_top), "/tmp/rv-keyring-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(ring_top));
	ck_assert_int_eq(chmod(ring_top, 0755), 0);
	(void)umask(022);
}

static inline int ring_unlink(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)st, (void)flag, (void)f;
	return remove(path);
}

static inline void ring_teardown(void)
{
	(void)nftw(ring_top, ring_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

static inline const char *ring_path(const char *rest)
{
	static char out[4][1024];
	static unsigned n;
	char *p = out[n++ % 4];
	(void)snprintf(p, 1024, "%.63s/%.900s", ring_top, rest);
	return p;
}

static inline void ring_mkdir(const char *rest)
{
	char part[256];
	(void)snprintf(part, sizeof(part), "%s", ring_path(rest));
	for (char *p = part + strlen(ring_top) + 1;; p++) {
		char c = *p;
		if (c && c != '/')
			continue;
		*p = 0;
		(void)mkdir(part, 0755);
		*p = c;
		if (!c)
			return;
	}
}

static inline void ring_text(const char *rest, const char *text, mode_t mode)
{
	FILE *f = fopen(ring_path(rest), "we");
	ck_assert_ptr_nonnull(f);
	(void)fputs(text, f);
	(void)fclose(f);
	ck_assert_int_eq(chmod(ring_path(rest), mode), 0);
}

/* RING/LABEL (encoded) with cert.pem, key.pem when @with_key, and info unless NULL. */
static inline void ring_add(
	const char *where, const struct made *m, bool with_key, const char *info)
{
	char path[256];
	ring_mkdir(where);
	(void)snprintf(path, sizeof(path), "%s/cert.pem", where);
	FILE *f = fopen(ring_path(path), "we");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(PEM_write_X509(f, m->x509), 1);
	(void)fclose(f);
	if (with_key) {
		(void)snprintf(path, sizeof(path), "%s/key.pem", where);
		f = fopen(ring_path(path), "we");
		ck_assert_ptr_nonnull(f);
		ck_assert_int_eq(PEM_write_PrivateKey(f, m->key, NULL, NULL, 0, NULL, NULL), 1);
		(void)fclose(f);
		ck_assert_int_eq(chmod(ring_path(path), 0600), 0);
	}
	(void)snprintf(path, sizeof(path), "%s/info", where);
	if (info)
		ring_text(path, info, 0644);
}

static inline int ring_open(const char *name, struct keyring **ret, struct errbuf *e)
{
	struct keyring_spec spec = {
		.name = name, .user = "IKED", .dir = ring_top, .uid = (uid_t)-1};
	e->text[0] = 0;
	return keyring_open(&spec, ret, e);
}
