/* What the peers of a socket may hold: refusals first, then that nothing held is forgotten, and nothing is held for ever. */
#include "lib/bus/gate.h"
#include "lib/base/xalloc.h"
#include "tests/support/check_main.h"

enum { ALICE = 1000, BOB = 1001 };

static const struct gate_limits limits = {.uid_connections = 2, .connections = 3, .place_bytes = 100, .uid_bytes = 150};
static struct gate *g;

static void setup(void)
{
	g = gate_new(&limits);
}

static void teardown(void)
{
	gate_unref(g);
}

START_TEST(connections_are_limited_by_uid_and_in_all)
{
	struct gate_place *a = gate_enter(g, ALICE), *b = gate_enter(g, ALICE);
	ck_assert(a && b);
	ck_assert_ptr_null(gate_enter(g, ALICE));
	struct gate_place *c = gate_enter(g, BOB);
	ck_assert_ptr_nonnull(c);
	ck_assert_ptr_null(gate_enter(g, BOB)); /* three in all */
	ck_assert_ptr_null(gate_enter(g, BOB + 1));
	gate_leave(a);
	a = gate_enter(g, BOB);
	ck_assert_ptr_nonnull(a);
	gate_leave(a);
	gate_leave(b);
	gate_leave(c);
}
END_TEST

START_TEST(root_is_not_counted)
{
	struct gate_place *p[10], *a;
	for (unsigned i = 0; i < 10; i++) {
		p[i] = gate_enter(g, 0);
		ck_assert_ptr_nonnull(p[i]);
		ck_assert(gate_hold(p[i], 100));
		ck_assert(!gate_hold(p[i], 1)); /* one connection's limit is everybody's */
	}
	a = gate_enter(g, ALICE);
	ck_assert_ptr_nonnull(a);
	gate_leave(a);
	for (unsigned i = 0; i < 10; i++)
		gate_leave(p[i]);
}
END_TEST

START_TEST(bytes_are_limited_by_connection_and_by_uid)
{
	struct gate_place *a = gate_enter(g, ALICE), *b = gate_enter(g, ALICE), *c = gate_enter(g, BOB);
	ck_assert(!gate_hold(a, 101));
	ck_assert(!gate_hold(a, UINT64_MAX));
	ck_assert(gate_hold(a, 100));
	ck_assert(!gate_hold(a, 1));
	ck_assert(!gate_hold(b, 51));
	ck_assert(gate_hold(b, 50));
	ck_assert(!gate_hold(b, 1));
	ck_assert(!gate_hold(b, UINT64_MAX));
	ck_assert_uint_eq(gate_held(g, ALICE), 150); /* what was refused is not held */
	ck_assert(gate_hold(c, 100));		     /* another's business */
	gate_take(g, a, ALICE, 60);
	ck_assert(gate_hold(b, 50));
	ck_assert(gate_hold(a, 10));
	ck_assert(!gate_hold(a, 1));
	gate_leave(a);
	gate_leave(b);
	gate_leave(c);
}
END_TEST

START_TEST(coming_again_gains_nothing)
{
	struct gate_place *a = gate_enter(g, ALICE);
	ck_assert(gate_hold(a, 100));
	gate_leave(a);
	a = gate_enter(g, ALICE);
	ck_assert_uint_eq(gate_held(g, ALICE), 100);
	ck_assert(!gate_hold(a, 51));
	ck_assert(gate_hold(a, 50));
	gate_take(g, NULL, ALICE, 100); /* of the connection that ended */
	ck_assert_uint_eq(gate_held(g, ALICE), 50);
	ck_assert(gate_hold(a, 50));
	gate_leave(a);
}
END_TEST

START_TEST(what_never_comes_is_forgotten_at_the_second_look)
{
	struct gate_place *a = gate_enter(g, ALICE), *b = gate_enter(g, ALICE);
	ck_assert(gate_hold(a, 100));
	ck_assert(gate_hold(b, 20));
	gate_leave(a);
	gate_empty(g); /* it may have come between the look and this word */
	ck_assert_uint_eq(gate_held(g, ALICE), 120);
	gate_empty(g);
	ck_assert_uint_eq(gate_held(g, ALICE), 20); /* a living connection keeps what it holds */
	gate_empty(g);
	ck_assert_uint_eq(gate_held(g, ALICE), 20);
	gate_leave(b);
	gate_empty(g);
	gate_empty(g);
	ck_assert_uint_eq(gate_held(g, ALICE), 0);
}
END_TEST

START_TEST(more_than_was_held_is_not_given_back)
{
	struct gate_place *a = gate_enter(g, ALICE), *b = gate_enter(g, ALICE);
	ck_assert(gate_hold(a, 10));
	ck_assert(gate_hold(b, 30));
	gate_take(g, a, ALICE, 1000);
	ck_assert_uint_eq(gate_held(g, ALICE), 30);
	gate_take(g, NULL, ALICE, 1000); /* nothing was left: the living keep theirs */
	ck_assert_uint_eq(gate_held(g, ALICE), 30);
	gate_take(g, NULL, BOB, 1000); /* has never been here */
	ck_assert_uint_eq(gate_held(g, BOB), 0);
	gate_leave(a);
	gate_leave(b);
}
END_TEST

START_TEST(connections_outlive_the_socket)
{
	struct gate *other = gate_new(&limits);
	struct gate_place *a = gate_enter(other, ALICE);
	ck_assert(gate_hold(a, 10));
	gate_unref(other);
	ck_assert_ptr_eq(gate_of(a), other);
	ck_assert_uint_eq(gate_uid(a), ALICE);
	ck_assert(gate_hold(a, 10));
	gate_leave(a);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bus gate");
	TCase *t = tcase_create("gate");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, connections_are_limited_by_uid_and_in_all);
	tcase_add_test(t, root_is_not_counted);
	tcase_add_test(t, bytes_are_limited_by_connection_and_by_uid);
	tcase_add_test(t, coming_again_gains_nothing);
	tcase_add_test(t, what_never_comes_is_forgotten_at_the_second_look);
	tcase_add_test(t, more_than_was_held_is_not_given_back);
	tcase_add_test(t, connections_outlive_the_socket);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
