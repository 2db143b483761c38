/* Where expanded keys live: in pages that core dumps leave out and that are locked where a page can be, zero when they are handed
 * out, cleansed when they come back; and no SA leaves a byte of its schedule behind. */
#include "tests/unit/daemons/stack-core/ipsec/support.h"
#include "daemons/stack-core/ipsec/crypto_backend.h"
#include "daemons/stack-core/ipsec/keymem.h"
#include "tests/support/check_main.h"
#include <stdio.h>
#include <sys/mman.h>

/* The VmFlags of the mapping that holds @p (proc(5)). */
static void flags_of(const void *p, char *out, size_t size)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512];
	bool here = false;

	ck_assert_ptr_nonnull(f);
	out[0] = 0;
	while (fgets(line, sizeof(line), f)) {
		unsigned long from, to;
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2 && strchr(line, '-') < strchr(line, ' '))
			here = (uintptr_t)p >= from && (uintptr_t)p < to;
		else if (here && !strncmp(line, "VmFlags:", 8))
			(void)snprintf(out, size, "%s", line);
	}
	(void)fclose(f);
	ck_assert_msg(out[0], "no mapping holds the key");
}

/* RLIMIT_MEMLOCK may forbid it, and sanitizers make mlock do nothing. */
static bool can_lock(void)
{
	static uint8_t pages[8192] __attribute__((aligned(4096)));
	char flags[512];

	pages[0] = 1;
	if (mlock(pages, sizeof(pages)) < 0)
		return false;
	flags_of(pages, flags, sizeof(flags));
	return strstr(flags, " lo");
}

static void check_place(const void *p)
{
	char flags[512];

	flags_of(p, flags, sizeof(flags));
	ck_assert_msg(strstr(flags, " dd"), "%s", flags); /* do not dump */
	if (can_lock())
		ck_assert_msg(strstr(flags, " lo"), "%s", flags);
}

static bool all(const uint8_t *d, size_t len, uint8_t value)
{
	for (size_t i = 0; i < len; i++) {
		if (d[i] != value)
			return false;
	}
	return true;
}

START_TEST(pieces)
{
	enum { N = 100 };
	static uint8_t *p[N];

	for (size_t len = 1; len <= 4096; len += 500) {
		for (unsigned i = 0; i < N; i++) {
			p[i] = keymem_new(len);
			ck_assert_uint_eq((uintptr_t)p[i] % 64, 0);
			ck_assert(all(p[i], len, 0));
			memset(p[i], 0xaa, len);
		}
		check_place(p[0]);
		check_place(p[N - 1]);
		for (unsigned i = 0; i < N; i++) { /* nobody's piece is another's */
			ck_assert(all(p[i], len, 0xaa));
			keymem_free(p[i], len);
			if (len > sizeof(void *)) /* which it uses itself */
				ck_assert(all(p[i] + sizeof(void *), len - sizeof(void *), 0));
		}
	}
	keymem_free(NULL, 64);
}
END_TEST

static unsigned count_of(const uint8_t *d, size_t len)
{
	unsigned n = 0;

	for (size_t i = sizeof(void *); i < len; i++)
		n += d[i] != 0;
	return n;
}

START_TEST(schedules)
{
	enum { SEEN = 640 }; /* bytes, less than either backend has */

	for (int backend = CRYPTO_IMB; backend <= CRYPTO_OPENSSL; backend++) {
		for (unsigned i = 0; i < SUITES; i++) {
			struct sa_params p = suite_params(&suites[i], SA_TUNNEL, 4);
			bool des = p.cipher == CIPHER_3DES_CBC || p.cipher == CIPHER_DES_CBC;
			struct sa *sa;
			if (des && backend == CRYPTO_IMB)
				continue;
			p.backend = (enum crypto_backend)backend;
			ck_assert_int_eq(sa_new(&p, true, 1, NULL, &sa), 0);
			const uint8_t *schedule = (const uint8_t *)sa->key->imb; /* either of the union */
			check_place(schedule);
			ck_assert_uint_gt(count_of(schedule, SEEN), 16);
			sa_free(sa);
			ck_assert_uint_eq(count_of(schedule, SEEN), 0);
		}
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("stack-core/ipsec/keymem");
	TCase *c = tcase_create("keymem");
	tcase_set_timeout(c, 60);
	tcase_add_test(c, pieces);
	tcase_add_test(c, schedules);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
