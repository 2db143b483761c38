#include "lib/daemon/listen.h"
#include <stdlib.h>
#include <unistd.h>

int daemon_passed_fds(int most, struct errbuf *e)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	if (!pid || !fds || strtol(pid, NULL, 10) != getpid())
		return 0;
	long n = strtol(fds, NULL, 10);
	if (n < 0 || n > most)
		return err_set(e, EINVAL, "LISTEN_FDS=%.20s: expected at most %d", fds, most);
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	return (int)n;
}
