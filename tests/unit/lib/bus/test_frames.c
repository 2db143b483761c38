/* A message without end: what one connection may make the process keep, and that nobody else notices. */
#include "lib/bus/frames.h"
#include "tests/unit/lib/bus/fixture.h"
#include "tests/unit/lib/bus/raw.h"

enum { MIB = 1 << 20, SENT_MAX = 64 * MIB };

static struct frames f;
static const uint8_t greeting[FRAMES_GREETING] = {0xff, [9] = 0x7f, 3, 0, 'N', 'U', 'L', 'L'};

static void fresh(void)
{
	f = (struct frames){0};
	ck_assert(frames_take(&f, greeting, sizeof(greeting)));
}

/* A frame's header, and as much of its body as is asked for. */
static bool frame(uint8_t flags, uint64_t len, bool body)
{
	static const uint8_t zeros[BUS_MESSAGE_MAX];
	uint8_t head[9] = {flags | 2};
	for (unsigned i = 0; i < 8; i++)
		head[1 + i] = (uint8_t)(len >> (56 - 8 * i));
	return frames_take(&f, head, sizeof(head)) && (!body || frames_take(&f, zeros, (size_t)len));
}

START_TEST(older_protocols_are_refused)
{
	static const struct {
		unsigned at;
		uint8_t byte;
	} bad[] = {{0, 1}, {0, 0x7f}, {9, 0}, {10, 0}, {10, 1}, {10, 2}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t g[FRAMES_GREETING];
		memcpy(g, greeting, sizeof(g));
		g[bad[i].at] = bad[i].byte;
		f = (struct frames){0};
		ck_assert(!frames_take(&f, g, sizeof(g)));
	}
}
END_TEST

START_TEST(frame_length_is_limited)
{
	static const uint64_t bad[] = {BUS_MESSAGE_MAX + 1, 1ull << 32, INT64_MAX, 1ull << 63, UINT64_MAX};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		for (uint8_t flags = 0; flags < 8; flags++) {
			fresh();
			ck_assert(!frame(flags, bad[i], false));
		}
	fresh();
	ck_assert(frame(0, BUS_MESSAGE_MAX, true));
}
END_TEST

START_TEST(frames_of_a_message_are_limited)
{
	fresh();
	for (unsigned round = 0; round < 3; round++) { /* whole messages begin anew */
		for (unsigned i = 1; i < FRAMES_MAX; i++)
			ck_assert(frame(1, 0, false));
		ck_assert(frame(4, 3, true)); /* a command in between ends nothing */
		if (round < 2)
			ck_assert(frame(0, 0, false));
	}
	ck_assert(!frame(1, 0, false));
}
END_TEST

START_TEST(bytes_of_a_message_are_limited)
{
	fresh();
	ck_assert(frame(1, MIB, true));
	ck_assert(frame(1, MIB, true));
	ck_assert(frame(0, MIB, true)); /* whole: its bytes count no more */
	ck_assert(frame(1, MIB, true));
	ck_assert(frame(1, MIB, true));
	ck_assert(!frame(1, 1, false));
}
END_TEST

/* However the system cuts the stream, the state is the same. */
START_TEST(pieces_make_no_difference)
{
	static const uint8_t rest[] = "\4\5ABCDE" "\1\3abc" "\3\0\0\0\0\0\0\0\2xy" "\5\1c" "\0\0" "\1\2uv";
	uint8_t all[sizeof(greeting) + sizeof(rest) - 1];
	struct frames whole;
	memcpy(all, greeting, sizeof(greeting));
	memcpy(all + sizeof(greeting), rest, sizeof(rest) - 1);
	f = (struct frames){0};
	ck_assert(frames_take(&f, all, sizeof(all)));
	ck_assert_uint_eq(f.parts, 1);
	ck_assert_uint_eq(f.bytes, 2);
	whole = f;
	for (size_t cut = 0; cut <= sizeof(all); cut++) {
		f = (struct frames){0};
		ck_assert(frames_take(&f, all, cut) && frames_take(&f, all + cut, sizeof(all) - cut));
		ck_assert_uint_eq(f.parts, whole.parts);
		ck_assert_uint_eq(f.bytes, whole.bytes);
		ck_assert_uint_eq(f.body, whole.body);
		ck_assert_uint_eq(f.n_head, whole.n_head);
	}
}
END_TEST

/* --- the same against a server --- */

/* Sends frames of @len bytes with MORE until the server ends it; the bytes that were taken. */
static size_t send_without_end(int fd, size_t len)
{
	static uint8_t one[9 + 65536] = {3};
	size_t sent = 0;
	one[7] = (uint8_t)(len >> 8);
	one[8] = (uint8_t)len;
	while (sent < SENT_MAX) {
		ssize_t n = send(fd, one, 9 + len, MSG_NOSIGNAL);
		if (n <= 0)
			break;
		sent += (size_t)n;
	}
	return sent;
}

static void is_bounded(size_t len)
{
	server_start();
	ck_assert(call_add(NULL, &(struct errbuf){""}) == BUS_OK);
	size_t before = server_resident();
	for (unsigned i = 1; i <= 4; i++) {
		int fd = raw_connect("");
		ck_assert_int_ge(fd, 0);
		ck_assert_uint_lt(send_without_end(fd, len), 8 * MIB);
		(void)close(fd);
		ck_assert_uint_eq(counter("oversized"), i);
	}
	ck_assert_uint_lt(server_resident(), before + 24 * MIB);
	ck_assert(call_add(NULL, &(struct errbuf){""}) == BUS_OK);
}

START_TEST(large_frames_without_end_cost_no_memory)
{
	is_bounded(65535);
}
END_TEST

START_TEST(empty_frames_without_end_cost_no_memory)
{
	is_bounded(0);
}
END_TEST

static Suite *test_suite(void)
{
	Suite *s = suite_create("bus frames");
	TCase *t = tcase_create("frames");
	tcase_add_test(t, older_protocols_are_refused);
	tcase_add_test(t, frame_length_is_limited);
	tcase_add_test(t, frames_of_a_message_are_limited);
	tcase_add_test(t, bytes_of_a_message_are_limited);
	tcase_add_test(t, pieces_make_no_difference);
	suite_add_tcase(s, t);
	t = tcase_create("server");
	tcase_add_checked_fixture(t, bus_setup, bus_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, large_frames_without_end_cost_no_memory);
	tcase_add_test(t, empty_frames_without_end_cost_no_memory);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(test_suite())
