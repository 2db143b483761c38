/* TCP and the local socket: record marking (RFC 5531 section 11). An idle connection costs its struct and no buffer: bytes are read into one place
 * for all, and only what is left of an unfinished record, or of an answer that the client does not take, is kept. Bounded: the record, its fragments,
 * the time it may take, connections in all and of a stranger. */
#include "daemons/rpcbindD/record.h"
#include "daemons/rpcbindD/rpcbind.h"
#include "lib/base/xalloc.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum { ACCEPTS = 64, RAW_MAX = 16384, READ_MAX = 65536, STALE_MS = 10000 };

struct rb_conn {
	struct rpcbind *rb;
	struct rb_conn *next, *before;
	struct loop_fd *watch;
	int fd;
	enum netid netid;
	bool local, writing, dead;
	int64_t uid; /* local socket; -1: not asked */
	struct addr addr, here;
	uint16_t port;
	uint64_t used_ms, since_ms; /* .since_ms: begin of an unfinished record, 0 none */
	uint8_t *in, *out;
	size_t in_len, out_len, out_pos;
};

static uint8_t input[RAW_MAX + READ_MAX], record[RECORD_MAX], output[2 * RB_REPLY_MAX];

/* --- the list, most recently used first --- */

static void unlink_conn(struct rb_conn *c)
{
	*(c->before ? &c->before->next : &c->rb->conns) = c->next;
	*(c->next ? &c->next->before : &c->rb->conns_last) = c->before;
}

static void link_conn(struct rb_conn *c)
{
	c->before = NULL;
	c->next = c->rb->conns;
	*(c->next ? &c->next->before : &c->rb->conns_last) = c;
	c->rb->conns = c;
}

static void close_conn(struct rb_conn *c)
{
	rb_late_forget(c->rb, c);
	unlink_conn(c);
	c->rb->nconns--;
	c->rb->counters.connections_closed++;
	loop_fd_free(c->watch);
	(void)close(c->fd);
	free(c->in);
	free(c->out);
	free(c);
}

static void used(struct rb_conn *c)
{
	c->used_ms = loop_now_ms();
	if (c->before) {
		unlink_conn(c);
		link_conn(c);
	}
}

/* --- answers --- */

static void keep_out(struct rb_conn *c, const uint8_t *p, size_t len)
{
	if (c->out_pos) {
		memmove(c->out, c->out + c->out_pos, c->out_len - c->out_pos);
		c->out_len -= c->out_pos;
		c->out_pos = 0;
	}
	c->out = xrealloc(c->out, 1, c->out_len + len);
	memcpy(c->out + c->out_len, p, len);
	c->out_len += len;
	if (!c->writing) {
		c->writing = true;
		loop_fd_events(c->watch, LOOP_WRITE); /* nothing more is read until it is taken */
	}
}

/* @more: the rest of the record follows at once, and belongs into the same segment. */
static void put(struct rb_conn *c, const uint8_t *p, size_t len, bool more)
{
	if (c->dead || !len)
		return;
	if (c->out_len) {
		keep_out(c, p, len);
		return;
	}
	ssize_t n = send(c->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0));
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		c->dead = true;
		return;
	}
	n = n < 0 ? 0 : n;
	if ((size_t)n < len)
		keep_out(c, p + n, len - (size_t)n);
}

void rb_tcp_answer(struct rb_conn *c, const uint8_t *text, size_t len)
{
	uint8_t mark[4];
	struct wr w = wr_init(mark, sizeof(mark));
	wr_u32(&w, 0x80000000u | (uint32_t)len);
	put(c, mark, sizeof(mark), true);
	put(c, text, len, false); /* a connection found dead here is closed when its descriptor says so */
}

/* --- records --- */

static void serve_record(struct rb_conn *c, const uint8_t *text, size_t len, struct wr *w)
{
	struct rb_caller who = {.netid = c->netid, .local = c->local, .uid = c->uid, .uid_asked = c->netid == NETID_LOCAL, .addr = c->addr, .here = c->here,
		.port = c->port, .here_port = c->rb->conf->port, .request_len = len, .room = SIZE_MAX, .fd = c->fd, .conn = c};
	uint8_t options[40];
	socklen_t options_len = sizeof(options);
	if (c->rb->conf->remote.doi && netid_family(c->netid) == 4 && !getsockopt(c->fd, IPPROTO_IP, IP_OPTIONS, options, &options_len) && options_len) {
		who.options = options;
		who.options_len = options_len;
	}
	uint8_t *mark = wr_space(w, 4);
	enum rb_outcome o = rb_serve(c->rb, &who, text, len, w);
	if (o != RB_REPLY) {
		w->p = mark;
		return;
	}
	size_t n = (size_t)(w->p - mark) - 4 + who.tail_len;
	struct wr m = wr_init(mark, 4);
	wr_u32(&m, 0x80000000u | (uint32_t)n);
	if (who.tail_len || wr_len(w) > RB_REPLY_MAX / 2) {
		put(c, w->start, wr_len(w), who.tail_len);
		put(c, who.tail, who.tail_len, false);
		w->p = w->start;
	}
}

static bool may_call(struct rb_conn *c)
{
	struct rb_caller who = {.netid = c->netid, .addr = c->addr};
	if (c->local || rate_take(c->rb->rate, &c->addr, c->rb->conf->rate, c->rb->conf->burst, c->used_ms))
		return true;
	rb_limited(c->rb, &who);
	return false;
}

/* Serves what is whole in @p; what is left is kept. While an answer waits to be taken no further call is served. */
static void serve_input(struct rb_conn *c, const uint8_t *p, size_t len)
{
	struct wr w = wr_init(output, sizeof(output));
	size_t at = 0;
	while (!c->dead && !c->out_len) {
		const uint8_t *text;
		size_t n;
		ssize_t took = record_next(p + at, len - at, record, &text, &n);
		if (took == 0)
			break;
		if (took < 0 || !may_call(c)) {
			c->rb->counters.malformed += took < 0;
			c->dead = true;
			break;
		}
		serve_record(c, text, n, &w);
		at += (size_t)took;
	}
	put(c, w.start, wr_len(&w), false);
	size_t left = len - at;
	if (left > RAW_MAX && !c->out_len)
		c->dead = true;
	if (c->dead)
		return;
	uint8_t *keep = left ? xcheck(malloc(left)) : NULL;
	if (left)
		memcpy(keep, p + at, left);
	free(c->in);
	c->in = keep;
	c->in_len = left;
	c->since_ms = !left ? 0 : at || !c->since_ms ? c->used_ms : c->since_ms;
}

static void on_readable(struct rb_conn *c)
{
	if (c->in_len)
		memcpy(input, c->in, c->in_len);
	ssize_t n = recv(c->fd, input + c->in_len, sizeof(input) - c->in_len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		c->dead = true;
		return;
	}
	used(c);
	serve_input(c, input, c->in_len + (size_t)n);
}

static void on_writable(struct rb_conn *c)
{
	ssize_t n = send(c->fd, c->out + c->out_pos, c->out_len - c->out_pos, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0) {
		c->dead = errno != EAGAIN && errno != EINTR;
		return;
	}
	used(c);
	c->out_pos += (size_t)n;
	if (c->out_pos < c->out_len)
		return;
	free(c->out);
	c->out = NULL;
	c->out_len = c->out_pos = 0;
	c->writing = false;
	loop_fd_events(c->watch, LOOP_READ);
	if (c->in_len) {
		size_t len = c->in_len;
		memcpy(input, c->in, len);
		serve_input(c, input, len);
	}
}

static void on_conn(void *arg, int fd, unsigned events)
{
	struct rb_conn *c = arg;
	(void)fd;
	if (events & LOOP_WRITE && c->writing)
		on_writable(c);
	if (events & LOOP_READ && !c->dead && !c->writing)
		on_readable(c);
	if (c->dead)
		close_conn(c);
}

/* --- connections --- */

/* An IPv6 source is its /64: within it addresses cost nothing. */
static bool same_source(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && memcmp(a->b, b->b, a->family == 6 ? 8 : 4) == 0;
}

/* The place of a stranger: for a caller of this host at any time, for another when it has been idle. */
static bool make_place(struct rpcbind *rb, bool local)
{
	for (struct rb_conn *c = rb->conns_last; c; c = c->before)
		if (loop_now_ms() - c->used_ms >= STALE_MS || (local && !c->local)) {
			close_conn(c);
			return true;
		}
	return false;
}

static bool has_room(struct rpcbind *rb, const struct addr *from, bool local)
{
	unsigned same = 0;
	for (const struct rb_conn *c = rb->conns; !local && c; c = c->next)
		same += !c->local && same_source(&c->addr, from);
	if (!local && same >= rb->conf->connections_per_source)
		return false;
	return rb->nconns < rb->conf->connections || make_place(rb, local);
}

static void take_conn(struct rb_socket *s, int fd, const struct sockaddr_storage *peer)
{
	struct rpcbind *rb = s->rb;
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);
	struct rb_conn *c = xnew(struct rb_conn);
	uint16_t port;
	*c = (struct rb_conn){.rb = rb, .fd = fd, .netid = s->netid, .uid = -1, .used_ms = loop_now_ms()};
	if (s->kind == RB_LOCAL) {
		struct ucred who;
		socklen_t n = sizeof(who);
		c->local = true;
		if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n))
			c->uid = who.uid;
	} else {
		rb_take_address(peer, &c->addr, &c->port);
		if (!getsockname(fd, (struct sockaddr *)&own, &len))
			rb_take_address(&own, &c->here, &port);
		c->netid = c->addr.family == 4 ? NETID_TCP : NETID_TCP6;
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); /* an answer does not wait for the last one's ACK */
		c->local = addr_is_loopback(&c->addr) || addr_equal(&c->addr, &c->here);
	}
	if (!has_room(rb, &c->addr, c->local)) {
		rb->counters.connections_refused++;
		(void)close(fd);
		free(c);
		return;
	}
	rb->counters.accepted++;
	rb->nconns++;
	link_conn(c);
	c->watch = loop_fd_new(rb->daemon->loop, fd, LOOP_READ, on_conn, c);
}

void rb_tcp_ready(void *sock, int fd, unsigned events)
{
	struct rb_socket *s = sock;
	(void)events;
	for (int i = 0; i < ACCEPTS; i++) {
		struct sockaddr_storage peer = {0};
		socklen_t len = sizeof(peer);
		int one = accept4(fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (one < 0 && (errno == EMFILE || errno == ENFILE) && s->rb->conns_last) {
			close_conn(s->rb->conns_last); /* else it waits there, and wakes us, for ever */
			continue;
		}
		if (one < 0)
			return;
		take_conn(s, one, &peer);
	}
}

void rb_tcp_tick(struct rpcbind *rb)
{
	uint64_t now = loop_now_ms();
	for (struct rb_conn *c = rb->conns, *next; c; c = next) {
		next = c->next;
		bool slow = (c->since_ms && now - c->since_ms >= rb->conf->record_s * 1000ull) ||
			    (c->out_len && now - c->used_ms >= rb->conf->record_s * 1000ull);
		if (c->dead || slow || now - c->used_ms >= rb->conf->idle_s * 1000ull)
			close_conn(c);
	}
}

void rb_tcp_close_all(struct rpcbind *rb)
{
	while (rb->conns)
		close_conn(rb->conns);
}
