#include "daemons/rpcbindD/registry.h"
#include "daemons/rpcbindD/xdr.h"
#include "tests/support/check_main.h"
#include <errno.h>

START_TEST(refuses)
{
	struct registry *r = registry_new(2);
	struct registration *e = NULL;
	char longest[UADDR_MAX + 2];
	memset(longest, 'x', sizeof(longest));
	longest[UADDR_MAX + 1] = 0;
	ck_assert_int_eq(registry_add(r, 1, 1, NETID_TCP, "none", 0, &e), -EINVAL);
	ck_assert_int_eq(registry_add(r, 1, 1, NETID_TCP, "::1.1.1", 0, &e), -EINVAL);
	ck_assert_int_eq(registry_add(r, 1, 1, NETID_NONE, "1.2.3.4.1.1", 0, &e), -EINVAL);
	ck_assert_int_eq(registry_add(r, 1, 1, NETID_LOCAL, longest, 0, &e), -EINVAL);
	ck_assert_ptr_null(e);
	ck_assert_uint_eq(registry_count(r), 0);
	ck_assert_int_eq(registry_add(r, 1, 1, NETID_TCP, "1.2.3.4.1.1", 7, &e), 0);
	ck_assert_int_eq(registry_add(r, 1, 1, NETID_TCP, "1.2.3.4.1.2", 7, NULL), -EEXIST);
	ck_assert_int_eq(registry_add(r, 1, 1, NETID_TCP, "1.2.3.4.1.1", 0, NULL), -EEXIST);
	ck_assert_int_eq(registry_add(r, 1, 2, NETID_TCP, "1.2.3.4.1.1", 7, NULL), 0);
	ck_assert_int_eq(registry_add(r, 1, 3, NETID_TCP, "1.2.3.4.1.1", 7, NULL), -ENOSPC);
	ck_assert_uint_eq(e->port, 257);
	registry_remove(r, e);
	ck_assert_int_eq(registry_add(r, 1, 3, NETID_TCP, "1.2.3.4.1.1", 7, NULL), 0);
	registry_free(r);
	registry_free(NULL);
}
END_TEST

START_TEST(finds_exactly_or_any_version)
{
	struct registry *r = registry_new(100);
	struct registration *e;
	ck_assert_int_eq(registry_add(r, 100003, 3, NETID_UDP, "0.0.0.0.8.1", 0, NULL), 0);
	ck_assert_int_eq(registry_add(r, 100003, 4, NETID_TCP, "0.0.0.0.8.2", 0, NULL), 0);
	ck_assert_ptr_null(registry_find(r, 100003, 4, NETID_UDP));
	ck_assert_ptr_null(registry_find(r, 100003, 3, NETID_TCP));
	ck_assert_ptr_null(registry_find(r, 100004, 3, NETID_UDP));
	ck_assert_ptr_null(registry_find_any(r, 100003, 3, NETID_UDP6));
	ck_assert_ptr_null(registry_find_any(r, 3, 100003, NETID_UDP));
	e = registry_find_any(r, 100003, 99, NETID_UDP);
	ck_assert_uint_eq(e->vers, 3);
	ck_assert_ptr_eq(e, registry_find(r, 100003, 3, NETID_UDP));
	registry_remove(r, e);
	ck_assert_ptr_null(registry_find_any(r, 100003, 99, NETID_UDP));
	ck_assert_uint_eq(registry_find_any(r, 100003, 99, NETID_TCP)->port, 8 * 256 + 2);
	registry_free(r);
}
END_TEST

/* As large as it may be, with what shares a program and what does not; then out in another order. */
START_TEST(many)
{
	enum { MANY = 20000 };
	struct registry *r = registry_new(MANY);
	for (uint32_t i = 0; i < MANY; i++)
		ck_assert_int_eq(registry_add(r, i / 4, i % 4, (enum netid)(i / 7 % 2), "0.0.0.0.1.1", i, NULL), 0);
	ck_assert_int_eq(registry_add(r, MANY, 0, NETID_UDP, "0.0.0.0.1.1", 0, NULL), -ENOSPC);
	for (uint32_t i = 0; i < MANY; i += 2)
		registry_remove(r, registry_find(r, i / 4, i % 4, (enum netid)(i / 7 % 2)));
	ck_assert_uint_eq(registry_count(r), MANY / 2);
	uint32_t at = 1;
	for (struct registration *e = registry_first(r); e; e = e->after, at += 2)
		ck_assert_uint_eq(e->owner, at); /* in the order they came */
	ck_assert_uint_eq(at, MANY + 1);
	for (uint32_t i = 0; i < MANY; i++)
		ck_assert_int_eq(registry_find(r, i / 4, i % 4, (enum netid)(i / 7 % 2)) != NULL, i % 2);
	registry_free(r);
}
END_TEST

static void expect(struct rd *r, const char *netid, const char *uaddr, const char *owner)
{
	char text[UADDR_TEXT_MAX];
	ck_assert(xdr_get_text(r, text, UADDR_MAX));
	ck_assert_str_eq(text, netid);
	ck_assert(xdr_get_text(r, text, UADDR_MAX));
	ck_assert_str_eq(text, uaddr);
	ck_assert(xdr_get_text(r, text, UADDR_MAX));
	ck_assert_str_eq(text, owner);
}

START_TEST(dump_as_the_versions_have_it)
{
	struct registry *r = registry_new(100);
	struct registration *e;
	size_t len;
	ck_assert_uint_eq(registry_dump(r, 2, &len)[3], 0);
	ck_assert_uint_eq(len, 4);
	ck_assert_int_eq(registry_add(r, 5, 6, NETID_UDP, "0.0.0.0.8.1", 0, NULL), 0);
	ck_assert_int_eq(registry_add(r, 5, 6, NETID_TCP6, "::.8.1", 1000, &e), 0);
	ck_assert_int_eq(registry_add(r, 5, 6, NETID_LOCAL, "/run/five", 4294967294u, NULL), 0);
	const uint8_t *p = registry_dump(r, 2, &len);
	struct rd d = rd_init(p, len);
	static const uint32_t two[] = {1, 5, 6, 17, 2049, 0};
	for (size_t i = 0; i < 6; i++)
		ck_assert_uint_eq(rd_u32(&d), two[i]);
	ck_assert(rd_ok(&d) && !rd_left(&d));
	for (unsigned version = 3; version <= 4; version++) {
		p = registry_dump(r, version, &len);
		d = rd_init(p, len);
		static const char *const want[3][3] = {{"udp", "0.0.0.0.8.1", "superuser"}, {"tcp6", "::.8.1", "1000"}, {"local", "/run/five", "4294967294"}};
		for (unsigned i = 0; i < 3; i++) {
			ck_assert_uint_eq(rd_u32(&d), 1);
			ck_assert_uint_eq(rd_u32(&d), 5);
			ck_assert_uint_eq(rd_u32(&d), 6);
			expect(&d, want[i][0], want[i][1], want[i][2]);
		}
		ck_assert_uint_eq(rd_u32(&d), 0);
		ck_assert(rd_ok(&d) && !rd_left(&d));
	}
	registry_remove(r, e);
	size_t after;
	(void)registry_dump(r, 4, &after);
	ck_assert_uint_lt(after, len); /* made anew */
	registry_free(r);
}
END_TEST

/* The longest of everything fits. */
START_TEST(dump_has_room)
{
	struct registry *r = registry_new(1000);
	char path[UADDR_TEXT_MAX];
	size_t len;
	memset(path, 'x', sizeof(path));
	path[UADDR_MAX] = 0;
	for (uint32_t i = 0; i < 1000; i++)
		ck_assert_int_eq(registry_add(r, i, 0, NETID_LOCAL, path, 4294967294u, NULL), 0);
	const uint8_t *p = registry_dump(r, 3, &len);
	struct rd d = rd_init(p, len);
	unsigned n = 0;
	for (; rd_u32(&d); n++) {
		(void)rd_u32(&d);
		(void)rd_u32(&d);
		expect(&d, "local", path, "4294967294");
	}
	ck_assert(rd_ok(&d) && !rd_left(&d));
	ck_assert_uint_eq(n, 1000);
	registry_free(r);
}
END_TEST

START_TEST(stamp_follows_changes)
{
	struct registry *r = registry_new(10);
	struct registration *e;
	uint64_t a = registry_stamp(r);
	ck_assert_int_eq(registry_add(r, 1, 1, NETID_UDP, "0.0.0.0.1.1", 0, &e), 0);
	uint64_t b = registry_stamp(r);
	ck_assert_uint_ne(a, b);
	ck_assert_int_eq(registry_add(r, 1, 1, NETID_UDP, "0.0.0.0.1.1", 0, NULL), -EEXIST);
	ck_assert_uint_eq(registry_stamp(r), b);
	registry_remove(r, e);
	ck_assert_uint_ne(registry_stamp(r), b);
	registry_free(r);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("registry");
	TCase *t = tcase_create("registry");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, refuses);
	tcase_add_test(t, finds_exactly_or_any_version);
	tcase_add_test(t, many);
	tcase_add_test(t, dump_as_the_versions_have_it);
	tcase_add_test(t, dump_has_room);
	tcase_add_test(t, stamp_follows_changes);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
