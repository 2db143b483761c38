/* Calls to one daemon over one DEALER socket.
 *
 * ZMQ_IMMEDIATE: a request goes out only on a living connection, so nothing waits in a queue for a daemon that comes back after the deadline
 * and then does what nobody expects any more. A call that cannot go out yet waits here, with its deadline. */
#include "lib/base/xalloc.h"
#include "lib/bus/bus.h"
#include "lib/bus/endpoint.h"
#include "lib/bus/peer.h"
#include "lib/bus/wire.h"
#include "proto/common.pb-c.h"
#include <sys/queue.h>
#include <sys/random.h>

enum { BUCKETS = 1024, PENDING_MAX = 65536, QUEUED = 10000, RETRY_MS = 2, PARTS = 3 };

struct sync {
	bool done;
	enum bus_code code;
	ProtobufCMessage *reply;
	struct errbuf *e;
};

struct pending {
	LIST_ENTRY(pending) same; /* by id */
	TAILQ_ENTRY(pending) entry;
	TAILQ_ENTRY(pending) unsent;
	uint64_t id, until_ms;
	unsigned deadline_ms;
	char *method; /* until it is sent */
	zmq_msg_t body;
	const ProtobufCMessageDescriptor *reply;
	bus_reply_fn fn;
	void *arg;
	struct sync *sync;
};

struct bus_client {
	struct loop *loop;
	char *name;
	void *context, *socket;
	struct loop_zmq *z;
	struct loop_timer *deadline, *retry;
	uint64_t next_id, armed_ms;
	uid_t owner;
	bool owner_known, dead;
	unsigned busy, n;
	LIST_HEAD(, pending) by_id[BUCKETS];
	TAILQ_HEAD(, pending) all;
	TAILQ_HEAD(, pending) unsent;
};

static void client_destroy(struct bus_client *c)
{
	loop_timer_free(c->deadline);
	loop_timer_free(c->retry);
	if (c->socket)
		(void)zmq_close(c->socket);
	endpoint_context_put();
	free(c->name);
	free(c);
}

static void enter(struct bus_client *c)
{
	c->busy++;
}

static void leave(struct bus_client *c)
{
	if (!--c->busy && c->dead)
		client_destroy(c);
}

static void now_sent(struct bus_client *c, struct pending *p)
{
	if (!p->method)
		return;
	TAILQ_REMOVE(&c->unsent, p, unsent);
	(void)zmq_msg_close(&p->body);
	free(p->method);
	p->method = NULL;
}

static void sync_result(struct pending *p, enum bus_code code, const char *text, const void *data, size_t len)
{
	struct sync *s = p->sync;
	s->done = true;
	s->code = code;
	if (text)
		(void)err_set(s->e, 0, "%s", text);
	if (code != BUS_OK)
		return;
	if (wire_check(p->reply, data, len, s->e) == 0)
		s->reply = protobuf_c_message_unpack(p->reply, NULL, len, data);
	if (!s->reply)
		s->code = BUS_INTERNAL;
}

static void async_result(struct pending *p, enum bus_code code, const char *text, const void *data, size_t len)
{
	struct errbuf e;
	ProtobufCMessage *m = code == BUS_OK ? bus_unpack(p->reply, data, len, &e) : NULL;
	if (code == BUS_OK && !m)
		p->fn(p->arg, BUS_INTERNAL, e.text, NULL);
	else
		p->fn(p->arg, code, text ? text : "", m);
	bus_unpack_free(m);
}

/* Ends a call: its function runs, once. */
static void finish(struct bus_client *c, struct pending *p, enum bus_code code, const char *text, const void *data, size_t len)
{
	now_sent(c, p);
	LIST_REMOVE(p, same);
	TAILQ_REMOVE(&c->all, p, entry);
	c->n--;
	if (p->sync)
		sync_result(p, code, text, data, len);
	else
		async_result(p, code, text, data, len);
	free(p);
}

static void expire(struct bus_client *c)
{
	struct pending *p, *next;
	uint64_t now = loop_now_ms();
	char text[128];
	int alive = -1;
	for (p = TAILQ_FIRST(&c->all); p; p = next) {
		next = TAILQ_NEXT(p, entry);
		if (p->until_ms > now)
			continue;
		if (alive < 0)
			alive = endpoint_alive(c->name);
		if (alive)
			(void)snprintf(text, sizeof(text), "%s did not answer within %u ms", c->name, p->deadline_ms);
		else
			(void)snprintf(text, sizeof(text), "%s is not running", c->name);
		finish(c, p, BUS_UNAVAILABLE, text, NULL, 0);
		next = TAILQ_FIRST(&c->all); /* the function may have ended others, or made new ones */
	}
}

static uint64_t earliest(const struct bus_client *c)
{
	uint64_t first = UINT64_MAX;
	const struct pending *p;
	TAILQ_FOREACH(p, &c->all, entry)
		if (p->until_ms < first)
			first = p->until_ms;
	return first;
}

static void arm(struct bus_client *c, uint64_t until_ms)
{
	if (!c->loop || c->dead || until_ms == UINT64_MAX || (c->armed_ms && c->armed_ms <= until_ms))
		return;
	uint64_t now = loop_now_ms();
	c->armed_ms = until_ms;
	loop_timer_set(c->deadline, until_ms > now ? until_ms - now : 0);
}

static void on_deadline(void *arg)
{
	struct bus_client *c = arg;
	enter(c);
	c->armed_ms = 0;
	expire(c);
	arm(c, earliest(c));
	leave(c);
}

/* The uid at the other end must be the one that owns the run directory: only that one can have bound there. */
static bool genuine(struct bus_client *c, zmq_msg_t *m)
{
	struct peer peer;
	if (peer_of(m, &peer))
		return false;
	if (c->owner_known && c->owner == peer.uid)
		return true;
	c->owner_known = endpoint_owner(c->name, &c->owner) == 0;
	return c->owner_known && c->owner == peer.uid;
}

static void take_reply(struct bus_client *c, struct pending *p, zmq_msg_t part[PARTS], int n)
{
	struct errbuf e;
	Common__Status *s = NULL;
	if (!genuine(c, &part[1])) {
		finish(c, p, BUS_UNAVAILABLE, "the answer does not come from the owner of the daemon's directory", NULL, 0);
		return;
	}
	if (n == 2 || n == PARTS)
		s = (Common__Status *)bus_unpack(&common__status__descriptor, zmq_msg_data(&part[1]), zmq_msg_size(&part[1]), &e);
	if (!s || !s->has_code || !s->code || (s->code == COMMON__STATUS__CODE__OK && n != PARTS))
		finish(c, p, BUS_INTERNAL, "the answer cannot be understood", NULL, 0);
	else if (s->code == COMMON__STATUS__CODE__OK)
		finish(c, p, BUS_OK, NULL, zmq_msg_data(&part[2]), zmq_msg_size(&part[2]));
	else
		finish(c, p, (enum bus_code)s->code, s->text ? s->text : "", NULL, 0);
	bus_unpack_free((ProtobufCMessage *)s);
}

static int on_reply(void *arg)
{
	struct bus_client *c = arg;
	zmq_msg_t part[PARTS];
	struct pending *p = NULL;
	uint64_t id;
	int n = parts_recv(c->socket, part, PARTS, NULL);
	if (n < 1)
		return -1;
	enter(c);
	if (n >= 2 && zmq_msg_size(&part[0]) == sizeof(id)) {
		memcpy(&id, zmq_msg_data(&part[0]), sizeof(id));
		LIST_FOREACH(p, &c->by_id[id % BUCKETS], same)
			if (p->id == id)
				break;
	}
	if (p && !p->method) /* else: an answer after the deadline */
		take_reply(c, p, part, n);
	parts_close(part, n, PARTS);
	bool dead = c->dead;
	leave(c);
	return dead ? -1 : 0;
}

static void connect_now(struct bus_client *c)
{
	int64_t most = BUS_MESSAGE_MAX;
	c->socket = xcheck(zmq_socket(c->context, ZMQ_DEALER));
	endpoint_set(c->socket, ZMQ_IMMEDIATE, 1);
	endpoint_set(c->socket, ZMQ_LINGER, 0);
	endpoint_set(c->socket, ZMQ_SNDHWM, QUEUED);
	endpoint_set(c->socket, ZMQ_RCVHWM, QUEUED);
	endpoint_set(c->socket, ZMQ_RECONNECT_IVL, 20);
	endpoint_set(c->socket, ZMQ_RECONNECT_IVL_MAX, 500);
	(void)zmq_setsockopt(c->socket, ZMQ_MAXMSGSIZE, &most, sizeof(most));
	(void)endpoint_connect(c->socket, c->name, "rpc");
	if (c->loop)
		c->z = loop_zmq_new(c->loop, c->socket, on_reply, NULL, c);
}

static void send_waiting(struct bus_client *c)
{
	struct pending *p;
	while ((p = TAILQ_FIRST(&c->unsent))) {
		/* The first frame decides; the others follow on the same connection. */
		if (zmq_send(c->socket, p->method, strlen(p->method), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
			break;
		if (zmq_send(c->socket, &p->id, sizeof(p->id), ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0)
			(void)zmq_msg_send(&p->body, c->socket, ZMQ_DONTWAIT);
		now_sent(c, p);
	}
	if (c->z)
		loop_zmq_touch(c->z);
	if (c->loop && p)
		loop_timer_set(c->retry, RETRY_MS);
}

static void on_retry(void *arg)
{
	send_waiting(arg);
}

static struct pending *start(struct bus_client *c, const char *method, const ProtobufCMessage *request, unsigned deadline_ms)
{
	struct pending *p = xnew(struct pending);
	if (!c->socket)
		connect_now(c);
	p->id = c->next_id++;
	p->deadline_ms = deadline_ms;
	p->until_ms = loop_now_ms() + deadline_ms;
	p->method = xstrdup(method);
	(void)zmq_msg_init_size(&p->body, protobuf_c_message_get_packed_size(request));
	(void)protobuf_c_message_pack(request, zmq_msg_data(&p->body));
	LIST_INSERT_HEAD(&c->by_id[p->id % BUCKETS], p, same);
	TAILQ_INSERT_TAIL(&c->all, p, entry);
	TAILQ_INSERT_TAIL(&c->unsent, p, unsent);
	c->n++;
	return p;
}

/* Why a call cannot even start; NULL: it can. */
static const char *obstacle(const struct bus_client *c, const ProtobufCMessage *request)
{
	if (!endpoint_name_ok(c->name))
		return "no daemon can have this name";
	if (protobuf_c_message_get_packed_size(request) > BUS_MESSAGE_MAX)
		return "the request is larger than a message may be";
	return c->n >= PENDING_MAX || c->dead ? "too many calls wait for an answer" : NULL;
}

void bus_client_call(struct bus_client *c, const char *method, const ProtobufCMessage *request,
	const ProtobufCMessageDescriptor *reply, unsigned deadline_ms, bus_reply_fn fn, void *arg)
{
	const char *why = obstacle(c, request);
	if (why || !c->loop) {
		fn(arg, BUS_LIMIT, why ? why : "this client has no loop", NULL);
		return;
	}
	struct pending *p = start(c, method, request, deadline_ms);
	p->reply = reply;
	p->fn = fn;
	p->arg = arg;
	arm(c, p->until_ms);
	send_waiting(c);
}

static void wait_for(struct bus_client *c, const struct sync *s)
{
	while (!s->done) {
		send_waiting(c);
		uint64_t now = loop_now_ms(), first = earliest(c);
		zmq_pollitem_t item = {c->socket, 0, ZMQ_POLLIN, 0};
		if (!TAILQ_EMPTY(&c->unsent))
			item.events |= ZMQ_POLLOUT;
		(void)zmq_poll(&item, 1, first > now ? (long)(first - now) : 0);
		while (!s->done && on_reply(c) == 0)
			;
		expire(c);
	}
}

enum bus_code bus_client_call_sync(struct bus_client *c, const char *method, const ProtobufCMessage *request,
	const ProtobufCMessageDescriptor *reply, unsigned deadline_ms, ProtobufCMessage **ret_reply, struct errbuf *e)
{
	struct sync s = {.e = e};
	const char *why = obstacle(c, request);
	*ret_reply = NULL;
	if (why) {
		(void)err_set(e, 0, "%s", why);
		return BUS_LIMIT;
	}
	enter(c);
	struct pending *p = start(c, method, request, deadline_ms);
	p->reply = reply;
	p->sync = &s;
	wait_for(c, &s);
	if (c->z)
		loop_zmq_touch(c->z);
	leave(c);
	*ret_reply = s.reply;
	return s.code;
}

struct bus_client *bus_client_new(struct loop *l, const char *name)
{
	struct bus_client *c = xnew(struct bus_client);
	*c = (struct bus_client){.loop = l, .name = xstrdup(name), .context = endpoint_context()};
	TAILQ_INIT(&c->all);
	TAILQ_INIT(&c->unsent);
	for (unsigned i = 0; i < BUCKETS; i++)
		LIST_INIT(&c->by_id[i]);
	if (getrandom(&c->next_id, sizeof(c->next_id), 0) < 0)
		c->next_id = loop_now_ms();
	if (l) {
		c->deadline = loop_timer_new(l, on_deadline, c);
		c->retry = loop_timer_new(l, on_retry, c);
	}
	return c;
}

void bus_client_free(struct bus_client *c)
{
	struct pending *p;
	if (!c || c->dead)
		return;
	enter(c);
	c->dead = true;
	loop_zmq_free(c->z);
	c->z = NULL;
	while ((p = TAILQ_FIRST(&c->all)))
		finish(c, p, BUS_UNAVAILABLE, "the caller gave up", NULL, 0);
	leave(c);
}
