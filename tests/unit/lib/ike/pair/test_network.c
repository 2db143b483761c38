/* Two engines, a network that loses, repeats, reorders, cuts and changes datagrams, and strangers who send their own. */
#include "tests/unit/lib/ike/pair/pair.h"

static unsigned victim;

static bool lose_one(struct datagram *d, unsigned number)
{
	(void)d;
	return number != victim;
}

START_TEST(any_one_message_may_be_lost)
{
	for (victim = 0; victim < 9; victim++) {
		char id[16] = "";
		pair_simple(KEX_PSK, VPN_GCM);
		net.fate = lose_one;
		ck_assert_int_eq(activate(id), 0);
		pass(60 * SECOND);
		ck_assert_msg(newest(0) && newest(1), "message %u lost: %s / %s", victim, net.peer[0].last, net.peer[1].last);
		check_agreed();
		ck_assert_uint_eq(net.peer[0].events[IKE_P1_UP], 1);
		pair_stop();
	}
}
END_TEST

static bool lose_a_third(struct datagram *d, unsigned number)
{
	(void)d, (void)number;
	uint8_t dice;
	(void)on_random(NULL, &dice, 1);
	return dice % 3;
}

START_TEST(a_third_may_be_lost)
{
	unsigned good = 0;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		char id[16] = "";
		pair_simple(KEX_PSK, VPN_GCM);
		net.seed = seed * 0x9e3779b97f4a7c15;
		net.fate = lose_a_third;
		ck_assert_int_eq(activate(id), 0);
		pass(120ull * SECOND);
		net.fate = NULL;
		pass(60 * SECOND);
		if (newest(0))
			good += other_end(newest(0)) != NULL;
		pair_stop();
	}
	ck_assert_uint_ge(good, 15); /* most come through; the others gave up, and say so */
}
END_TEST

static bool twice(struct datagram *d, unsigned number)
{
	if (number < 200 && number % 2 == 0)
		datagram_put(d->to, &d->path, d->data, d->len);
	return true;
}

START_TEST(every_message_twice)
{
	char id[16] = "";
	struct ike_stats st;
	pair_simple(KEX_PSK, VPN_GCM);
	net.fate = twice;
	ck_assert_int_eq(activate(id), 0);
	pass(60 * SECOND);
	check_agreed();
	for (unsigned i = 0; i < 2; i++) {
		ike_stats(net.peer[i].ike, &st);
		ck_assert(st.p1 == 1 && st.children == 1 && alive(i) == 1 && net.peer[i].n_tunnels == 1);
	}
	pair_stop();
}
END_TEST

START_TEST(the_past_replayed)
{
	char id[16] = "";
	struct ike_stats st;
	pair_simple(KEX_PSK, VPN_GCM);
	ck_assert_int_eq(activate(id), 0);
	pass(5 * SECOND);
	check_agreed();
	unsigned n = net.n_record, generation = newest(0)->child.generation;
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < n; i++) { /* forwards, backwards, and after hours */
			give(&net.record[round == 1 ? n - 1 - i : i]);
			pass(round == 2 ? 600ull * SECOND : 1000);
		}
	check_agreed();
	ck_assert_uint_eq(newest(0)->child.generation >= generation, 1);
	ck_assert_uint_eq(alive(0), alive(1));
	pass(600ull * SECOND);
	for (unsigned i = 0; i < 2; i++) {
		ike_stats(net.peer[i].ike, &st);
		ck_assert_uint_le(st.p1, 2);
		ck_assert_uint_eq(st.half_open, 0);
	}
	pair_stop();
}
END_TEST

static size_t cut_at;

static bool cut_one(struct datagram *d, unsigned number)
{
	if (number == victim && cut_at < d->len)
		d->len = cut_at;
	return true;
}

START_TEST(any_message_cut_anywhere)
{
	for (victim = 0; victim < 9; victim++)
		for (cut_at = 1; cut_at < 400; cut_at += 7) {
			char id[16] = "";
			pair_simple(KEX_PSK, VPN_GCM);
			net.fate = cut_one;
			ck_assert_int_eq(activate(id), 0);
			pass(60 * SECOND);
			ck_assert_msg(newest(0) && other_end(newest(0)), "message %u cut to %zu: %s / %s", victim, cut_at, net.peer[0].last,
				net.peer[1].last);
			pair_stop();
		}
}
END_TEST

static bool flip_one(struct datagram *d, unsigned number)
{
	if (number == victim && cut_at < d->len)
		d->data[cut_at] ^= 0x41;
	return true;
}

START_TEST(any_byte_changed)
{
	for (victim = 0; victim < 9; victim++)
		for (cut_at = 0; cut_at < 400; cut_at += 5) {
			char id[16] = "";
			pair_simple(KEX_PSK, VPN_GCM);
			net.fate = flip_one;
			ck_assert_int_eq(activate(id), 0);
			pass(300ull * SECOND);
			/* An attacker on the wire can prevent an agreement; he cannot make the ends believe in different ones. */
			if (newest(0) && newest(1))
				ck_assert_msg(other_end(newest(0)) != NULL, "message %u, byte %zu", victim, cut_at);
			pair_stop();
		}
}
END_TEST

/* A first message of main mode: end 0's own, from anywhere. */
static void first_message(uint8_t *out, size_t *ret_len)
{
	char id[16] = "";
	ck_assert_int_eq(activate(id), 0);
	ck_assert_uint_eq(net.tail - net.head, 1);
	struct datagram *d = &net.queue[net.head % QUEUE_MAX];
	ck_assert_uint_le(d->len, 1500);
	memcpy(out, d->data, d->len);
	*ret_len = d->len;
}

START_TEST(a_flood_of_first_messages)
{
	uint8_t m[1500];
	size_t len;
	struct ike_stats st;
	struct ike_path path = {.local_port = 500, .remote_port = 500};
	pair_simple(KEX_PSK, VPN_GCM);
	first_message(m, &len);
	ck_assert_int_eq(addr_parse("192.0.2.2", &path.local), 0);
	for (uint32_t i = 0; i < 20000; i++) {
		path.remote = addr_v4((uint8_t[4]){198, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i});
		memcpy(m, &i, sizeof(i)); /* another cookie */
		m[7] = 1;
		ike_input(net.peer[1].ike, &path, m, len, net.now, WALL(net.now));
		net.now += 10;
		while (net.tail - net.head > 1) /* answers to nobody */
			free(net.queue[--net.tail % QUEUE_MAX].data);
	}
	ike_stats(net.peer[1].ike, &st);
	ck_assert_uint_le(st.half_open, 20000 / 2);
	pass(60 * SECOND);
	check_agreed(); /* and the one who means it gets through */
	pass(900ull * SECOND);
	ike_stats(net.peer[1].ike, &st);
	ck_assert_uint_eq(st.half_open, 0);
	pair_stop();
}
END_TEST

START_TEST(one_source_has_its_share)
{
	uint8_t m[1500];
	size_t len;
	struct ike_stats st;
	struct ike_path path = {.local_port = 500, .remote_port = 500};
	pair_simple(KEX_PSK, VPN_GCM);
	first_message(m, &len);
	ck_assert_int_eq(addr_parse("192.0.2.2", &path.local) | addr_parse("192.0.2.1", &path.remote), 0);
	for (uint32_t i = 1; i <= 5000; i++) {
		memcpy(m, &i, sizeof(i));
		m[7] = 1;
		ike_input(net.peer[1].ike, &path, m, len, net.now, WALL(net.now));
		while (net.tail - net.head > 1)
			free(net.queue[--net.tail % QUEUE_MAX].data);
	}
	ike_stats(net.peer[1].ike, &st);
	ck_assert_uint_le(st.half_open, 1000);
	ck_assert_uint_ge(st.half_open_refused, 4000);
	pair_stop();
}
END_TEST

START_TEST(noise)
{
	struct ike_path path = {.local_port = 500, .remote_port = 500};
	pair_simple(KEX_PSK, VPN_GCM);
	ck_assert_int_eq(addr_parse("192.0.2.2", &path.local) | addr_parse("192.0.2.1", &path.remote), 0);
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t m[300];
		(void)on_random(NULL, m, sizeof(m));
		if (i % 2) { /* a header that leads further in */
			static const uint8_t types[] = {2, 4, 5, 32};
			memset(m + 8, 0, i % 3 ? 8 : 0);
			m[16] = (uint8_t)(i % 14);
			m[17] = 0x10;
			m[18] = types[i % 4];
			m[19] = (uint8_t)(i % 5 == 0);
			memset(m + 20, 0, 6);
			m[26] = sizeof(m) >> 8;
			m[27] = sizeof(m) & 0xff;
		}
		ike_input(net.peer[1].ike, &path, m, i % 7 ? sizeof(m) : i % sizeof(m), net.now, WALL(net.now));
		net.now += 1000;
		queue_clear();
	}
	ck_assert(!alive(1));
	char id[16] = "";
	ck_assert_int_eq(activate(id), 0);
	pass(60 * SECOND);
	check_agreed();
	pair_stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("network");
	TCase *t = tcase_create("network");
	tcase_set_timeout(t, 300);
	tcase_add_test(t, noise);
	tcase_add_test(t, any_one_message_may_be_lost);
	tcase_add_test(t, a_third_may_be_lost);
	tcase_add_test(t, every_message_twice);
	tcase_add_test(t, the_past_replayed);
	tcase_add_test(t, any_message_cut_anywhere);
	tcase_add_test(t, any_byte_changed);
	tcase_add_test(t, a_flood_of_first_messages);
	tcase_add_test(t, one_source_has_its_share);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
