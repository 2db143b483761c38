/* The steps are numbered as in zos.md section 1. The algorithm is DES by definition; OpenSSL's one-block functions are used because
 * they need no provider to be loaded into a daemon that otherwise has none. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "lib/saf/verify/passticket.h"
#include "lib/base/secret.h"
#include <errno.h>
#include <openssl/des.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
static const uint8_t permutations[6][16] = {
	{10, 2, 12, 4, 14, 6, 16, 8, 9, 1, 11, 3, 13, 5, 15, 7}, {1, 10, 3, 12, 13, 16, 7, 15, 9, 2, 11, 4, 5, 14, 8, 6},
	{3, 10, 1, 12, 13, 16, 9, 15, 7, 2, 14, 4, 5, 11, 8, 6}, {10, 4, 12, 2, 14, 8, 16, 6, 9, 1, 13, 3, 11, 5, 15, 7},
	{4, 10, 12, 1, 8, 16, 14, 5, 9, 2, 13, 3, 11, 7, 15, 6}, {1, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2},
};

static uint8_t ebcdic(char c) /* code page 1047; 0: not a character of a name */
{
	if (c >= 'A' && c <= 'I')
		return (uint8_t)(0xc1 + c - 'A');
	if (c >= 'J' && c <= 'R')
		return (uint8_t)(0xd1 + c - 'J');
	if (c >= 'S' && c <= 'Z')
		return (uint8_t)(0xe2 + c - 'S');
	if (c >= '0' && c <= '9')
		return (uint8_t)(0xf0 + c - '0');
	return c == '#' ? 0x7b : c == '@' ? 0x7c : c == '$' ? 0x5b : 0;
}

static int name_block(const char *name, uint8_t fill, uint8_t *out, size_t len)
{
	size_t n = strnlen(name, 9);
	if (!n || n > 8)
		return -EINVAL;
	memset(out, fill, len);
	for (size_t i = 0; i < n; i++) {
		out[i] = ebcdic(name[i]);
		if (!out[i])
			return -EINVAL;
	}
	return 0;
}

static void des(const DES_key_schedule *ks, uint8_t block[8])
{
	DES_cblock in, out;
	memcpy(in, block, 8);
	DES_ecb_encrypt(&in, &out, (DES_key_schedule *)(uintptr_t)ks, DES_ENCRYPT);
	memcpy(block, out, 8);
}

struct coder {
	DES_key_schedule ks;
	uint8_t pad[12];
	uint32_t r3;
};

/* Steps 1 to 3. */
static int coder_init(struct coder *c, const char *user, const char *appl, const uint8_t key[8])
{
	uint8_t block[8], name[8];
	DES_cblock k;
	if (name_block(user, 0x40, block, 8) || name_block(appl, 0x40, name, 8) || name_block(user, 0x55, c->pad, 12))
		return -EINVAL;
	memcpy(k, key, 8);
	DES_set_key_unchecked(&k, &c->ks);
	secret_wipe(k, sizeof(k));
	des(&c->ks, block);
	for (unsigned i = 0; i < 8; i++)
		block[i] ^= name[i];
	des(&c->ks, block);
	c->r3 = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 | (uint32_t)block[2] << 8 | block[3];
	return 0;
}

uint16_t passticket_permute(unsigned round, uint16_t in)
{
	uint16_t out = 0;
	for (unsigned k = 0; k < 16; k++)
		if (in >> (16 - permutations[round - 1][k]) & 1)
			out |= (uint16_t)(0x8000u >> k);
	return out;
}

static uint16_t unpermute(unsigned round, uint16_t in)
{
	uint16_t out = 0;
	for (unsigned k = 0; k < 16; k++)
		if (in & 0x8000u >> k)
			out |= (uint16_t)(1u << (16 - permutations[round - 1][k]));
	return out;
}

void passticket_pad(const char *user, uint8_t out[12])
{
	if (name_block(user, 0x55, out, 12))
		memset(out, 0x55, 12);
}

static uint16_t round_mask(const struct coder *c, unsigned round, uint16_t r)
{
	uint8_t block[8] = {(uint8_t)(r >> 8), (uint8_t)r};
	memcpy(block + 2, c->pad + (round & 1 ? 0 : 6), 6);
	des(&c->ks, block);
	return (uint16_t)(block[0] << 8 | block[1]);
}

/* Step 5 and its inverse. */
static uint32_t time_code(const struct coder *c, uint32_t r4)
{
	uint16_t l = (uint16_t)(r4 >> 16), r = (uint16_t)r4;
	for (unsigned i = 1; i <= 6; i++) {
		uint16_t n = round_mask(c, i, r) ^ l;
		l = r;
		r = passticket_permute(i, n);
	}
	return (uint32_t)l << 16 | r;
}

static uint32_t time_decode(const struct coder *c, uint32_t r5)
{
	uint16_t l = (uint16_t)(r5 >> 16), r = (uint16_t)r5;
	for (unsigned i = 6; i >= 1; i--) {
		uint16_t n = unpermute(i, r);
		r = l;
		l = round_mask(c, i, r) ^ n;
	}
	return (uint32_t)l << 16 | r;
}

uint32_t passticket_r5(const char *user, const char *appl, const uint8_t key[8], uint32_t when)
{
	struct coder c;
	uint32_t r5 = coder_init(&c, user, appl, key) ? 0 : time_code(&c, c.r3 ^ when);
	secret_wipe(&c, sizeof(c));
	return r5;
}

/* Step 6: character i takes six bits from bit 31, 3, 7, ... 27 on, counted from 1 at the left and going round. */
void passticket_text(uint32_t r5, char out[PASSTICKET_MAX])
{
	for (unsigned i = 0; i < 8; i++) {
		unsigned turn = (4 * i + 30) % 32;
		uint32_t turned = turn ? r5 << turn | r5 >> (32 - turn) : r5;
		out[i] = alphabet[(turned >> 26) % 36];
	}
	out[8] = 0;
}

int passticket_make(const char *user, const char *appl, const uint8_t key[8], uint32_t when, char out[PASSTICKET_MAX])
{
	struct coder c;
	if (coder_init(&c, user, appl, key))
		return -EINVAL;
	passticket_text(time_code(&c, c.r3 ^ when), out);
	secret_wipe(&c, sizeof(c));
	return 0;
}

/* Undoes step 6: @choice says for each character which of its two six-bit values is meant. False when neighbours, which share two
 * bits, do not agree. */
static bool untext(const uint8_t index[8], unsigned choice, uint32_t *ret)
{
	unsigned v[8];
	*ret = 0;
	for (unsigned i = 0; i < 8; i++) {
		v[i] = index[i] + (choice >> i & 1 ? 36u : 0u);
		if (v[i] > 63)
			return false;
	}
	for (unsigned i = 0; i < 8; i++) {
		if ((v[i] & 3) != v[(i + 1) % 8] >> 4)
			return false;
		*ret |= (uint32_t)(v[i] & 15) << (28 - 4 * i);
	}
	return true;
}

bool passticket_valid(const char *user, const char *appl, const uint8_t key[8], const char *ticket, int64_t now)
{
	struct coder c;
	uint8_t index[8];
	bool valid = false;
	uint32_t r5;
	if (strnlen(ticket, 9) != 8 || coder_init(&c, user, appl, key))
		return false;
	for (unsigned i = 0; i < 8; i++) {
		const char *at = strchr(alphabet, ticket[i]);
		if (!at)
			return false;
		index[i] = (uint8_t)(at - alphabet);
	}
	for (unsigned choice = 0; choice < 256; choice++) {
		if (!untext(index, choice, &r5))
			continue;
		int64_t when = time_decode(&c, r5) ^ c.r3;
		valid |= when >= now - PASSTICKET_WINDOW && when <= now + PASSTICKET_WINDOW;
	}
	secret_wipe(&c, sizeof(c));
	return valid;
}
