/* Two engines that prove themselves with certificates: RSA signatures in main and aggressive mode,
 * identities, CAs, and what is refused. The signers answer late, as a process would. */
#include "tests/support/memory_signer.h"
#include "tests/unit/lib/ike/pair/pair.h"
#include "tests/unit/lib/keyring/fixture.h"

enum { ROUNDS = 40 };

static struct made root, other_root, ends[2];
static struct signer *signers[2];

#define KEX_RSA(mode)                                                                              \
	"HowToInitiate " mode                                                                      \
	"\n HowToRespondIKEv1 Either\n KeyExchangeOffer { HowToEncrypt AES_CBC KeyLength 128\n"    \
	" HowToAuthMsgs SHA2_256\n HowToAuthPeers RsaSignature\n DHGroup Group14 }\n"

/* Valid at the pair's clock. */
static struct made cert_of(const char *cn, const struct made *issuer, const char *san)
{
	struct make w = {.cn = cn,
		.issuer = issuer,
		.ca = !issuer,
		.san = san,
		.from = (int64_t)(WALL(0) / SECOND) - NOW - 86400,
		.to = 86400};
	return make_cert(&w);
}

/* Time passes and the signers answer, a little of each at a time. */
static void run(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		pass(100000);
		for (unsigned k = 0; k < 2; k++)
			(void)memory_signer_run(signers[k]);
	}
}

static void start(unsigned i)
{
	ike_free(net.peer[i].ike);
	struct ike_config c = {.ops = &pair_ops,
		.ctx = &net.index[i],
		.policy = net.peer[i].policy,
		.signer = signers[i]};
	ck_assert_int_eq(ike_new(&c, net.now, &net.peer[i].ike), 0);
}

/* @trusts: whose certificates each end takes. */
static void begin(struct ipsec_policy *a, struct ipsec_policy *b, const struct made *trusts0,
	const struct made *trusts1)
{
	const struct made *trusts[] = {trusts0, trusts1};

	pair_start(a, b);
	for (unsigned i = 0; i < 2; i++) {
		signers[i] = memory_signer_new();
		memory_signer_add(signers[i], "CA", trusts[i]->x509, NULL, NULL);
		memory_signer_add(signers[i], "own", ends[i].x509, ends[i].key, NULL);
		start(i);
	}
	run();
}

static void stop(void)
{
	pair_stop();
	signer_free(signers[0]);
	signer_free(signers[1]);
}

static void come_up(const char *kex)
{
	char id[16] = "";

	begin(end_policy(1, "", kex, VPN_GCM), end_policy(2, "", kex, VPN_GCM), &root, &root);
	ck_assert_int_eq(activate(id), 0);
	run();
	check_agreed();
	ck_assert_uint_eq(alive(0), 1);
	ck_assert_uint_eq(alive(1), 1);
}

START_TEST(main_mode)
{
	come_up(KEX_RSA("Main"));
	const struct ike_p1_info *k = ike_p1_next(net.peer[1].ike, NULL);
	ck_assert(!k->aggressive && k->offer.auth == IKE_AUTH_RSA_SIG);
	ck_assert_str_eq(k->remote_id, "192.0.2.1");
	ck_assert_str_eq(k->local_id, "192.0.2.2");
	stop();
}
END_TEST

START_TEST(aggressive_mode)
{
	come_up(KEX_RSA("Aggressive"));
	ck_assert(ike_p1_next(net.peer[1].ike, NULL)->aggressive);
	stop();
}
END_TEST

static void refused(const char *kex, const struct made *trusts0, const struct made *trusts1,
	unsigned who, const char *text)
{
	char id[16] = "";

	begin(end_policy(1, "", kex, VPN_GCM), end_policy(2, "", kex, VPN_GCM), trusts0, trusts1);
	ck_assert_int_eq(activate(id), 0);
	run();
	ck_assert_ptr_null(newest(0));
	ck_assert_ptr_null(newest(1));
	ck_assert_uint_ge(net.peer[who].events[IKE_P1_FAILED], 1);
	ck_assert_msg(strstr(net.peer[who].last, text) != NULL, "%s", net.peer[who].last);
	stop();
}

/* Who is asked for certificates of a CA that did not issue ours has nothing to show. */
START_TEST(another_ca)
{
	refused(KEX_RSA("Main"), &root, &other_root, 0, "no certificate of ours");
	refused(KEX_RSA("Aggressive"), &other_root, &root, 1, "no certificate of ours");
}
END_TEST

START_TEST(an_expired_certificate)
{
	struct made real = ends[1];
	struct make w = {.cn = "two",
		.issuer = &root,
		.san = "IP:192.0.2.2",
		.from = (int64_t)(WALL(0) / SECOND) - NOW - 86400,
		.to = (int64_t)(WALL(0) / SECOND) - NOW - 10};

	ends[1] = make_cert(&w);
	refused(KEX_RSA("Main"), &root, &root, 0, "certificate is not good");
	refused(KEX_RSA("Aggressive"), &root, &root, 0, "certificate is not good");
	made_free(&ends[1]);
	ends[1] = real;
}
END_TEST

START_TEST(a_certificate_of_somebody_else)
{
	struct made real = ends[0];

	ends[0] = cert_of("mallory", &root, "IP:192.0.2.77");
	/* The signer finds no certificate for our own identity. */
	refused(KEX_RSA("Main"), &root, &root, 0, "no certificate of ours");
	made_free(&ends[0]);
	ends[0] = real;
}
END_TEST

START_TEST(the_signer_dies_once)
{
	char id[16] = "";

	begin(end_policy(1, "", KEX_RSA("Main"), VPN_GCM),
		end_policy(2, "", KEX_RSA("Main"), VPN_GCM), &root, &root);
	memory_signer_fail(signers[0], -ECONNRESET);
	memory_signer_fail(signers[1], -ENOENT);
	ck_assert_int_eq(activate(id), 0);
	run();
	check_agreed();
	stop();
}
END_TEST

START_TEST(the_signer_refuses)
{
	char id[16] = "";

	begin(end_policy(1, "", KEX_RSA("Main"), VPN_GCM),
		end_policy(2, "", KEX_RSA("Main"), VPN_GCM), &root, &root);
	memory_signer_fail(signers[0], -EACCES);
	ck_assert_int_eq(activate(id), 0);
	run();
	ck_assert_ptr_null(newest(0));
	ck_assert_ptr_nonnull(strstr(net.peer[0].last, "did not sign"));
	stop();
}
END_TEST

static unsigned victim, at_byte;
static bool bent;

static bool bend(struct datagram *d, unsigned number)
{
	if (number == victim && at_byte < d->len) {
		d->data[at_byte] ^= 0x40;
		bent = true;
	}
	return true;
}

/* Messages 5 and 6 are big, encrypted and (with this certificate) whole: no change anywhere may
 * pass. */
START_TEST(no_changed_byte_passes)
{
	for (victim = 4; victim < 6; victim++) {
		for (at_byte = 28; at_byte < 1200; at_byte += 61) {
			char id[16] = "";
			begin(end_policy(1, "", KEX_RSA("Main"), VPN_GCM),
				end_policy(2, "", KEX_RSA("Main"), VPN_GCM), &root, &root);
			net.fate = bend;
			bent = false;
			ck_assert_int_eq(activate(id), 0);
			for (unsigned i = 0; i < 12; i++) {
				pass(20000);
				(void)memory_signer_run(signers[0]);
				(void)memory_signer_run(signers[1]);
			}
			ck_assert_uint_eq(net.peer[victim == 4 ? 1 : 0].events[IKE_P1_UP], !bent);
			stop();
		}
	}
}
END_TEST

static void set_up(void)
{
	root = cert_of("Root", NULL, NULL);
	other_root = cert_of("Other", NULL, NULL);
	ends[0] = cert_of("one", &root, "IP:192.0.2.1,DNS:one.example.com");
	ends[1] = cert_of("two", &root, "IP:192.0.2.2,DNS:two.example.com");
}

static void tear_down(void)
{
	made_free(&root);
	made_free(&other_root);
	made_free(&ends[0]);
	made_free(&ends[1]);
}

static Suite *suite(void)
{
	Suite *s = suite_create("rsa");
	TCase *t = tcase_create("rsa");
	tcase_set_timeout(t, 300);
	tcase_add_unchecked_fixture(t, set_up, tear_down);
	tcase_add_test(t, main_mode);
	tcase_add_test(t, aggressive_mode);
	tcase_add_test(t, another_ca);
	tcase_add_test(t, an_expired_certificate);
	tcase_add_test(t, a_certificate_of_somebody_else);
	tcase_add_test(t, the_signer_dies_once);
	tcase_add_test(t, the_signer_refuses);
	tcase_add_test(t, no_changed_byte_passes);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
