/* slots: the frames of a packet(7) receive ring of TPACKET version 2, and which of them is next in a ring that an earlier run of the
 * stack was reading: the kernel goes round, and tells nobody where it is. */
#pragma once
#include <linux/if_packet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SLOTS_BLOCK = 65536 };

struct slots {
	uint8_t *map;	/* blocks of SLOTS_BLOCK */
	uint32_t frame; /* bytes of each; at most a block */
	uint32_t n;
};

static inline struct tpacket2_hdr *slots_at(const struct slots *s, uint32_t i)
{
	uint32_t per_block = SLOTS_BLOCK / s->frame;

	return (struct tpacket2_hdr *)(void *)(s->map + (size_t)(i / per_block) * SLOTS_BLOCK + (size_t)(i % per_block) * s->frame);
}

/* The slot whose packet came first of those that wait. False: none waits. */
bool slots_first(const struct slots *s, uint32_t *ret);
