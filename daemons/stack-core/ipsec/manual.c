/* manual: IpManVpnAction (zos.md section 6). Keys are "0x" and hex digits, plain hex digits of
 * twice the length, or text of exactly the algorithm's length; anything else is refused, as are
 * SPIs below 256. Weak algorithms (DES, HMAC_MD5) have to be named: no default leads to one.
 *
 * HowToAuth AH beside HowToEncrypt is both protocols, ESP in AH (bundle.c): Auth...Sa are then SAs of their own.
 *
 * Numbers of a manual tunnel begin again when a stack restarts, so there is no replay window unless
 * ReplayWindow (an extension of ours) asks for one (RFC 4303 section 3.4.3); extended numbers
 * cannot be had with manual keys at all. */
#include "daemons/stack-core/ipsec/manual.h"
#include "lib/base/secret.h"
#include "lib/base/sha256.h"
#include <string.h>

/* By the order of the words of HowToEncrypt and HowToAuth (lib/policy/stmts_manual.c). */
static const enum crypto_cipher ciphers[] = {CIPHER_NULL, CIPHER_DES_CBC, CIPHER_3DES_CBC,
	CIPHER_AES_CBC, CIPHER_AES_CBC, CIPHER_AES_GCM, CIPHER_AES_GCM, CIPHER_CHACHA20_POLY1305};
static const enum crypto_auth auths[] = {AUTH_NONE, AUTH_HMAC_MD5_96, AUTH_HMAC_SHA1_96,
	AUTH_HMAC_SHA1_96, AUTH_HMAC_SHA2_256_128, AUTH_HMAC_SHA2_384_192, AUTH_HMAC_SHA2_512_256,
	AUTH_AES128_XCBC_96};

static bool is_aead(enum crypto_cipher c)
{
	return crypto_cipher_info(c)->icv != 0;
}

struct builder {
	struct conf_node *node;
	struct manual_action *a;
	struct sa_params common;
	size_t key_len; /* with salt */
	enum crypto_auth ah; /* of a bundle */
	bool errors;
};

static struct conf_node *child(const struct builder *b, const char *name)
{
	return conf_child(b->node, name);
}

static bool is_no(const struct conf_node *n)
{
	return n && !strcmp(conf_str(n, "pass"), "No");
}

static bool parse_hex(const char *text, uint8_t *out, size_t len)
{
	return strlen(text) == 2 * len && hex_parse(text, out, len) == 0;
}

static int parse_key(struct conf_node *n, const char *what, uint8_t *out, size_t len)
{
	const char *text = conf_str(n, "key");

	if (!strncasecmp(text, "0x", 2)) {
		if (parse_hex(text + 2, out, len))
			return 0;
	} else if (parse_hex(text, out, len)) {
		return 0;
	} else if (strlen(text) == len) {
		memcpy(out, text, len);
		return 0;
	}
	return conf_node_error(n,
		"%s: key for %s, expected %zu hexadecimal digits (0x...) or %zu characters",
		n->stmt->name, what, 2 * len, len);
}

static void endpoints(struct builder *b)
{
	static const char *const names[] = {
		"LocalSecurityEndpointAddr", "RemoteSecurityEndpointAddr"};
	struct addr *const out[] = {&b->common.src, &b->common.dst}; /* of what goes out */

	for (int i = 0; i < 2; i++) {
		struct conf_node *n = child(b, names[i]);
		const struct conf_value *v = n ? conf_get(n, "address") : NULL;
		if (!v || !v->prefix.addr.family)
			continue;
		if (v->prefix.len != addr_len(&v->prefix.addr) * 8) {
			b->errors = true;
			(void)conf_node_error(
				n, "%s: found a prefix, expected one address", names[i]);
		}
		*out[i] = v->prefix.addr;
	}
}

static void passthrough(struct builder *b)
{
	struct conf_node *df = child(b, "PassthroughDF");

	struct policy_dscp dscp;
	if (policy_dscp_build(b->node, &dscp) < 0)
		b->errors = true;
	b->common.keep_dscp = dscp.pass;
	b->common.map_dscp = dscp.mapped;
	if (dscp.mapped)
		memcpy(b->common.dscp, dscp.outer, sizeof(b->common.dscp));
	b->common.df = SA_DF_COPY;
	if (is_no(df)) {
		const char *word = conf_str(df, "else");
		b->common.df = word && !strcmp(word, "Set") ? SA_DF_SET : SA_DF_CLEAR;
	}
}

static void cipher(struct builder *b)
{
	struct conf_node *n = child(b, "HowToEncrypt");
	if (!n)
		return;
	const struct conf_value *word = conf_get(n, "algorithm"), *bits = conf_get(n, "KeyLength");
	enum crypto_cipher c = ciphers[word->u];
	bool aes = c == CIPHER_AES_CBC || c == CIPHER_AES_GCM;

	b->common.cipher = c;
	if (bits && (!aes || (bits->u != 128 && bits->u != 192 && bits->u != 256))) {
		b->errors = true;
		(void)conf_node_error(n, "HowToEncrypt: found KeyLength %llu, expected %s",
			(unsigned long long)bits->u,
			aes ? "128, 192 or 256" : "none: it belongs to AES");
	}
	b->key_len = c == CIPHER_NULL	    ? 0
		     : c == CIPHER_DES_CBC  ? 8
		     : c == CIPHER_3DES_CBC ? 24
		     : c == CIPHER_CHACHA20_POLY1305 ? 32
		     : bits		    ? bits->u / 8
					    : 16;
	if (is_aead(c))
		b->key_len += CRYPTO_SALT;
}

static void integrity(struct builder *b)
{
	struct conf_node *n = child(b, "HowToAuth");
	const struct conf_value *alg = n ? conf_get(n, "algorithm") : NULL;
	bool ah = n && !strcmp(conf_str(n, "protocol"), "AH"),
	     aead = is_aead(b->common.cipher);
	struct conf_node *at = n ? n : b->node;

	b->a->bundle = ah && b->common.cipher != CIPHER_NULL;
	b->common.proto = ah && !b->a->bundle ? SA_AH : SA_ESP;
	b->common.auth = alg ? auths[alg->u] : AUTH_NONE;
	int r = 0;
	if (aead && !ah && b->common.auth != AUTH_NONE)
		r = conf_node_error(
			at, "HowToAuth: %s authenticates by itself, expected NULL", crypto_cipher_info(b->common.cipher)->name);
	else if ((!aead || ah) && b->common.auth == AUTH_NONE)
		r = conf_node_error(at, "HowToAuth: expected an algorithm: a tunnel without "
					"integrity check is refused");
	if (r < 0)
		b->errors = true;
	if (b->a->bundle) {
		b->ah = b->common.auth;
		b->common.auth = aead ? AUTH_NONE : AUTH_AH;
	}
}

/* The statement of one direction, required or forbidden by the algorithms. */
static struct conf_node *direction(struct builder *b, const char *name, bool needed)
{
	struct conf_node *n = child(b, name);

	if (needed && !n) {
		b->errors = true;
		(void)conf_node_error(b->node, "IpManVpnAction %s: expected %s", b->a->name, name);
	} else if (!needed && n) {
		b->errors = true;
		(void)conf_node_error(
			n, "%s: found a key, expected none with these algorithms", name);
		n = NULL;
	}
	return n;
}

static void auth_key(struct builder *b, struct conf_node *n, struct sa_params *p)
{
	p->spi = (uint32_t)conf_uint(n, "spi");
	p->auth_len = crypto_auth_info(p->auth)->key;
	b->errors |= parse_key(n, crypto_auth_info(p->auth)->name, p->auth_key, p->auth_len) < 0;
}

/* @ah: of the AH in a bundle, else NULL: then both keys are of one SA. */
static void keys(struct builder *b, const char *encrypt_name, const char *auth_name, struct sa_params *p, struct sa_params *ah)
{
	struct conf_node *e = direction(b, encrypt_name, b->key_len != 0),
			 *a = direction(b, auth_name, crypto_auth_info(ah ? ah->auth : p->auth)->key != 0);

	if (e) {
		p->spi = (uint32_t)conf_uint(e, "spi");
		p->key_len = (uint8_t)b->key_len;
		char what[64];
		(void)snprintf(what, sizeof(what), "%s%s", crypto_cipher_info(p->cipher)->name,
			is_aead(p->cipher) ? " (key and 4-byte salt)" : "");
		b->errors |= parse_key(e, what, p->key, b->key_len) < 0;
	}
	if (a && e && !ah && conf_uint(a, "spi") != p->spi) {
		b->errors = true;
		(void)conf_node_error(a, "%s: found SPI %u, expected %u as in %s: it is one ESP header", auth_name,
			(uint32_t)conf_uint(a, "spi"), p->spi, encrypt_name);
	}
	if (a)
		auth_key(b, a, ah ? ah : p);
}

/* Two senders under one AEAD key and salt would use the same IVs sooner or later (RFC 4106
 * section 2). */
static void check_pair(struct builder *b)
{
	const struct sa_params *in = &b->a->in, *out = &b->a->out;

	if (!b->errors && is_aead(in->cipher) && !memcmp(in->key, out->key, in->key_len)) {
		b->errors = true;
		(void)conf_node_error(b->node,
			"IpManVpnAction %s: %s needs different keys for the two directions",
			b->a->name, crypto_cipher_info(in->cipher)->name);
	}
}

static void check_sa(struct builder *b, const struct sa_params *p, const struct sa_params *ah, bool inbound)
{
	struct errbuf err;
	struct sa *sa = NULL;

	if (b->errors)
		return;
	if (sa_new_bundle(p, b->a->bundle ? ah : NULL, inbound, 1, &err, &sa) < 0) {
		b->errors = true;
		(void)conf_node_error(b->node, "IpManVpnAction %s: %s", b->a->name, err.text);
	}
	sa_free(sa);
}

static uint32_t replay_window(struct builder *b)
{
	struct conf_node *n = child(b, "ReplayWindow");
	uint64_t packets = n ? conf_uint(n, "packets") : 0;

	if (packets && packets < REPLAY_MIN) {
		b->errors = true;
		(void)conf_node_error(n, "ReplayWindow: found %llu, expected 0 or 64 to 4096",
			(unsigned long long)packets);
	}
	return (uint32_t)packets;
}

static void udp_encapsulation(struct builder *b)
{
	struct conf_node *n = child(b, "UdpEncapsulation");

	if (!n || strcmp(conf_str(n, "udp"), "Yes"))
		return;
	if (b->common.proto == SA_AH || b->a->bundle || !b->common.src.family || !b->common.dst.family) {
		(void)conf_node_error(n, "found UdpEncapsulation, expected it with ESP and the addresses of both ends (RFC 3948)");
		b->errors = true;
		return;
	}
	b->common.udp = true;
	b->common.sport = b->common.dport = 4500;
}

/* One end's AH of a bundle, around the ESP of @esp. */
static void over(const struct builder *b, const struct sa_params *esp, struct sa_params *ah)
{
	ah->proto = SA_AH;
	ah->mode = SA_TRANSPORT;
	ah->src = esp->src;
	ah->dst = esp->dst;
	ah->auth = b->ah;
}

/* The AH of a bundle refuses replays; ESP can only with an ICV of its own. */
static void windows(struct builder *b, uint32_t packets)
{
	if (b->common.auth != AUTH_AH)
		b->a->in.replay = packets;
	if (!b->a->bundle)
		return;
	over(b, &b->a->in, &b->a->in_ah);
	over(b, &b->a->out, &b->a->out_ah);
	b->a->in_ah.replay = packets;
}

int manual_build(struct conf_node *node, struct manual_action *ret)
{
	struct manual_action a;
	memset(&a, 0, sizeof(a)); /* padding too: actions are compared as bytes */
	struct builder b = {.node = node, .a = &a};

	memset(&b.common, 0, sizeof(b.common));
	(void)snprintf(a.name, sizeof(a.name), "%s", conf_str(node, "name"));
	struct conf_node *n = child(&b, "Active");
	a.active = !n || strcmp(conf_str(n, "state"), "No");
	n = child(&b, "HowToEncap");
	b.common.mode = n && !strcmp(conf_str(n, "mode"), "Transport") ? SA_TRANSPORT : SA_TUNNEL;
	endpoints(&b);
	passthrough(&b);
	cipher(&b);
	integrity(&b);
	udp_encapsulation(&b);
	memcpy(&a.out, &b.common, sizeof(a.out));
	memcpy(&a.in, &b.common, sizeof(a.in));
	a.in.src = b.common.dst;
	a.in.dst = b.common.src;
	windows(&b, replay_window(&b));
	if (!b.errors) {
		keys(&b, "EncryptInboundSa", "AuthInboundSa", &a.in, a.bundle ? &a.in_ah : NULL);
		keys(&b, "EncryptOutboundSa", "AuthOutboundSa", &a.out, a.bundle ? &a.out_ah : NULL);
	}
	check_pair(&b);
	check_sa(&b, &a.in, &a.in_ah, true);
	check_sa(&b, &a.out, &a.out_ah, false);
	if (!b.errors)
		memcpy(ret, &a, sizeof(a));
	secret_wipe(&a, sizeof(a));
	return b.errors ? -EINVAL : 0;
}
