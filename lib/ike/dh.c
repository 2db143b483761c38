#include "lib/ike/dh.h"
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/dh.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <pthread.h>

enum { POINT_UNCOMPRESSED = 4, SHORT_EXPONENT_BITS = 224 };

static const struct group {
	uint16_t number, len; /* len: of a MODP number or of a coordinate */
	bool point;
	const char *type,
		*name; /* name NULL: from RFC 2409's primes, which OpenSSL does not name */
} groups[] = {
	{1, 96, false, "DH", NULL},
	{2, 128, false, "DH", NULL},
	{5, 192, false, "DH", "modp_1536"},
	{14, 256, false, "DH", "modp_2048"},
	{15, 384, false, "DH", "modp_3072"},
	{16, 512, false, "DH", "modp_4096"},
	{19, 32, true, "EC", "P-256"},
	{20, 48, true, "EC", "P-384"},
	{21, 66, true, "EC", "P-521"},
	{24, 256, false, "DHX", "dh_2048_256"},
};
enum { GROUPS = sizeof(groups) / sizeof(groups[0]) };

/* What a group needs again and again, made when it is first used and then only read, but for the two
 * that are used under @lock: OpenSSL takes longer to make a context or a key object of P-256 (it
 * compares names of key types, and copies parameters) than to make a pair. */
static struct domain {
	EVP_PKEY *params;
	EVP_PKEY_CTX *pairs; /* makes key pairs */
	EVP_PKEY *peer;	     /* of a curve: takes one peer's value after the other */
	pthread_mutex_t lock;
	BIGNUM *p_1;	   /* p - 1; NULL: a curve */
	BIGNUM *p, *g, *q; /* q only of group 24 */
} domains[GROUPS];
static pthread_mutex_t domains_lock = PTHREAD_MUTEX_INITIALIZER;

struct dh_key {
	const struct group *group;
	struct domain *domain;
	EVP_PKEY *pair;
	uint8_t public[DH_PUBLIC_MAX];
};

static const struct group *group_of(uint16_t number)
{
	for (size_t i = 0; i < GROUPS; i++) {
		if (groups[i].number == number)
			return &groups[i];
	}
	return NULL;
}

bool dh_group_known(uint16_t group)
{
	return group_of(group);
}

static size_t public_len(const struct group *g)
{
	return g->point ? 2 * (size_t)g->len : g->len;
}

size_t dh_public_len(uint16_t group)
{
	const struct group *g = group_of(group);
	return g ? public_len(g) : 0;
}

size_t dh_shared_len(uint16_t group)
{
	const struct group *g = group_of(group);
	return g ? g->len : 0;
}

static EVP_PKEY *params_from(const char *type, OSSL_PARAM *params, bool from_data)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *ret = NULL;
	bool good = ctx && params;

	if (good && from_data)
		good = EVP_PKEY_fromdata_init(ctx) > 0 &&
		       EVP_PKEY_fromdata(ctx, &ret, EVP_PKEY_KEY_PARAMETERS, params) > 0;
	else if (good)
		good = EVP_PKEY_paramgen_init(ctx) > 0 &&
		       EVP_PKEY_CTX_set_params(ctx, params) > 0 && EVP_PKEY_paramgen(ctx, &ret) > 0;
	EVP_PKEY_CTX_free(ctx);
	return good ? ret : NULL;
}

static EVP_PKEY *named_params(const struct group *g)
{
	OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(
				       OSSL_PKEY_PARAM_GROUP_NAME, (char *)(uintptr_t)g->name, 0),
		OSSL_PARAM_construct_end()};
	return params_from(g->type, params, !g->point);
}

/* RFC 2409 section 6: safe primes, generator 2. */
static EVP_PKEY *oakley_params(const struct group *g)
{
	BIGNUM *p =
		g->number == 1 ? BN_get_rfc2409_prime_768(NULL) : BN_get_rfc2409_prime_1024(NULL);
	BIGNUM *two = BN_new();
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	EVP_PKEY *ret = NULL;

	if (p && two && bld && BN_set_word(two, 2) &&
		OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_FFC_P, p) &&
		OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_FFC_G, two))
		params = OSSL_PARAM_BLD_to_param(bld);
	if (params)
		ret = params_from(g->type, params, true);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	BN_free(two);
	BN_free(p);
	return ret;
}

/* OpenSSL knows how long private values of its named groups need to be; of the others, it would
 * make them as long as the prime. */
static bool short_exponent(const struct group *g, EVP_PKEY_CTX *ctx)
{
	int bits = SHORT_EXPONENT_BITS;
	OSSL_PARAM params[] = {OSSL_PARAM_construct_int(OSSL_PKEY_PARAM_DH_PRIV_LEN, &bits),
		OSSL_PARAM_construct_end()};
	return g->name || EVP_PKEY_CTX_set_params(ctx, params) > 0;
}

static bool numbers_of(const struct group *g, struct domain *d, EVP_PKEY *params)
{
	bool good = EVP_PKEY_get_bn_param(params, OSSL_PKEY_PARAM_FFC_P, &d->p) &&
		    EVP_PKEY_get_bn_param(params, OSSL_PKEY_PARAM_FFC_G, &d->g) && (d->p_1 = BN_dup(d->p)) && BN_sub_word(d->p_1, 1);

	if (good && g->number == 24)
		good = EVP_PKEY_get_bn_param(params, OSSL_PKEY_PARAM_FFC_Q, &d->q);
	return good;
}

static bool make_domain(const struct group *g, struct domain *d)
{
	EVP_PKEY *params = g->name ? named_params(g) : oakley_params(g);
	EVP_PKEY_CTX *pairs = params ? EVP_PKEY_CTX_new_from_pkey(NULL, params, NULL) : NULL;
	EVP_PKEY *peer = g->point ? EVP_PKEY_new() : NULL;
	bool good = pairs && EVP_PKEY_keygen_init(pairs) > 0 && short_exponent(g, pairs);

	if (good && g->point)
		good = peer && EVP_PKEY_copy_parameters(peer, params) > 0;
	else if (good)
		good = numbers_of(g, d, params);
	if (!good) {
		EVP_PKEY_free(peer);
		EVP_PKEY_CTX_free(pairs);
		EVP_PKEY_free(params);
		return false;
	}
	(void)pthread_mutex_init(&d->lock, NULL);
	d->pairs = pairs;
	d->peer = peer;
	d->params = params;
	return true;
}

static struct domain *domain_of(const struct group *g)
{
	struct domain *d = &domains[g - groups];

	(void)pthread_mutex_lock(&domains_lock);
	bool good = d->params || make_domain(g, d);
	(void)pthread_mutex_unlock(&domains_lock);
	return good ? d : NULL;
}

/* As it stands in a KE payload. */
static bool write_public(struct dh_key *k)
{
	uint8_t point[1 + DH_PUBLIC_MAX];
	size_t len = 0;
	bool good;

	if (k->group->point) {
		good = EVP_PKEY_get_octet_string_param(k->pair, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY,
			       point, sizeof(point), &len) &&
		       len == 1 + public_len(k->group) && point[0] == POINT_UNCOMPRESSED;
		if (good)
			memcpy(k->public, point + 1, len - 1);
		return good;
	}
	BIGNUM *y = NULL;
	good = EVP_PKEY_get_bn_param(k->pair, OSSL_PKEY_PARAM_PUB_KEY, &y) &&
	       BN_bn2binpad(y, k->public, k->group->len) == k->group->len;
	BN_free(y);
	return good;
}

int dh_key_new(uint16_t group, struct dh_key **ret)
{
	const struct group *g = group_of(group);
	struct domain *d = g ? domain_of(g) : NULL;

	if (!g)
		return -EPROTONOSUPPORT;
	if (!d)
		return -EIO;
	struct dh_key *k = xnew(struct dh_key);
	k->group = g;
	k->domain = d;
	(void)pthread_mutex_lock(&d->lock);
	bool good = EVP_PKEY_generate(d->pairs, &k->pair) > 0;
	(void)pthread_mutex_unlock(&d->lock);
	if (!good || !write_public(k)) {
		dh_key_free(k);
		return -EIO;
	}
	*ret = k;
	return 0;
}

/* The pair's parameters with the two values: what OpenSSL makes keys of. */
static OSSL_PARAM *pair_params(const struct dh_key *k, const BIGNUM *private, const BIGNUM *y,
	const uint8_t *point, size_t point_len)
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	bool good = bld && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, private);

	if (good && k->group->name)
		good = OSSL_PARAM_BLD_push_utf8_string(
			bld, OSSL_PKEY_PARAM_GROUP_NAME, k->group->name, 0);
	else if (good)
		good = OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_FFC_P, k->domain->p) &&
		       OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_FFC_G, k->domain->g);
	if (good && k->group->point)
		good = OSSL_PARAM_BLD_push_octet_string(
			bld, OSSL_PKEY_PARAM_PUB_KEY, point, point_len);
	else if (good)
		good = OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PUB_KEY, y);
	if (good)
		params = OSSL_PARAM_BLD_to_param(bld);
	OSSL_PARAM_BLD_free(bld);
	return params;
}

static bool import_pair(
	struct dh_key *k, const void *private, size_t private_len, const void *public, size_t len)
{
	uint8_t point[1 + DH_PUBLIC_MAX] = {POINT_UNCOMPRESSED};
	BIGNUM *secret = BN_secure_new();
	BIGNUM *y = BN_bin2bn(public, (int)len, NULL);
	OSSL_PARAM *params = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, k->group->type, NULL);

	memcpy(point + 1, public, len);
	if (secret && y && ctx && BN_bin2bn(private, (int)private_len, secret))
		params = pair_params(k, secret, y, point, len + 1);
	bool good = params && EVP_PKEY_fromdata_init(ctx) > 0 &&
		    EVP_PKEY_fromdata(ctx, &k->pair, EVP_PKEY_KEYPAIR, params) > 0 &&
		    write_public(k);
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	BN_free(y);
	BN_clear_free(secret);
	return good;
}

int dh_key_import(uint16_t group, const void *private, size_t private_len, const void *public,
	size_t public_size, struct dh_key **ret)
{
	const struct group *g = group_of(group);
	struct domain *d = g ? domain_of(g) : NULL;

	if (!d)
		return -EPROTONOSUPPORT;
	if (public_size != public_len(g) || !private_len || private_len > g->len)
		return -EINVAL;
	struct dh_key *k = xnew(struct dh_key);
	k->group = g;
	k->domain = d;
	if (!import_pair(k, private, private_len, public, public_size)) {
		dh_key_free(k);
		return -EINVAL;
	}
	*ret = k;
	return 0;
}

void dh_key_free(struct dh_key *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->pair); /* clears the private value */
	free(k);
}

uint16_t dh_key_group(const struct dh_key *k)
{
	return k->group->number;
}

const uint8_t *dh_key_public(const struct dh_key *k)
{
	return k->public;
}

/* 2 <= y <= p-2: 0, 1 and p-1 would make the secret known to anyone. In a safe-prime group nothing
 * else is dangerous to a private value that is used once; in group 24 the order of y is checked,
 * too. */
static bool number_good(const struct dh_key *k, const uint8_t *peer)
{
	const struct domain *d = k->domain;
	BIGNUM *y = BN_bin2bn(peer, k->group->len, NULL);
	bool good = y && BN_cmp(y, BN_value_one()) > 0 && BN_cmp(y, d->p_1) < 0;

	if (good && d->q) {
		BN_CTX *ctx = BN_CTX_new();
		BIGNUM *power = BN_new();
		good = ctx && power && BN_mod_exp(power, y, d->q, d->p, ctx) && BN_is_one(power);
		BN_free(power);
		BN_CTX_free(ctx);
	}
	BN_free(y);
	return good;
}

/* A number: a key object of its own. */
static EVP_PKEY *number_key(const struct domain *d, const uint8_t *peer, size_t len)
{
	EVP_PKEY *ret = EVP_PKEY_new();

	if (ret && EVP_PKEY_copy_parameters(ret, d->params) > 0 && EVP_PKEY_set1_encoded_public_key(ret, peer, len) > 0)
		return ret;
	EVP_PKEY_free(ret);
	return NULL;
}

/* OpenSSL refuses what does not lie on the curve; then the point before it stays, and is not used. */
static bool set_point(struct domain *d, const uint8_t *peer, size_t len)
{
	uint8_t point[1 + DH_PUBLIC_MAX];

	point[0] = POINT_UNCOMPRESSED;
	memcpy(point + 1, peer, len);
	return EVP_PKEY_set1_encoded_public_key(d->peer, point, len + 1) > 0;
}

static bool derive(const struct dh_key *k, EVP_PKEY *other, uint8_t *out)
{
	size_t out_len = k->group->len;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pair, NULL);
	bool good = ctx && EVP_PKEY_derive_init(ctx) > 0 && (k->group->point || EVP_PKEY_CTX_set_dh_pad(ctx, 1) > 0) &&
		    EVP_PKEY_derive_set_peer_ex(ctx, other, 0) > 0 && EVP_PKEY_derive(ctx, out, &out_len) > 0 &&
		    out_len == k->group->len;

	EVP_PKEY_CTX_free(ctx);
	if (!good)
		secret_wipe(out, k->group->len);
	return good;
}

int dh_shared(
	const struct dh_key *k, const void *peer, size_t len, uint8_t *out, struct ike_refusal *why)
{
	struct domain *d = k->domain;

	if (len != public_len(k->group))
		return ike_refuse(
			why, NOTIFY_INVALID_KEY_INFORMATION, "a KE payload of the wrong length");
	if (!k->group->point && !number_good(k, peer))
		return ike_refuse(
			why, NOTIFY_INVALID_KEY_INFORMATION, "a public value out of range");
	EVP_PKEY *number = k->group->point ? NULL : number_key(d, peer, len);
	(void)pthread_mutex_lock(&d->lock);
	bool known = k->group->point ? set_point(d, peer, len) : number != NULL;
	bool good = known && derive(k, k->group->point ? d->peer : number, out);
	(void)pthread_mutex_unlock(&d->lock);
	EVP_PKEY_free(number);
	if (!known)
		return ike_refuse(
			why, NOTIFY_INVALID_KEY_INFORMATION, "a public value not of its group");
	return good ? 0 : -EIO;
}
