/* Two engines that prove themselves with certificates: RSA signatures in both modes, identities, CAs, and what is refused. The signers
 * answer late, as a process would. */
#include "tests/unit/lib/ike/pair_check.h"
#include "tests/unit/lib/keyring/fixture.h"

struct pki {
	struct made ca, other_ca, left, right, rogue;
};

static void pki_make(struct pki *k)
{
	k->ca = make_cert(&(struct make){.cn = "CA", .ca = true, .key_usage = "critical,keyCertSign,cRLSign"});
	k->other_ca = make_cert(&(struct make){.cn = "Other CA", .ca = true, .key_usage = "critical,keyCertSign,cRLSign"});
	k->left = make_cert(&(struct make){.cn = "left", .issuer = &k->ca, .san = "DNS:left.example", .key_usage = "digitalSignature"});
	k->right = make_cert(&(struct make){.cn = "right", .issuer = &k->ca, .san = "DNS:right.example", .key_usage = "digitalSignature"});
	k->rogue = make_cert(&(struct make){.cn = "left", .issuer = &k->other_ca, .san = "DNS:left.example", .key_usage = "digitalSignature"});
}

static void pki_free(struct pki *k)
{
	made_free(&k->ca), made_free(&k->other_ca), made_free(&k->left), made_free(&k->right), made_free(&k->rogue);
}

static struct signer *ring(const struct made *ca, const struct made *own)
{
	struct signer *s = memory_signer_new();
	memory_signer_add(s, "CA", ca->x509, NULL, NULL);
	memory_signer_add(s, "own", own->x509, own->key, NULL);
	return s;
}

static const char *const ids[][2] = {{"Fqdn left.example", "Fqdn right.example"}, {"X500dn CN=left,O=Example,C=US", "X500dn CN=right,O=Example,C=US"}};
static const char *const rsa_modes[] = {"Main", "Aggressive"};

START_TEST(certificates)
{
	struct pki k;
	char id[16];
	pki_make(&k);
	const char *l = ids[_i / 2][0], *r = ids[_i / 2][1];
	struct pair_policy pl = {.offers = PAIR_RSA, .local_id = l, .remote_id = r, .initiate = rsa_modes[_i % 2]},
			   pr = {.offers = PAIR_RSA, .local_id = r, .remote_id = _i / 2 ? "X500dn CN=*,O=Example,C=US" : "Fqdn *.example"};
	struct pair *n = pair_new(&pl, &pr, ring(&k.ca, &k.left), ring(&k.ca, &k.right));
	ck_assert_int_eq(pair_activate(n, 0, id), 0);
	pair_pass(n, PAIR_SECOND);
	UP(n);
	ck_assert_str_eq(ike_p1_next(n->peer[1].k, NULL)->remote_id, l + strcspn(l, " ") + 1);
	pair_free(n);

	/* The same name from a CA that the responder does not trust. */
	struct signer *liar = memory_signer_new();
	memory_signer_add(liar, "CA", k.ca.x509, NULL, NULL);
	memory_signer_add(liar, "own", k.rogue.x509, k.rogue.key, NULL);
	pr.offers = PAIR_RSA;
	n = pair_new(&pl, &pr, ring(&k.other_ca, &k.rogue), ring(&k.ca, &k.right));
	(void)pair_activate(n, 0, id);
	pair_pass(n, 300 * PAIR_SECOND);
	ck_assert(!pair_up(n));
	SAYS(n, 0, "P1_FAILED");
	pair_free(n);
	signer_free(liar);
	pki_free(&k);
}
END_TEST

START_TEST(signer_dies)
{
	struct pki k;
	char id[16];
	pki_make(&k);
	struct pair_policy pl = {.offers = PAIR_RSA, .local_id = ids[0][0], .remote_id = ids[0][1]},
			   pr = {.offers = PAIR_RSA, .local_id = ids[0][1], .remote_id = ids[0][0]};
	struct pair *n = pair_new(&pl, &pr, ring(&k.ca, &k.left), ring(&k.ca, &k.right));
	memory_signer_fail(n->peer[0].signer, -ECONNRESET);
	memory_signer_fail(n->peer[1].signer, -ENOENT);
	ck_assert_int_eq(pair_activate(n, 0, id), 0);
	pair_pass(n, PAIR_SECOND);
	UP(n);
	ike_free(n->peer[1].k);
	pair_start(&n->peer[1], NULL);
	pair_run(n);
	memory_signer_fail(n->peer[0].signer, -EACCES);
	ck_assert_int_eq(ike_refresh(n->peer[0].k, "K1", n->now), 0);
	pair_pass(n, 100 * PAIR_SECOND);
	SAYS(n, 0, "our key did not sign: made to fail");
	pair_free(n);
	pki_free(&k);
}
END_TEST

START_TEST(big_messages_are_cut)
{
	struct pki k;
	char id[16];
	pki_make(&k);
	struct pair_policy pl = {.offers = PAIR_RSA, .local_id = ids[0][0], .remote_id = ids[0][1]},
			   pr = {.offers = PAIR_RSA, .local_id = ids[0][1], .remote_id = ids[0][0]};
	struct signer *s = memory_signer_new();
	memory_signer_add(s, "CA", k.ca.x509, NULL, NULL);
	memory_signer_add(s, "own", k.left.x509, k.left.key, k.ca.x509);
	struct pair *n = pair_new(&pl, &pr, s, ring(&k.ca, &k.right));
	ck_assert_int_eq(pair_activate(n, 0, id), 0);
	pair_pass(n, PAIR_SECOND);
	UP(n);
	for (size_t i = 0; i < n->n_past; i++)
		ck_assert_uint_le(n->past[i].len, 1280);
	ck_assert_uint_gt(n->n_past, 9);
	pair_free(n);
	pki_free(&k);
}
END_TEST

/* The policies of both ends, named by their FQDNs, in the mode. */
static struct pair *fqdn_pair(struct pki *k, const char *mode, const struct made *left, const struct made *right)
{
	struct pair_policy pl = {.offers = PAIR_RSA, .local_id = ids[0][0], .remote_id = ids[0][1], .initiate = mode},
			   pr = {.offers = PAIR_RSA, .local_id = ids[0][1], .remote_id = ids[0][0]};
	return pair_new(&pl, &pr, ring(&k->ca, left), ring(&k->ca, right));
}

static void refused(struct pki *k, const struct made *left, const struct made *right, unsigned who, const char *words)
{
	for (unsigned mode = 0; mode < 2; mode++) {
		char id[16];
		struct pair *n = fqdn_pair(k, rsa_modes[mode], left, right);
		ck_assert_int_eq(pair_activate(n, 0, id), 0);
		pair_pass(n, 300 * PAIR_SECOND);
		ck_assert(!pair_up(n) && !there(&n->peer[0]) && !there(&n->peer[1]));
		SAYS(n, who, words);
		SAYS(n, who, "P1_FAILED");
		pair_free(n);
	}
}

/* The pair's clock is a little ahead of its wall: certificates are judged by that. */
START_TEST(an_expired_certificate)
{
	struct pki k;
	pki_make(&k);
	struct made old = make_cert(&(struct make){.cn = "right", .issuer = &k.ca, .san = "DNS:right.example", .key_usage = "digitalSignature",
		.from = (int64_t)(PAIR_WALL / PAIR_SECOND) - NOW - 86400, .to = (int64_t)(PAIR_WALL / PAIR_SECOND) - NOW - 10});
	refused(&k, &k.left, &old, 0, "certificate is not good");
	made_free(&old);
	pki_free(&k);
}
END_TEST

START_TEST(a_certificate_of_somebody_else)
{
	struct pki k;
	pki_make(&k);
	struct made mallory = make_cert(&(struct make){.cn = "mallory", .issuer = &k.ca, .san = "DNS:mallory.example", .key_usage = "digitalSignature"});
	/* The signer finds no certificate for our own identity. */
	refused(&k, &mallory, &k.right, 0, "no certificate of ours");
	made_free(&mallory);
	pki_free(&k);
}
END_TEST

static unsigned victim, at_byte;
static bool bent;

static bool bend(struct pair *n, struct pair_datagram *d, size_t number)
{
	(void)n;
	if (number == victim && at_byte < d->len) {
		d->data[at_byte] ^= 0x40;
		bent = true;
	}
	return true;
}

/* Messages 5 and 6 are big and encrypted: no change anywhere may pass. */
START_TEST(no_changed_byte_passes)
{
	struct pki k;
	pki_make(&k);
	for (victim = 4; victim < 6; victim++)
		for (at_byte = 28; at_byte < 1200; at_byte += 61) {
			char id[16];
			struct pair *n = fqdn_pair(&k, "Main", &k.left, &k.right);
			n->fate = bend;
			bent = false;
			ck_assert_int_eq(pair_activate(n, 0, id), 0);
			pair_run(n);
			ck_assert_uint_eq(n->peer[victim == 4 ? 1 : 0].events[IKE_P1_UP], !bent);
			pair_free(n);
		}
	pki_free(&k);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ike.engine.rsa");
	TCase *t = tcase_create("rsa");
	tcase_set_timeout(t, 300);
	tcase_add_test(t, an_expired_certificate);
	tcase_add_test(t, a_certificate_of_somebody_else);
	tcase_add_test(t, no_changed_byte_passes);
	tcase_add_loop_test(t, certificates, 0, 4);
	tcase_add_test(t, signer_dies);
	tcase_add_test(t, big_messages_are_cut);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
