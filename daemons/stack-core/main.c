/* stack-core: one IP stack in user space, with z/OS's filters and IPsec. Links are opened before privileges go; CAP_NET_ADMIN and
 * CAP_NET_RAW stay, for addresses and routes of the TUN at reload. */
#include "daemons/stack-core/core_daemon.h"
#include <malloc.h>

/* A table of this size is memory of its own, which the kernel has back when the table is freed. Left to itself, glibc raises the limit to
 * the largest that was ever freed, and from the first reload on tables of 16 MiB lie in the heap with small things between and above them
 * that keep it from shrinking. */
enum { LARGE = 128 << 10 };

int main(int argc, char **argv)
{
	(void)mallopt(M_MMAP_THRESHOLD, LARGE);
	return daemon_main(&core_spec, argc, argv);
}
