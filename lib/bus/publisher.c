/* XPUB in manual mode: a subscription exists only for the topics that we add for it, after SAF agreed for the uid on its frame.
 *
 * Two traps of libzmq 4.3.4 are closed here.
 *  - "The pipe that asked" is a queue beside the queue of frames, and a frame that is no subscription (first byte neither 0 nor 1) takes a
 *    pipe from it that belongs to the next one: a stranger could shift a privileged subscriber's answer to himself. After the first such
 *    frame nothing more is read from this socket; it is replaced (at most once a second) and everyone subscribes anew.
 *  - A permission that was withdrawn does not end a subscription. When the SAF generation changes, what was decided is
 *    decided again; if one answer differs the socket is replaced. That is noticed before the next event is sent. */
#include "lib/bus/publisher.h"
#include "lib/base/xalloc.h"
#include "lib/bus/endpoint.h"
#include "lib/bus/guard.h"
#include "lib/bus/peer.h"
#include "lib/log/log.h"
#include "proto/common.pb-c.h"
#include <sys/random.h>
#include <time.h>

enum { HEARTBEAT_MS = 1000, RECYCLE_MS = 1000, EVENTS_QUEUED = 10000, UIDS_MAX = 1024, WAITING_MAX = 1 << 20, WAITING_UID_MAX = 8 << 20 };

struct asked { /* what was decided for a uid: one bit a topic */
	uid_t uid;
	uint64_t topics, granted;
};

struct publisher {
	struct loop *loop;
	const char *name;
	struct table *table;
	struct authority authority;
	void *context, *socket;
	struct gate *gate;
	struct loop_zmq *z;	 /* NULL while waiting for a new socket */
	struct loop_timer *beat, *recycle;
	uint64_t recycled_ms, boot_id, generation;
	struct asked asked[UIDS_MAX];
	unsigned n_asked;
	struct log_limit limit;
};

static uint64_t generation(const struct publisher *p)
{
	return p->authority.saf ? saf_generation(p->authority.saf) : 0;
}

static bool may_see(const struct publisher *p, unsigned topic, const struct saf_subject *who, pid_t pid, bool silent)
{
	const struct topic *t = &p->table->topics[topic];
	char reason[SAF_REASON_MAX];
	struct question q = {who, t->event ? t->event->class_name : "", t->resource, SAF_READ, t->name, pid, silent};
	if (t->event)
		return authority_check(&p->authority, &q, reason);
	for (unsigned i = 0; i + 1 < p->table->n_topics; i++) /* the heartbeat: who may see any */
		if (may_see(p, i, who, pid, true))
			return true;
	return false;
}

static struct asked *asked_of(struct publisher *p, uid_t uid)
{
	for (unsigned i = 0; i < p->n_asked; i++)
		if (p->asked[i].uid == uid)
			return &p->asked[i];
	if (p->n_asked == UIDS_MAX)
		return NULL;
	p->asked[p->n_asked] = (struct asked){.uid = uid};
	return &p->asked[p->n_asked++];
}

static void subscribe(struct publisher *p, const char *prefix, size_t len, const struct peer *peer)
{
	struct saf_subject who;
	struct asked *a = asked_of(p, peer->uid);
	unsigned matched = 0, granted = 0, first = 0;
	authority_subject(&p->authority, peer->uid, &who);
	for (unsigned i = 0; a && i < p->table->n_topics; i++) {
		const char *name = p->table->topics[i].name;
		if (strlen(name) < len || memcmp(name, prefix, len) != 0)
			continue;
		first = matched++ ? first : i;
		a->topics |= 1ull << i;
		if (!may_see(p, i, &who, peer->pid, strlen(name) != len))
			continue;
		a->granted |= 1ull << i;
		granted++;
		(void)zmq_setsockopt(p->socket, ZMQ_SUBSCRIBE, name, strlen(name));
	}
	if (granted)
		return;
	p->authority.stats->subscriptions_refused++;
	if (matched && strlen(p->table->topics[first].name) != len)
		(void)may_see(p, first, &who, peer->pid, false); /* one record stands for all */
}

static void unsubscribe(struct publisher *p, const char *prefix, size_t len)
{
	for (unsigned i = 0; i < p->table->n_topics; i++) {
		const char *name = p->table->topics[i].name;
		if (strlen(name) >= len && !memcmp(name, prefix, len))
			(void)zmq_setsockopt(p->socket, ZMQ_UNSUBSCRIBE, name, strlen(name));
	}
}

static void want_new_socket(struct publisher *p)
{
	uint64_t now = loop_now_ms(), next = p->recycled_ms + RECYCLE_MS;
	loop_zmq_free(p->z);
	p->z = NULL;
	loop_timer_set(p->recycle, p->recycled_ms && next > now ? next - now : 0);
}

static void poisoned(struct publisher *p, const struct peer *peer)
{
	uint32_t suppressed;
	p->authority.stats->malformed++;
	if (log_limit_ok(&p->limit, loop_now_ms(), 5, 10000, &suppressed))
		log_warning("a peer sent something else than a subscription", "daemon", p->name, "uid", log_u64(peer->uid), "pid",
			log_i64(peer->pid));
	want_new_socket(p);
}

static int on_frame(void *arg)
{
	struct publisher *p = arg;
	struct peer peer = {.uid = (uid_t)-1};
	zmq_msg_t m;
	uint64_t cost;
	if (parts_recv(p->socket, &m, 1, &cost) < 1) {
		guard_empty(p->gate);
		return -1;
	}
	const char *data = zmq_msg_data(&m);
	size_t len = zmq_msg_size(&m);
	bool known = peer_of(&m, &peer) == 0;
	if (known)
		guard_taken(p->gate, &m, &peer, cost);
	if (!len || (data[0] != 0 && data[0] != 1))
		poisoned(p, &peer);
	else if (!known)
		p->authority.stats->unknown_peer += data[0] == 1; /* 0: libzmq's own, for a peer that is gone */
	else if (data[0] == 1)
		subscribe(p, data + 1, len - 1, &peer);
	else
		unsubscribe(p, data + 1, len - 1);
	(void)zmq_msg_close(&m);
	return p->z ? 0 : -1;
}

static int open_socket(struct publisher *p, struct errbuf *e)
{
	static const struct gate_limits limits = {BUS_CONNECTIONS_UID_MAX, BUS_CONNECTIONS_MAX, WAITING_MAX, WAITING_UID_MAX};
	p->socket = xcheck(zmq_socket(p->context, ZMQ_XPUB));
	endpoint_set(p->socket, ZMQ_XPUB_MANUAL, 1);
	endpoint_set(p->socket, ZMQ_LINGER, 200);
	endpoint_set(p->socket, ZMQ_SNDHWM, EVENTS_QUEUED);
	endpoint_set(p->socket, ZMQ_RCVHWM, 128);
	endpoint_set(p->socket, ZMQ_HANDSHAKE_IVL, 5000);
	int64_t most = 4096; /* a subscription, nothing larger */
	(void)zmq_setsockopt(p->socket, ZMQ_MAXMSGSIZE, &most, sizeof(most));
	p->gate = gate_new(&limits);
	int r = endpoint_bind(p->socket, p->name, "events", p->gate, e);
	if (!r)
		p->z = loop_zmq_new(p->loop, p->socket, on_frame, NULL, p);
	return r;
}

static void on_recycle(void *arg)
{
	struct publisher *p = arg;
	struct errbuf e;
	loop_zmq_free(p->z);
	p->z = NULL;
	endpoint_set(p->socket, ZMQ_LINGER, 0);
	(void)zmq_close(p->socket);
	guard_gate_free(p->gate);
	p->n_asked = 0;
	p->recycled_ms = loop_now_ms();
	p->generation = generation(p);
	if (!open_socket(p, &e))
		return;
	log_error("events socket cannot be opened again", "daemon", p->name, "error", e.text);
	loop_timer_set(p->recycle, RECYCLE_MS);
}

/* Are all answers still what they were? */
static bool still_so(const struct publisher *p)
{
	for (unsigned i = 0; i < p->n_asked; i++) {
		struct saf_subject who;
		authority_subject(&p->authority, p->asked[i].uid, &who);
		for (unsigned k = 0; k < p->table->n_topics; k++)
			if (p->asked[i].topics >> k & 1 && may_see(p, k, &who, 0, true) != (p->asked[i].granted >> k & 1))
				return false;
	}
	return true;
}

static void look_at_saf(struct publisher *p)
{
	uint64_t now = generation(p);
	if (now == p->generation)
		return;
	p->generation = now;
	if (!still_so(p)) {
		log_info("permissions changed, subscribers are asked anew", "daemon", p->name);
		on_recycle(p);
	}
}

static uint64_t now_us(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void send_event(struct publisher *p, struct topic *t, const ProtobufCMessage *body)
{
	Common__EventHeader h = COMMON__EVENT_HEADER__INIT;
	uint8_t header[256];
	zmq_msg_t m;
	h.publisher = (char *)(uintptr_t)p->name;
	h.stack = (char *)(uintptr_t)p->table->instance;
	h.has_boot_id = h.has_seq = h.has_time_us = 1;
	h.boot_id = p->boot_id;
	h.seq = ++t->seq;
	h.time_us = now_us();
	size_t n = common__event_header__pack(&h, header); /* names are at most BUS_NAME_MAX each */
	(void)zmq_msg_init_size(&m, protobuf_c_message_get_packed_size(body));
	(void)protobuf_c_message_pack(body, zmq_msg_data(&m));
	if (zmq_send(p->socket, t->name, strlen(t->name), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
		zmq_send(p->socket, header, n, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
		zmq_msg_send(&m, p->socket, ZMQ_DONTWAIT) < 0)
		(void)zmq_msg_close(&m);
	p->authority.stats->events++;
	if (p->z)
		loop_zmq_touch(p->z);
}

void publisher_publish(struct publisher *p, const char *topic, const ProtobufCMessage *body)
{
	look_at_saf(p);
	for (unsigned i = 0; i < p->table->n_topics; i++) {
		struct topic *t = &p->table->topics[i];
		if (t->event && (t->name == topic || !strcmp(t->name, topic)) && body->descriptor == t->event->body) {
			send_event(p, t, body);
			return;
		}
	}
	log_error("event is in no table, or has another type there", "topic", topic);
}

static void on_beat(void *arg)
{
	struct publisher *p = arg;
	Common__Heartbeat beat = COMMON__HEARTBEAT__INIT;
	Common__Heartbeat__Topic topics[TABLE_TOPICS_MAX], *list[TABLE_TOPICS_MAX];
	beat.topics = list;
	for (unsigned i = 0; i + 1 < p->table->n_topics; i++) {
		const struct topic *t = &p->table->topics[i];
		if (!t->seq)
			continue;
		list[beat.n_topics] = &topics[beat.n_topics];
		common__heartbeat__topic__init(list[beat.n_topics]);
		list[beat.n_topics]->topic = (char *)(uintptr_t)t->name;
		list[beat.n_topics]->has_seq = 1;
		list[beat.n_topics++]->seq = t->seq;
	}
	look_at_saf(p);
	send_event(p, &p->table->topics[p->table->n_topics - 1], &beat.base);
	loop_timer_set(p->beat, HEARTBEAT_MS);
}

int publisher_new(struct loop *l, const char *name, struct table *t, const struct authority *a, struct publisher **ret,
	struct errbuf *e)
{
	struct publisher *p = xnew(struct publisher);
	*p = (struct publisher){.loop = l, .name = name, .table = t, .authority = *a, .context = endpoint_context()};
	p->beat = loop_timer_new(l, on_beat, p);
	p->recycle = loop_timer_new(l, on_recycle, p);
	p->generation = generation(p);
	while (!p->boot_id)
		if (getrandom(&p->boot_id, sizeof(p->boot_id), 0) < 0)
			p->boot_id = now_us();
	int r = open_socket(p, e);
	if (r) {
		publisher_free(p);
		return r;
	}
	loop_timer_set(p->beat, HEARTBEAT_MS);
	*ret = p;
	return 0;
}

void publisher_free(struct publisher *p)
{
	if (!p)
		return;
	loop_timer_free(p->beat);
	loop_timer_free(p->recycle);
	loop_zmq_free(p->z);
	(void)zmq_close(p->socket);
	guard_gate_free(p->gate);
	endpoint_context_put();
	free(p);
}

uint64_t publisher_boot_id(const struct publisher *p)
{
	return p->boot_id;
}
