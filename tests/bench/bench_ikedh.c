/* ike.dh.GROUP: Diffie-Hellman exchanges (one key pair made, one secret shared) per second on one
 * core, against OpenSSL as EVP_PKEY_derive_set_peer does it by default: with its full validation of
 * the peer's value. ike.keys: SKEYID, its family, both hashes and KEYMAT with HMAC-SHA2-256, per
 * second, against AES-XCBC-PRF-128. Medians of 7 runs. */
#include "lib/ike/dh.h"
#include "lib/ike/keymat.h"
#include <openssl/evp.h>
#include <openssl/dh.h>
#include <openssl/ec.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RUNS = 7, SLICE_MS = 120 };

static double now(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(bool good, const char *what)
{
	if (!good) {
		(void)fprintf(stderr, "bench_ikedh: %s\n", what);
		exit(1);
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

/* How often @step runs in a second. */
static double rate(void (*step)(void *arg), void *arg)
{
	double began = now(), took;
	unsigned n = 0;

	do {
		step(arg);
		n++;
		took = now() - began;
	} while (took < SLICE_MS / 1e3);
	return n / took;
}

static void compare(
	const char *name, void (*ours)(void *), const char *peer, void (*theirs)(void *), void *arg)
{
	double a[RUNS], b[RUNS];

	for (unsigned i = 0; i < RUNS; i++) {
		a[i] = rate(ours, arg);
		b[i] = rate(theirs, arg);
	}
	qsort(a, RUNS, sizeof(*a), by_value);
	qsort(b, RUNS, sizeof(*b), by_value);
	double x = a[RUNS / 2], y = b[RUNS / 2];
	printf("%s\t%.0f\t1/s\t%s\t%.0f\t%.2f\n", name, x, peer, y, x / y);
}

struct exchange {
	uint16_t group;
	struct dh_key *other;
	EVP_PKEY *params, *peer;
};

static void ours(void *arg)
{
	struct exchange *e = arg;
	struct dh_key *k;
	uint8_t secret[DH_SHARED_MAX];

	must(dh_key_new(e->group, &k) == 0, "no key pair");
	must(dh_shared(k, dh_key_public(e->other), dh_public_len(e->group), secret, NULL) == 0,
		"no shared secret");
	dh_key_free(k);
}

static EVP_PKEY *pair_of(EVP_PKEY *params)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, params, NULL);
	EVP_PKEY *pair = NULL;

	must(ctx && EVP_PKEY_keygen_init(ctx) > 0 && EVP_PKEY_generate(ctx, &pair) > 0, "no pair");
	EVP_PKEY_CTX_free(ctx);
	return pair;
}

static void openssl(void *arg)
{
	struct exchange *e = arg;
	EVP_PKEY *pair = pair_of(e->params);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pair, NULL);
	uint8_t secret[DH_SHARED_MAX];
	size_t len = sizeof(secret);

	must(ctx && EVP_PKEY_derive_init(ctx) > 0 && EVP_PKEY_derive_set_peer(ctx, e->peer) > 0 &&
			EVP_PKEY_derive(ctx, secret, &len) > 0,
		"no secret");
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(pair);
}

static EVP_PKEY *params_of(const char *type, const char *group)
{
	EVP_PKEY *pair = NULL;

	if (strcmp(type, "EC") == 0)
		return EVP_EC_gen(group);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	must(ctx && EVP_PKEY_keygen_init(ctx) > 0 && EVP_PKEY_CTX_set_group_name(ctx, group) > 0 &&
			EVP_PKEY_generate(ctx, &pair) > 0,
		"no parameters");
	EVP_PKEY_CTX_free(ctx);
	return pair;
}

static void keys(void *arg, bool xcbc)
{
	struct kex_offer o = {.enc = IKE_ENC_AES,
		.key_bits = 256,
		.hash = IKE_HASH_SHA2_256,
		.auth = IKE_AUTH_PSK,
		.group = 14,
		.xcbc = xcbc};
	static const uint8_t bytes[256] = {1, 2, 3};
	struct ike_kex x = {.ni = {bytes, 32},
		.nr = {bytes, 32},
		.gxi = {bytes, 256},
		.gxr = {bytes, 256},
		.gxy = {bytes, 256},
		.psk = {bytes, 20},
		.sai = {bytes, 80}};
	uint8_t out[IKE_PRF_MAX], keymat[64];
	struct ike_suite s;
	struct ike_skeys k;

	(void)arg;
	must(!ike_suite_of(&o, &s) && !ike_skeys_derive(&s, &x, &k) &&
			!ike_auth_hash(&s, &k, &x, true, IKE_PART(bytes, 12), out) &&
			!ike_auth_hash(&s, &k, &x, false, IKE_PART(bytes, 12), out) &&
			!ike_keymat(&s, &k, IKE_PART(NULL, 0), 3, 256, x.ni, x.nr, keymat, 64),
		"no keys");
	ike_skeys_wipe(&k);
}

static void keys_hmac(void *arg)
{
	keys(arg, false);
}

static void keys_xcbc(void *arg)
{
	keys(arg, true);
}

int main(void)
{
	static const struct {
		uint16_t group;
		const char *name, *type, *openssl;
	} groups[] = {{14, "ike.dh.modp2048", "DH", "modp_2048"},
		{5, "ike.dh.modp1536", "DH", "modp_1536"}, {19, "ike.dh.p256", "EC", "P-256"}};

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		struct exchange e = {.group = groups[i].group,
			.params = params_of(groups[i].type, groups[i].openssl)};
		e.peer = pair_of(e.params);
		must(dh_key_new(e.group, &e.other) == 0, "no key pair");
		compare(groups[i].name, ours, "openssl default", openssl, &e);
		dh_key_free(e.other);
		EVP_PKEY_free(e.params);
		EVP_PKEY_free(e.peer);
	}
	compare("ike.keys", keys_hmac, "AES-XCBC-PRF-128", keys_xcbc, NULL);
	return 0;
}
