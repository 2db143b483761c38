/* sent: packets that hosts sent, segment by segment, to be looked for when they arrive: whatever was cut, joined, encrypted and put together
 * on the way, nothing else may come out than what went in. TTL, ids and checksums of IP are left out: routers change
 * them. */
#pragma once
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/cut.h"
#include "daemons/stack-core/ip/parse.h"
#include <stdlib.h>
#include <string.h>

enum { SENT_BITS = 17, SENT_MAX = 1 << (SENT_BITS - 1), SENT_SMALL = 64 };

static uint64_t sent[1 << SENT_BITS];
static unsigned n_sent;
static struct pkt_pool *sent_pool;

static uint64_t sent_hash(struct pkt *p)
{
	uint8_t *d = pkt_data(p);
	uint64_t h = 0xcbf29ce484222325u;

	if (d[0] >> 4 == 4) {
		memset(d + 4, 0, 2);
		memset(d + 10, 0, 2);
		d[8] = 0;
	} else {
		d[7] = 0;
	}
	for (uint32_t i = 0; i < p->len; i++)
		h = (h ^ d[i]) * 0x100000001b3u;
	return h ? h : 1;
}

/* Its place, or the free one where it would be. */
static uint64_t *sent_at(uint64_t hash)
{
	uint64_t i = hash >> (64 - SENT_BITS);

	while (sent[i] && sent[i] != hash)
		i = (i + 1) & ((1u << SENT_BITS) - 1);
	return &sent[i];
}

static void sent_add(void *arg, struct pkt *p)
{
	uint64_t hash = sent_hash(p), *at = sent_at(hash);

	(void)arg;
	n_sent += !*at && n_sent < SENT_MAX;
	if (n_sent < SENT_MAX)
		*at = hash;
	pkt_free(sent_pool, p);
}

static void sent_must(void *arg, struct pkt *p)
{
	(void)arg;
	if (n_sent < SENT_MAX && !*sent_at(sent_hash(p)))
		abort();
	pkt_free(sent_pool, p);
}

/* @p as it is in a list of its segments, each to @fn; @p stays. */
static void sent_each(const struct pkt *p, cut_fn fn)
{
	struct pkt *copy = pkt_alloc_large(sent_pool);
	uint8_t *buf = copy->buf;

	*copy = *p;
	copy->buf = buf;
	copy->size = PKT_LARGE;
	copy->off = PKT_HEADROOM;
	memcpy(pkt_data(copy), pkt_data(p), p->len);
	if (!ip_parse(copy) || !cut_sound(copy)) {
		pkt_free(sent_pool, copy);
	} else if (copy->gso_size) {
		(void)cut_segments(sent_pool, copy, fn, NULL);
		pkt_free(sent_pool, copy);
	} else {
		cut_checksum(copy);
		fn(NULL, copy);
	}
}

static void sent_clear(void)
{
	if (!sent_pool)
		sent_pool = pkt_pool_new(SENT_SMALL, 4);
	if (n_sent)
		memset(sent, 0, sizeof(sent));
	n_sent = 0;
}
