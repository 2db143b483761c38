/* fuzz_esp: hostile ESP and AH into SAs with fixed keys. Byte 0 of the input: bit 0 the ICV is made
 * right first (so that what lies behind it is reached), bit 1 the packet goes out instead of in,
 * the rest chooses the SA. What follows is the packet. Whatever comes out must lie in its buffer
 * and, unless it was dropped, be an IP packet of the length it claims. */
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ipsec/esp.h"
#include "daemons/stack-core/ipsec/iphdr.h"
#include <stdlib.h>
#include <string.h>
#include <urcu-qsbr.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SAS = 12, BUF = 4096, FRONT = 128, BACK = 64 };

static struct sadb *db;
static struct ipsec_worker *worker;
static struct crypto_worker *crypto;
static struct tunnel *tunnels[SAS];

static const struct {
	enum sa_proto proto;
	enum sa_mode mode;
	uint8_t family;
	enum crypto_cipher cipher;
	uint8_t key_len;
	enum crypto_auth auth;
	bool udp;
} kinds[SAS] = {
	{SA_ESP, SA_TUNNEL, 4, CIPHER_NULL, 0, AUTH_HMAC_SHA1_96},
	{SA_ESP, SA_TUNNEL, 6, CIPHER_NULL, 0, AUTH_HMAC_SHA1_96},
	{SA_ESP, SA_TRANSPORT, 0, CIPHER_NULL, 0, AUTH_HMAC_SHA2_256_128},
	{SA_ESP, SA_TUNNEL, 4, CIPHER_AES_GCM, 20, AUTH_NONE},
	{SA_ESP, SA_TRANSPORT, 0, CIPHER_AES_CBC, 16, AUTH_HMAC_SHA2_256_128},
	{SA_AH, SA_TUNNEL, 4, CIPHER_NULL, 0, AUTH_HMAC_SHA1_96},
	{SA_AH, SA_TUNNEL, 6, CIPHER_NULL, 0, AUTH_HMAC_SHA2_256_128},
	{SA_AH, SA_TRANSPORT, 0, CIPHER_NULL, 0, AUTH_HMAC_SHA1_96},
	{SA_AH, SA_TRANSPORT, 0, CIPHER_NULL, 0, AUTH_AES128_XCBC_96},
	{SA_ESP, SA_TUNNEL, 6, CIPHER_3DES_CBC, 24, AUTH_HMAC_MD5_96, false},
	{SA_ESP, SA_TUNNEL, 4, CIPHER_NULL, 0, AUTH_HMAC_SHA1_96, true},
	{SA_ESP, SA_TRANSPORT, 4, CIPHER_NULL, 0, AUTH_HMAC_SHA1_96, true},
};

static void must(bool good)
{
	if (!good)
		abort();
}

static void set_up(void)
{
	static const uint8_t v4[2][4] = {{192, 0, 2, 1}, {192, 0, 2, 2}};
	static const uint8_t v6[2][16] = {
		{0x20, 1, 0xd, 0xb8, [15] = 1}, {0x20, 1, 0xd, 0xb8, [15] = 2}};

	rcu_register_thread();
	db = sadb_new(1);
	worker = ipsec_worker_new(db, 0);
	crypto = crypto_worker_new(0);
	for (unsigned i = 0; i < SAS; i++) {
		struct sa_params p = {.proto = kinds[i].proto,
			.mode = kinds[i].mode,
			.spi = 256 + i,
			.cipher = kinds[i].cipher,
			.key_len = kinds[i].key_len,
			.auth = kinds[i].auth,
			.auth_len = crypto_auth_info(kinds[i].auth)->key,
			.backend = CRYPTO_OPENSSL,
			.keep_dscp = true,
			.esn = i % 3 == 2,
			.udp = kinds[i].udp,
			.sport = kinds[i].udp ? 4500 : 0,
			.dport = kinds[i].udp ? 4500 : 0};
		struct sa *in, *out;
		char name[8];
		if (kinds[i].udp && kinds[i].mode == SA_TRANSPORT)
			p.oa_src = addr_v4(v4[0]);
		if (kinds[i].family == 4) {
			p.src = addr_v4(v4[0]);
			p.dst = addr_v4(v4[1]);
		} else if (kinds[i].family == 6) {
			p.src = addr_v6(v6[0]);
			p.dst = addr_v6(v6[1]);
		}
		(void)snprintf(name, sizeof(name), "t%u", i);
		must(sa_new(&p, true, 1, NULL, &in) == 0 && sa_new(&p, false, 1, NULL, &out) == 0);
		must(sadb_add(db, 'M', name, in, out, true, NULL, &tunnels[i]) == 0);
	}
}

/* Makes the ICV of an ESP packet for @sa right, when there is room for one. */
static void seal(const struct sa *sa, uint8_t *d, uint32_t len)
{
	struct iphdr_layout l;
	uint8_t copy[BUF];

	if (sa->proto != SA_ESP || sa->params->cipher != CIPHER_NULL ||
		!iphdr_incoming(d, len, &l))
		return;
	if (sa_outside(sa)->udp)
		l.hdr_len += 8;
	if (l.hdr_len > l.total || l.total - l.hdr_len < 8U + sa->icv_len)
		return;
	uint32_t covered = l.total - l.hdr_len - sa->icv_len;
	put32(d + l.hdr_len, sa->spi);
	memcpy(copy, d + l.hdr_len, covered);
	put32(copy + covered, 0); /* the high half, with ESN */
	struct crypto_job job = {.key = sa->key,
		.base = copy,
		.icv = d + l.hdr_len + covered,
		.hash_len = covered + (sa->esn ? 4 : 0),
		.encrypt = true};
	must(crypto_run(crypto, &job, 1) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!db)
		set_up();
	if (size < 2 || size - 1 > BUF - FRONT - BACK)
		return 0;
	uint32_t len = (uint32_t)size - 1;
	struct tunnel *t = tunnels[(data[0] >> 2) % SAS];
	uint8_t *buf = malloc(FRONT + len + BACK); /* exact, for the address sanitizer */
	must(buf != NULL);
	memset(buf, 0, FRONT);
	memset(buf + FRONT + len, 0, BACK);
	memcpy(buf + FRONT, data + 1, len);
	struct pkt p = {.buf = buf, .size = FRONT + len + BACK, .off = FRONT, .len = len};
	struct pkt *one = &p;
	if (data[0] & 2) {
		ipsec_out(worker, &one, &t->out, 1);
	} else {
		if (data[0] & 1)
			seal(t->in, buf + FRONT, len);
		p.encap = sa_outside(t->in)->udp;
		ipsec_in(worker, &one, 1);
		for (struct ipsec_notice n; ipsec_notice(worker, &n);)
			must(n.kind <= NOTICE_UNKNOWN_SPI);
	}
	must((uint64_t)p.off + p.len <= p.size);
	if (!p.drop) {
		struct iphdr_layout l;
		must(iphdr_outgoing(pkt_data(&p), p.len, &l) ||
			!(data[0] & 2 || t->in->mode == SA_TUNNEL));
		must((data[0] & 2) || p.sa_in == t->index + 1 || p.sa_in != 0);
	}
	free(buf);
	return 0;
}
