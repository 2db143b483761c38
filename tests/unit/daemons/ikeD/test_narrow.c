/* SupportedCertAuth in front of a signer that answers from a list. */
#include "daemons/ikeD/iked.h"
#include "lib/base/xalloc.h"
#include "tests/support/check_main.h"

/* The signer behind: one call at a time, answered by finish(). */
static struct {
	signer_cas_fn cas;
	signer_sign_fn sign;
	void *arg;
	unsigned cancelled;
} waiting;

static struct signer_call *list_cas(struct signer *s, signer_cas_fn fn, void *arg)
{
	(void)s;
	waiting.cas = fn;
	waiting.arg = arg;
	return (struct signer_call *)&waiting;
}

static struct signer_call *sign(struct signer *s, const uint8_t key[KEYRING_KEY_ID], enum sign_mech mech, const void *hash, size_t len,
	signer_sign_fn fn, void *arg)
{
	(void)s;
	(void)key;
	(void)mech;
	(void)hash;
	(void)len;
	waiting.sign = fn;
	waiting.arg = arg;
	return (struct signer_call *)&waiting;
}

static void cancel(struct signer *s, struct signer_call *c)
{
	(void)s;
	ck_assert_ptr_eq(c, &waiting);
	waiting.cancelled++;
}

static const struct signer_ops ops = {.name = "test", .list_cas = list_cas, .sign = sign, .cancel = cancel};
static const struct signer_ca cas[] = {{.label = "One"}, {.label = "Two"}, {.label = "Three"}};

static size_t got_n;
static char got[3][SIGNER_LABEL_MAX];
static int got_rc;

static void take_cas(void *arg, int rc, const struct signer_ca *list, size_t n, const char *why)
{
	(void)arg;
	(void)why;
	got_rc = rc;
	got_n = n;
	for (size_t i = 0; i < n; i++)
		memcpy(got[i], list[i].label, SIGNER_LABEL_MAX);
}

static void take_signature(void *arg, int rc, const uint8_t *sig, size_t len, const char *why)
{
	(void)arg;
	(void)sig;
	(void)len;
	(void)why;
	got_rc = rc;
}

static void ask(struct iked_conf *conf)
{
	struct signer inner = {.ops = &ops};
	struct iked k = {.conf = conf};
	struct signer *s = narrow_new(&inner, &k);
	ck_assert_ptr_nonnull(signer_list_cas(s, take_cas, NULL));
	ck_assert_uint_eq(s->outstanding, 1);
	waiting.cas(waiting.arg, 0, cas, 3, NULL);
	ck_assert_uint_eq(s->outstanding, 0);
	signer_free(s);
}

START_TEST(only_what_is_supported)
{
	struct iked_conf all = {.n_cas = 0}, two = {.n_cas = 2, .cas = {"three", "One"}}, none = {.n_cas = 1, .cas = {"Four"}};
	ask(&none);
	ck_assert_uint_eq(got_n, 0);
	ask(&two);
	ck_assert_uint_eq(got_n, 2);
	ck_assert_str_eq(got[0], "One");
	ck_assert_str_eq(got[1], "Three");
	ask(&all);
	ck_assert_uint_eq(got_n, 3);
}
END_TEST

START_TEST(cancel_and_failure_pass_through)
{
	struct signer inner = {.ops = &ops};
	struct iked_conf conf = {0};
	struct iked k = {.conf = &conf};
	struct signer *s = narrow_new(&inner, &k);
	uint8_t key[KEYRING_KEY_ID] = {0};
	struct signer_call *c = signer_sign(s, key, SIGN_RSA_PKCS1_RAW, "hash", 4, take_signature, NULL);
	signer_cancel(s, c);
	ck_assert_uint_eq(waiting.cancelled, 1);
	ck_assert_uint_eq(s->outstanding, 0);
	(void)signer_sign(s, key, SIGN_RSA_PKCS1_RAW, "hash", 4, take_signature, NULL);
	waiting.sign(waiting.arg, -ECONNRESET, NULL, 0, "died");
	ck_assert_int_eq(got_rc, -ECONNRESET);
	ck_assert_uint_eq(s->n_signs, 2);
	ck_assert_uint_eq(s->n_failed, 1);
	signer_free(s);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("narrow");
	TCase *t = tcase_create("narrow");
	tcase_add_test(t, only_what_is_supported);
	tcase_add_test(t, cancel_and_failure_pass_through);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
