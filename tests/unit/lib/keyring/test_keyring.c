/* Key rings: names, permissions, contents, choice. */
#include "lib/keyring/dir.h"
#include "lib/keyring/key.h"
#include "tests/unit/lib/keyring/fixture.h"
#include <openssl/pkcs12.h>

static struct made ca, sub, host, host2;
static struct errbuf e;

static void setup_once(void)
{
	ca = make_cert(&(struct make){.cn = "CA", .ca = true, .bits = 256});
	sub = make_cert(&(struct make){.cn = "sub", .ca = true, .issuer = &ca, .bits = 256});
	host = make_cert(&(struct make){
		.cn = "host", .issuer = &sub, .san = "DNS:gw.example.com", .bits = 256});
	host2 = make_cert(&(struct make){.cn = "host2",
		.issuer = &ca,
		.san = "DNS:gw.example.com",
		.bits = 256,
		.from = -5,
		.to = 1000});
}

static void teardown_once(void)
{
	made_free(&host2);
	made_free(&host);
	made_free(&sub);
	made_free(&ca);
}

static void setup(void)
{
	ring_setup();
	ring_add("IKED/keyring/CA", &ca, false, "CERTAUTH irrcerta\n");
	ring_add("IKED/keyring/sub", &sub, false, "CERTAUTH irrcerta\n");
	ring_add("IKED/keyring/host%20one", &host, true, "PERSONAL IKED DEFAULT\n");
}

static struct keyring *opened(const char *name)
{
	struct keyring *k = NULL;
	int rc = ring_open(name, &k, &e);
	ck_assert_msg(rc == 0, "%s", e.text);
	return k;
}

#define refuses(wanted, why)                                                                       \
	do {                                                                                       \
		struct keyring *k_ = NULL;                                                         \
		ck_assert_int_eq(ring_open("iked/keyring", &k_, &e), (wanted));                    \
		ck_assert_msg(strstr(e.text, why) != NULL, "%s", e.text);                          \
		ck_assert_ptr_null(k_);                                                            \
	} while (0)

START_TEST(names)
{
	char user[KEYRING_USER_MAX], ring[KEYRING_RING_MAX];
	static const char *const bad[] = {"", "/", "a/", "/ring", "ninechars/ring", "a.b/ring",
		"a/b/c", "../ring", "*TOKEN*/x"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(
			keyring_parse_name(bad[i], NULL, user, ring, &e) == -EINVAL, "%s", bad[i]);
	ck_assert_int_eq(keyring_parse_name("ring", NULL, user, ring, &e), -EINVAL);
	ck_assert_int_eq(keyring_parse_name("iked/KeyRing", NULL, user, ring, &e), 0);
	ck_assert_str_eq(user, "IKED");
	ck_assert_str_eq(ring, "KeyRing");
	ck_assert_int_eq(keyring_parse_name("ring", "nssd", user, ring, &e), 0);
	ck_assert_str_eq(user, "NSSD");
	ck_assert_int_eq(keyring_parse_name("*AUTH*/*", NULL, user, ring, &e), 0);
}
END_TEST

START_TEST(file_names)
{
	char file[DIR_NAME_MAX], back[KEYRING_RING_MAX];
	static const char *const texts[][2] = {{"a", "a"}, {"Gw cert", "Gw%20cert"}, {"..", "%2E."},
		{".x", "%2Ex"}, {"a/b", "a%2Fb"}, {"100%", "100%25"}, {"\xc3\xa4", "%C3%A4"}};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ck_assert_int_eq(dir_encode(texts[i][0], 32, file), 0);
		ck_assert_str_eq(file, texts[i][1]);
		ck_assert_int_eq(dir_decode(file, back, sizeof(back)), 0);
		ck_assert_str_eq(back, texts[i][0]);
	}
	ck_assert_int_eq(dir_encode("", 32, file), -EINVAL);
	ck_assert_int_eq(dir_encode("123456789012345678901234567890123", 32, file), -EINVAL);
	static const char *const bad[] = {"", "%", "%2", "%zz", "%00", "a%2"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(dir_decode(bad[i], back, sizeof(back)), -EINVAL);
}
END_TEST

START_TEST(reads_a_ring)
{
	struct keyring *k = opened("iked/keyring");
	ck_assert_str_eq(keyring_name(k), "IKED/keyring");
	ck_assert_uint_eq(keyring_count(k), 3);
	const struct keyring_cert *c = keyring_find(k, "host one");
	ck_assert_ptr_nonnull(c);
	ck_assert_ptr_eq(c, keyring_default(k));
	ck_assert_ptr_eq(c, keyring_find(k, "HOST ONE"));
	ck_assert_ptr_eq(c, keyring_find_id(k, c->id));
	ck_assert(c->has_key && c->is_trusted && !c->is_ca);
	ck_assert_str_eq(c->owner, "IKED");
	ck_assert_str_eq(c->key_type, "EC");
	ck_assert_uint_eq(c->n_chain, 2); /* the sub CA, not the root */
	ck_assert_uint_eq(c->chain[1].len, sub.len);
	ck_assert_int_eq(memcmp(c->chain[1].data, sub.der, sub.len), 0);
	ck_assert_ptr_null(keyring_find(k, "other"));
	ck_assert_ptr_null(keyring_at(k, 3));
	keyring_unref(keyring_ref(k));
	keyring_unref(k);
	ck_assert_int_eq(ring_open("keyring", &k, &e), 0); /* of user IKED, who asks */
	keyring_unref(k);
}
END_TEST

START_TEST(missing_things)
{
	struct keyring *k = NULL;
	ck_assert_int_eq(ring_open("iked/other", &k, &e), -ENOENT);
	ck_assert_ptr_nonnull(strstr(e.text, "IKED/other"));
	ck_assert_int_eq(ring_open("nobody/keyring", &k, &e), -ENOENT);
	ck_assert_int_eq(unlink(ring_path("IKED/keyring/CA/cert.pem")), 0);
	refuses(-EINVAL, "IKED/keyring/CA/cert.pem");
}
END_TEST

START_TEST(key_permissions)
{
	const char *key = ring_path("IKED/keyring/host%20one/key.pem");
	static const mode_t bad[] = {0640, 0604, 0660, 0644, 0620, 0700};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_eq(chmod(key, bad[i]), 0);
		refuses(-EPERM, "it must be 0600");
	}
	ck_assert_int_eq(chmod(key, 0400), 0);
	keyring_unref(opened("iked/keyring"));
	ck_assert_int_eq(rename(key, ring_path("elsewhere")), 0);
	ck_assert_int_eq(symlink(ring_path("elsewhere"), key), 0);
	refuses(-EPERM, "not a regular file");
	ck_assert_int_eq(unlink(key), 0);
	ck_assert_int_eq(mkfifo(key, 0600), 0);
	refuses(-EPERM, "not a regular file");
}
END_TEST

START_TEST(other_permissions)
{
	static const char *const parts[] = {"", "IKED", "IKED/keyring", "IKED/keyring/CA",
		"IKED/keyring/CA/cert.pem", "IKED/keyring/CA/info"};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		mode_t good = i < 4 ? 0755 : 0644;
		ck_assert_int_eq(chmod(ring_path(parts[i]), good | 020), 0);
		refuses(-EPERM, "others than its owner may write it");
		ck_assert_int_eq(chmod(ring_path(parts[i]), good | 002), 0);
		refuses(-EPERM, "others than its owner may write it");
		ck_assert_int_eq(chmod(ring_path(parts[i]), good), 0);
	}
	keyring_unref(opened("iked/keyring"));
	ck_assert_int_eq(rename(ring_path("IKED/keyring/CA"), ring_path("CA")), 0);
	ck_assert_int_eq(symlink(ring_path("CA"), ring_path("IKED/keyring/CA")), 0);
	refuses(-EPERM, "not a directory");
}
END_TEST

START_TEST(wrong_owners)
{
	if (geteuid() != 0)
		ck_abort_msg("this test must run as root: it gives files away");
	ck_assert_int_eq(chown(ring_path("IKED/keyring/host%20one/key.pem"), 4711, (gid_t)-1), 0);
	struct keyring *k = opened("iked/keyring"); /* root, before it becomes 4711 */
	keyring_unref(k);
	k = NULL;
	struct keyring_spec spec = {.name = "iked/keyring", .dir = ring_top, .uid = 4711};
	ck_assert_int_eq(keyring_open(&spec, &k, &e), 0); /* root's directories, its own key */
	keyring_unref(k);
	spec.uid = 4712;
	ck_assert_int_eq(keyring_open(&spec, &k, &e), -EPERM);
	ck_assert_ptr_nonnull(
		strstr(e.text, "a private key of uid 4711: it must belong to uid 4712"));
	ck_assert_int_eq(chmod(ring_path("IKED/keyring/host%20one/key.pem"), 0640), 0);
	refuses(-EPERM, "it must be 0600"); /* for root too */
	ck_assert_int_eq(chmod(ring_path("IKED/keyring/host%20one/key.pem"), 0600), 0);
	ck_assert_int_eq(chown(ring_path("IKED/keyring/host%20one/key.pem"), 0, (gid_t)-1), 0);
	ck_assert_int_eq(chown(ring_path("IKED/keyring"), 4711, (gid_t)-1), 0);
	refuses(-EPERM, "belongs to uid 4711");
}
END_TEST

START_TEST(bad_contents)
{
	ring_text("IKED/keyring/CA/info", "FRIEND irrcerta\n", 0644);
	refuses(-EINVAL, "is expected");
	ring_text("IKED/keyring/CA/info", "CERTAUTH irrcerta DEFAULT\n", 0644);
	refuses(-EINVAL, "2 default certificates");
	ring_text("IKED/keyring/CA/info", "CERTAUTH irrcerta\n", 0644);
	ring_text("IKED/keyring/CA/cert.pem", "no certificate", 0644);
	refuses(-EINVAL, "no certificate in it");
	ring_text("IKED/keyring/CA/cert.pem",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0644);
	refuses(-EINVAL, "certificate 1 cannot be read");
	FILE *f = fopen(ring_path("IKED/keyring/CA/cert.pem"), "we");
	for (int i = 0; i <= KEYRING_FILE_MAX; i++)
		(void)fputc('x', f);
	(void)fclose(f);
	refuses(-EFBIG, "longer than");
	ring_add("IKED/keyring/CA", &ca, false, "CERTAUTH irrcerta\n");
	ring_mkdir("IKED/keyring/bad%zz");
	refuses(-EINVAL, "not an encoded label");
}
END_TEST

START_TEST(by_hand_without_info)
{
	ring_add("IKED/hand/root", &ca, false, NULL);
	ring_add("IKED/hand/me", &host2, true, NULL);
	struct keyring *k = opened("iked/hand");
	ck_assert_int_eq(keyring_find(k, "root")->usage, KEYRING_CERTAUTH);
	ck_assert_int_eq(keyring_find(k, "me")->usage, KEYRING_PERSONAL);
	keyring_unref(k);
}
END_TEST

START_TEST(virtual_ring)
{
	ring_add("irrcerta/.certs/CA", &ca, true, "CERTAUTH irrcerta\n");
	struct keyring *k = opened("*AUTH*/*");
	ck_assert_uint_eq(keyring_count(k), 1);
	ck_assert(!keyring_at(k, 0)->has_key); /* never through here */
	ck_assert_int_eq(keyring_at(k, 0)->usage, KEYRING_CERTAUTH);
	keyring_unref(k);
}
END_TEST

START_TEST(chooses)
{
	const struct keyring_cert *c = NULL;
	struct ident id;
	ring_add("IKED/keyring/second", &host2, true, "PERSONAL IKED\n");
	struct keyring *k = opened("iked/keyring");
	ck_assert_int_eq(ident_from_text("Fqdn", "gw.example.com", &id, &e), 0);
	ck_assert_int_eq(keyring_choose(k, &id, NULL, 0, NOW, &c, &e), 0);
	ck_assert_str_eq(c->label, "host one"); /* the default */
	ck_assert_int_eq(keyring_choose(k, NULL, NULL, 0, NOW, &c, &e), 0);
	ck_assert_str_eq(c->label, "host one");
	struct verify_blob cas[2] = {
		keyring_find(k, "CA")->subject, keyring_find(k, "sub")->subject};
	ck_assert_int_eq(keyring_choose(k, &id, &cas[0], 1, NOW, &c, &e),
		0); /* the root stands above both */
	ck_assert_str_eq(c->label, "host one");
	ck_assert_int_eq(keyring_choose(k, &id, &cas[1], 1, NOW, &c, &e), 0);
	ck_assert_str_eq(c->label, "host one");
	struct verify_blob other = {host2.der, 20}; /* nonsense from a peer */
	ck_assert_int_eq(keyring_choose(k, &id, &other, 1, NOW, &c, &e), -ENOENT);
	ck_assert_ptr_nonnull(strstr(e.text, "no certificate of a CA that the peer takes"));
	ck_assert_int_eq(keyring_choose(k, &id, NULL, 0, NOW + 400LL * 86400, &c, &e), -ENOENT);
	ck_assert_ptr_nonnull(strstr(e.text, "expired"));
	ck_assert_int_eq(ident_from_text("Fqdn", "other.example.com", &id, &e), 0);
	ck_assert_int_eq(keyring_choose(k, &id, NULL, 0, NOW, &c, &e), -ENOENT);
	ck_assert_ptr_nonnull(strstr(e.text, "no certificate for that identity"));
	keyring_unref(k);
	ring_text("IKED/keyring/host%20one/info", "PERSONAL IKED NOTRUST\n", 0644);
	k = opened("iked/keyring");
	ck_assert_int_eq(ident_from_text("Fqdn", "gw.example.com", &id, &e), 0);
	ck_assert_int_eq(keyring_choose(k, &id, NULL, 0, NOW, &c, &e), 0);
	ck_assert_str_eq(c->label, "second");
	ck_assert_int_eq(keyring_choose(k, &id, &cas[1], 0, NOW + 2000, &c, &e), -ENOENT);
	keyring_unref(k);
}
END_TEST

START_TEST(chooses_a_name_written_in_another_order)
{
	const struct keyring_cert *c = NULL;
	struct ident id;
	struct keyring *k = opened("iked/keyring");
	ck_assert_int_eq(ident_from_text("X500dn", "CN=host,O=Example,C=US", &id, &e), 0);
	ck_assert_int_eq(keyring_choose(k, &id, NULL, 0, NOW, &c, &e), 0);
	ck_assert_int_eq(ident_from_text("X500dn", "C=US,O=EXAMPLE,CN=host", &id, &e), 0);
	ck_assert_int_eq(keyring_choose(k, &id, NULL, 0, NOW, &c, &e), 0);
	ck_assert_str_eq(c->label, "host one");
	ck_assert_int_eq(ident_from_text("X500dn", "C=US,CN=host", &id, &e), 0);
	ck_assert_int_eq(keyring_choose(k, &id, NULL, 0, NOW, &c, &e), -ENOENT);
	keyring_unref(k);
}
END_TEST

START_TEST(what_is_no_ca_is_no_anchor)
{
	struct verify_trust *t = NULL;
	static const char *const named[] = {"self"};
	ring_add("IKED/keyring/self", &host2, false, "CERTAUTH irrcerta\n");
	struct keyring *k = opened("iked/keyring");
	ck_assert_int_eq(keyring_trust(k, NULL, 0, &t, &e), 0); /* the others still count */
	ck_assert_uint_eq(verify_trust_cas(t), 2);
	verify_trust_free(t);
	ck_assert_int_eq(keyring_trust(k, named, 1, &t, &e), -ENOENT);
	ck_assert_ptr_nonnull(strstr(e.text, "not the certificate of a CA"));
	keyring_unref(k);
}
END_TEST

START_TEST(trusts)
{
	struct verify_trust *t = NULL;
	struct keyring *k = opened("iked/keyring");
	static const char *const sub_only[] = {"sub"}, *const missing[] = {"CA", "none"},
				 *const personal[] = {"host one"};
	ck_assert_int_eq(keyring_trust(k, missing, 2, &t, &e), -ENOENT);
	ck_assert_ptr_nonnull(strstr(e.text, "no certificate labelled none"));
	ck_assert_int_eq(keyring_trust(k, personal, 1, &t, &e), -ENOENT);
	ck_assert_int_eq(keyring_trust(k, NULL, 0, &t, &e), 0);
	ck_assert_uint_eq(verify_trust_cas(t), 2);
	verify_trust_free(t);
	ck_assert_int_eq(keyring_trust(k, sub_only, 1, &t, &e), 0);
	ck_assert_uint_eq(verify_trust_cas(t), 1);
	struct verify_peer p = {.certs = {{host2.der, host2.len}},
		.n_certs = 1,
		.now = NOW,
		.flags = VERIFY_NO_IDENTITY};
	struct peer_key *key = NULL;
	ck_assert_int_eq(verify_peer(t, &p, &key, &e),
		VERIFY_UNTRUSTED); /* of the root, which this rule does not name */
	p.certs[0] = (struct verify_blob){host.der, host.len};
	ck_assert_int_eq(verify_peer(t, &p, &key, &e), VERIFY_OK);
	peer_key_free(key);
	verify_trust_free(t);
	keyring_unref(k);
	ring_add("IKED/empty/me", &host2, true, NULL);
	k = opened("iked/empty");
	ck_assert_int_eq(keyring_trust(k, NULL, 0, &t, &e), -ENOENT);
	keyring_unref(k);
}
END_TEST

START_TEST(crls)
{
	struct verify_trust *t = NULL;
	struct peer_key *key = NULL;
	uint8_t *der;
	size_t len = make_crl(&ca, &ca, &host2, -100, 100, &der);
	ring_mkdir("IKED/keyring/.crl");
	ring_text("IKED/keyring/.crl/ca.crl", "nonsense", 0644);
	refuses(-EINVAL, "not a CRL");
	FILE *f = fopen(ring_path("IKED/keyring/.crl/ca.crl"), "we");
	ck_assert_uint_eq(fwrite(der, 1, len, f), len);
	(void)fclose(f);
	OPENSSL_free(der);
	struct keyring *k = opened("iked/keyring");
	ck_assert_int_eq(keyring_trust(k, NULL, 0, &t, &e), 0);
	struct verify_peer p = {.certs = {{host2.der, host2.len}},
		.n_certs = 1,
		.now = NOW,
		.flags = VERIFY_NO_IDENTITY};
	ck_assert_int_eq(verify_peer(t, &p, &key, &e), VERIFY_REVOKED);
	verify_trust_free(t);
	keyring_unref(k);
}
END_TEST

START_TEST(keys_of_pkcs12)
{
	struct key_set keys;
	struct keyring_spec spec = {.name = "iked/p12", .dir = ring_top, .uid = (uid_t)-1};
	ring_add("IKED/p12/me", &host, false, "PERSONAL IKED\n");
	PKCS12 *p12 = PKCS12_create("secret", "me", host.key, host.x509, NULL, 0, 0, 0, 0, 0);
	FILE *f = fopen(ring_path("IKED/p12/me/key.p12"), "we");
	ck_assert_int_eq(i2d_PKCS12_fp(f, p12), 1);
	(void)fclose(f);
	PKCS12_free(p12);
	ck_assert_int_eq(chmod(ring_path("IKED/p12/me/key.p12"), 0600), 0);
	ck_assert_int_eq(key_set_load(&spec, &keys, &e), -EINVAL); /* no password */
	ck_assert_ptr_nonnull(strstr(e.text, "no private key can be read"));
	ring_text("IKED/p12/me/key.pw", "secret\n", 0644);
	ck_assert_int_eq(key_set_load(&spec, &keys, &e), -EPERM);
	ck_assert_int_eq(chmod(ring_path("IKED/p12/me/key.pw"), 0600), 0);
	ck_assert_msg(key_set_load(&spec, &keys, &e) == 0, "%s", e.text);
	ck_assert_uint_eq(keys.n, 1);
	ck_assert_int_eq(EVP_PKEY_eq(keys.keys[0].key, host.key), 1);
	uint8_t other[KEYRING_KEY_ID] = {0};
	ck_assert_ptr_null(key_set_find(&keys, other));
	ck_assert_ptr_eq(key_set_find(&keys, keys.keys[0].id), keys.keys[0].key);
	key_set_fini(&keys);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("keyring");
	TCase *t = tcase_create("keyring");
	tcase_set_timeout(t, 60);
	tcase_add_unchecked_fixture(t, setup_once, teardown_once);
	tcase_add_checked_fixture(t, setup, ring_teardown);
	tcase_add_test(t, names);
	tcase_add_test(t, file_names);
	tcase_add_test(t, missing_things);
	tcase_add_test(t, key_permissions);
	tcase_add_test(t, other_permissions);
	tcase_add_test(t, wrong_owners);
	tcase_add_test(t, bad_contents);
	tcase_add_test(t, reads_a_ring);
	tcase_add_test(t, by_hand_without_info);
	tcase_add_test(t, virtual_ring);
	tcase_add_test(t, chooses);
	tcase_add_test(t, chooses_a_name_written_in_another_order);
	tcase_add_test(t, what_is_no_ca_is_no_anchor);
	tcase_add_test(t, trusts);
	tcase_add_test(t, crls);
	tcase_add_test(t, keys_of_pkcs12);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
