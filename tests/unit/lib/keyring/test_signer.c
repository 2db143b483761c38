/* The signer process: it signs what the verifier accepts, it can do nothing else, and its death is
 * survived. */
#include "lib/keyring/signer_local.h"
#include "lib/loop/loop.h"
#include "tests/unit/lib/keyring/fixture.h"
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>

static struct loop *loop;
static struct signer *sig;
static struct made ca, host;
static struct keyring_spec ring;

static void setup_once(void)
{
	ca = make_cert(&(struct make){.cn = "CA", .ca = true, .bits = 256});
	host = make_cert(&(struct make){
		.cn = "host", .issuer = &ca, .san = "DNS:gw.example.com,IP:192.0.2.1"});
}

static void teardown_once(void)
{
	made_free(&host);
	made_free(&ca);
}

static void setup(void)
{
	struct errbuf e;
	ring_setup();
	ring_add("IKED/keyring/CA", &ca, false, "CERTAUTH irrcerta\n");
	ring_add("IKED/keyring/host", &host, true, "PERSONAL IKED DEFAULT\n");
	loop = loop_new();
	ring = (struct keyring_spec){.name = "iked/keyring", .dir = ring_top, .uid = (uid_t)-1};
	int rc = signer_local_new(loop, &(struct signer_local_spec){.ring = ring}, &sig, &e);
	ck_assert_msg(rc == 0, "%s", e.text);
}

static void teardown(void)
{
	signer_free(sig);
	loop_free(loop);
	ring_teardown();
}

struct answer {
	int n, rc;
	uint8_t sig[SIGN_SIGNATURE_MAX];
	size_t len;
	char why[256], label[64];
	uint8_t key[KEYRING_KEY_ID];
	size_t n_cas;
};

static void on_sign(void *arg, int rc, const uint8_t *s, size_t len, const char *why)
{
	struct answer *a = arg;
	a->n++;
	a->rc = rc;
	a->len = len;
	if (len)
		memcpy(a->sig, s, len);
	(void)snprintf(a->why, sizeof(a->why), "%s", why);
}

static void on_cert(void *arg, int rc, const struct signer_cert *c, const char *why)
{
	struct answer *a = arg;
	a->n++;
	a->rc = rc;
	(void)snprintf(a->why, sizeof(a->why), "%s", why);
	if (rc)
		return;
	(void)snprintf(a->label, sizeof(a->label), "%s", c->label);
	memcpy(a->key, c->key, sizeof(a->key));
}

static void on_cas(void *arg, int rc, const struct signer_ca *cas, size_t n, const char *why)
{
	struct answer *a = arg;
	(void)why;
	a->n++;
	a->rc = rc;
	a->n_cas = n;
	if (n)
		(void)snprintf(a->label, sizeof(a->label), "%s", cas[0].label);
}

static void run_until(const int *counter, int wanted)
{
	uint64_t end = loop_now_ms() + 60000;
	while (*counter < wanted && loop_now_ms() < end)
		(void)loop_run_once(loop, 100);
	ck_assert_int_eq(*counter, wanted);
}

static void key_of_host(uint8_t out[KEYRING_KEY_ID])
{
	memcpy(out, keyring_find(signer_local_ring(sig), "host")->id, KEYRING_KEY_ID);
}

static struct peer_key *verified(void)
{
	struct verify_trust *t = NULL;
	struct errbuf e;
	struct peer_key *k = NULL;
	struct ident id;
	ck_assert_int_eq(ident_from_text("Fqdn", "gw.example.com", &id, &e), 0);
	ck_assert_int_eq(keyring_trust(signer_local_ring(sig), NULL, 0, &t, &e), 0);
	struct verify_peer p = {
		.certs = {{host.der, host.len}}, .n_certs = 1, .id = &id, .now = NOW};
	ck_assert_int_eq(verify_peer(t, &p, &k, &e), VERIFY_OK);
	verify_trust_free(t);
	return k;
}

START_TEST(unknown_key_and_impossible_requests_are_refused)
{
	struct answer a = {0};
	uint8_t key[KEYRING_KEY_ID] = {1}, hash[65] = {0};
	ck_assert_ptr_nonnull(signer_sign(sig, key, SIGN_RSA_PKCS1_RAW, hash, 65, on_sign, &a));
	ck_assert_int_eq(a.n, 0);
	run_until(&a.n, 1);
	ck_assert_int_eq(a.rc, -EINVAL);
	ck_assert_ptr_nonnull(signer_sign(sig, key, SIGN_RSA_PKCS1_RAW, hash, 0, on_sign, &a));
	run_until(&a.n, 2);
	ck_assert_int_eq(a.rc, -EINVAL);
	struct signer_call *c = signer_sign(sig, key, SIGN_MECH_MAX, hash, 20, on_sign, &a);
	ck_assert_ptr_nonnull(c);
	signer_cancel(sig, c);
	a.n = 0;
	ck_assert_ptr_nonnull(signer_sign(sig, key, SIGN_RSA_PKCS1_RAW, hash, 20, on_sign, &a));
	run_until(&a.n, 1);
	ck_assert_int_eq(a.rc, -ENOENT);
	ck_assert_ptr_nonnull(strstr(a.why, "no such key"));
	key_of_host(key);
	ck_assert_ptr_nonnull(signer_sign(sig, key, SIGN_ECDSA, hash, 32, on_sign, &a));
	run_until(&a.n, 2);
	ck_assert_int_eq(a.rc, -EINVAL);
	ck_assert_ptr_nonnull(signer_sign(sig, key, SIGN_RSA_PKCS1_SHA256, hash, 20, on_sign, &a));
	run_until(&a.n, 3);
	ck_assert_int_eq(a.rc, -EINVAL);
}
END_TEST

START_TEST(signatures_verify)
{
	static const struct {
		enum sign_mech mech;
		size_t len;
	} cases[] = {{SIGN_RSA_PKCS1_RAW, 16}, {SIGN_RSA_PKCS1_RAW, 20}, {SIGN_RSA_PKCS1_RAW, 32},
		{SIGN_RSA_PKCS1_SHA1, 20}, {SIGN_RSA_PKCS1_SHA256, 32}, {SIGN_RSA_PKCS1_SHA384, 48},
		{SIGN_RSA_PKCS1_SHA512, 64}, {SIGN_RSA_PSS_SHA256, 32}, {SIGN_RSA_PSS_SHA384, 48},
		{SIGN_RSA_PSS_SHA512, 64}};
	struct peer_key *k = verified();
	uint8_t key[KEYRING_KEY_ID], hash[64] = {7, 8, 9};
	struct answer a = {0};
	key_of_host(key);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_ptr_nonnull(
			signer_sign(sig, key, cases[i].mech, hash, cases[i].len, on_sign, &a));
		ck_assert_int_eq(a.n, (int)i); /* never from inside the call */
		run_until(&a.n, (int)i + 1);
		ck_assert_int_eq(a.rc, 0);
		ck_assert_int_eq(
			peer_key_verify(k, cases[i].mech, hash, cases[i].len, a.sig, a.len), 0);
		hash[0] ^= 1;
		ck_assert_int_eq(
			peer_key_verify(k, cases[i].mech, hash, cases[i].len, a.sig, a.len),
			-EBADMSG);
		hash[0] ^= 1;
		a.sig[a.len / 2] ^= 1;
		ck_assert_int_eq(
			peer_key_verify(k, cases[i].mech, hash, cases[i].len, a.sig, a.len),
			-EBADMSG);
		ck_assert_int_eq(
			peer_key_verify(k, cases[i].mech, hash, cases[i].len, a.sig, a.len - 1),
			-EBADMSG);
	}
	peer_key_free(k);
}
END_TEST

START_TEST(raw_is_pkcs1_without_digestinfo)
{
	uint8_t key[KEYRING_KEY_ID], hash[20] = {0xaa}, plain[256];
	size_t len = sizeof(plain);
	struct answer a = {0};
	key_of_host(key);
	ck_assert_ptr_nonnull(signer_sign(sig, key, SIGN_RSA_PKCS1_RAW, hash, 20, on_sign, &a));
	run_until(&a.n, 1);
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(host.key, NULL);
	ck_assert_int_gt(EVP_PKEY_verify_recover_init(c), 0);
	ck_assert_int_gt(EVP_PKEY_CTX_set_rsa_padding(c, RSA_NO_PADDING), 0);
	ck_assert_int_gt(EVP_PKEY_verify_recover(c, plain, &len, a.sig, a.len), 0);
	EVP_PKEY_CTX_free(c);
	ck_assert_uint_eq(len, 256);
	ck_assert_uint_eq(plain[0], 0);
	ck_assert_uint_eq(plain[1], 1);
	for (int i = 2; i < 235; i++)
		ck_assert_uint_eq(plain[i], 0xff);
	ck_assert_uint_eq(plain[235], 0);
	ck_assert_int_eq(memcmp(plain + 236, hash, 20), 0);
}
END_TEST

START_TEST(finds_and_lists)
{
	struct answer a = {0};
	struct ident id;
	struct errbuf e;
	ck_assert_int_eq(ident_from_text("IpAddr", "192.0.2.1", &id, &e), 0);
	struct signer_want w = {.id = &id, .now = NOW};
	ck_assert_ptr_nonnull(signer_find(sig, &w, on_cert, &a));
	ck_assert_int_eq(a.n, 0);
	run_until(&a.n, 1);
	ck_assert_int_eq(a.rc, 0);
	ck_assert_str_eq(a.label, "host");
	ck_assert_int_eq(ident_from_text("IpAddr", "192.0.2.2", &id, &e), 0);
	ck_assert_ptr_nonnull(signer_find(sig, &w, on_cert, &a));
	run_until(&a.n, 2);
	ck_assert_int_eq(a.rc, -ENOENT);
	ck_assert_ptr_nonnull(strstr(a.why, "no certificate for that identity"));
	w = (struct signer_want){.label = "host", .now = NOW};
	ck_assert_ptr_nonnull(signer_find(sig, &w, on_cert, &a));
	run_until(&a.n, 3);
	ck_assert_int_eq(a.rc, 0);
	w.label = "CA"; /* there is a certificate, but no key to sign with */
	ck_assert_ptr_nonnull(signer_find(sig, &w, on_cert, &a));
	run_until(&a.n, 4);
	ck_assert_int_eq(a.rc, -ENOENT);
	ck_assert_ptr_nonnull(signer_list_cas(sig, on_cas, &a));
	run_until(&a.n, 5);
	ck_assert_uint_eq(a.n_cas, 1);
	ck_assert_str_eq(a.label, "CA");
}
END_TEST

static int total;
static void on_count(void *arg, int rc, const uint8_t *s, size_t len, const char *why)
{
	int *codes = arg;
	(void)s, (void)len, (void)why;
	codes[rc == 0 ? 0 : rc == -ECONNRESET ? 1 : 2]++;
	total++;
}

static struct verify_trust *trust_made;
static int trust_rc;
static struct errbuf trust_why;
static void on_cas_trust(void *arg, int rc, const struct signer_ca *cas, size_t n, const char *why)
{
	static const char *const none[] = {"ca", "none"}, *const one[] = {"ca"};
	int *done = arg;
	(void)why;
	ck_assert_int_eq(rc, 0);
	trust_rc = signer_trust(cas, n, none, 2, &trust_made, &trust_why);
	ck_assert_int_eq(signer_trust(NULL, 0, NULL, 0, &trust_made, &trust_why), -ENOENT);
	ck_assert_int_eq(signer_trust(cas, n, one, 1, &trust_made, &trust_why), 0);
	(*done)++;
}

START_TEST(trust_comes_with_its_crls)
{
	int done = 0;
	uint8_t *der;
	struct errbuf e;
	struct peer_key *k = NULL;
	size_t len = make_crl(&ca, &ca, &host, -100, 100, &der);
	ring_mkdir("IKED/keyring/.crl");
	FILE *f = fopen(ring_path("IKED/keyring/.crl/ca"), "we");
	ck_assert_uint_eq(fwrite(der, 1, len, f), len);
	(void)fclose(f);
	OPENSSL_free(der);
	struct verify_peer p = {.certs = {{host.der, host.len}},
		.n_certs = 1,
		.now = NOW,
		.flags = VERIFY_NO_IDENTITY};
	for (int i = 0; i < 2; i++) {
		ck_assert_ptr_nonnull(signer_list_cas(sig, on_cas_trust, &done));
		run_until(&done, i + 1);
		ck_assert_int_eq(trust_rc, -ENOENT);
		ck_assert_int_eq(
			verify_peer(trust_made, &p, &k, &e), i ? VERIFY_REVOKED : VERIFY_OK);
		verify_trust_free(trust_made);
		peer_key_free(k);
		k = NULL;
		ck_assert_int_eq(signer_reload(sig, &e), 0);
	}
}
END_TEST

START_TEST(hundreds_outstanding_and_a_full_table)
{
	uint8_t key[KEYRING_KEY_ID], hash[32] = {3};
	int codes[3] = {0};
	total = 0;
	key_of_host(key);
	for (int i = 0; i < SIGNER_OUTSTANDING_MAX; i++)
		ck_assert_ptr_nonnull(signer_sign(sig, key,
			i < 600 ? SIGN_RSA_PKCS1_RAW : SIGN_ECDSA, hash, 32, on_count, codes));
	struct answer a = {0};
	ck_assert_ptr_nonnull(signer_sign(sig, key, SIGN_RSA_PKCS1_RAW, hash, 32, on_sign, &a));
	ck_assert_ptr_nonnull(signer_list_cas(sig, on_cas, &a));
	ck_assert_uint_eq(sig->outstanding, SIGNER_OUTSTANDING_MAX);
	run_until(&a.n, 2);
	ck_assert_int_eq(a.rc, -ENOBUFS);
	run_until(&total, SIGNER_OUTSTANDING_MAX);
	ck_assert_int_eq(codes[0], 600);
	ck_assert_int_eq(codes[2], SIGNER_OUTSTANDING_MAX - 600);
	ck_assert_uint_eq(sig->outstanding, 0);
}
END_TEST

START_TEST(cancelled_calls_say_nothing)
{
	uint8_t key[KEYRING_KEY_ID], hash[32] = {3};
	int codes[3] = {0};
	struct answer a = {0};
	total = 0;
	key_of_host(key);
	struct signer_call *c = signer_sign(sig, key, SIGN_RSA_PKCS1_RAW, hash, 32, on_sign, &a);
	ck_assert_ptr_nonnull(c);
	signer_cancel(sig, c);
	c = signer_list_cas(sig, on_cas, &a);
	signer_cancel(sig, c);
	ck_assert_ptr_nonnull(signer_sign(sig, key, SIGN_RSA_PKCS1_RAW, hash, 32, on_count, codes));
	run_until(&total, 1);
	ck_assert_int_eq(a.n, 0);
	ck_assert_uint_eq(sig->outstanding, 0);
}
END_TEST

START_TEST(a_signer_that_does_not_answer)
{
	struct errbuf e;
	struct signer *slow = NULL;
	uint8_t key[KEYRING_KEY_ID], hash[32] = {3};
	struct answer late = {0}, next = {0};
	struct signer_local_spec spec = {.ring = ring, .timeout_ms = 300, .threads = 1};
	ck_assert_int_eq(signer_local_new(loop, &spec, &slow, &e), 0);
	key_of_host(key);
	pid_t pid = signer_local_pid(slow);
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	ck_assert_ptr_nonnull(signer_sign(slow, key, SIGN_RSA_PKCS1_RAW, hash, 32, on_sign, &late));
	run_until(&late.n, 1);
	ck_assert_int_eq(late.rc, -ETIMEDOUT);
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	next.rc = -ETIMEDOUT;
	for (int i = 0; i < 50 && next.rc == -ETIMEDOUT; i++) { /* a busy machine may need some */
		next.n = 0;
		ck_assert_ptr_nonnull(
			signer_sign(slow, key, SIGN_RSA_PKCS1_RAW, hash, 32, on_sign, &next));
		run_until(&next.n, 1);
	}
	ck_assert_int_eq(
		next.rc, 0); /* the process is the same, and its late answer found nobody */
	ck_assert_int_eq(late.n, 1);
	ck_assert_int_eq(signer_local_pid(slow), pid);
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	signer_free(slow); /* also a stopped one goes */
	ck_assert_int_eq(kill(pid, 0), -1);
}
END_TEST

START_TEST(a_killed_signer_is_replaced)
{
	uint8_t key[KEYRING_KEY_ID], hash[32] = {3};
	int codes[3] = {0};
	struct answer a = {0};
	pid_t pid = signer_local_pid(sig);
	total = 0;
	key_of_host(key);
	for (int i = 0; i < 200; i++)
		ck_assert_ptr_nonnull(
			signer_sign(sig, key, SIGN_RSA_PKCS1_RAW, hash, 32, on_count, codes));
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	run_until(&total, 200);
	ck_assert_int_gt(codes[1], 0); /* those that were in it, and said so */
	ck_assert_int_eq(codes[2], 0);
	ck_assert_ptr_nonnull(signer_sign(sig, key, SIGN_RSA_PKCS1_RAW, hash, 32, on_sign, &a));
	run_until(&a.n, 1);
	ck_assert_msg(a.rc == 0, "%s", a.why);
	ck_assert_int_ne(signer_local_pid(sig), pid);
	ck_assert_uint_eq(sig->n_restarts, 1);
}
END_TEST

START_TEST(reload_takes_new_keys_and_refuses_bad_ones)
{
	struct errbuf e;
	uint8_t key[KEYRING_KEY_ID], hash[32] = {3};
	int codes[3] = {0};
	struct answer a = {0};
	total = 0;
	key_of_host(key);
	for (int i = 0; i < 100; i++)
		ck_assert_ptr_nonnull(
			signer_sign(sig, key, SIGN_RSA_PKCS1_RAW, hash, 32, on_count, codes));
	struct made ec = make_cert(&(struct make){.cn = "ec", .issuer = &ca, .bits = 256});
	ring_add("IKED/keyring/ec", &ec, true, "PERSONAL IKED\n");
	ck_assert_int_eq(chmod(ring_path("IKED/keyring/ec/key.pem"), 0644), 0);
	ck_assert_int_eq(signer_reload(sig, &e), -EPERM);
	ck_assert_ptr_nonnull(strstr(e.text, "mode 0644"));
	ck_assert_int_eq(chmod(ring_path("IKED/keyring/ec/key.pem"), 0600), 0);
	ck_assert_int_eq(signer_reload(sig, &e), 0);
	run_until(&total, 100);
	ck_assert_int_eq(codes[0], 100); /* the old process finished its work */
	memcpy(key, keyring_find(signer_local_ring(sig), "ec")->id, sizeof(key));
	ck_assert_ptr_nonnull(signer_sign(sig, key, SIGN_ECDSA, hash, 32, on_sign, &a));
	run_until(&a.n, 1);
	ck_assert_int_eq(a.rc, 0);
	made_free(&ec);
}
END_TEST

START_TEST(a_wrong_key_stops_the_start)
{
	struct errbuf e;
	struct signer *other = NULL;
	struct made stranger = make_cert(&(struct make){.cn = "stranger", .bits = 256});
	ring_add("IKED/keyring/host", &host, true, NULL);
	FILE *f = fopen(ring_path("IKED/keyring/host/key.pem"), "we");
	ck_assert_int_eq(PEM_write_PrivateKey(f, stranger.key, NULL, NULL, 0, NULL, NULL), 1);
	(void)fclose(f);
	ck_assert_int_eq(
		signer_local_new(loop, &(struct signer_local_spec){.ring = ring}, &other, &e),
		-EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "the private key is not that of the certificate"));
	made_free(&stranger);
	struct signer_local_spec none = {.ring = ring, .program = "/nonexistent/ravelin-signer"};
	ck_assert_int_eq(signer_local_new(loop, &none, &other, &e), -ENOEXEC);
	none.program = "/bin/true"; /* not a signer: ends without a word */
	ck_assert_int_eq(signer_local_new(loop, &none, &other, &e), -ECONNRESET);
	ck_assert_ptr_nonnull(strstr(e.text, "ended with status 0"));
}
END_TEST

static void proc_line(pid_t pid, const char *file, const char *name, char out[256])
{
	char path[320], line[256];
	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	FILE *f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	out[0] = 0;
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, name, strlen(name)) == 0)
			(void)snprintf(out, 256, "%s", line + strlen(name));
	(void)fclose(f);
	ck_assert_msg(out[0] != 0, "%s has no %s", path, name);
}

START_TEST(the_process_is_confined)
{
	char line[256];
	unsigned long long caps = 1;
	pid_t pid = signer_local_pid(sig);
	char tasks[64], task[280];
	(void)snprintf(tasks, sizeof(tasks), "/proc/%d/task", pid);
	DIR *d = opendir(tasks);
	ck_assert_ptr_nonnull(d);
	int n = 0;
	for (const struct dirent *x; (x = readdir(d));) {
		if (x->d_name[0] == '.')
			continue;
		(void)snprintf(task, sizeof(task), "task/%s/status", x->d_name);
		proc_line(pid, task, "Seccomp:", line);
		ck_assert_int_eq(atoi(line), 2);
		n++;
	}
	(void)closedir(d);
	ck_assert_int_ge(n, 2); /* every thread has the filter */
	proc_line(pid, "status", "NoNewPrivs:", line);
	ck_assert_int_eq(atoi(line), 1);
	proc_line(pid, "status", "CapPrm:", line);
	ck_assert_int_eq(sscanf(line, "%llx", &caps), 1);
	ck_assert_uint_eq(caps, 0);
	proc_line(pid, "limits", "Max core file size", line);
	ck_assert_int_eq(atoi(line), 0);
	if (geteuid() == 0) {
		proc_line(pid, "status", "Uid:", line);
		ck_assert_int_eq(atoi(line), 65534);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("signer");
	TCase *t = tcase_create("signer");
	tcase_set_timeout(t, 120);
	tcase_add_unchecked_fixture(t, setup_once, teardown_once);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, unknown_key_and_impossible_requests_are_refused);
	tcase_add_test(t, a_wrong_key_stops_the_start);
	tcase_add_test(t, signatures_verify);
	tcase_add_test(t, raw_is_pkcs1_without_digestinfo);
	tcase_add_test(t, finds_and_lists);
	tcase_add_test(t, trust_comes_with_its_crls);
	tcase_add_test(t, hundreds_outstanding_and_a_full_table);
	tcase_add_test(t, cancelled_calls_say_nothing);
	tcase_add_test(t, a_signer_that_does_not_answer);
	tcase_add_test(t, a_killed_signer_is_replaced);
	tcase_add_test(t, reload_takes_new_keys_and_refuses_bad_ones);
	tcase_add_test(t, the_process_is_confined);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
