/* Requests of one daemon. The order for each: parts, peer (kernel), shape, method, size and content, subject, resource, SAF, handler.
 * Nothing of a request reaches a handler before all of it held. */
#include "lib/base/xalloc.h"
#include "lib/bus/authority.h"
#include "lib/bus/endpoint.h"
#include "lib/bus/frames.h"
#include "lib/bus/guard.h"
#include "lib/bus/peer.h"
#include "lib/bus/publisher.h"
#include "lib/bus/table.h"
#include "lib/log/log.h"
#include "proto/common.pb-c.h"
#include <sys/queue.h>
#include <unistd.h>

enum { PARTS = 4, ROUTE_LEN = 5, CALL_ID_MAX = 16, CALLS_MAX = 4096, QUEUED = 1000 };

struct bus_call {
	LIST_ENTRY(bus_call) entry;
	struct bus_server *server;
	const struct row *row;
	struct saf_subject subject;
	pid_t pid;
	uint8_t route[ROUTE_LEN], id[CALL_ID_MAX];
	size_t id_len;
	ProtobufCMessage *request;
	bool in_handler, answered;
};

struct bus_server {
	struct bus_server_spec spec;
	char *name;
	int lock_fd;
	void *context, *socket;
	struct gate *gate;
	struct loop_zmq *z;
	struct table table;
	struct publisher *publisher;
	struct authority authority;
	struct log_limit limit;
	struct bus_stats stats;
	LIST_HEAD(, bus_call) calls;
	unsigned n_calls;
};

static void call_free(struct bus_call *c)
{
	LIST_REMOVE(c, entry);
	c->server->n_calls--;
	bus_unpack_free(c->request);
	free(c);
}

static void send_reply(struct bus_call *c, enum bus_code code, const char *text, const ProtobufCMessage *body)
{
	struct bus_server *b = c->server;
	Common__Status s = COMMON__STATUS__INIT;
	uint8_t status[SAF_REASON_MAX + 64];
	zmq_msg_t m;
	s.has_code = 1;
	s.code = (Common__Status__Code)code;
	s.text = (char *)(uintptr_t)text;
	struct bytes parts[3] = {{c->route, ROUTE_LEN}, {c->id, c->id_len}, {status, common__status__pack(&s, status)}};
	(void)zmq_msg_init_size(&m, body ? protobuf_c_message_get_packed_size(body) : 0);
	if (body)
		(void)protobuf_c_message_pack(body, zmq_msg_data(&m));
	/* Mandatory routing: a client that is gone, or does not read, is an error of the first frame and nobody else's trouble. */
	bool sent = zmq_send(b->socket, parts[0].data, parts[0].len, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
		zmq_send(b->socket, parts[1].data, parts[1].len, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
		zmq_send(b->socket, parts[2].data, parts[2].len, (body ? ZMQ_SNDMORE : 0) | ZMQ_DONTWAIT) >= 0;
	if (!sent || !body || zmq_msg_send(&m, b->socket, ZMQ_DONTWAIT) < 0)
		(void)zmq_msg_close(&m);
	b->stats.replies_dropped += !sent;
	loop_zmq_touch(b->z);
}

/* Ends a call; frees it unless its handler still runs. */
static void answer(struct bus_call *c, enum bus_code code, const char *text, const ProtobufCMessage *body)
{
	if (c->answered) {
		log_error("a call was answered twice", "method", c->row ? c->row->name : "");
		return;
	}
	c->answered = true;
	send_reply(c, code, text, body);
	if (!c->in_handler)
		call_free(c);
}

void bus_reply(struct bus_call *c, const ProtobufCMessage *reply)
{
	if (c->row && reply->descriptor != c->row->method->reply) {
		log_error("reply has the wrong type", "method", c->row->name);
		answer(c, BUS_INTERNAL, "internal error", NULL);
	} else if (protobuf_c_message_get_packed_size(reply) > BUS_MESSAGE_MAX) {
		answer(c, BUS_LIMIT, "the answer is larger than a message may be: ask for less", NULL);
	} else {
		answer(c, BUS_OK, NULL, reply);
	}
}

void bus_fail(struct bus_call *c, enum bus_code code, const char *fmt, ...)
{
	char text[SAF_REASON_MAX];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	answer(c, code, text, NULL);
}

void *bus_call_user(const struct bus_call *c)
{
	return c->row->user;
}

const struct saf_subject *bus_call_subject(const struct bus_call *c)
{
	return &c->subject;
}

bool bus_call_check(struct bus_call *c, const char *class_name, const char *resource, enum saf_level level)
{
	char reason[SAF_REASON_MAX];
	struct question q = {&c->subject, class_name, resource, level, c->row->name, c->pid, false};
	if (authority_check(&c->server->authority, &q, reason))
		return true;
	c->server->stats.refused++;
	answer(c, BUS_NOT_AUTHORIZED, reason, NULL);
	return false;
}

/* A refusal before the handler. */
static void refuse(struct bus_call *c, uint64_t *counter, enum bus_code code, const char *text)
{
	(*counter)++;
	answer(c, code, text, NULL);
}

static bool authorised(struct bus_call *c)
{
	const struct bus_method *m = c->row->method;
	char resource[SAF_RESOURCE_MAX];
	struct errbuf e;
	if (c->row->any)
		return true;
	if (table_resource(&c->server->table, m->resource, c->request, resource, &e)) {
		refuse(c, &c->server->stats.malformed, BUS_INVALID, e.text);
		return false;
	}
	return bus_call_check(c, m->class_name, resource, m->level);
}

static void serve(struct bus_call *c, zmq_msg_t *method, zmq_msg_t *body)
{
	struct bus_server *b = c->server;
	struct errbuf e;
	c->row = table_find(&b->table, zmq_msg_data(method), zmq_msg_size(method));
	if (!c->row) {
		refuse(c, &b->stats.malformed, BUS_NO_METHOD, "no such method here");
		return;
	}
	c->request = bus_unpack(c->row->method->request, zmq_msg_data(body), zmq_msg_size(body), &e);
	if (!c->request) {
		refuse(c, &b->stats.malformed, BUS_INVALID, e.text);
		return;
	}
	authority_subject(&b->authority, c->subject.uid, &c->subject);
	c->in_handler = true;
	if (authorised(c))
		c->row->method->fn(c, c->request);
	c->in_handler = false;
	if (c->answered)
		call_free(c);
}

static void dispatch(struct bus_server *b, zmq_msg_t part[PARTS], int n, const struct peer *peer)
{
	if (n < 3 || !zmq_msg_size(&part[2]) || zmq_msg_size(&part[2]) > CALL_ID_MAX || zmq_msg_size(&part[0]) > 255) {
		b->stats.malformed++; /* there is no call id to answer to */
		return;
	}
	if (!peer) {
		b->stats.unknown_peer++;
		return;
	}
	/* An id that the peer chose (libzmq's own are 0 and four bytes) could be taken over by another peer between the request and a
	 * late answer. */
	const uint8_t *route = zmq_msg_data(&part[0]);
	if (zmq_msg_size(&part[0]) != ROUTE_LEN || route[0] != 0) {
		b->stats.refused++;
		return;
	}
	struct bus_call *c = xnew(struct bus_call);
	c->server = b;
	c->subject.uid = peer->uid;
	c->pid = peer->pid;
	memcpy(c->route, route, ROUTE_LEN);
	c->id_len = zmq_msg_size(&part[2]);
	memcpy(c->id, zmq_msg_data(&part[2]), c->id_len);
	LIST_INSERT_HEAD(&b->calls, c, entry);
	if (++b->n_calls > CALLS_MAX)
		refuse(c, &b->stats.refused, BUS_LIMIT, "too many calls wait for an answer");
	else if (n != PARTS)
		refuse(c, &b->stats.malformed, BUS_INVALID, "a request is method, call id and body");
	else
		serve(c, &part[1], &part[3]);
}

static int on_request(void *arg)
{
	struct bus_server *b = arg;
	zmq_msg_t part[PARTS];
	struct peer peer;
	uint64_t cost;
	int n = parts_recv(b->socket, part, PARTS, &cost);
	if (n < 1) {
		guard_empty(b->gate);
		return -1;
	}
	b->stats.requests++;
	bool known = n > 1 && peer_of(&part[1], &peer) == 0;
	if (known) /* the first part is libzmq's */
		guard_taken(b->gate, &part[1], &peer, cost - frames_cost(zmq_msg_size(&part[0])));
	dispatch(b, part, n, known ? &peer : NULL);
	parts_close(part, n, PARTS);
	return 0;
}

static void on_idle(void *arg)
{
	struct bus_server *b = arg;
	if (b->spec.flush)
		b->spec.flush(b->spec.user);
}

static int open_requests(struct bus_server *b, struct loop *l, struct errbuf *e)
{
	static const struct gate_limits limits = {BUS_CONNECTIONS_UID_MAX, BUS_CONNECTIONS_MAX, BUS_WAITING_MAX, BUS_WAITING_UID_MAX};
	int64_t most = BUS_MESSAGE_MAX;
	b->socket = xcheck(zmq_socket(b->context, ZMQ_ROUTER));
	endpoint_set(b->socket, ZMQ_ROUTER_MANDATORY, 1);
	endpoint_set(b->socket, ZMQ_LINGER, 200);
	endpoint_set(b->socket, ZMQ_SNDHWM, QUEUED);
	endpoint_set(b->socket, ZMQ_RCVHWM, QUEUED);
	endpoint_set(b->socket, ZMQ_HANDSHAKE_IVL, 5000);
	(void)zmq_setsockopt(b->socket, ZMQ_MAXMSGSIZE, &most, sizeof(most));
	b->gate = gate_new(&limits);
	int r = endpoint_bind(b->socket, b->name, "rpc", b->gate, e);
	if (!r)
		b->z = loop_zmq_new(l, b->socket, on_request, on_idle, b);
	return r;
}

int bus_server_new(struct loop *l, const struct bus_server_spec *spec, struct bus_server **ret, struct errbuf *e)
{
	struct bus_server *b = xnew(struct bus_server);
	*b = (struct bus_server){.spec = *spec, .name = xstrdup(spec->name), .lock_fd = -1};
	b->authority = (struct authority){spec->saf, spec->audit, &b->limit, &b->stats};
	LIST_INIT(&b->calls);
	b->context = endpoint_context();
	int r = table_build(&b->table, &b->spec, e);
	if (!r)
		r = endpoint_lock(b->name, &b->lock_fd, e);
	if (!r && b->table.n_topics)
		r = publisher_new(l, b->name, &b->table, &b->authority, &b->publisher, e);
	if (!r)
		r = open_requests(b, l, e);
	if (r) {
		bus_server_free(b);
		return r;
	}
	*ret = b;
	return 0;
}

void bus_server_free(struct bus_server *b)
{
	struct bus_call *c;
	if (!b)
		return;
	while ((c = LIST_FIRST(&b->calls))) {
		if (!c->answered && b->z)
			send_reply(c, BUS_UNAVAILABLE, "the daemon is ending", NULL);
		call_free(c);
	}
	if (b->lock_fd >= 0) {
		endpoint_unlink(b->name, "rpc");
		endpoint_unlink(b->name, "events");
	}
	loop_zmq_free(b->z);
	publisher_free(b->publisher);
	if (b->socket)
		(void)zmq_close(b->socket);
	guard_gate_free(b->gate);
	endpoint_context_put();
	if (b->lock_fd >= 0)
		(void)close(b->lock_fd);
	free(b->name);
	free(b);
}

uint64_t bus_server_boot_id(const struct bus_server *b)
{
	return b->publisher ? publisher_boot_id(b->publisher) : 0;
}

void bus_publish(struct bus_server *b, const char *topic, const ProtobufCMessage *body)
{
	if (b->publisher)
		publisher_publish(b->publisher, topic, body);
}

void bus_server_stats(const struct bus_server *b, struct bus_stats *ret)
{
	*ret = b->stats;
	struct guard_counts g; /* libzmq shows none of them to a socket's owner */
	guard_counts(&g);
	ret->oversized = g.oversized;
	ret->overfull = g.overfull;
	ret->crowded = g.crowded;
}
