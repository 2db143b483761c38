/* Whose socket a call came from, asked of the kernel about sockets of this test, over loopback. */
#include "daemons/rpcbindD/rpcbind.h"
#include "tests/support/check_main.h"
#include <arpa/inet.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OTHER = 65534 };

struct pair {
	int server, client, accepted;
	struct addr addr;
	uint16_t port, client_port; /* of the server, of the client */
};

static const struct {
	enum netid netid;
	int family;
} kinds[] = {{NETID_UDP, AF_INET}, {NETID_TCP, AF_INET}, {NETID_UDP6, AF_INET6}, {NETID_TCP6, AF_INET6}};
enum { KINDS = 4 };

static socklen_t loopback(int family, struct sockaddr_storage *s)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)s;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)s;
	memset(s, 0, sizeof(*s));
	s->ss_family = (sa_family_t)family;
	if (family == AF_INET)
		v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		v6->sin6_addr = in6addr_loopback;
	return family == AF_INET ? sizeof(*v4) : sizeof(*v6);
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage s;
	socklen_t len = sizeof(s);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&s, &len), 0);
	return ntohs(s.ss_family == AF_INET ? ((struct sockaddr_in *)&s)->sin_port : ((struct sockaddr_in6 *)&s)->sin6_port);
}

static int bound(unsigned kind, bool listening)
{
	struct sockaddr_storage s;
	socklen_t len = loopback(kinds[kind].family, &s);
	int fd = socket(kinds[kind].family, (netid_is_udp(kinds[kind].netid) ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&s, len), 0);
	if (listening && !netid_is_udp(kinds[kind].netid))
		ck_assert_int_eq(listen(fd, 5), 0);
	return fd;
}

static struct pair make(unsigned kind, bool connected)
{
	static const uint8_t one[16] = {[15] = 1}, v4[4] = {127, 0, 0, 1};
	struct pair p = {.server = bound(kind, true), .accepted = -1};
	struct sockaddr_storage s;
	socklen_t len = sizeof(s);
	p.port = port_of(p.server);
	p.addr = kinds[kind].family == AF_INET ? addr_v4(v4) : addr_v6(one);
	p.client = bound(kind, false);
	p.client_port = port_of(p.client);
	ck_assert_int_eq(getsockname(p.server, (struct sockaddr *)&s, &len), 0);
	if (connected)
		ck_assert_int_eq(connect(p.client, (struct sockaddr *)&s, len), 0);
	if (!netid_is_udp(kinds[kind].netid))
		p.accepted = accept(p.server, NULL, NULL);
	return p;
}

static void drop(struct pair *p)
{
	(void)close(p->server);
	(void)close(p->client);
	if (p->accepted >= 0)
		(void)close(p->accepted);
}

static int64_t owner(unsigned kind, const struct pair *p)
{
	return diag_owner(kinds[kind].netid, &p->addr, p->client_port, &p->addr, p->port);
}

/* As another user, when this is root: what is created then is that user's. */
static bool become(uid_t uid)
{
	return geteuid() == uid || seteuid(uid) == 0;
}

START_TEST(one_that_is_closed_is_nobodys)
{
	bool udp = netid_is_udp(kinds[_i].netid);
	struct pair p = make((unsigned)_i, true);
	ck_assert_int_eq(owner((unsigned)_i, &p), geteuid());
	ck_assert_int_eq((int)send(p.client, "call", 4, 0), 4);
	(void)close(p.client); /* TCP: FIN-WAIT-2; the kernel would say root */
	for (unsigned i = 0; i < 20; i++) {
		ck_assert_int_eq(owner((unsigned)_i, &p), -1);
		(void)usleep(1000);
	}
	if (!udp) { /* the server closes too: TIME-WAIT */
		(void)close(p.accepted);
		p.accepted = -1;
		for (unsigned i = 0; i < 20; i++) {
			ck_assert_int_eq(owner((unsigned)_i, &p), -1);
			(void)usleep(1000);
		}
	}
	p.client = socket(AF_INET, SOCK_DGRAM, 0);
	drop(&p);
}
END_TEST

/* One that is closed on one side is its program's still. */
START_TEST(half_closed)
{
	struct pair p = make((unsigned)_i, true);
	if (!netid_is_udp(kinds[_i].netid))
		ck_assert_int_eq(shutdown(p.client, SHUT_WR), 0);
	ck_assert_int_eq(owner((unsigned)_i, &p), geteuid());
	drop(&p);
}
END_TEST

START_TEST(unknown)
{
	struct pair p = make((unsigned)_i, true);
	struct addr elsewhere = {.family = p.addr.family, .b = {10, 9, 8, 7}};
	struct addr other_family = {.family = p.addr.family == 4 ? 6 : 4};
	if (!netid_is_udp(kinds[_i].netid)) { /* the whole of a connection must be right */
		ck_assert_int_eq(diag_owner(kinds[_i].netid, &p.addr, p.client_port, &p.addr, (uint16_t)(p.port ^ 1)), -1);
		ck_assert_int_eq(diag_owner(kinds[_i].netid, &elsewhere, p.client_port, &p.addr, p.port), -1);
	}
	ck_assert_int_eq(diag_owner(kinds[_i].netid, &p.addr, p.client_port, &other_family, p.port), -1);
	drop(&p);
	ck_assert_int_eq(owner((unsigned)_i, &p), -1);
}
END_TEST

START_TEST(of_several_users)
{
	if (geteuid() != 0) /* only root can be two */
		return;
	ck_assert(become(OTHER));
	struct pair p = make((unsigned)_i, true);
	ck_assert(become(0));
	ck_assert_int_eq(owner((unsigned)_i, &p), OTHER);
	ck_assert_int_eq(diag_server(kinds[_i].netid, p.port, OTHER), OTHER);
	ck_assert_int_eq(diag_server(kinds[_i].netid, p.port, 0), OTHER); /* not root's, although root asks for it */
	drop(&p);
	ck_assert_int_eq(diag_server(kinds[_i].netid, p.port, OTHER), -1);
	if (netid_is_udp(kinds[_i].netid)) {
		ck_assert(become(OTHER));
		p = make((unsigned)_i, false);
		ck_assert(become(0));
		ck_assert_int_eq(owner((unsigned)_i, &p), OTHER);
		drop(&p);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("diag");
	TCase *t = tcase_create("diag");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, one_that_is_closed_is_nobodys, 0, KINDS);
	tcase_add_loop_test(t, half_closed, 0, KINDS);
	tcase_add_loop_test(t, unknown, 0, KINDS);
	tcase_add_loop_test(t, of_several_users, 0, KINDS);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
