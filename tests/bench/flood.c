/* flood DEVICE MAC udp|syn DESTINATION PORT LENGTH SECONDS [RATE]: frames to MAC as fast as the device takes them, or RATE a second, from a
 * transmit ring that the kernel reads without copying (TPACKET_V2, PACKET_QDISC_BYPASS). udp: 256 flows from 192.0.2.0/24. syn: each
 * from another invented address of 11.0.0.0/8 and another port. Prints how many were sent. */
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/parse.h"
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

enum { SLOTS = 1024, SLOT = 2048, ETHER = 14, BATCH = 64 };

_Static_assert(sizeof(struct tpacket2_hdr) % TPACKET_ALIGNMENT == 0, "the frame follows at once");

struct flood {
	int fd;
	uint8_t *ring;
	uint8_t mac[6];
	struct addr dst;
	uint16_t port;
	uint32_t len; /* of the IP packet */
	bool syn;
	uint64_t n;
	uint32_t random;
};

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint32_t draw(struct flood *f)
{
	f->random = f->random * 1664525 + 1013904223;
	return f->random >> 8;
}

static void packet(struct flood *f, uint8_t *h)
{
	uint8_t from[4] = {192, 0, 2, 2}, *t = h + IP4_HEADER;
	uint32_t r = draw(f);

	if (f->syn)
		ip_put32(from, 0x0b000000u | r);
	struct addr src = addr_v4(from);
	memset(t, 0, 20);
	ip_put16(t, (uint16_t)(f->syn ? 1024 + draw(f) % 60000 : 10000 + f->n % 256));
	ip_put16(t + 2, f->port);
	if (f->syn) {
		ip_put32(t + 4, draw(f) << 8);
		t[12] = 0x50;
		t[13] = 2;
		ip_put16(t + 14, 0xffff);
	} else {
		ip_put16(t + 4, (uint16_t)(f->len - IP4_HEADER));
	}
	ip4_write(h, &src, &f->dst, f->syn ? IP_TCP : IP_UDP, 64, 0, f->len, (uint16_t)f->n, true);
	if (f->syn) {
		uint16_t sum = csum_fold(csum_add(csum_pseudo(&src, &f->dst, IP_TCP, 20), t, 20));
		memcpy(t + 16, &sum, 2);
	}
}

/* Fills free slots from where the last call stopped; how many. */
static unsigned fill(struct flood *f, unsigned max)
{
	unsigned n = 0;

	while (n < max) {
		struct tpacket2_hdr *h = (struct tpacket2_hdr *)(void *)(f->ring + (f->n % SLOTS) * SLOT);
		if (__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) != TP_STATUS_AVAILABLE)
			break;
		uint8_t *frame = (uint8_t *)h + sizeof(*h);
		memcpy(frame, f->mac, 6);
		memset(frame + 6, 2, 6);
		ip_put16(frame + 12, 0x0800);
		packet(f, frame + ETHER);
		h->tp_len = f->len + ETHER;
		__atomic_store_n(&h->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
		f->n++;
		n++;
	}
	return n;
}

static int open_ring(struct flood *f, const char *device)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(device)};
	struct tpacket_req req = {.tp_block_size = 65536, .tp_block_nr = SLOTS * SLOT / 65536, .tp_frame_size = SLOT, .tp_frame_nr = SLOTS};
	int on = 1, version = TPACKET_V2;

	f->fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (f->fd < 0 || !a.sll_ifindex || setsockopt(f->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) ||
		setsockopt(f->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) ||
		setsockopt(f->fd, SOL_PACKET, PACKET_TX_RING, &req, sizeof(req)) || bind(f->fd, (struct sockaddr *)&a, sizeof(a)))
		return -1;
	f->ring = mmap(NULL, SLOTS * SLOT, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	return f->ring == MAP_FAILED ? -1 : 0;
}

static uint64_t run(struct flood *f, double for_seconds, double rate)
{
	double start = seconds(), now;

	while ((now = seconds()) - start < for_seconds) {
		unsigned due = BATCH;
		if (rate > 0) {
			double ahead = (double)f->n - (now - start) * rate;
			if (ahead >= 0) {
				struct timespec pause = {0, 50000};
				(void)nanosleep(&pause, NULL);
				continue;
			}
			due = -ahead < BATCH ? (unsigned)-ahead + 1 : BATCH;
		}
		(void)fill(f, due);
		(void)send(f->fd, NULL, 0, MSG_DONTWAIT);
	}
	return f->n;
}

int main(int argc, char **argv)
{
	struct flood f = {.random = (uint32_t)time(NULL)};
	unsigned m[6];

	if (argc < 8 || argc > 9 || sscanf(argv[2], "%x:%x:%x:%x:%x:%x", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]) != 6 ||
		addr_parse(argv[4], &f.dst) < 0 || f.dst.family != 4)
		return 64;
	for (unsigned i = 0; i < 6; i++)
		f.mac[i] = (uint8_t)m[i];
	f.syn = !strcmp(argv[3], "syn");
	f.port = (uint16_t)atoi(argv[5]);
	f.len = (uint32_t)atoi(argv[6]);
	if (f.len < 40 || f.len > 1500)
		return 64;
	if (open_ring(&f, argv[1]) < 0) {
		perror(argv[1]);
		return 71;
	}
	printf("%llu\n", (unsigned long long)run(&f, atof(argv[7]), argc == 9 ? atof(argv[8]) : 0));
	return 0;
}
