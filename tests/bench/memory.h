/* memory: the stack of benchmarks that measure a worker without system calls. Its two links are memory: one gives copies of packets in
 * turn, as many as it is asked for, and both forget what they are sent, and count it. One such stack at a time. */
#pragma once
#include "daemons/stack-core/worker.h"

enum { MEMORY_FLOWS = 256, MEMORY_LEN_MAX = 1500, MEMORY_INSIDE = 0, MEMORY_OUTSIDE = 1 };

struct memory {
	uint8_t packets[MEMORY_FLOWS][MEMORY_LEN_MAX];
	uint32_t len; /* of each */
	unsigned next;
	uint64_t sent;
	void (*alter)(uint8_t *packet); /* each as it is given; NULL: none is */
};
extern struct memory memory;

/* 192.0.2.1/24 inside; 198.51.100.1/24 outside, where 203.0.113.0/24 is behind 198.51.100.2, whose link address is known. The link
 * @from gives packets. Ends the program when it cannot be had. */
struct stack *memory_stack(unsigned from, bool ipsecurity);
struct addr memory_addr(const char *text);
/* Packet @i, of memory.len bytes, from 192.0.2.9 to 203.0.113.@host or the reverse; ports 1000 + @i and 2000, the rest zeros. */
uint8_t *memory_packet(unsigned i, uint8_t proto, uint8_t host, bool back);
double memory_seconds(void);
