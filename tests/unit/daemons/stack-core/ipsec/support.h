/* Helpers of the ipsec tests: packets, SAs of any kind, a tunnel whose two directions meet in one
 * database. */
#pragma once
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ipsec/esp.h"
#include "daemons/stack-core/ipsec/iphdr.h"
#include "lib/base/sha256.h"
#include <check.h>
#include <string.h>
#include <urcu-qsbr.h>

enum { BUF = 4096, FRONT = 256 };

struct packet {
	struct pkt p;
	uint8_t buf[BUF];
};

static inline size_t unhex(const char *text, uint8_t *out)
{
	size_t n = strlen(text) / 2;
	ck_assert_int_eq(hex_parse(text, out, n), 0);
	return n;
}

static inline void packet_set(struct packet *k, const void *data, uint32_t len)
{
	memset(&k->p, 0, sizeof(k->p));
	k->p.buf = k->buf;
	k->p.size = BUF;
	k->p.off = FRONT;
	k->p.len = len;
	memcpy(k->buf + FRONT, data, len);
}

static inline void packet_copy(struct packet *to, const struct packet *from)
{
	*to = *from;
	to->p.buf = to->buf;
}

static inline struct addr test_addr(uint8_t family, uint8_t host)
{
	uint8_t v4[4] = {10, 9, 8, host};
	uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8, 9, 8, [15] = host};
	return family == 4 ? addr_v4(v4) : addr_v6(v6);
}

/* A UDP-like packet of exactly @len bytes from host 1 to host 2. */
static inline void packet_ip(struct packet *k, uint8_t family, uint32_t len)
{
	uint8_t d[BUF] = {0};
	struct addr src = test_addr(family, 1), dst = test_addr(family, 2);
	uint32_t hdr = family == 4 ? 20 : 40;

	for (uint32_t i = hdr; i < len; i++)
		d[i] = (uint8_t)(i * 7 + len);
	if (family == 4) {
		d[0] = 0x45;
		d[1] = 0xb8; /* EF */
		put16(d + 2, (uint16_t)len);
		put16(d + 4, 0x1234);
		d[8] = 63;
		d[9] = 17;
		memcpy(d + 12, src.b, 4);
		memcpy(d + 16, dst.b, 4);
		iphdr_checksum(d, 20);
	} else {
		put32(d, 0x6b812345);
		put16(d + 4, (uint16_t)(len - 40));
		d[6] = 17;
		d[7] = 63;
		memcpy(d + 8, src.b, 16);
		memcpy(d + 24, dst.b, 16);
	}
	packet_set(k, d, len);
}

struct suite {
	enum sa_proto proto;
	enum crypto_cipher cipher;
	uint8_t key_len; /* with salt */
	enum crypto_auth auth;
};

static const struct suite suites[] = {
	{SA_ESP, CIPHER_AES_GCM, 20, AUTH_NONE},
	{SA_ESP, CIPHER_AES_GCM, 28, AUTH_NONE},
	{SA_ESP, CIPHER_AES_GCM, 36, AUTH_NONE},
	{SA_ESP, CIPHER_CHACHA20_POLY1305, 36, AUTH_NONE},
	{SA_ESP, CIPHER_AES_CBC, 16, AUTH_HMAC_SHA1_96},
	{SA_ESP, CIPHER_AES_CBC, 24, AUTH_HMAC_SHA1_96},
	{SA_ESP, CIPHER_AES_CBC, 32, AUTH_HMAC_SHA1_96},
	{SA_ESP, CIPHER_AES_CBC, 16, AUTH_HMAC_SHA2_256_128},
	{SA_ESP, CIPHER_AES_CBC, 32, AUTH_HMAC_SHA2_256_128},
	{SA_ESP, CIPHER_AES_CBC, 32, AUTH_HMAC_SHA2_384_192},
	{SA_ESP, CIPHER_AES_CBC, 32, AUTH_HMAC_SHA2_512_256},
	{SA_ESP, CIPHER_AES_CBC, 16, AUTH_AES128_XCBC_96},
	{SA_ESP, CIPHER_3DES_CBC, 24, AUTH_HMAC_SHA1_96},
	{SA_ESP, CIPHER_DES_CBC, 8, AUTH_HMAC_MD5_96},
	{SA_ESP, CIPHER_NULL, 0, AUTH_HMAC_SHA1_96},
	{SA_ESP, CIPHER_NULL, 0, AUTH_HMAC_SHA2_256_128},
	{SA_ESP, CIPHER_NULL, 0, AUTH_AES128_XCBC_96},
	{SA_AH, CIPHER_NULL, 0, AUTH_HMAC_MD5_96},
	{SA_AH, CIPHER_NULL, 0, AUTH_HMAC_SHA1_96},
	{SA_AH, CIPHER_NULL, 0, AUTH_HMAC_SHA2_256_128},
	{SA_AH, CIPHER_NULL, 0, AUTH_HMAC_SHA2_384_192},
	{SA_AH, CIPHER_NULL, 0, AUTH_HMAC_SHA2_512_256},
	{SA_AH, CIPHER_NULL, 0, AUTH_AES128_XCBC_96},
};
enum { SUITES = sizeof(suites) / sizeof(suites[0]) };

static inline struct sa_params suite_params(const struct suite *s, enum sa_mode mode, uint8_t outer)
{
	struct sa_params p = {
		.proto = s->proto,
		.mode = mode,
		.spi = 0x1000,
		.cipher = s->cipher,
		.key_len = s->key_len,
		.auth = s->auth,
		.auth_len = crypto_auth_info(s->auth)->key,
		.keep_dscp = true,
		.replay = 64,
	};
	for (unsigned i = 0; i < SA_KEY_MAX; i++) {
		p.key[i] = (uint8_t)(i * 3 + 1);
		p.auth_key[i] = (uint8_t)(i * 5 + 2);
	}
	if (mode == SA_TUNNEL) {
		p.src = test_addr(outer, 101);
		p.dst = test_addr(outer, 102);
	}
	return p;
}

/* A database in which what the outbound SA of tunnel "t" builds, its inbound SA opens. */
struct loop {
	struct sadb *db;
	struct tunnel *t;
	struct ipsec_worker *w;
};

/* The worker lives as long as the process: making one runs the crypto library's self test. */
static inline void loop_open(
	struct loop *l, const struct sa_params *in, const struct sa_params *out)
{
	static struct sadb *db;
	static struct ipsec_worker *w;
	struct sa *a, *b;
	struct errbuf err;

	if (!db) {
		rcu_register_thread();
		db = sadb_new(1);
		w = ipsec_worker_new(db, 0);
	}
	l->db = db;
	l->w = w;
	ck_assert_msg(sa_new(in, true, 1, &err, &a) == 0, "%s", err.text);
	ck_assert_msg(sa_new(out, false, 1, &err, &b) == 0, "%s", err.text);
	ck_assert_int_eq(sadb_add(l->db, 'M', "t", a, b, true, &err, &l->t), 0);
}

static inline void loop_close(struct loop *l)
{
	for (struct tunnel *t; (t = sadb_next(l->db, NULL));)
		sadb_remove(l->db, t);
}

static inline unsigned loop_out(struct loop *l, struct packet *k)
{
	struct pkt *p = &k->p;
	ipsec_out(l->w, &p, &l->t->out, 1);
	return p->drop;
}

static inline unsigned loop_in(struct loop *l, struct packet *k)
{
	struct pkt *p = &k->p;
	ipsec_in(l->w, &p, 1);
	return p->drop;
}
