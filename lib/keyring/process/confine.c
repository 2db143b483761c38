#include "lib/keyring/process/confine.h"
#include <cap-ng.h>
#include <grp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { NOBODY = 65534 };

void confine_start(void)
{
	struct rlimit none = {0, 0};
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

/* A daemon that runs as root but gave its capabilities up cannot change its uid, and its child
 * neither: root's files are then out of reach by the filter alone. */
static bool may_change_uid(void)
{
	(void)capng_get_caps_process();
	return geteuid() == 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_SETUID) &&
	       capng_have_capability(CAPNG_EFFECTIVE, CAP_SETGID);
}

int confine_drop(struct errbuf *e)
{
	if (may_change_uid()) {
		if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY))
			return err_set(e, errno, "groups cannot be given up: %s", strerror(errno));
		capng_clear(CAPNG_SELECT_BOTH);
		(void)capng_apply(CAPNG_SELECT_BOUNDS); /* while there is still the right to */
		if (setresuid(NOBODY, NOBODY, NOBODY) || setuid(0) == 0)
			return err_set(e, EPERM, "root cannot be given up");
	}
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_apply(CAPNG_SELECT_CAPS))
		return err_set(e, EPERM, "capabilities cannot be given up");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_set(e, errno, "PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
	confine_start();	     /* a change of uid undid it */
	(void)mlockall(MCL_CURRENT); /* beyond the limit: the keys themselves are in OpenSSL's
					locked heap */
	return 0;
}

/* Computing, memory that is never executable, threads, and messages on what is open. Nothing that
 * opens, connects, starts or traces. */
int confine_filter(struct errbuf *e)
{
	static const int allowed[] = {SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendto),
		SCMP_SYS(sendmsg), SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(close),
		SCMP_SYS(futex), SCMP_SYS(munmap), SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(exit),
		SCMP_SYS(exit_group), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask),
		SCMP_SYS(rt_sigaction), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep),
		SCMP_SYS(gettimeofday), SCMP_SYS(getrandom), SCMP_SYS(getpid), SCMP_SYS(gettid),
		SCMP_SYS(tgkill), SCMP_SYS(sched_yield), SCMP_SYS(rseq), SCMP_SYS(set_robust_list),
		SCMP_SYS(restart_syscall), SCMP_SYS(sigaltstack)};
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!f)
		return err_set(e, ENOMEM, "seccomp: no filter");
	int rc = 0;
	for (size_t i = 0; !rc && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
	rc = rc ? rc
		: seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
			  SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	rc = rc ? rc
		: seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
			  SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	rc = rc ? rc : seccomp_load(f);
	seccomp_release(f);
	return rc ? err_set(e, -rc, "seccomp: %s", strerror(-rc)) : 0;
}
