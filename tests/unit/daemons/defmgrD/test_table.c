#include "daemons/defmgrD/table.h"
#include "lib/base/xalloc.h"
#include "tests/support/check_main.h"

static struct filter *add(struct table *t, uint64_t id, uint64_t expires)
{
	struct filter *f = xnew(struct filter);
	(void)snprintf(f->name, sizeof(f->name), "f%llu", (unsigned long long)id);
	f->id = id;
	f->expires_us = expires;
	ftable_insert(t, f);
	return f;
}

static void drop(struct table *t, struct filter *f)
{
	ftable_remove(t, f);
	filter_unref(f);
}

START_TEST(finds_orders_and_forgets)
{
	struct table t;
	ftable_init(&t);
	ck_assert_ptr_null(ftable_find(&t, "f1"));
	ck_assert_ptr_null(ftable_next_expiry(&t));
	for (uint64_t i = 1; i <= 5000; i++)
		(void)add(&t, i, 100000 - (i * 7919) % 5003);
	ck_assert_uint_eq(t.count, 5000);
	ck_assert_uint_eq(t.newest->id, 5000);
	ck_assert_uint_eq(ftable_below(&t, 4000)->id, 3999);
	ck_assert_ptr_null(ftable_below(&t, 1));
	for (uint64_t i = 1; i <= 5000; i += 2) {
		char name[40];
		(void)snprintf(name, sizeof(name), "f%llu", (unsigned long long)i);
		drop(&t, ftable_find(&t, name));
		ck_assert_ptr_null(ftable_find(&t, name));
	}
	ck_assert_uint_eq(t.count, 2500);
	uint64_t last = 0;
	for (struct filter *f; (f = ftable_next_expiry(&t)) != NULL; drop(&t, f)) {
		ck_assert_uint_ge(f->expires_us, last);
		last = f->expires_us;
	}
	ck_assert_uint_eq(t.count, 0);
	ck_assert_ptr_null(t.newest);
	ck_assert_ptr_null(t.oldest);
	ftable_fini(&t);
}
END_TEST

START_TEST(restores_in_reverse)
{
	struct table t;
	ftable_init(&t);
	struct filter *f[5];
	for (unsigned i = 0; i < 5; i++)
		f[i] = add(&t, i + 1, 10 + i);
	static const unsigned order[] = {4, 0, 2, 1, 3};
	for (unsigned i = 0; i < 5; i++)
		ftable_remove(&t, f[order[i]]);
	ck_assert_uint_eq(t.count, 0);
	for (unsigned i = 5; i-- > 0;)
		ftable_restore(&t, f[order[i]]);
	uint64_t want = 5;
	for (struct filter *g = t.newest; g; g = g->older)
		ck_assert_uint_eq(g->id, want--);
	ck_assert_uint_eq(want, 0);
	ck_assert_ptr_eq(ftable_next_expiry(&t), f[0]);
	f[0]->expires_us = 100;
	ftable_rearm(&t, f[0]);
	ck_assert_ptr_eq(ftable_next_expiry(&t), f[1]);
	ftable_fini(&t);
}
END_TEST

/* The most that a stack holds counts directions and families, not names. */
START_TEST(room_counts_parts)
{
	struct table t;
	ftable_init(&t);
	struct filter *f = add(&t, 1, 10); /* of both families and directions */
	f->direction = DEFMGR__FILTER__DIRECTION__BIDIRECTIONAL;
	ck_assert(ftable_room(&t, f));
	t.parts = TABLE_PARTS_MAX - 4;
	ck_assert(ftable_room(&t, f));
	t.parts++;
	ck_assert(!ftable_room(&t, f));
	t.parts = 4;
	t.count = TABLE_MAX;
	ck_assert(!ftable_room(&t, f));
	t.count = 1;
	ftable_fini(&t);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("table");
	TCase *t = tcase_create("table");
	tcase_add_test(t, finds_orders_and_forgets);
	tcase_add_test(t, restores_in_reverse);
	tcase_add_test(t, room_counts_parts);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
