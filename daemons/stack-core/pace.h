/* pace: how long a worker leaves its links alone between two batches. Small packets that come quickly are cheap by the dozen and dear
 * one by one: a batch is one call to the kernel, one filter decision, one wake-up of whoever reads it. A worker that asks again at
 * once has a few of them each time, and takes its processor from the programs that make and read them. So while they come quickly it
 * sleeps until a batch will be worth it. Never when few come: the first packet, and an exchange of questions and answers, find it as
 * before. */
#pragma once
#include <stdint.h>

enum {
	PACE_BATCH = 64,		/* packets that are worth a batch: then it does not wait */
	PACE_LEAST = 8,			/* fewer than these in the longest pause: it does not wait, either */
	PACE_NS_MAX = 150000,		/* what a packet may lose: less than a busy processor costs it */
	PACE_NS_MIN = 20000,		/* less than a sleep costs */
	PACE_WINDOW_NS = 200000,	/* what their rate is measured over */
};

struct pace {
	uint64_t since_ns; /* of this window */
	uint64_t gap_ns;   /* between two packets, of the last ones */
	uint32_t packets;
};

/* A round ended at @now_ns with @n packets: nanoseconds to sleep, 0: go on. */
static inline uint64_t pace_pause(struct pace *p, uint64_t now_ns, unsigned n)
{
	uint64_t spent = now_ns - p->since_ns;

	p->packets += n;
	if (spent >= PACE_WINDOW_NS) {
		p->gap_ns = spent / (p->packets + 1u);
		p->since_ns = now_ns;
		p->packets = 0;
	}
	if (!n || n >= PACE_BATCH || !p->gap_ns || p->gap_ns > PACE_NS_MAX / PACE_LEAST)
		return 0;
	uint64_t ns = p->gap_ns * PACE_BATCH;
	return ns < PACE_NS_MIN ? 0 : ns > PACE_NS_MAX ? PACE_NS_MAX : ns;
}
