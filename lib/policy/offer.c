/* Offers: algorithms and lifetimes of phase 1 (KeyExchangeOffer) and phase 2 (IpDataOffer), and the suites of RFC 4308,
 * which stand for all of them at once.
 *
 * z/OS falls back on DES, MD5 and Group1. Here whoever wants one of them writes it: an offer that leaves an algorithm
 * out is refused. */
#include "lib/base/xalloc.h"
#include "lib/policy/build.h"
#include <strings.h>

enum { MINUTE = 60, SUITE_IKE_S = 86400, SUITE_ESP_S = 28800 }; /* RFC 4308 section 2 */

uint16_t group_number(const char *word)
{
	return strncasecmp(word, "Group", 5) ? 0 : (uint16_t)atoi(word + 5);
}

uint16_t suite_group(enum policy_suite s)
{
	return s == SUITE_VPN_A ? 2 : s == SUITE_VPN_B ? 14 : 0;
}

static void lives(struct conf_node *n, struct life *seconds, struct life *kbytes)
{
	struct conf_node *at = conf_child(n, "RefreshLifetimeProposed");
	if (at)
		seconds->proposed = (uint32_t)conf_uint(at, "minutes") * MINUTE;
	if ((at = conf_child(n, "RefreshLifetimeAccepted"))) {
		seconds->lo = (uint32_t)at->values[0].u * MINUTE;
		seconds->hi = (uint32_t)at->values[0].u2 * MINUTE;
	}
	*kbytes = (struct life){0};
	if ((at = conf_child(n, "RefreshLifesizeProposed")) && !at->values[0].is_word)
		kbytes->proposed = (uint32_t)at->values[0].u;
	if ((at = conf_child(n, "RefreshLifesizeAccepted")) && !at->values[0].is_word) {
		kbytes->lo = (uint32_t)at->values[0].u;
		kbytes->hi = (uint32_t)at->values[0].u2;
	}
}

/* A suite says everything that @words say, too. */
static int suite_alone(struct conf_node *n, const char *const *words)
{
	int rc = 0;
	for (; *words; words++) {
		struct conf_node *at = conf_child(n, *words);
		if (at)
			rc = conf_node_error(at, "found %s beside Suite %s, expected one of them: the suite says it", *words,
				conf_str(conf_child(n, "Suite"), "suite"));
	}
	return rc;
}

static int key_bits(struct conf_node *at, bool aes, uint16_t *ret)
{
	const struct conf_value *v = conf_get(at, "KeyLength");
	*ret = aes ? 128 : 0;
	if (!v)
		return 0;
	if (!aes)
		return conf_node_error(at, "found KeyLength %u, expected none: it belongs to AES", (unsigned)v->u);
	if (v->u != 128 && v->u != 192 && v->u != 256)
		return conf_node_error(at, "found KeyLength %u, expected 128, 192 or 256", (unsigned)v->u);
	*ret = (uint16_t)v->u;
	return 0;
}

static int missing(struct conf_node *n, const char *word, const char *dflt)
{
	return conf_node_error(n, "found no %s in %s, expected one (%s is not taken for granted) or a Suite", word, n->stmt->name, dflt);
}

static int kex_algorithms(struct conf_node *n, struct kex_offer *o)
{
	static const uint16_t encs[] = {IKE_ENC_DES, IKE_ENC_3DES, IKE_ENC_AES, IKE_ENC_AES};
	static const uint16_t hashes[] = {
		IKE_HASH_MD5, IKE_HASH_SHA1, IKE_HASH_SHA2_256, IKE_HASH_SHA2_384, IKE_HASH_SHA2_512};
	struct conf_node *enc = conf_child(n, "HowToEncrypt"), *hash = conf_child(n, "HowToAuthMsgs"),
			 *group = conf_child(n, "DHGroup");
	int rc = 0;
	if (!enc)
		rc = missing(n, "HowToEncrypt", "DES");
	else if (enc->values[0].op) {
		o->enc = encs[enc->values[0].u];
		rc = key_bits(enc, o->enc == IKE_ENC_AES, &o->key_bits);
	}
	if (!hash)
		rc = missing(n, "HowToAuthMsgs", "MD5");
	else if (hash->values[0].op)
		o->hash = hashes[hash->values[0].u];
	if (!group)
		rc = missing(n, "DHGroup", "Group1");
	else if (group->values[0].op)
		o->group = group_number(conf_str(group, "group"));
	return rc;
}

static int kex_offer_build(struct conf_node *n, struct kex_offer *o)
{
	static const char *const words[] = {"HowToEncrypt", "HowToAuthMsgs", "DHGroup", NULL};
	int rc;
	*o = (struct kex_offer){.auth = build_word(n, "HowToAuthPeers", 0) ? IKE_AUTH_PSK : IKE_AUTH_RSA_SIG,
		.suite = conf_child(n, "Suite") ? 1 + build_word(n, "Suite", 0) : SUITE_NONE,
		.seconds = {480 * MINUTE, 240 * MINUTE, 1440 * MINUTE}};
	build_name(o->name, n);
	if (o->suite) {
		bool b = o->suite == SUITE_VPN_B;
		rc = suite_alone(n, words);
		o->enc = b ? IKE_ENC_AES : IKE_ENC_3DES;
		o->key_bits = b ? 128 : 0;
		o->hash = IKE_HASH_SHA1;
		o->xcbc = b;
		o->group = suite_group(o->suite);
		o->seconds = (struct life){SUITE_IKE_S, SUITE_IKE_S, SUITE_IKE_S};
	} else {
		rc = kex_algorithms(n, o);
	}
	lives(n, &o->seconds, &o->kbytes);
	return rc;
}

int kex_offers_build(struct build *b, struct conf_node *action, struct kex_action *ret)
{
	int rc = 0;
	for (struct conf_node *n = action->children; n; n = n->next) {
		struct conf_node *object = n;
		if (strncasecmp(n->stmt->name, "KeyExchangeOffer", 16))
			continue;
		if (n->stmt->name[16])
			object = build_ref(b, n, "KeyExchangeOffer");
		if (ret->n_offers == BUILD_OFFERS_MAX)
			return conf_node_error(n, "found more than %d offers, expected at most so many", BUILD_OFFERS_MAX);
		ret->offers = xrealloc(ret->offers, ret->n_offers + 1, sizeof(*ret->offers));
		if (!object || kex_offer_build(object, &ret->offers[ret->n_offers]) < 0)
			rc = -EINVAL;
		else
			ret->n_offers++;
	}
	if (!rc && !ret->n_offers)
		return conf_node_error(action, "found no KeyExchangeOffer in %s, expected one or a reference", action->stmt->name);
	return rc;
}

static int data_auth(struct conf_node *n, struct data_offer *o)
{
	static const uint16_t auths[] = {IPSEC_AUTH_NONE, IPSEC_AUTH_MD5, IPSEC_AUTH_SHA1, IPSEC_AUTH_SHA1, IPSEC_AUTH_SHA2_256,
		IPSEC_AUTH_SHA2_384, IPSEC_AUTH_SHA2_512, IPSEC_AUTH_XCBC};
	struct conf_node *at = conf_child(n, "HowToAuth");
	const struct conf_value *alg = at ? conf_get(at, "algorithm") : NULL;
	bool gcm = o->esp == IPSEC_ESP_AES_GCM_16;
	o->ah = build_word(n, "HowToAuth", 0) == 1;
	o->auth = alg ? auths[alg->u] : IPSEC_AUTH_NONE;
	if (gcm && !o->ah && o->auth)
		return conf_node_error(at, "found HowToAuth beside AES_GCM, expected ESP NULL: it authenticates by itself");
	if ((!gcm || o->ah) && !o->auth)
		return conf_node_error(at ? at : n, "found no algorithm of HowToAuth, expected one: a tunnel without integrity check is refused");
	if (o->ah && o->esp == IPSEC_ESP_NULL)
		o->esp = 0;
	return 0;
}

static int data_algorithms(struct conf_node *n, struct data_offer *o)
{
	static const uint16_t esps[] = {IPSEC_ESP_NULL, IPSEC_ESP_DES, IPSEC_ESP_3DES, IPSEC_ESP_AES_CBC, IPSEC_ESP_AES_CBC,
		IPSEC_ESP_AES_GCM_16, IPSEC_ESP_AES_GCM_16};
	struct conf_node *enc = conf_child(n, "HowToEncrypt");
	int rc = 0;
	o->esp = IPSEC_ESP_NULL;
	if (!enc && build_word(n, "HowToAuth", 0) != 1)
		return conf_node_error(n, "found no HowToEncrypt in %s, expected one (DoNot for none) or a Suite", n->stmt->name);
	if (enc && enc->values[0].op) {
		o->esp = esps[enc->values[0].u];
		rc = key_bits(enc, enc->values[0].u >= 3, &o->key_bits);
	}
	return data_auth(n, o) < 0 ? -EINVAL : rc;
}

static int data_offer_build(struct conf_node *n, struct data_offer *o)
{
	static const char *const words[] = {"HowToEncrypt", "HowToAuth", NULL};
	int rc;
	*o = (struct data_offer){.tunnel = !build_word(n, "HowToEncap", 0),
		.esn = build_word(n, "ExtendedSequenceNumbers", 0),
		.udp = build_word(n, "UdpEncapsulation", 0),
		.suite = conf_child(n, "Suite") ? 1 + build_word(n, "Suite", 0) : SUITE_NONE,
		.seconds = {240 * MINUTE, 120 * MINUTE, 480 * MINUTE}};
	build_name(o->name, n);
	if (o->suite) {
		bool b = o->suite == SUITE_VPN_B;
		rc = suite_alone(n, words);
		o->esp = b ? IPSEC_ESP_AES_CBC : IPSEC_ESP_3DES;
		o->key_bits = b ? 128 : 0;
		o->auth = b ? IPSEC_AUTH_XCBC : IPSEC_AUTH_SHA1;
		o->seconds = (struct life){SUITE_ESP_S, SUITE_ESP_S, SUITE_ESP_S};
	} else {
		rc = data_algorithms(n, o);
	}
	if (!rc && o->udp && o->ah)
		rc = conf_node_error(n, "found UdpEncapsulation with AH, expected ESP (RFC 3948)");
	lives(n, &o->seconds, &o->kbytes);
	return rc;
}

int data_offers_build(struct build *b, struct conf_node *action, struct vpn_action *ret)
{
	int rc = 0;
	for (struct conf_node *n = action->children; n; n = n->next) {
		struct conf_node *object = n;
		if (strncasecmp(n->stmt->name, "IpDataOffer", 11))
			continue;
		if (n->stmt->name[11])
			object = build_ref(b, n, "IpDataOffer");
		if (ret->n_offers == BUILD_OFFERS_MAX)
			return conf_node_error(n, "found more than %d offers, expected at most so many", BUILD_OFFERS_MAX);
		ret->offers = xrealloc(ret->offers, ret->n_offers + 1, sizeof(*ret->offers));
		if (!object || data_offer_build(object, &ret->offers[ret->n_offers]) < 0)
			rc = -EINVAL;
		else
			ret->n_offers++;
	}
	if (!rc && !ret->n_offers)
		return conf_node_error(action, "found no IpDataOffer in IpDynVpnAction '%s', expected one or a reference",
			conf_str(action, "name"));
	return rc;
}
