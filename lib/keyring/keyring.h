/* keyring: the certificates of a SAF key ring, read from its directory. Never the private keys:
 * those only key.h reads, in the signer.
 *
 *   ROOT/var/lib/ravelin/keyring/
 *     USER/RING/LABEL/cert.pem  the certificate, and behind it what completes its chain (optional)
 *                    /key.pem   private key, PKCS #8 or traditional, unencrypted; or
 *                    /key.p12   PKCS #12 (password in key.pw, else empty)
 *                    /info      one line: USAGE OWNER [DEFAULT] [NOTRUST]; when it is missing:
 *                               PERSONAL with a key, else CERTAUTH
 *     USER/RING/.crl/NAME       CRLs of this ring, PEM or DER
 *     USER/.certs/LABEL/...     certificates of USER that RACDCERT keeps, in rings or not
 *
 * USER is in upper case; irrcerta and irrsitec (RACF's own spelling) own the CERTAUTH and SITE
 * certificates. Ring and label are encoded: letters, digits, "_", "-" and "." (not first) as they
 * are, every other byte as %XX. Names starting with "." are no rings.
 *
 * Permissions are part of the promise. A key is a regular file (no link) of mode 0600 or 0400,
 * owned by the uid that uses it (root may use anyone's); each directory from the keyring directory
 * down and each certificate belongs to root or to that uid and is writable by nobody else. Anything
 * else is refused, with the path, what was found and what is wanted: a ring opens whole or not at
 * all.
 *
 * A struct keyring is an immutable snapshot with a reference count: reload by opening again and
 * dropping the old one when nothing borrows from it. */
#pragma once
#include "lib/base/err.h"
#include "lib/keyring/verify.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	KEYRING_USER_MAX = 9,
	KEYRING_RING_MAX = 65,	  /* with NUL */
	KEYRING_LABEL_MAX = 33,	  /* RACF: 32 characters */
	KEYRING_CERTS_MAX = 1024, /* of one ring */
	KEYRING_CRLS_MAX = 256,
	KEYRING_CHAIN_MAX = VERIFY_CERTS_MAX,
	KEYRING_FILE_MAX = 256 * 1024,
	KEYRING_KEY_ID = 32,
};

enum keyring_usage { KEYRING_PERSONAL = 1, KEYRING_CERTAUTH, KEYRING_SITE };
const char *keyring_usage_text(enum keyring_usage u);
int keyring_usage_parse(const char *text, enum keyring_usage *ret); /* 0 or -EINVAL */

struct keyring_cert {
	char label[KEYRING_LABEL_MAX];
	char owner[KEYRING_USER_MAX]; /* user, irrcerta or irrsitec; "" not recorded */
	enum keyring_usage usage;
	bool is_default; /* of the ring; at most one */
	/* false after RACDCERT ALTER NOTRUST: used neither to sign nor to verify */
	bool is_trusted;
	bool has_key;
	bool is_ca;
	const char *key_type; /* "RSA", "EC", "other" */
	unsigned key_bits;
	/* SHA-256 of the certificate: names it and its key everywhere */
	uint8_t id[KEYRING_KEY_ID];
	struct verify_blob chain[KEYRING_CHAIN_MAX]; /* DER; [0] is the certificate itself */
	size_t n_chain;
	struct verify_blob subject, issuer; /* DER names */
	int64_t not_before, not_after;
};

struct keyring_spec {
	/* KeyRing statement: "userid/ring", or "ring" of @user. "*AUTH*" as user with any ring:
	 * all CERTAUTH certificates, "*SITE*": all SITE */
	const char *name;
	const char *user; /* SAF user who asks, for the short form */
	const char *dir;  /* NULL: ROOT/var/lib/ravelin/keyring */
	uid_t uid;	  /* who must own keys; (uid_t)-1: geteuid() */
};

struct keyring;
/* -ENOENT: no such ring; -EPERM: permissions, with the path and the reason; -EINVAL: name or
 * contents; -E2BIG: limits. */
int keyring_open(const struct keyring_spec *spec, struct keyring **ret, struct errbuf *e);
struct keyring *keyring_ref(struct keyring *k);
void keyring_unref(struct keyring *k);		   /* NULL allowed */
const char *keyring_name(const struct keyring *k); /* "IKED/keyring" */
size_t keyring_count(const struct keyring *k);
/* sorted by label; NULL behind the last */
const struct keyring_cert *keyring_at(const struct keyring *k, size_t n);
/* exact, then without regard to case; NULL */
const struct keyring_cert *keyring_find(const struct keyring *k, const char *label);
const struct keyring_cert *keyring_find_id(
	const struct keyring *k, const uint8_t id[KEYRING_KEY_ID]);
const struct keyring_cert *keyring_default(const struct keyring *k); /* NULL */

/* The personal (or SITE) certificate with a key to show as @id to a peer that takes certificates of
 * the CAs @cas (DER names; none: any): valid at @now, trusted, issued under one of them directly or
 * through its chain or the ring's own CAs. Several: the default first, then the one valid longest.
 * @id NULL: the ring's default, else the only one. -ENOENT with the reason. */
int keyring_choose(const struct keyring *k, const struct ident *id, const struct verify_blob *cas,
	size_t n_cas, int64_t now, const struct keyring_cert **ret, struct errbuf *e);

/* A trust object of the ring's CERTAUTH certificates with @labels (NULL or none: all trusted ones),
 * and all CRLs of the ring. -ENOENT: a label that is not there or not a trusted CA; also when the
 * ring has no CA at all. Caller frees. */
int keyring_trust(const struct keyring *k, const char *const *labels, size_t n_labels,
	struct verify_trust **ret, struct errbuf *e);

/* "userid/ring" | "ring" -> upper-case user and ring. -EINVAL. */
int keyring_parse_name(const char *name, const char *dflt_user, char ret_user[KEYRING_USER_MAX],
	char ret_ring[KEYRING_RING_MAX], struct errbuf *e);
