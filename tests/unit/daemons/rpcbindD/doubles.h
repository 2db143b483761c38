/* What stands around program.c, change.c and assist.c when they run alone: authority, store, bus, worker and transports, as a test wants them.
 * The linker takes these instead of the daemon's own. */
#pragma once
#include "daemons/rpcbindD/rpcbind.h"
#include "daemons/rpcbindD/xdr.h"
#include <errno.h>
#include <stdlib.h>

static struct {
	bool forbid, store_fails;
	int64_t uid; /* of local callers */
	unsigned stored, asked, limited, published, cancelled, answered;
	char topic[32]; /* of the last event */
	/* target assistance: the answer, at once unless .hold */
	struct remote_answer answer;
	struct remote_target target;
	struct remote_client client;
	bool hold;
	remote_fn fn;
	void *arg;
	uint8_t reply[RB_REPLY_MAX];
	size_t reply_len;
} doubles = {.uid = 0};

void rb_find_uid(struct rb_caller *c)
{
	c->uid_asked = true;
	c->uid = c->local ? doubles.uid : -1;
}

bool rb_may_change(struct rpcbind *rb, struct rb_caller *c, uint32_t prog, uint32_t vers, enum netid n, uint16_t port)
{
	(void)rb, (void)vers, (void)n, (void)port;
	doubles.asked++;
	rb_find_uid(c);
	return c->local && !doubles.forbid && prog != RPCBIND_PROG;
}

void rb_limited(struct rpcbind *rb, const struct rb_caller *c)
{
	(void)c;
	doubles.limited++;
	rb->counters.limited++;
}

int store_put(struct store *s, const struct registration *e)
{
	(void)s, (void)e;
	doubles.stored += !doubles.store_fails;
	return doubles.store_fails ? -EIO : 0;
}

int store_delete(struct store *s, const struct registration *e)
{
	(void)s, (void)e;
	doubles.stored -= !doubles.store_fails;
	return doubles.store_fails ? -EIO : 0;
}

void bus_publish(struct bus_server *b, const char *topic, const ProtobufCMessage *body)
{
	(void)b;
	if (!protobuf_c_message_get_packed_size(body))
		abort();
	doubles.published++;
	(void)snprintf(doubles.topic, sizeof(doubles.topic), "%s", topic);
}

void remote_call(struct remote *r, const struct remote_target *t, const struct remote_client *c, const uint8_t *args, size_t len,
	remote_fn fn, void *arg)
{
	(void)r;
	if (len > REMOTE_ARGS_MAX)
		abort();
	doubles.target = *t;
	doubles.client = *c;
	doubles.fn = fn;
	doubles.arg = arg;
	struct remote_answer a = doubles.answer;
	if (a.status == REMOTE_DONE && !a.results) { /* an echo */
		a.results = args;
		a.len = len;
	}
	if (!doubles.hold)
		fn(arg, &a);
}

void remote_cancel(struct remote *r, void *arg)
{
	(void)r, (void)arg;
	doubles.cancelled++;
}

static void take_reply(const uint8_t *text, size_t len)
{
	if (len > sizeof(doubles.reply))
		abort();
	memcpy(doubles.reply, text, len);
	doubles.reply_len = len;
	doubles.answered++;
}

void rb_udp_answer(const struct rb_caller *c, const uint8_t *text, size_t len)
{
	if (len > c->room)
		abort();
	take_reply(text, len);
}

void rb_tcp_answer(struct rb_conn *c, const uint8_t *text, size_t len)
{
	(void)c;
	take_reply(text, len);
}
