/* hash: multilinear hashing (Lemire and Kaser 2014): h = (k0 + sum k[i+1] * w[i] mod 2^128) >> 64
 * with random 128-bit keys. Any two different inputs collide with probability 2^-64 whatever a
 * stranger chooses, as long as he does not see the keys; and it costs two multiplications a word.
 * What it gives for inputs in a row (ports one after the other) is a row, too, whose step the key decides: with some keys its
 * low bits would meet few buckets. So the result is mixed once more. */
#pragma once
#include <openssl/rand.h>
#include <stdint.h>
#include <stdlib.h>

enum { HASH_WORDS = 5 };

struct hash_key {
	unsigned __int128 k[HASH_WORDS + 1];
};

static inline void hash_key_init(struct hash_key *h)
{
	if (RAND_bytes((unsigned char *)h, sizeof(*h)) != 1)
		abort(); /* without randomness a stranger could fill one bucket */
}

static inline uint64_t hash_words(const struct hash_key *h, const uint64_t *w, unsigned n)
{
	unsigned __int128 sum = h->k[0];
	for (unsigned i = 0; i < n; i++)
		sum += h->k[i + 1] * w[i];
	uint64_t r = (uint64_t)(sum >> 64);
	r = (r ^ r >> 32) * 0xd6e8feb86659fd93u;
	return r ^ r >> 32;
}
