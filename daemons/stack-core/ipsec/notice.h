/* notice: what a worker has to tell the control thread about SAs: one writer, one reader, no lock. A full ring loses
 * and counts; what must not get lost is told again by the next packet. */
#pragma once
#include "lib/base/addr.h"
#include <stdatomic.h>

enum notice_kind {
	NOTICE_TRAFFIC,	   /* the first packet of an inbound SA */
	NOTICE_MOVED,	   /* an authenticated packet came from another address or port than the SA knows */
	NOTICE_UNKNOWN_SPI /* ESP or AH for us that no SA opens */
};
enum { NOTICE_RING = 256 };

struct ipsec_notice {
	uint8_t kind, proto; /* enum notice_kind; SA_ESP or SA_AH */
	bool udp;
	uint16_t port; /* the remote one of UDP */
	uint32_t tunnel, spi;
	struct addr local, remote;
};

struct notice_ring {
	_Atomic uint64_t lost;
	_Atomic uint32_t head __attribute__((aligned(64))); /* written by the worker */
	_Atomic uint32_t tail __attribute__((aligned(64))); /* by the control thread */
	struct ipsec_notice at[NOTICE_RING];
};

bool notice_put(struct notice_ring *r, const struct ipsec_notice *n);
bool notice_take(struct notice_ring *r, struct ipsec_notice *ret);
