/* The signer that other tests use keeps the contract of lib/keyring/signer.h; two peers that verify
 * each other through it. */
#include "tests/support/memory_signer.h"
#include "tests/unit/lib/keyring/fixture.h"

static struct made ca, host;
static struct signer *s;

static void setup(void)
{
	ca = make_cert(&(struct make){.cn = "CA", .ca = true, .bits = 256});
	host = make_cert(&(struct make){
		.cn = "host", .issuer = &ca, .san = "DNS:gw.example.com", .bits = 1024});
	s = memory_signer_new();
	memory_signer_add(s, "CA", ca.x509, NULL, NULL);
	memory_signer_add(s, "host", host.x509, host.key, NULL);
}

static void teardown(void)
{
	signer_free(s);
	made_free(&host);
	made_free(&ca);
}

struct peer {
	int n, rc;
	uint8_t key[KEYRING_KEY_ID], sig[SIGN_SIGNATURE_MAX], cert[4096];
	size_t len, cert_len;
	struct verify_trust *trust;
};

static void on_cas(void *arg, int rc, const struct signer_ca *cas, size_t n, const char *why)
{
	struct peer *p = arg;
	struct errbuf e;
	(void)why;
	p->n++;
	p->rc = rc ? rc : signer_trust(cas, n, NULL, 0, &p->trust, &e);
}

static void on_cert(void *arg, int rc, const struct signer_cert *c, const char *why)
{
	struct peer *p = arg;
	(void)why;
	p->n++;
	p->rc = rc;
	if (rc)
		return;
	memcpy(p->key, c->key, sizeof(p->key));
	memcpy(p->cert, c->chain[0].data, c->chain[0].len);
	p->cert_len = c->chain[0].len;
}

static void on_sign(void *arg, int rc, const uint8_t *sig, size_t len, const char *why)
{
	struct peer *p = arg;
	(void)why;
	p->n++;
	p->rc = rc;
	p->len = len;
	if (len)
		memcpy(p->sig, sig, len);
}

START_TEST(refuses_and_fails)
{
	struct peer p = {0};
	struct ident id;
	ck_assert_int_eq(ident_from_text("Fqdn", "other.example.com", &id, NULL), 0);
	struct signer_want w = {.id = &id, .now = NOW};
	(void)signer_find(s, &w, on_cert, &p);
	ck_assert_int_eq(p.n, 0);
	ck_assert_uint_eq(memory_signer_run(s), 1);
	ck_assert_int_eq(p.rc, -ENOENT);
	memory_signer_fail(s, -ECONNRESET);
	uint8_t key[KEYRING_KEY_ID] = {1}, none[KEYRING_KEY_ID] = {7}, hash[20] = {0};
	(void)signer_sign(s, key, SIGN_RSA_PKCS1_RAW, hash, 20, on_sign, &p);
	(void)memory_signer_run(s);
	ck_assert_int_eq(p.rc, -ECONNRESET);
	(void)signer_sign(s, none, SIGN_RSA_PKCS1_RAW, hash, 20, on_sign, &p);
	signer_cancel(s, signer_sign(s, key, SIGN_RSA_PKCS1_RAW, hash, 20, on_sign, &p));
	ck_assert_uint_eq(memory_signer_run(s), 1);
	ck_assert_int_eq(p.rc, -ENOENT);
	(void)signer_sign(
		s, key, SIGN_ECDSA, hash, 20, on_sign, &p); /* freed with the signer, unanswered */
}
END_TEST

START_TEST(one_peer_to_another)
{
	struct peer p = {0};
	struct ident id;
	struct errbuf e = {""};
	uint8_t hash[20] = {1, 2};
	ck_assert_int_eq(ident_from_text("Fqdn", "gw.example.com", &id, NULL), 0);
	struct signer_want w = {.id = &id, .now = NOW};
	(void)signer_list_cas(s, on_cas, &p);
	(void)signer_find(s, &w, on_cert, &p);
	ck_assert_uint_eq(memory_signer_run(s), 2);
	ck_assert_int_eq(p.rc, 0);
	(void)signer_sign(s, p.key, SIGN_RSA_PKCS1_RAW, hash, 20, on_sign, &p);
	ck_assert_uint_eq(memory_signer_run(s), 1);
	ck_assert_int_eq(p.rc, 0);
	struct verify_peer v = {
		.certs = {{p.cert, p.cert_len}}, .n_certs = 1, .id = &id, .now = NOW};
	struct peer_key *k = NULL;
	ck_assert_msg(verify_peer(p.trust, &v, &k, &e) == VERIFY_OK, "%s", e.text);
	ck_assert_int_eq(peer_key_verify(k, SIGN_RSA_PKCS1_RAW, hash, 20, p.sig, p.len), 0);
	ck_assert_int_eq(peer_key_verify(k, SIGN_RSA_PKCS1_RAW, hash, 19, p.sig, p.len), -EBADMSG);
	peer_key_free(k);
	verify_trust_free(p.trust);
}
END_TEST

static Suite *suite(void)
{
	Suite *all = suite_create("memory signer");
	TCase *t = tcase_create("memory");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, refuses_and_fails);
	tcase_add_test(t, one_peer_to_another);
	suite_add_tcase(all, t);
	return all;
}
RV_CHECK_MAIN(suite())
