/* A peer's certificate: every reason to refuse it, then the good one. */
#include "tests/unit/lib/keyring/fixture.h"

static struct made root, other_root, sub, leaf;
static struct verify_trust *trust;
static struct errbuf e;
static struct ident name;

static void setup_once(void)
{
	root = make_cert(&(struct make){.cn = "root", .ca = true, .bits = 256});
	other_root = make_cert(&(struct make){.cn = "other root", .ca = true, .bits = 256});
	sub = make_cert(&(struct make){.cn = "sub", .ca = true, .issuer = &root, .bits = 256});
	leaf = make_cert(&(struct make){.cn = "gw",
		.issuer = &sub,
		.san = "DNS:gw.example.com,IP:192.0.2.1,IP:2001:db8::1,email:anna@example.com"});
}

static void teardown_once(void)
{
	made_free(&leaf);
	made_free(&sub);
	made_free(&other_root);
	made_free(&root);
}

static void setup(void)
{
	trust = verify_trust_new();
	ck_assert_int_eq(verify_trust_add_ca(trust, root.der, root.len, &e), 0);
	ck_assert_int_eq(ident_from_text("Fqdn", "gw.example.com", &name, &e), 0);
}

static void teardown(void)
{
	verify_trust_free(trust);
}

/* The leaf with its sub CA, unless @p says otherwise. */
static struct verify_peer peer_of(const struct made *m)
{
	return (struct verify_peer){.certs = {{m->der, m->len}, {sub.der, sub.len}},
		.n_certs = 2,
		.id = &name,
		.now = NOW};
}

static enum verify_outcome outcome(const struct verify_peer *p)
{
	struct peer_key *k = NULL;
	e.text[0] = 0;
	enum verify_outcome o = verify_peer(trust, p, &k, &e);
	ck_assert_int_eq(o == VERIFY_OK, k != NULL);
	ck_assert_msg(o == VERIFY_OK || e.text[0], "a refusal says why");
	peer_key_free(k);
	return o;
}

#define refused(p, wanted, why)                                                                    \
	do {                                                                                       \
		enum verify_outcome o_ = outcome(p);                                               \
		ck_assert_msg(o_ == (wanted), "%s: %s", verify_outcome_text(o_), e.text);          \
		ck_assert_msg(strstr(e.text, why) != NULL, "%s", e.text);                          \
	} while (0)

/* A certificate made as @w says, with the outcome; issuer sub. */
static void try_made(struct make w, enum verify_outcome wanted, const char *why, unsigned flags)
{
	if (!w.issuer)
		w.issuer = &sub;
	w.cn = w.cn ? w.cn : "gw";
	w.bits = w.bits ? w.bits : 256;
	w.san = w.san ? w.san : "DNS:gw.example.com";
	struct made m = make_cert(&w);
	struct verify_peer p = peer_of(&m);
	p.flags = flags;
	if (wanted)
		refused(&p, wanted, why);
	else
		ck_assert_msg(outcome(&p) == VERIFY_OK, "%s", e.text);
	made_free(&m);
}

START_TEST(limits)
{
	static uint8_t big[VERIFY_CRL_MAX + 1];
	struct verify_peer p = peer_of(&leaf);
	p.n_certs = 0;
	refused(&p, VERIFY_MALFORMED, "sent none");
	p.n_certs = VERIFY_CERTS_MAX + 1;
	refused(&p, VERIFY_LIMIT, "too many");
	p = peer_of(&leaf);
	p.certs[1] = (struct verify_blob){big, VERIFY_CERT_MAX + 1};
	refused(&p, VERIFY_LIMIT, "longer");
	p = peer_of(&leaf);
	p.n_crls = VERIFY_CRLS_MAX + 1;
	refused(&p, VERIFY_LIMIT, "too many");
	p.n_crls = 1;
	p.crls[0] = (struct verify_blob){big, sizeof(big)};
	refused(&p, VERIFY_LIMIT, "CRL longer");
}
END_TEST

START_TEST(every_truncation_is_malformed)
{
	struct verify_peer p = peer_of(&leaf);
	for (size_t len = 0; len < leaf.len; len++) {
		p.certs[0].len = len;
		ck_assert_int_eq(outcome(&p), VERIFY_MALFORMED);
	}
	uint8_t *more = xcalloc(1, leaf.len + 1);
	memcpy(more, leaf.der, leaf.len);
	p.certs[0] = (struct verify_blob){more, leaf.len + 1};
	refused(&p, VERIFY_MALFORMED, "not one DER certificate");
	free(more);
	p = peer_of(&leaf);
	p.certs[1].len--;
	refused(&p, VERIFY_MALFORMED, "comes with another");
	p = peer_of(&leaf);
	p.crls[0] = (struct verify_blob){(const uint8_t *)"x", 1};
	p.n_crls = 1;
	refused(&p, VERIFY_MALFORMED, "comes with a CRL");
}
END_TEST

START_TEST(every_changed_byte_is_refused)
{
	uint8_t *copy = xcalloc(1, leaf.len);
	struct verify_peer p = peer_of(&leaf);
	p.certs[0].data = copy;
	for (size_t i = 0; i < leaf.len; i++) {
		memcpy(copy, leaf.der, leaf.len);
		copy[i] ^= 0x01;
		enum verify_outcome o = outcome(&p);
		ck_assert_msg(o != VERIFY_OK, "byte %zu changed and accepted", i);
	}
	free(copy);
}
END_TEST

START_TEST(chains)
{
	struct verify_peer p = peer_of(&leaf);
	p.n_certs = 1; /* the sub CA is missing */
	refused(&p, VERIFY_UNTRUSTED, "CN=gw");
	try_made((struct make){.issuer = &other_root}, VERIFY_UNTRUSTED, "CN=gw", 0);
	try_made(
		(struct make){.issuer = &leaf}, VERIFY_UNTRUSTED, "", 0); /* a host that plays CA */
	struct made self =
		make_cert(&(struct make){.cn = "gw", .bits = 256, .san = "DNS:gw.example.com"});
	p = peer_of(&self);
	p.n_certs = 1;
	refused(&p, VERIFY_UNTRUSTED, "self");
	made_free(&self);
	/* an intermediate of the ring completes the chain, but is no anchor */
	ck_assert_int_eq(verify_trust_add_intermediate(trust, sub.der, sub.len, &e), 0);
	p = peer_of(&leaf);
	p.n_certs = 1;
	ck_assert_int_eq(outcome(&p), VERIFY_OK);
	struct verify_trust *none = verify_trust_new(), *kept = trust;
	ck_assert_int_eq(verify_trust_add_intermediate(none, sub.der, sub.len, &e), 0);
	ck_assert_int_eq(verify_trust_add_intermediate(none, root.der, root.len, &e), 0);
	trust = none;
	ck_assert_int_eq(outcome(&p), VERIFY_UNTRUSTED);
	ck_assert_int_eq(verify_trust_add_ca(none, sub.der, sub.len, &e),
		0); /* CaLabel of an intermediate CA */
	ck_assert_int_eq(outcome(&p), VERIFY_OK);
	trust = kept;
	verify_trust_free(none);
}
END_TEST

START_TEST(not_a_ca_is_no_anchor)
{
	ck_assert_int_eq(verify_trust_add_ca(trust, leaf.der, leaf.len, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "not the certificate of a CA"));
	ck_assert_int_eq(verify_trust_add_ca(trust, root.der, root.len - 1, &e), -EINVAL);
	ck_assert_uint_eq(verify_trust_cas(trust), 1);
	const uint8_t *der;
	size_t len;
	char text[100];
	ck_assert_int_eq(verify_trust_ca_name(trust, 0, &der, &len), 0);
	ck_assert_str_eq(ident_dn_text(der, len, text, sizeof(text)), "CN=root,O=Example,C=US");
	ck_assert_int_eq(verify_trust_ca_name(trust, 1, &der, &len), -ENOENT);
}
END_TEST

START_TEST(times)
{
	struct verify_peer p = peer_of(&leaf);
	p.now = NOW + 366LL * 86400;
	refused(&p, VERIFY_TIME, "expired");
	p.now = NOW - 2 * 86400;
	refused(&p, VERIFY_TIME, "not yet valid");
	try_made((struct make){.from = -200, .to = -100}, VERIFY_TIME, "expired", 0);
}
END_TEST

START_TEST(purposes)
{
	try_made((struct make){.key_usage = "keyEncipherment"}, VERIFY_PURPOSE,
		"neither digitalSignature", 0);
	try_made((struct make){.key_usage = "digitalSignature"}, VERIFY_OK, "", 0);
	try_made((struct make){.key_usage = "critical,nonRepudiation"}, VERIFY_OK, "", 0);
	try_made((struct make){.eku = "serverAuth,clientAuth"}, VERIFY_PURPOSE,
		"extended key usage", 0);
	try_made((struct make){.eku = "serverAuth"}, VERIFY_OK, "", VERIFY_ANY_EKU);
	try_made((struct make){.eku = "serverAuth,1.3.6.1.5.5.8.2.2"}, VERIFY_OK, "", 0);
	try_made((struct make){.eku = "1.3.6.1.5.5.7.3.17"}, VERIFY_OK, "", 0);
	try_made((struct make){.eku = "anyExtendedKeyUsage"}, VERIFY_OK, "", 0);
}
END_TEST

START_TEST(weak_ones)
{
	try_made((struct make){.bits = 768}, VERIFY_WEAK, "RSA key of 768 bits", 0);
	try_made((struct make){.md = "SHA1"}, VERIFY_WEAK, "", 0);
	try_made((struct make){.md = "SHA1"}, VERIFY_OK, "", VERIFY_ALLOW_SHA1);
	struct made rsa_ca = make_cert(&(struct make){.cn = "rsa ca", .ca = true});
	ck_assert_int_eq(verify_trust_add_ca(trust, rsa_ca.der, rsa_ca.len, &e), 0);
	try_made((struct make){.issuer = &rsa_ca, .md = "MD5"}, VERIFY_WEAK, "MD5",
		VERIFY_ALLOW_SHA1);
	made_free(&rsa_ca);
}
END_TEST

START_TEST(identities)
{
	static const struct {
		const char *keyword, *value;
		bool good;
	} cases[] = {
		{"Fqdn", "GW.example.com", true},
		{"Fqdn", "example.com", false},
		{"Fqdn", "gw", false},
		{"IpAddr", "192.0.2.1", true},
		{"IpAddr", "192.0.2.2", false},
		{"IpAddr", "2001:db8::1", true},
		{"IpAddr", "2001:db8::2", false},
		{"UserAtFqdn", "anna@example.com", true},
		{"UserAtFqdn", "bob@example.com", false},
		{"X500dn", "CN=gw,O=Example,C=US", true},
		{"X500dn", "CN=gw,O=Example", false},
		{"X500dn", "CN=sub,O=Example,C=US", false},
	};
	struct verify_peer p = peer_of(&leaf);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_int_eq(ident_from_text(cases[i].keyword, cases[i].value, &name, &e), 0);
		ck_assert_msg(outcome(&p) == (cases[i].good ? VERIFY_OK : VERIFY_IDENTITY),
			"%s %s: %s", cases[i].keyword, cases[i].value, e.text);
		ck_assert(verify_identity(leaf.der, leaf.len, &name, &e) == cases[i].good);
	}
	p.id = NULL;
	refused(&p, VERIFY_IDENTITY, "no identity");
	p.flags = VERIFY_NO_IDENTITY;
	ck_assert_int_eq(outcome(&p), VERIFY_OK);
	/* a common name or a wildcard is nobody's host name */
	ck_assert_int_eq(ident_from_text("Fqdn", "gw", &name, &e), 0);
	try_made((struct make){.san = "DNS:*.example.com"}, VERIFY_IDENTITY, "subjectAltName", 0);
	ck_assert_int_eq(ident_from_text("Fqdn", "host.example.com", &name, &e), 0);
	try_made((struct make){.san = "DNS:*.example.com"}, VERIFY_IDENTITY, "subjectAltName", 0);
}
END_TEST

static int add_crl(const struct made *ca, const struct made *signer, const struct made *revoked,
	int64_t from, int64_t to)
{
	uint8_t *der;
	size_t len = make_crl(ca, signer, revoked, from, to, &der);
	int rc = verify_trust_add_crl(trust, der, len, &e);
	OPENSSL_free(der);
	return rc;
}

START_TEST(crls_of_the_ring)
{
	struct verify_peer p = peer_of(&leaf);
	ck_assert_int_eq(
		add_crl(&root, &other_root, NULL, -100, 100), -EINVAL); /* not the CA's signature */
	ck_assert_ptr_nonnull(strstr(e.text, "not that of the CA"));
	ck_assert_int_eq(verify_trust_add_crl(trust, "x", 1, &e), -EINVAL);
	ck_assert_int_eq(add_crl(&root, &root, NULL, -100, 100), 0);
	ck_assert_int_eq(outcome(&p), VERIFY_OK);
	/* the sub CA is in no trust object: its CRL is checked when it is used */
	ck_assert_int_eq(add_crl(&sub, &other_root, &leaf, -100, 100), 0);
	ck_assert_int_eq(outcome(&p), VERIFY_OK); /* forged: ignored */
	ck_assert_int_eq(add_crl(&sub, &sub, NULL, -200, -100), 0);
	refused(&p, VERIFY_REVOKED, "out of date");
	ck_assert_int_eq(add_crl(&sub, &sub, NULL, -100, 100), 0);
	ck_assert_int_eq(outcome(&p), VERIFY_OK);
	p.now = NOW + 200;
	refused(&p, VERIFY_REVOKED, "out of date");
	p.now = NOW;
	ck_assert_int_eq(add_crl(&sub, &sub, &leaf, -100, 100), 0);
	refused(&p, VERIFY_REVOKED, "CN=gw");
}
END_TEST

START_TEST(a_revoked_ca_takes_all_with_it)
{
	struct verify_peer p = peer_of(&leaf);
	ck_assert_int_eq(add_crl(&root, &root, &sub, -100, 100), 0);
	refused(&p, VERIFY_REVOKED, "CN=sub");
}
END_TEST

START_TEST(crls_of_the_peer_only_take_away)
{
	uint8_t *der;
	struct verify_peer p = peer_of(&leaf);
	size_t len = make_crl(&sub, &sub, &leaf, -200, -100, &der); /* even an old one */
	p.crls[0] = (struct verify_blob){der, len};
	p.n_crls = 1;
	refused(&p, VERIFY_REVOKED, "CN=gw");
	OPENSSL_free(der);
	len = make_crl(
		&sub, &other_root, &leaf, -100, 100, &der); /* forged by somebody to shut us out */
	p.crls[0] = (struct verify_blob){der, len};
	ck_assert_int_eq(outcome(&p), VERIFY_OK);
	OPENSSL_free(der);
	len = make_crl(
		&sub, &sub, NULL, -100, 100, &der); /* cannot heal an outdated one of the ring */
	p.crls[0] = (struct verify_blob){der, len};
	ck_assert_int_eq(add_crl(&sub, &sub, NULL, -200, -100), 0);
	refused(&p, VERIFY_REVOKED, "out of date");
	OPENSSL_free(der);
}
END_TEST

START_TEST(facts_and_signature)
{
	struct peer_key *k = NULL;
	struct verify_peer p = peer_of(&leaf);
	ck_assert_int_eq(verify_peer(trust, &p, &k, &e), VERIFY_OK);
	ck_assert_str_eq(peer_key_subject(k), "CN=gw,O=Example,C=US");
	ck_assert_str_eq(peer_key_issuer(k), "CN=sub,O=Example,C=US");
	ck_assert_int_eq(peer_key_not_after(k), NOW + 365LL * 86400);
	ck_assert_uint_eq(peer_key_bits(k), 2048);
	uint8_t hash[SIGN_HASH_MAX + 1] = {0}, sig[256] = {0};
	ck_assert_int_eq(peer_key_verify(k, SIGN_RSA_PKCS1_RAW, hash, 20, sig, 256), -EBADMSG);
	ck_assert_int_eq(peer_key_verify(k, SIGN_RSA_PKCS1_RAW, hash, 20, sig, 0), -EBADMSG);
	ck_assert_int_eq(peer_key_verify(k, SIGN_RSA_PKCS1_RAW, hash, 0, sig, 256), -EINVAL);
	ck_assert_int_eq(
		peer_key_verify(k, SIGN_RSA_PKCS1_RAW, hash, sizeof(hash), sig, 256), -EINVAL);
	ck_assert_int_eq(peer_key_verify(k, SIGN_ECDSA, hash, 32, sig, 256), -EINVAL);
	ck_assert_int_eq(peer_key_verify(k, (enum sign_mech)99, hash, 32, sig, 256), -EINVAL);
	/* with a DigestInfo it is another signature: the raw form must not take it */
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(leaf.key, NULL);
	size_t len = sizeof(sig);
	ck_assert_int_gt(EVP_PKEY_sign_init(c), 0);
	ck_assert_int_gt(EVP_PKEY_CTX_set_signature_md(c, EVP_sha1()), 0);
	ck_assert_int_gt(EVP_PKEY_sign(c, sig, &len, hash, 20), 0);
	ck_assert_int_eq(peer_key_verify(k, SIGN_RSA_PKCS1_RAW, hash, 20, sig, len), -EBADMSG);
	ck_assert_int_eq(peer_key_verify(k, SIGN_RSA_PKCS1_SHA1, hash, 20, sig, len), 0);
	EVP_PKEY_CTX_free(c);
	peer_key_free(k);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("verify");
	TCase *t = tcase_create("verify");
	tcase_set_timeout(t, 120);
	tcase_add_unchecked_fixture(t, setup_once, teardown_once);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, limits);
	tcase_add_test(t, every_truncation_is_malformed);
	tcase_add_test(t, every_changed_byte_is_refused);
	tcase_add_test(t, chains);
	tcase_add_test(t, not_a_ca_is_no_anchor);
	tcase_add_test(t, times);
	tcase_add_test(t, purposes);
	tcase_add_test(t, weak_ones);
	tcase_add_test(t, identities);
	tcase_add_test(t, crls_of_the_ring);
	tcase_add_test(t, a_revoked_ca_takes_all_with_it);
	tcase_add_test(t, crls_of_the_peer_only_take_away);
	tcase_add_test(t, facts_and_signature);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
