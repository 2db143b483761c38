/* A writer killed at any instant loses no acknowledged change, and a reader beside it never sees half of one. A change is two
 * profiles in one commit; the writer acknowledges over a pipe after registry_commit(). */
#include "tests/unit/lib/saf/fixture.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum { KILLS = 200 };

static void writer(unsigned round, int ack)
{
	struct errbuf e;
	if (registry_open(saf_dir, false, &reg, &e))
		_exit(3);
	for (unsigned n = 0;; n++) {
		char command[96];
		for (char half = 'A'; half <= 'B'; half++) {
			(void)snprintf(command, sizeof(command), "RDEFINE SERVAUTH %c.R%u.N%u UACC(READ)", half, round, n);
			if (racf(command) != RACF_DONE)
				_exit(4);
		}
		if (registry_commit(reg, &e) || write(ack, &n, sizeof(n)) != sizeof(n))
			_exit(5);
	}
}

static enum saf_rc half(char which, unsigned round, unsigned n)
{
	char name[64];
	(void)snprintf(name, sizeof(name), "%c.R%u.N%u", which, round, n);
	return may("IBMUSER", name, SAF_READ);
}

static uint64_t now_us(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void look(unsigned round, unsigned next)
{
	uint64_t before = saf_generation(saf);
	enum saf_rc a = half('A', round, next), b = half('B', round, next);
	if (saf_generation(saf) == before)
		ck_assert_int_eq(a, b);
	ck_assert_int_ne(a, SAF_REFUSED); /* the snapshot was readable */
}

/* How many changes the writer of this round acknowledged before it was killed. */
static unsigned one_round(unsigned round)
{
	int ack[2], status;
	unsigned n, acked = 0;
	ck_assert_int_eq(pipe(ack), 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid)
		writer(round, ack[1]);
	(void)close(ack[1]);
	(void)fcntl(ack[0], F_SETFL, O_NONBLOCK);
	/* Every other round the clock starts with the first acknowledgement: opening takes longer than a commit. */
	bool started = round & 1;
	uint64_t end = now_us() + (started ? (uint64_t)(random() % 30000) : 5000000);
	while (now_us() < end) {
		while (read(ack[0], &n, sizeof(n)) == sizeof(n))
			acked = n + 1;
		if (!started && acked) {
			started = true;
			end = now_us() + (uint64_t)(random() % 8000);
		}
		look(round, acked);
	}
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFSIGNALED(status), "the writer failed by itself, status %d", status);
	while (read(ack[0], &n, sizeof(n)) == sizeof(n))
		acked = n + 1;
	(void)close(ack[0]);
	for (n = 0; n < acked; n++) {
		ck_assert_int_eq(half('A', round, n), SAF_ALLOWED);
		ck_assert_int_eq(half('B', round, n), SAF_ALLOWED);
	}
	return acked;
}

START_TEST(killed_at_any_instant)
{
	unsigned acked[KILLS], total = 0;
	struct errbuf e;
	registry_close(reg);
	reg = NULL;
	srandom((unsigned)getpid());
	for (unsigned i = 0; i < KILLS; i++)
		total += acked[i] = one_round(i);
	ck_assert_uint_gt(total, KILLS / 4);
	/* What the last one left behind is caught up, and everything is still there. */
	ck_assert_int_eq(registry_open(saf_dir, false, &reg, &e), 0);
	for (unsigned i = 0; i < KILLS; i++)
		for (unsigned n = 0; n < acked[i]; n++)
			ck_assert_int_eq(half('A', i, n) | half('B', i, n), SAF_ALLOWED);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("kill");
	TCase *t = tcase_create("writer");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 100);
	tcase_add_test(t, killed_at_any_instant);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
