/* stack-core: one IP stack in user space, with z/OS's filters and IPsec. Links are opened before privileges go; CAP_NET_ADMIN and
 * CAP_NET_RAW stay, for addresses and routes of the TUN at reload. */
#include "daemons/stack-core/core_daemon.h"

int main(int argc, char **argv)
{
	return daemon_main(&core_spec, argc, argv);
}
