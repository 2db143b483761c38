/* pcapng: a capture file that wireshark opens (draft-ietf-opsawg-pcapng): a section header, interface description blocks of raw IP
 * packets with times in microseconds, enhanced packet blocks with comments. Written front to back, so that the other end of a pipe can
 * follow. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { PCAPNG_TEXT_MAX = 512, PCAPNG_COMMENTS_MAX = 4, PCAPNG_INBOUND = 1, PCAPNG_OUTBOUND = 2 };

struct pcapng {
	FILE *out; /* of the caller */
	uint64_t size;
	uint32_t interfaces;
	bool failed; /* something could not be written */
};

struct pcapng_packet {
	uint32_t interface; /* as pcapng_interface gave it */
	uint64_t time_us;
	const void *data;
	uint32_t kept, len; /* bytes at @data, bytes of the packet */
	unsigned direction; /* PCAPNG_INBOUND, PCAPNG_OUTBOUND, 0: unknown */
	const char *comments[PCAPNG_COMMENTS_MAX]; /* up to the first NULL; longer ones than PCAPNG_TEXT_MAX are cut */
};

/* @application: who writes, or NULL. */
void pcapng_begin(struct pcapng *f, FILE *out, const char *application);
/* At any time before the first packet on it. @name, @description may be NULL. Its number. */
uint32_t pcapng_interface(struct pcapng *f, const char *name, const char *description, uint32_t snaplen);
void pcapng_packet(struct pcapng *f, const struct pcapng_packet *p);
bool pcapng_flush(struct pcapng *f); /* false: something could not be written */
