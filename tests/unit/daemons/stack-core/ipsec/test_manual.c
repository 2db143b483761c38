/* IpManVpnAction: what is refused, with the place; what is built; and how a new policy meets the
 * tunnels that are there. */
#include "daemons/stack-core/ipsec/manual.h"
#include "tests/unit/daemons/stack-core/ipsec/support.h"
#include "tests/support/check_main.h"

#define HEX16 "00112233445566778899aabbccddeeff"
#define HEX20 HEX16 "01020304"
#define ENDS "LocalSecurityEndpointAddr 192.0.2.1\nRemoteSecurityEndpointAddr 192.0.2.2\n"

static const struct conf_stmt top[] = {
	{"IpManVpnAction", manual_operands, manual_children, NULL, CONF_BLOCK | CONF_ANYNUMBER,
		"manual tunnel"},
	{NULL},
};
static const struct conf_spec spec = {"policy", CONF_POLICY, top};

static struct manual_action got[4];
static char errors[4096];

static int build(const char *text)
{
	struct conf *c;
	int r = conf_parse(&spec, "policy", text, strlen(text), &c), n = 0;

	for (struct conf_node *node = conf_top(c, "IpManVpnAction"); node && n < 4 && r == 0;
		node = conf_next(node, "IpManVpnAction"))
		r = manual_build(node, &got[n++]);
	errors[0] = 0;
	for (unsigned i = 0; i < conf_error_count(c); i++) {
		strncat(errors, conf_error(c, i), sizeof(errors) - strlen(errors) - 2);
		strcat(errors, "\n");
	}
	conf_free(c);
	ck_assert(r == 0 || errors[0]);
	return r < 0 ? r : n;
}

struct refusal {
	const char *text, *says;
};
static const struct refusal refusals[] = {
	{"HowToEncrypt AES_CBC KeyLength 128\nHowToAuth ESP HMAC_SHA1\n" ENDS, "HowToEncap"},
	{"HowToEncap Tunnel\n" ENDS, "integrity"},
	{"HowToEncap Tunnel\nHowToEncrypt AES_CBC\n" ENDS "EncryptInboundSa 300 " HEX16
	 "\nEncryptOutboundSa 301 " HEX16 "\n",
		"integrity"},
	{"HowToEncap Tunnel\nHowToEncrypt DES KeyLength 128\nHowToAuth ESP HMAC_MD5\n" ENDS,
		"KeyLength"},
	{"HowToEncap Tunnel\nHowToEncrypt AES_CBC KeyLength 200\nHowToAuth ESP HMAC_SHA1\n" ENDS,
		"KeyLength"},
	{"HowToEncap Tunnel\nHowToEncrypt AES_GCM\nHowToAuth ESP HMAC_SHA1\n" ENDS, "by itself"},
	{"HowToEncap Tunnel\nHowToEncrypt CHACHA20_POLY1305\nHowToAuth ESP HMAC_SHA1\n" ENDS, "CHACHA20_POLY1305 authenticates by itself"},
	{"HowToEncap Tunnel\nHowToEncrypt CHACHA20_POLY1305 KeyLength 256\n" ENDS, "KeyLength"},
	{"HowToEncap Tunnel\nHowToEncrypt CHACHA20_POLY1305\n" ENDS "EncryptInboundSa 300 " HEX20 "\nEncryptOutboundSa 301 " HEX20 "\n",
		"72 hexadecimal"},
	{"HowToEncap Tunnel\nHowToEncrypt CHACHA20_POLY1305\n" ENDS "EncryptInboundSa 300 " HEX16 HEX20 "\nEncryptOutboundSa 301 " HEX16 HEX20 "\n",
		"different keys"},
	/* both protocols: each has its own SAs, and the integrity is AH's */
	{"HowToEncap Tunnel\nHowToEncrypt AES_CBC\nHowToAuth AH HMAC_SHA1\n" ENDS, "expected EncryptInboundSa"},
	{"HowToEncap Tunnel\nHowToEncrypt AES_CBC\nHowToAuth AH HMAC_SHA1\n" ENDS "EncryptInboundSa 300 " HEX16 "\nEncryptOutboundSa 301 " HEX16 "\n",
		"expected AuthInboundSa"},
	{"HowToEncap Tunnel\nHowToEncrypt AES_CBC\nHowToAuth AH NULL\n" ENDS, "integrity"},
	{"HowToEncap Tunnel\nHowToEncrypt AES_GCM\nHowToAuth AH\n" ENDS, "integrity"},
	{"HowToEncap Tunnel\nHowToEncrypt AES_CBC\nHowToAuth AH HMAC_SHA1\nUdpEncapsulation Yes\n" ENDS, "UdpEncapsulation"},
	{"HowToEncap Tunnel\nHowToEncrypt AES_GCM\n" ENDS "EncryptInboundSa 300 " HEX16
	 "\nEncryptOutboundSa 301 " HEX20 "\n",
		"40 hexadecimal"},
	{"HowToEncap Tunnel\nHowToEncrypt AES_GCM\n" ENDS "EncryptInboundSa 300 " HEX20
	 "\nEncryptOutboundSa 301 " HEX20 "\n",
		"different keys"},
	{"HowToEncap Tunnel\nHowToEncrypt AES_GCM\n" ENDS "EncryptInboundSa 300 0x" HEX20 "\n",
		"EncryptOutboundSa"},
	{"HowToEncap Tunnel\nHowToAuth AH HMAC_SHA1\nUdpEncapsulation Yes\n" ENDS "AuthInboundSa 300 " HEX20 "\nAuthOutboundSa 301 " HEX20 "\n",
		"UdpEncapsulation"},
	{"HowToEncap Transport\nHowToEncrypt AES_GCM\nUdpEncapsulation Yes\nEncryptInboundSa 300 0x" HEX20 "\nEncryptOutboundSa 301 0x" HEX20 "\n",
		"UdpEncapsulation"},
	{"HowToEncap Tunnel\nHowToEncrypt AES_GCM\n" ENDS "EncryptInboundSa 255 0x" HEX20 "\n",
		"255"},
	{"HowToEncap Tunnel\nHowToEncrypt DoNot\nHowToAuth AH HMAC_SHA1\n" ENDS
	 "AuthInboundSa 300 " HEX20 "\nAuthOutboundSa 301 " HEX20 "\nEncryptInboundSa 300 " HEX16
	 "\n",
		"expected none"},
	{"HowToEncap Tunnel\nHowToEncrypt AES_CBC\nHowToAuth ESP HMAC_SHA1\n" ENDS
	 "EncryptInboundSa 300 " HEX16 "\nEncryptOutboundSa 301 " HEX16 "\nAuthInboundSa 302 " HEX20
	 "\nAuthOutboundSa 301 " HEX20 "\n",
		"found SPI 302"},
	{"HowToEncap Tunnel\nHowToAuth AH HMAC_SHA1\nLocalSecurityEndpointAddr "
	 "Any\nRemoteSecurityEndpointAddr 192.0.2.2\nAuthInboundSa 300 " HEX20
	 "\nAuthOutboundSa 301 " HEX20 "\n",
		"endpoint"},
	{"HowToEncap Tunnel\nHowToAuth AH HMAC_SHA1\nLocalSecurityEndpointAddr "
	 "2001:db8::1\nRemoteSecurityEndpointAddr 192.0.2.2\nAuthInboundSa 300 " HEX20
	 "\nAuthOutboundSa 301 " HEX20 "\n",
		"families"},
	{"HowToEncap Tunnel\nHowToAuth AH HMAC_SHA1\nLocalSecurityEndpointAddr "
	 "192.0.2.0/24\nRemoteSecurityEndpointAddr 192.0.2.2\nAuthInboundSa 300 " HEX20
	 "\nAuthOutboundSa 301 " HEX20 "\n",
		"one address"},
	{"HowToEncap Tunnel\nHowToAuth AH HMAC_SHA1\n" ENDS "AuthInboundSa 300 " HEX20
	 "\nAuthOutboundSa 301 " HEX20 "\nReplayWindow 63\n",
		"63"},
};

START_TEST(refused)
{
	char text[2048];

	(void)snprintf(text, sizeof(text), "IpManVpnAction x\n{\n%s}\n", refusals[_i].text);
	ck_assert_int_lt(build(text), 0);
	ck_assert_msg(strstr(errors, refusals[_i].says) != NULL, "no '%s' in: %s",
		refusals[_i].says, errors);
	ck_assert_msg(!strstr(errors, HEX16), "a key in: %s", errors);
}
END_TEST

#define GCM(name, spi_in, spi_out, salt)                                                           \
	"IpManVpnAction " name                                                                     \
	"\n{\nHowToEncap Tunnel\nHowToEncrypt AES_GCM KeyLength 128\nHowToAuth ESP NULL\n" ENDS    \
	"EncryptInboundSa " #spi_in " 0x" HEX16 salt "\nEncryptOutboundSa " #spi_out " 0x" HEX16   \
	"05060" #spi_out "\n}\n"

START_TEST(chacha20_poly1305)
{
	ck_assert_msg(build("IpManVpnAction c { HowToEncap Tunnel\nHowToEncrypt CHACHA20_POLY1305\n" ENDS "EncryptInboundSa 300 " HEX16 HEX16
			"01020304\nEncryptOutboundSa 301 " HEX16 HEX16 "01020305\n}\n") == 1,
		"%s", errors);
	ck_assert_int_eq(got[0].in.cipher, CIPHER_CHACHA20_POLY1305);
	ck_assert_uint_eq(got[0].in.key_len, 36);
	ck_assert_uint_eq(got[0].out.key[35], 5);
}
END_TEST

START_TEST(built)
{
	ck_assert_msg(
		build(GCM("one", 300, 301,
			"01020304") "IpManVpnAction two { Active No HowToEncap Transport "
				    "HowToEncrypt AES_CBC KeyLength 256 HowToAuth ESP Hmac_Sha1\n"
				    "PassthroughDF No Set\nPassthroughDSCP No\nOuterDSCP 46 Inner 46\nReplayWindow 128\n"
				    "EncryptInboundSa 400 "
				    "0123456789abcdef0123456789ABCDEF\nEncryptOutboundSa 401 "
				    "0123456789abcdef0123456789ABCDEF\n"
				    "AuthInboundSa 400 'twenty characters ok'\nAuthOutboundSa "
				    "401 " HEX20 "\n}\n") == 2,
		"%s", errors);
	const struct manual_action *a = &got[0], *b = &got[1];
	ck_assert_str_eq(a->name, "one");
	ck_assert(a->active);
	ck_assert_uint_eq(a->in.spi, 300);
	ck_assert_uint_eq(a->out.spi, 301);
	ck_assert_uint_eq(a->in.key_len, 20);
	ck_assert_uint_eq(a->in.key[1], 0x11);
	ck_assert_uint_eq(a->in.key[19], 4);
	ck_assert_uint_eq(a->in.df, SA_DF_COPY);
	ck_assert(a->out.keep_dscp);
	ck_assert_uint_eq(a->in.dst.b[3], 1);
	ck_assert_uint_eq(a->out.dst.b[3], 2);
	ck_assert(!b->active);
	ck_assert_uint_eq(b->in.mode, SA_TRANSPORT);
	ck_assert_uint_eq(b->in.key_len, 32);
	ck_assert(!memcmp(b->in.key, "0123456789abcdef",
		16)); /* 32 characters are the key, not 16 bytes of hex */
	ck_assert(!memcmp(b->in.auth_key, "twenty characters ok", 20));
	ck_assert_uint_eq(b->in.replay, 128);
	ck_assert_uint_eq(b->out.replay, 0);
	ck_assert_uint_eq(b->out.df, SA_DF_SET);
	ck_assert(!b->out.keep_dscp && b->out.map_dscp && b->out.dscp[46] == 46 && !b->out.dscp[45]);
	ck_assert(!a->out.map_dscp);
}
END_TEST

START_TEST(in_udp)
{
	ck_assert_msg(build("IpManVpnAction u {\nHowToEncap Tunnel\nHowToEncrypt AES_GCM\nHowToAuth ESP NULL\nUdpEncapsulation Yes\n" ENDS
			    "EncryptInboundSa 300 0x" HEX16 "01020304\nEncryptOutboundSa 301 0x" HEX16 "01020305\n}\n" GCM("plain", 310, 311, "01020304")) == 2,
		"%s", errors);
	ck_assert(got[0].in.udp && got[0].out.udp && !got[1].in.udp && !got[1].out.udp);
	ck_assert_uint_eq(got[0].in.sport, 4500);
	ck_assert_uint_eq(got[0].out.dport, 4500);
}
END_TEST

#define BOTH(name, esp_in, ah_in, ah_key)                                                                                     \
	"IpManVpnAction " name "\n{\nHowToEncap Tunnel\nHowToEncrypt AES_CBC\nHowToAuth AH HMAC_SHA1\nReplayWindow 128\n" ENDS \
	"EncryptInboundSa " #esp_in " " HEX16 "\nEncryptOutboundSa 401 " HEX16 "\nAuthInboundSa " #ah_in " " ah_key              \
	"\nAuthOutboundSa 403 " HEX20 "\n}\n"
#define OTHER20 "ff112233445566778899aabbccddeeff01020304"

START_TEST(ah_over_esp)
{
	struct sadb *db;
	struct errbuf err;

	rcu_register_thread();
	db = sadb_new(1);
	ck_assert_msg(build(BOTH("both", 400, 402, HEX20)) == 1, "%s", errors);
	const struct manual_action *a = &got[0];
	ck_assert(a->bundle);
	ck_assert_uint_eq(a->in.proto, SA_ESP);
	ck_assert_uint_eq(a->in.auth, AUTH_AH);
	ck_assert_uint_eq(a->in.replay, 0); /* AH refuses replays */
	ck_assert_uint_eq(a->in_ah.replay, 128);
	ck_assert_uint_eq(a->in_ah.mode, SA_TRANSPORT);
	ck_assert_uint_eq(a->in_ah.spi, 402);
	ck_assert_uint_eq(a->out_ah.spi, 403);
	ck_assert_int_eq(manual_apply(db, got, 1, &err), 0);
	struct tunnel *t = sadb_find(db, "both");
	ck_assert_ptr_eq(sadb_lookup(db, &a->in.dst, SA_ESP, 400), t->in);
	ck_assert_ptr_eq(sadb_lookup(db, &a->in.dst, SA_AH, 402), t->in->over);
	ck_assert_ptr_eq(sadb_outbound(db, &a->out.dst, SA_AH, 403), t->out->over);
	ck_assert_ptr_eq(t->in->over->tunnel, t);

	/* unchanged: it stays; another key of AH alone: it does not */
	atomic_store(&t->out->over->seq, 9);
	ck_assert_int_eq(manual_apply(db, got, 1, &err), 0);
	ck_assert_uint_eq(atomic_load(&sadb_find(db, "both")->out->over->seq), 9);
	ck_assert_int_eq(build(BOTH("both", 400, 402, OTHER20)), 1);
	ck_assert_int_eq(manual_apply(db, got, 1, &err), 0);
	ck_assert_uint_eq(atomic_load(&sadb_find(db, "both")->out->over->seq), 0);

	/* the SPI of either protocol is one tunnel's */
	ck_assert_int_eq(build(BOTH("both", 400, 402, HEX20) BOTH("two", 410, 402, HEX20)), 2);
	ck_assert_int_eq(manual_apply(db, got, 2, &err), -EEXIST);
	ck_assert_int_eq(build(BOTH("both", 400, 402, HEX20) BOTH("two", 410, 412, HEX20)), 2);
	ck_assert_int_eq(manual_apply(db, got, 2, &err), 0);
	ck_assert_int_eq(manual_apply(db, NULL, 0, &err), 0);
	sadb_free(db);
	rcu_unregister_thread();
}
END_TEST

START_TEST(applied)
{
	struct sadb *db;
	struct errbuf err;

	rcu_register_thread();
	db = sadb_new(2);
	ck_assert_int_eq(
		build(GCM("one", 300, 301, "01020304") GCM("two", 310, 311, "02020304")), 2);
	ck_assert_int_eq(manual_apply(db, got, 2, &err), 0);
	struct tunnel *one = sadb_find(db, "one"), *two = sadb_find(db, "M2");
	ck_assert_ptr_nonnull(one);
	ck_assert_str_eq(two->name, "two");
	ck_assert_ptr_eq(sadb_lookup(db, &sa_outside(one->in)->dst, 50, 300), one->in);
	atomic_store(&one->out->seq, 77);
	sadb_activate(one, false);

	/* one stays with its numbers and its state, two changes, three comes */
	ck_assert_int_eq(build(GCM("one", 300, 301, "01020304") GCM("two", 310, 311, "09020304")
					 GCM("three", 320, 321, "03020304")),
		3);
	ck_assert_int_eq(manual_apply(db, got, 3, &err), 0);
	ck_assert_ptr_eq(sadb_find(db, "one"), one);
	ck_assert_uint_eq(atomic_load(&one->out->seq), 77);
	ck_assert(!atomic_load(&one->active));
	two = sadb_find(db, "two");
	ck_assert_uint_eq(two->in->salt[0], 9);
	ck_assert_ptr_nonnull(sadb_find(db, "three"));

	/* the policy changes its mind about one */
	got[0].active = false;
	ck_assert_int_eq(manual_apply(db, got, 3, &err), 0);
	sadb_activate(one, true); /* by command */
	ck_assert_int_eq(manual_apply(db, got, 3, &err), 0);
	ck_assert(atomic_load(&one->active));
	got[0].active = true;
	sadb_activate(one, false);
	ck_assert_int_eq(manual_apply(db, got, 3, &err), 0);
	ck_assert(atomic_load(&one->active));
	ck_assert_uint_eq(atomic_load(&one->out->seq), 77);

	/* a conflict changes nothing */
	ck_assert_int_eq(
		build(GCM("four", 300, 301, "01020304") GCM("five", 300, 331, "01020304")), 2);
	ck_assert_int_eq(manual_apply(db, got, 2, &err), -EEXIST);
	ck_assert(strstr(err.text, "SPI 300"));
	ck_assert_ptr_eq(sadb_find(db, "one"), one);

	ck_assert_int_eq(
		build(GCM("four", 300, 301, "01020304") GCM("five", 302, 331, "01020304")), 2);
	ck_assert_int_eq(manual_apply(db, got, 2, &err), -EINVAL);
	ck_assert(strstr(err.text, "share an AES_GCM key"));

	ck_assert_int_eq(manual_apply(db, NULL, 0, &err), 0);
	ck_assert_ptr_null(sadb_next(db, NULL));
	sadb_free(db);
	rcu_unregister_thread();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("stack-core/ipsec/manual");
	TCase *c = tcase_create("manual");
	tcase_add_loop_test(c, refused, 0, sizeof(refusals) / sizeof(refusals[0]));
	tcase_add_test(c, built);
	tcase_add_test(c, chacha20_poly1305);
	tcase_add_test(c, in_udp);
	tcase_add_test(c, ah_over_esp);
	tcase_add_test(c, applied);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
