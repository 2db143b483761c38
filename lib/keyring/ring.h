/* ring: the inside of a struct keyring. */
#pragma once
#include "lib/keyring/dir.h"
#include "lib/keyring/trust.h"

struct ring_entry {
	struct keyring_cert c; /* first */
	X509 *x509;
};

struct keyring {
	unsigned refs;
	char name[KEYRING_USER_MAX + KEYRING_RING_MAX];
	struct ring_entry *entries;
	size_t n;
	struct verify_blob *crls;
	size_t n_crls;
};

/* The entry folder @file of @ring. @only: usage of a virtual ring, whose keys are not ours; 0: an
 * ordinary one. */
int ring_entry_read(const struct dir *ring, const char *file, enum keyring_usage only,
	struct ring_entry *ret, struct errbuf *e);
/* What cert.pem does not say itself, the CAs of the ring complete, short of roots. */
void ring_complete_chains(struct keyring *k);

struct signer_ca;
size_t ring_crls(const struct keyring *k);
/* Gives each of @cas its CRLs of the ring, the first also those of CAs that are none of them; @room
 * for ring_crls() of them. Borrowed from @k. */
void ring_share_crls(
	const struct keyring *k, struct signer_ca *cas, size_t n, struct verify_blob *room);

/* info: "USAGE OWNER [DEFAULT] [NOTRUST]". */
struct ring_info {
	enum keyring_usage usage; /* 0: not said */
	char owner[KEYRING_USER_MAX];
	bool is_default, is_trusted;
};
int ring_info_parse(const char *text, struct ring_info *ret);
void ring_info_text(const struct ring_info *i, char out[64]);
/* PEM or DER certificates of @text into @ret; 0 or -EINVAL. Free each with X509_free. */
int ring_parse_certs(const uint8_t *text, size_t len, X509 *ret[KEYRING_CHAIN_MAX], size_t *ret_n,
	struct errbuf *e);
