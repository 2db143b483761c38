/* The neighbour table: who may say where an address is, and how much strangers can make it hold. */
#include "daemons/stack-core/ip/neigh.h"
#include "tests/support/check_main.h"
#include <string.h>
#include <urcu-qsbr.h>

static struct neigh_table *t;
static uint64_t now;
static unsigned asked_all, asked_one, changes;
static uint8_t asked_mac[6];
static const uint8_t owner[6] = {2, 0, 0, 0, 0, 1}, thief[6] = {2, 0, 0, 0, 0, 2};

static void solicit(void *arg, uint16_t link, const struct addr *a, const uint8_t *mac)
{
	(void)arg;
	(void)link;
	(void)a;
	asked_all += !mac;
	asked_one += mac != NULL;
	if (mac)
		memcpy(asked_mac, mac, 6);
}

static void changed(void *arg, const struct neigh *n)
{
	(void)arg;
	(void)n;
	changes++;
}

static void setup(void)
{
	struct neigh_hooks hooks = {solicit, changed, NULL};

	rcu_register_thread();
	t = neigh_new(&hooks);
	now = 1000000;
	asked_all = asked_one = changes = 0;
}

static void teardown(void)
{
	neigh_free(t);
	rcu_unregister_thread();
}

static struct addr host(unsigned n)
{
	uint8_t b[4] = {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
	return addr_v4(b);
}

static bool at(unsigned n, const uint8_t *mac)
{
	struct addr a = host(n);
	uint8_t got[6];
	bool failed;

	return neigh_lookup(t, 0, &a, got, &failed) && !memcmp(got, mac, 6);
}

static bool hear(unsigned n, const uint8_t *mac, enum neigh_heard how)
{
	struct addr a = host(n);
	return neigh_hear(t, 0, &a, mac, how, now);
}

static void want(unsigned n)
{
	struct addr a = host(n);
	neigh_want(t, 0, &a, now);
}

static void pass_ms(unsigned ms)
{
	for (; ms; ms -= 100) {
		now += 100;
		neigh_tick(t, now);
	}
}

START_TEST(nobody_asked)
{
	ck_assert(!hear(1, owner, NEIGH_ANNOUNCED));
	ck_assert(!hear(1, owner, NEIGH_ANSWER));
	ck_assert_uint_eq(neigh_count(t), 0);
}
END_TEST

/* Announcements, questions and answers that nothing was asked for do not move an address that its owner still has. */
START_TEST(claims)
{
	static const enum neigh_heard ways[] = {NEIGH_ANNOUNCED, NEIGH_ASKED, NEIGH_ANSWER};

	for (unsigned i = 0; i < 3; i++) {
		want(i);
		ck_assert(hear(i, owner, NEIGH_ANSWER));
		pass_ms(5000);
		asked_all = asked_one = 0;
		ck_assert(!hear(i, thief, ways[i]));
		ck_assert(at(i, owner));
		ck_assert_uint_eq(asked_one, 1); /* the owner alone is asked */
		ck_assert_uint_eq(asked_all, 0);
		ck_assert_mem_eq(asked_mac, owner, 6);
		ck_assert(!hear(i, thief, ways[i]));
		ck_assert_uint_eq(asked_one, 1);
		ck_assert(!hear(i, thief, NEIGH_ANSWER)); /* that was not the question */
		ck_assert(at(i, owner));
		(void)hear(i, owner, NEIGH_ANSWER);
		pass_ms(3000);
		ck_assert(at(i, owner));
		/* The owner is gone: the claim stands. */
		ck_assert(!hear(i, thief, ways[i]));
		pass_ms(NEIGH_RETRY_MS + 100);
		ck_assert(at(i, thief));
	}
}
END_TEST

START_TEST(life)
{
	want(1);
	ck_assert_uint_eq(asked_all, 1);
	ck_assert(!at(1, owner));
	ck_assert(hear(1, owner, NEIGH_ANSWER));
	ck_assert(at(1, owner));
	pass_ms(NEIGH_REACHABLE_MS + 100);
	ck_assert(at(1, owner)); /* stale, and used: it is asked again */
	pass_ms(100);
	ck_assert_uint_eq(asked_one, 1);
	pass_ms(NEIGH_TRIES * NEIGH_RETRY_MS + 100);
	ck_assert(!at(1, owner));
	pass_ms(NEIGH_FAILED_MS + 100);
	ck_assert_uint_eq(neigh_count(t), 0);
	want(2);
	pass_ms(NEIGH_TRIES * NEIGH_RETRY_MS + 100);
	ck_assert_uint_eq(asked_all, 1 + NEIGH_TRIES);
}
END_TEST

/* A scan of what is behind us leaves room for hosts that are there; a flood of hosts that are not pushes out only what nobody uses. */
START_TEST(bounded)
{
	for (unsigned i = 0; i < 2 * NEIGH_MAX; i++)
		want(100000 + i);
	ck_assert_uint_eq(neigh_count(t), NEIGH_UNRESOLVED_MAX);
	for (unsigned i = 0; i < 100; i++)
		ck_assert(hear(i, owner, NEIGH_ASKED));
	pass_ms(NEIGH_TRIES * NEIGH_RETRY_MS + NEIGH_FAILED_MS + 300);
	ck_assert_uint_eq(neigh_count(t), 100);
	want(100000);
	ck_assert_uint_eq(neigh_count(t), 101);
	ck_assert(hear(100000, owner, NEIGH_ANSWER));
	for (unsigned i = 0; i < 2 * NEIGH_MAX; i++) {
		now++;
		ck_assert(hear(200000 + i, thief, NEIGH_ASKED));
		ck_assert_uint_le(neigh_count(t), NEIGH_MAX);
	}
	ck_assert(at(100000, owner)); /* answered: not the oldest of the stale */
	neigh_tick(t, now + 1);
	want(1);
	ck_assert_uint_eq(neigh_count(t), NEIGH_MAX);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("neigh");
	TCase *c = tcase_create("neigh");
	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, nobody_asked);
	tcase_add_test(c, claims);
	tcase_add_test(c, life);
	tcase_add_test(c, bounded);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
