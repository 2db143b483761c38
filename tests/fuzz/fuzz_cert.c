/* What a peer sends about itself: certificates, CRLs and an identity. Input: flags, identity type,
 * u16 length and identity; then blobs, each a kind (0 certificate, 1 CRL, 2 trusted CA, 3 CRL of
 * the ring, 4 pattern), u16 length and bytes. */
#include "lib/base/rd.h"
#include "lib/keyring/verify.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { NOW = 1764000000 };

static void use_pattern(const uint8_t *p, size_t len, const struct ident *id)
{
	static const char *const keywords[] = {"IpAddr", "Fqdn", "UserAtFqdn", "X500dn"};
	char text[400];
	struct errbuf e = {""};
	struct ident_pattern *pattern = NULL;
	struct ident made;
	if (!len || len > sizeof(text))
		return;
	memcpy(text, p + 1, len - 1);
	text[len - 1] = 0;
	if (ident_pattern_new(keywords[p[0] % 4], text, &pattern, &e) == 0)
		(void)ident_pattern_match(pattern, id);
	else if (!e.text[0])
		abort(); /* a refusal says why */
	ident_pattern_free(pattern);
	/* What policy can say, the wire can carry. */
	if (ident_from_text(keywords[p[0] % 4], text, &made, &e) == 0 &&
		ident_from_wire(made.type, made.data, made.len, &made, &e))
		abort();
}

static void use_result(const struct verify_trust *t, const struct verify_peer *p)
{
	struct errbuf e = {""};
	struct peer_key *k = NULL;
	uint8_t hash[20] = {0};
	enum verify_outcome o = verify_peer(t, p, &k, &e);
	if ((o == VERIFY_OK) != (k != NULL) || (o && !e.text[0]))
		abort();
	if (k && !(p->flags & VERIFY_NO_IDENTITY) &&
		!verify_identity(p->certs[0].data, p->certs[0].len, p->id, &e))
		abort();
	if (k && peer_key_verify(k, SIGN_RSA_PKCS1_RAW, hash, sizeof(hash), p->certs[0].data,
			 p->certs[0].len) == 0)
		abort(); /* a certificate is no signature */
	peer_key_free(k);
}

static void take(
	struct rd *r, struct verify_trust *t, struct verify_peer *p, const struct ident *id)
{
	uint8_t kind = rd_u8(r);
	size_t len = rd_u16(r);
	const uint8_t *blob = rd_bytes(r, len);
	struct errbuf e;
	if (!blob)
		return;
	if (kind == 0 && p->n_certs < VERIFY_CERTS_MAX)
		p->certs[p->n_certs++] = (struct verify_blob){blob, len};
	else if (kind == 1 && p->n_crls < VERIFY_CRLS_MAX)
		p->crls[p->n_crls++] = (struct verify_blob){blob, len};
	else if (kind == 2)
		(void)verify_trust_add_ca(t, blob, len, &e);
	else if (kind == 3)
		(void)verify_trust_add_crl(t, blob, len, &e);
	else if (kind == 4)
		use_pattern(blob, len, id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd r = rd_init(data, len);
	struct verify_peer p = {.now = NOW, .flags = rd_u8(&r)};
	uint8_t type = rd_u8(&r);
	size_t id_len = rd_u16(&r);
	const uint8_t *id_data = rd_bytes(&r, id_len);
	struct ident id = {0};
	char text[IDENT_TEXT_MAX];
	if (!id_data)
		return 0;
	if (ident_from_wire(type, id_data, id_len, &id, NULL) == 0) {
		p.id = &id;
		if (!ident_equal(&id, &id))
			abort();
		(void)ident_text(&id, text);
	} else {
		p.flags |= VERIFY_NO_IDENTITY;
	}
	struct verify_trust *t = verify_trust_new();
	while (rd_left(&r) && rd_ok(&r))
		take(&r, t, &p, &id);
	use_result(t, &p);
	verify_trust_free(t);
	return 0;
}
