/* The links of a stack become others, all or none: what is refused leaves them as they were, what is undone puts them back, places are
 * used again. */
#include "daemons/stack-core/links.h"
#include "tests/support/check_main.h"
#include <errno.h>
#include <string.h>
#include <urcu-qsbr.h>

static struct stack *s;
static struct errbuf e;
static uint16_t place[LINKS_MAX];
static struct link want[LINKS_MAX + 1];
static unsigned told[3];

static unsigned idle(void *arg, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	(void)arg;
	(void)pool;
	(void)out;
	(void)max;
	return 0;
}

static void ignore(void *arg, const struct pkt *p)
{
	(void)arg;
	(void)p;
}

static void hear(void *arg, const struct link *l, enum links_what what)
{
	(void)arg;
	ck_assert_ptr_nonnull(l->counters); /* it is still there */
	told[what]++;
}

static struct link described(const char *name, const char *address)
{
	struct link l = {.type = LINK_MEMORY, .ethernet = true, .memory = {idle, ignore, NULL}};

	(void)snprintf(l.name, sizeof(l.name), "%s", name);
	ck_assert_int_eq(prefix_parse(address, &l.addrs[0]), 0);
	l.n_addrs = 1;
	return l;
}

static void setup(void)
{
	rcu_register_thread();
	s = stack_new("TEST", 2);
	want[0] = described("A", "192.0.2.0/24");
	want[1] = described("B", "198.51.100.0/24");
	s->links[0] = want[0];
	s->links[1] = want[1];
	s->n_links = 2;
	ck_assert_int_eq(stack_open(s, &e), 0);
	memset(told, 0, sizeof(told));
}

static void teardown(void)
{
	stack_free(s);
	rcu_unregister_thread();
}

static void ck_as_before(void)
{
	ck_assert_uint_eq(s->n_links, 2);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_str_eq(s->links[i].name, want[i].name);
		ck_assert(addr_equal(&s->links[i].addrs[0].addr, &want[i].addrs[0].addr));
		ck_assert_uint_eq(s->links[i].mtu, 1500);
		ck_assert(!s->links[i].leaving);
	}
}

START_TEST(test_refused)
{
	struct links_change *c;
	struct link w[LINKS_MAX + 1];

	memcpy(w, want, sizeof(w));
	w[0].addrs[0].addr.b[1] = 9; /* a change that must not happen */
	w[2] = described("TUN", "10.0.0.0/24");
	w[2].type = LINK_TUN;
	ck_assert_int_eq(links_begin(s, w, 3, place, &c, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "restart"));
	ck_as_before();
	w[2] = described("NODEV", "10.0.0.0/24");
	w[2].type = LINK_AFPACKET;
	(void)snprintf(w[2].device, sizeof(w[2].device), "rv-no-device");
	ck_assert_int_eq(links_begin(s, w, 3, place, &c, &e), -ENODEV);
	ck_assert_ptr_nonnull(strstr(e.text, "rv-no-device"));
	ck_as_before();
	/* None of those that go has left its place while the others come. */
	for (unsigned i = 0; i < LINKS_MAX - 1; i++) {
		char name[8];
		(void)snprintf(name, sizeof(name), "N%u", i);
		w[i] = described(name, "10.0.0.0/24");
	}
	ck_assert_int_eq(links_begin(s, w, LINKS_MAX - 1, place, &c, &e), -ENOSPC);
	ck_as_before();
}
END_TEST

START_TEST(test_undone)
{
	struct links_change *c;
	struct link w[2] = {want[0], described("C", "203.0.113.0/24")};

	w[0].addrs[0].addr.b[1] = 9;
	w[0].mtu = 1300;
	ck_assert_int_eq(links_begin(s, w, 2, place, &c, &e), 0);
	ck_assert_uint_eq(s->links[0].mtu, 1300);
	ck_assert(s->links[1].leaving);
	ck_assert_str_eq(s->links[place[1]].name, "C");
	links_undo(c);
	links_undo_end(c);
	ck_as_before();
}
END_TEST

START_TEST(test_done)
{
	struct links_change *c;
	struct link w[2] = {want[1], described("C", "203.0.113.0/24")};

	s->links[1].counters[0].rx_packets = 7;
	w[0].secclass = 9;
	for (unsigned i = 0; i < 3 * LINKS_MAX; i++) {
		ck_assert_int_eq(links_begin(s, w, 2, place, &c, &e), 0);
		links_commit(c, hear, NULL);
		ck_assert_uint_eq(place[0], 1);
		ck_assert_str_eq(s->links[1].name, "B");
		ck_assert_str_eq(s->links[place[1]].name, "C");
		ck_assert_int_eq(links_begin(s, want, 2, place, &c, &e), 0);
		links_commit(c, hear, NULL);
		ck_assert_uint_le(s->n_links, 3);
	}
	ck_assert_uint_eq(told[LINKS_ADDED], 6 * LINKS_MAX);
	ck_assert_uint_eq(told[LINKS_REMOVED], 6 * LINKS_MAX);
	ck_assert_uint_eq(told[LINKS_CHANGED], 6 * LINKS_MAX);
	ck_assert_uint_eq(s->links[1].counters[0].rx_packets, 7);
}
END_TEST

static Suite *suite(void)
{
	Suite *u = suite_create("links");
	TCase *c = tcase_create("links");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, test_refused);
	tcase_add_test(c, test_undone);
	tcase_add_test(c, test_done);
	suite_add_tcase(u, c);
	return u;
}

RV_CHECK_MAIN(suite())
