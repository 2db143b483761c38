/* KeyExchangePolicy: what is refused, what rules inherit, what offers, ends and keys become. */
#include "tests/unit/lib/policy/support.h"
#include "lib/policy/secretkey.h"

#define OFFER "HowToEncrypt AES_CBC\n HowToAuthMsgs SHA1\n DHGroup Group14\n"
#define HERE "LocalSecurityEndpoint { Identity IpAddr 192.0.2.1\n Location 192.0.2.1 }\n"
#define THERE "RemoteSecurityEndpoint { Identity IpAddr 192.0.2.2\n Location 192.0.2.2 }\n"
#define ACTION "KeyExchangeAction { KeyExchangeOffer { " OFFER "} }\n"
#define RULE(body) EMPTY "KeyExchangePolicy {\nKeyExchangeRule r {\n" body "}\n}\n"
#define ONE_OFFER(body) RULE(HERE THERE "KeyExchangeAction { KeyExchangeOffer {\n" body "} }\n")

START_TEST(refusals)
{
	refused(EMPTY "KeyExchangePolicy { KeyExchangeRuleRef x }\n",
		"f:2:21: found KeyExchangeRuleRef 'x', expected the name of a KeyExchangeRule statement in this file");
	refused(EMPTY "KeyExchangePolicy { KeyExchangeGroupRef x }\n",
		"f:2:21: found KeyExchangeGroupRef 'x', expected the name of a KeyExchangeGroup statement in this file");
	refused(RULE(THERE ACTION), "f:3:1: found no LocalSecurityEndpoint in KeyExchangeRule 'r', expected one or a reference");
	refused(RULE(HERE ACTION), "f:3:1: found no RemoteSecurityEndpoint in KeyExchangeRule 'r', expected one or a reference");
	refused(RULE(HERE THERE), "f:3:1: found no KeyExchangeAction in KeyExchangeRule 'r', expected one or a reference");
	refused(RULE(HERE THERE "KeyExchangeActionRef nix\n"),
		"f:8:1: found KeyExchangeActionRef 'nix', expected the name of a KeyExchangeAction statement in this file");
	refused(RULE(HERE THERE ACTION "KeyExchangeActionRef nix\n"),
		"f:12:1: found KeyExchangeActionRef beside KeyExchangeAction, expected one of them");
	refused(RULE(HERE THERE "KeyExchangeAction { }\n"),
		"f:8:1: found no KeyExchangeOffer in KeyExchangeAction, expected one or a reference");
	refused(RULE(HERE THERE "KeyExchangeAction { KeyExchangeOfferRef nix }\n"),
		"f:8:21: found KeyExchangeOfferRef 'nix', expected the name of a KeyExchangeOffer statement in this file");
	refused(RULE(HERE THERE "KeyExchangeAction { HowToRespond Main\n HowToRespondIKEv1 Main\n KeyExchangeOffer { " OFFER "} }\n"),
		"f:9:2: found HowToRespondIKEv1 beside HowToRespond, expected one of them");
	refused(RULE(HERE THERE "KeyExchangeAction { HowToInitiate IKEv2 }\n"),
		"f:8:35: found 'IKEv2', expected mode: Main, Aggressive or DoNot");
	refused(RULE("LocalSecurityEndpoint { Location 10.0.0.0/8 }\n" THERE ACTION),
		"f:4:1: found no Identity in LocalSecurityEndpoint, expected one, or a Location of one address");
	refused(RULE("LocalSecurityEndpoint { Identity IpAddr 192.0.2.1\n Location ::1 }\n" THERE ACTION),
		"f:3:1: found Locations of different families in KeyExchangeRule 'r', expected the same");
	refused(RULE("LocalSecurityEndpoint { Identity IpAddr 10.0.0.0/8 }\n" THERE ACTION),
		"f:4:25: found Identity IpAddr '10.0.0.0/8', expected who this end is: IpAddr 10.0.0.0/8: not an address");
	refused(RULE("LocalSecurityEndpoint { Identity KeyId x }\n" THERE ACTION),
		"f:4:34: found 'KeyId', expected type: IpAddr, Fqdn, UserAtFqdn or X500dn");
}
END_TEST

START_TEST(refused_offers)
{
	refused(ONE_OFFER("HowToAuthMsgs SHA1\nDHGroup Group2\n"),
		"f:8:21: found no HowToEncrypt in KeyExchangeOffer, expected one (DES is not taken for granted) or a Suite");
	refused(ONE_OFFER("HowToEncrypt 3DES\nDHGroup Group2\n"),
		"f:8:21: found no HowToAuthMsgs in KeyExchangeOffer, expected one (MD5 is not taken for granted) or a Suite");
	refused(ONE_OFFER("HowToEncrypt 3DES\nHowToAuthMsgs SHA1\n"),
		"f:8:21: found no DHGroup in KeyExchangeOffer, expected one (Group1 is not taken for granted) or a Suite");
	refused(ONE_OFFER("HowToEncrypt 3DES KeyLength 192\nHowToAuthMsgs SHA1\nDHGroup Group2\n"),
		"f:9:1: found KeyLength 192, expected none: it belongs to AES");
	refused(ONE_OFFER("HowToEncrypt AES_CBC KeyLength 200\nHowToAuthMsgs SHA1\nDHGroup Group2\n"),
		"f:9:1: found KeyLength 200, expected 128, 192 or 256");
	refused(ONE_OFFER("Suite VPN-B\nDHGroup Group14\n"),
		"f:10:1: found DHGroup beside Suite VPN-B, expected one of them: the suite says it");
	refused(ONE_OFFER("Suite VPN-A\nHowToEncrypt 3DES\n"),
		"f:10:1: found HowToEncrypt beside Suite VPN-A, expected one of them: the suite says it");
	refused(ONE_OFFER("Suite VPN-C\n"), "f:9:7: found 'VPN-C', expected suite: VPN-A or VPN-B");
	refused(ONE_OFFER(OFFER "RefreshLifetimeProposed 0\n"), "f:12:25: found '0', expected minutes: a number 1 to 525600");
	refused(ONE_OFFER(OFFER "HowToAuthPeers PresharedKey\n"),
		"f:3:1: found no SharedKey in KeyExchangeRule 'r', whose offer 1 says PresharedKey, expected one");
}
END_TEST

START_TEST(keys_are_never_shown)
{
	struct conf *c, *common;
	refused(RULE(HERE THERE ACTION "SharedKey Hex 0x0badkey0\n"),
		"f:12:1: found a SharedKey Hex that is not of its form, expected two hexadecimal digits for each byte");
	refused(RULE(HERE THERE ACTION "SharedKey Hex 0x123\n"),
		"f:12:1: found a SharedKey Hex that is not of its form, expected two hexadecimal digits for each byte");
	refused(RULE(HERE THERE ACTION "SharedKey Ebcdic \"\xc3\xa4\"\n"),
		"f:12:1: found a SharedKey Ebcdic that is not of its form, expected printable ASCII text");
	ck_assert_ptr_null(built2(RULE(HERE THERE ACTION "SharedKey Ascii geheim andgeheim\n"), NULL, &c, &common));
	for (unsigned i = 0; i < conf_error_count(c); i++)
		ck_assert_ptr_null(strstr(conf_error(c, i), "geheim andgeheim"));
	conf_free(c);
}
END_TEST

START_TEST(keys_in_three_forms)
{
	uint8_t out[8];
	size_t n = 0;
	ck_assert_int_eq(shared_key_parse(KEY_ASCII, "", out, 8, &n), -EINVAL);
	ck_assert_int_eq(shared_key_parse(KEY_ASCII, "123456789", out, 8, &n), -EINVAL);
	ck_assert_int_eq(shared_key_parse(KEY_HEX, "0x", out, 8, &n), -EINVAL);
	ck_assert_int_eq(shared_key_parse(KEY_HEX, "001122334455667788", out, 8, &n), -EINVAL);
	ck_assert_int_eq(shared_key_parse(KEY_EBCDIC, "a\tb", out, 8, &n), -EINVAL);
	ck_assert_int_eq(shared_key_parse(KEY_ASCII, "Key 1", out, 8, &n), 0);
	ck_assert_uint_eq(n, 5);
	ck_assert_mem_eq(out, "Key 1", 5);
	ck_assert_int_eq(shared_key_parse(KEY_HEX, "0x00fF", out, 8, &n), 0);
	ck_assert_uint_eq(n, 2);
	ck_assert_mem_eq(out, "\x00\xff", 2);
	ck_assert_int_eq(shared_key_parse(KEY_EBCDIC, "aZ 0~[]^", out, 8, &n), 0);
	ck_assert_uint_eq(n, 8);
	ck_assert_mem_eq(out, "\x81\xe9\x40\xf0\xa1\xad\xbd\x5f", 8);
}
END_TEST

START_TEST(rules_inherit_from_the_policy)
{
	struct ipsec_policy *p = accepted(EMPTY
		"KeyExchangePolicy { AllowNat Yes }\n" /* not this one: the last counts */
		"KeyExchangePolicy { HowToInitiate Aggressive\n HowToRespond Main\n NatKeepAliveInterval 35\n"
		"KeyExchangeGroup g { KeyExchangeRuleRef two }\n KeyExchangeRule one {\n" HERE THERE ACTION "}\n}\n"
		"KeyExchangeRule two { LocalSecurityEndpointRef l\n RemoteSecurityEndpointRef r\n KeyExchangeActionRef a\n"
		" SharedKey Ascii secret }\n"
		"LocalSecurityEndpoint l { Location 192.0.2.7 }\n"
		"RemoteSecurityEndpoint r { Identity X500dn \"CN=*,O=Example\"\n LocationSetRef net\n CaLabel \"My CA\"\n CaLabel other }\n"
		"IpAddrSet net { Prefix 198.51.100.0/24 }\n"
		"KeyExchangeAction a { AllowNat Yes\n HowToRespondIKEv1 Either\n HowToInitiate DoNot\n FilterByIdentity Yes\n"
		" KeyExchangeOfferRef o\n KeyExchangeOffer { " OFFER " RefreshLifetimeProposed 10\n RefreshLifetimeAccepted 5 20\n"
		" RefreshLifesizeProposed 1000\n RefreshLifesizeAccepted 500 2000 } }\n"
		"KeyExchangeOffer o { HowToEncrypt DES\n HowToAuthMsgs MD5\n HowToAuthPeers PresharedKey\n DHGroup Group1 }\n");
	ck_assert(!p->allow_nat && p->nat_keepalive_s == 35);
	ck_assert_uint_eq(p->n_kex_rules, 2);
	const struct kex_rule *two = &p->kex_rules[0], *one = &p->kex_rules[1];
	ck_assert_str_eq(two->name, "two");
	ck_assert(one->action.initiate == IKE_MODE_AGGRESSIVE && one->action.respond == IKE_MODE_MAIN && !one->action.allow_nat);
	ck_assert(two->action.initiate == IKE_MODE_DONOT && two->action.respond == IKE_MODE_EITHER && two->action.allow_nat);
	ck_assert(two->action.filter_by_identity && !one->action.filter_by_identity);
	ck_assert_uint_eq(one->action.offers[0].seconds.proposed, 480 * 60);
	ck_assert_uint_eq(one->action.offers[0].seconds.lo, 240 * 60);
	ck_assert_uint_eq(one->action.offers[0].seconds.hi, 1440 * 60);
	ck_assert_uint_eq(one->action.offers[0].kbytes.proposed, 0);
	ck_assert(one->action.offers[0].auth == IKE_AUTH_RSA_SIG && one->action.offers[0].key_bits == 128);
	const struct kex_offer *o = two->action.offers;
	ck_assert_uint_eq(two->action.n_offers, 2);
	ck_assert(o[0].enc == IKE_ENC_DES && o[0].hash == IKE_HASH_MD5 && o[0].group == 1 && o[0].auth == IKE_AUTH_PSK && !o[0].key_bits);
	ck_assert(o[1].seconds.proposed == 600 && o[1].seconds.lo == 300 && o[1].seconds.hi == 1200);
	ck_assert(o[1].kbytes.proposed == 1000 && o[1].kbytes.lo == 500 && o[1].kbytes.hi == 2000);
	ck_assert_uint_eq(two->shared_key_len, 6);
	ck_assert_mem_eq(two->shared_key, "secret", 6);
	ck_assert_uint_eq(two->remote.n_ca_labels, 2);
	ck_assert_str_eq(two->remote.ca_labels[0], "My CA");
	ck_assert_uint_eq(two->local.identity.type, IKE_ID_IPV4);
	ck_assert_mem_eq(two->local.identity.id.data, "\xc0\x00\x02\x07", 4);
	ipsec_policy_free(p);
}
END_TEST

START_TEST(every_algorithm_has_its_number)
{
	static const struct {
		const char *word;
		uint16_t number;
	} groups[] = {{"Group1", 1}, {"Group2", 2}, {"Group5", 5}, {"Group14", 14}, {"Group15", 15}, {"Group16", 16}, {"Group19", 19},
		{"Group20", 20}, {"Group21", 21}, {"Group24", 24}},
	  hashes[] = {{"MD5", 1}, {"SHA1", 2}, {"SHA2_256", 4}, {"SHA2_384", 5}, {"SHA2_512", 6}},
	  encs[] = {{"DES", 1}, {"3DES", 5}, {"AES", 7}, {"AES_CBC KeyLength 192", 7}};
	for (size_t i = 0; i < 10; i++) {
		char text[1024];
		(void)snprintf(text, sizeof(text), ONE_OFFER("HowToEncrypt %s\nHowToAuthMsgs %s\nDHGroup %s\n"), encs[i % 4].word,
			hashes[i % 5].word, groups[i].word);
		struct ipsec_policy *p = accepted(text);
		const struct kex_offer *o = p->kex_rules[0].action.offers;
		ck_assert_uint_eq(o->group, groups[i].number);
		ck_assert_uint_eq(o->hash, hashes[i % 5].number);
		ck_assert_uint_eq(o->enc, encs[i % 4].number);
		ck_assert_uint_eq(o->key_bits, i % 4 < 2 ? 0 : i % 4 == 2 ? 128 : 192);
		ipsec_policy_free(p);
	}
}
END_TEST

START_TEST(suites_say_everything)
{
	struct ipsec_policy *p = accepted(ONE_OFFER("Suite VPN-A\n") "");
	const struct kex_offer *o = p->kex_rules[0].action.offers;
	ck_assert(o->suite == SUITE_VPN_A && o->enc == IKE_ENC_3DES && o->hash == IKE_HASH_SHA1 && !o->xcbc && o->group == 2);
	ck_assert(o->seconds.proposed == 86400 && o->seconds.lo == 86400 && o->seconds.hi == 86400);
	ipsec_policy_free(p);
	p = accepted(ONE_OFFER("Suite VPN-B\nHowToAuthPeers RsaSignature\nRefreshLifetimeAccepted 60 1440\n"));
	o = p->kex_rules[0].action.offers;
	ck_assert(o->suite == SUITE_VPN_B && o->enc == IKE_ENC_AES && o->key_bits == 128 && o->xcbc && o->group == 14);
	ck_assert(o->seconds.proposed == 86400 && o->seconds.lo == 3600 && o->seconds.hi == 86400);
	ipsec_policy_free(p);
}
END_TEST

START_TEST(cut_off_anywhere_is_refused)
{
	static const char text[] = RULE(HERE THERE ACTION "SharedKey Hex 00112233\n");
	cut_everywhere(text, strlen(EMPTY) - 1);
	for (size_t n = strlen(EMPTY); n < sizeof(text) - 2; n++) { /* from the block's first letter on */
		struct conf *c;
		struct ipsec_policy *p = NULL;
		int rc = conf_parse(&ipsec_policy_spec, "f", text, n, &c);
		ck_assert_msg(n == strlen(EMPTY) || rc, "accepted at %zu", n);
		if (!rc && !ipsec_policy_build(c, NULL, &p))
			ipsec_policy_free(p);
		else
			conf_free(c);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("kex");
	TCase *t = tcase_create("kex");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, refusals);
	tcase_add_test(t, refused_offers);
	tcase_add_test(t, keys_are_never_shown);
	tcase_add_test(t, keys_in_three_forms);
	tcase_add_test(t, rules_inherit_from_the_policy);
	tcase_add_test(t, every_algorithm_has_its_number);
	tcase_add_test(t, suites_say_everything);
	tcase_add_test(t, cut_off_anywhere_is_refused);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
