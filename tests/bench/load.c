/* load send ADDRESS PORT LENGTH SECONDS RATE: UDP datagrams of LENGTH bytes as fast as the kernel takes them, or RATE a second (0: no limit);
 * prints how many it took. load receive ADDRESS PORT: takes them until SIGTERM and prints how many came. What the kernel took and what
 * came is counted to the packet, which is what tests/bench/soak.py needs and iperf3 does not give. */
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, LENGTH_MAX = 9000 };

static volatile sig_atomic_t ended;

static void on_term(int signo)
{
	(void)signo;
	ended = 1;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int open_socket(const char *address, const char *port, bool receive)
{
	struct addrinfo want = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_DGRAM}, *found;
	int big = 4 << 20;

	if (getaddrinfo(address, port, &want, &found))
		return -1;
	int fd = socket(found->ai_family, SOCK_DGRAM, 0);
	if (fd >= 0 && receive)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
	if (fd >= 0 && (receive ? bind : connect)(fd, found->ai_addr, found->ai_addrlen)) {
		close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	return fd;
}

static unsigned long send_all(int fd, size_t length, double time, double rate)
{
	static char data[LENGTH_MAX];
	struct iovec v = {data, length};
	struct mmsghdr m[BATCH];
	unsigned long sent = 0;
	double begin = seconds(), now = begin;

	for (unsigned i = 0; i < BATCH; i++)
		m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};
	for (; !ended && now < begin + time; now = seconds()) {
		unsigned n = BATCH;
		if (rate > 0) {
			double due = (now - begin) * rate - (double)sent;
			if (due < 1) {
				(void)usleep(500);
				continue;
			}
			n = due < BATCH ? (unsigned)due : BATCH;
		}
		int r = sendmmsg(fd, m, n, 0);
		if (r > 0)
			sent += (unsigned)r;
	}
	return sent;
}

static unsigned long receive_all(int fd)
{
	static char data[LENGTH_MAX];
	struct timeval wait = {.tv_usec = 100000};
	struct iovec v = {data, sizeof(data)};
	struct mmsghdr m[BATCH];
	unsigned long got = 0;

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	for (unsigned i = 0; i < BATCH; i++)
		m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};
	for (;;) {
		int r = recvmmsg(fd, m, BATCH, MSG_WAITFORONE, NULL);
		if (r > 0)
			got += (unsigned)r;
		else if (ended && (errno == EAGAIN || errno == EINTR))
			return got;
	}
}

int main(int argc, char **argv)
{
	struct sigaction a = {.sa_handler = on_term};
	bool receive = argc == 4 && !strcmp(argv[1], "receive");

	if (!receive && (argc != 7 || strcmp(argv[1], "send") || strtoul(argv[4], NULL, 10) > LENGTH_MAX)) {
		fprintf(stderr, "usage: load send ADDRESS PORT LENGTH SECONDS RATE | load receive ADDRESS PORT\n");
		return 2;
	}
	(void)sigaction(SIGTERM, &a, NULL);
	int fd = open_socket(argv[2], argv[3], receive);
	if (fd < 0) {
		perror("load");
		return 1;
	}
	printf("%lu\n", receive ? receive_all(fd) : send_all(fd, strtoul(argv[4], NULL, 10), strtod(argv[5], NULL), strtod(argv[6], NULL)));
	close(fd);
	return 0;
}
