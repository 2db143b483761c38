/* Events of one daemon, with what was missed.
 *
 * Per topic: the sequence of the last event. A jump is a loss; so is a heartbeat that names a higher sequence than what came. A new
 * boot id is a restart: what the new publisher sent before we were connected again counts as lost. A topic of which nothing
 * came yet has no count: its first event may be any, and a heartbeat also names topics that we may not see. */
#include "lib/base/xalloc.h"
#include "lib/bus/bus.h"
#include "lib/bus/endpoint.h"
#include "lib/bus/peer.h"
#include "proto/common.pb-c.h"

enum { PARTS = 3, TOPICS_MAX = 256, QUEUED = 100000 };

struct seen {
	char *topic;
	size_t len;
	uint64_t boot_id, seq;
};

struct bus_subscriber {
	char *name;
	void *context, *socket;
	struct loop_zmq *z;
	bus_event_fn fn;
	void *arg;
	uint64_t boot_id;
	uid_t owner;
	bool owner_known;
	struct seen seen[TOPICS_MAX];
	unsigned n_seen, last;
};

static bool genuine(struct bus_subscriber *s, zmq_msg_t *m)
{
	struct peer peer;
	if (peer_of(m, &peer))
		return false;
	if (s->owner_known && s->owner == peer.uid)
		return true;
	s->owner_known = endpoint_owner(s->name, &s->owner) == 0;
	return s->owner_known && s->owner == peer.uid;
}

static struct seen *seen_of(struct bus_subscriber *s, const char *topic, size_t len, bool make)
{
	for (unsigned i = 0; i < s->n_seen; i++) {
		struct seen *t = &s->seen[(s->last + i) % s->n_seen];
		if (t->len == len && !memcmp(t->topic, topic, len)) {
			s->last = (unsigned)(t - s->seen);
			return t;
		}
	}
	if (!make || s->n_seen == TOPICS_MAX || memchr(topic, 0, len))
		return NULL;
	struct seen *t = &s->seen[s->n_seen++];
	*t = (struct seen){.topic = xcalloc(len + 1, 1), .len = len};
	memcpy(t->topic, topic, len);
	return t;
}

/* Moves @t to @seq of @boot_id and returns how many events are missing before it (@arrived: @seq itself is here). */
static uint64_t advance(struct seen *t, uint64_t boot_id, uint64_t seq, bool arrived)
{
	uint64_t lost = 0, have = t->boot_id == boot_id ? t->seq : 0;
	if (t->boot_id && seq > have)
		lost = seq - have - (arrived ? 1 : 0);
	t->boot_id = boot_id;
	t->seq = seq;
	return lost;
}

/* A publisher that (re)started is told of by its first heartbeat at the latest. */
static void new_boot(struct bus_subscriber *s, struct bus_event_info *info, zmq_msg_t *topic)
{
	char text[64];
	if (s->boot_id == info->boot_id)
		return;
	(void)snprintf(text, sizeof(text), "%.*s", (int)zmq_msg_size(topic), (const char *)zmq_msg_data(topic));
	s->boot_id = info->boot_id;
	info->topic = text;
	s->fn(s->arg, info, NULL, 0);
	info->restarted = false;
}

static void on_heartbeat(struct bus_subscriber *s, struct bus_event_info *info, zmq_msg_t *body)
{
	struct errbuf e;
	Common__Heartbeat *h =
		(Common__Heartbeat *)bus_unpack(&common__heartbeat__descriptor, zmq_msg_data(body), zmq_msg_size(body), &e);
	for (size_t i = 0; h && i < h->n_topics; i++) {
		const char *topic = h->topics[i]->topic;
		struct seen *t = topic ? seen_of(s, topic, strlen(topic), false) : NULL;
		if (!t || !h->topics[i]->seq || (t->boot_id == info->boot_id && h->topics[i]->seq <= t->seq))
			continue;
		info->topic = t->topic;
		info->seq = h->topics[i]->seq;
		info->lost = advance(t, info->boot_id, info->seq, false);
		s->fn(s->arg, info, NULL, 0);
	}
	bus_unpack_free((ProtobufCMessage *)h);
}

static bool is_heartbeat(const char *topic, size_t len)
{
	static const char end[] = ".heartbeat";
	return len > sizeof(end) - 1 && !memcmp(topic + len - (sizeof(end) - 1), end, sizeof(end) - 1);
}

static void deliver(struct bus_subscriber *s, zmq_msg_t part[PARTS], const Common__EventHeader *h)
{
	const char *topic = zmq_msg_data(&part[0]);
	size_t len = zmq_msg_size(&part[0]);
	struct bus_event_info info = {.publisher = s->name, .stack = h->stack, .boot_id = h->boot_id, .seq = h->seq,
		.time_us = h->time_us, .restarted = s->boot_id && s->boot_id != h->boot_id};
	if (is_heartbeat(topic, len)) {
		new_boot(s, &info, &part[0]);
		on_heartbeat(s, &info, &part[2]);
		return;
	}
	struct seen *t = seen_of(s, topic, len, true);
	if (!t)
		return;
	s->boot_id = h->boot_id;
	info.topic = t->topic;
	info.lost = advance(t, h->boot_id, h->seq, true);
	s->fn(s->arg, &info, zmq_msg_data(&part[2]), zmq_msg_size(&part[2]));
}

static int on_event(void *arg)
{
	struct bus_subscriber *s = arg;
	struct errbuf e;
	zmq_msg_t part[PARTS];
	int n = parts_recv(s->socket, part, PARTS, NULL);
	if (n < 1)
		return -1;
	Common__EventHeader *h = NULL;
	if (n == PARTS && genuine(s, &part[1]))
		h = (Common__EventHeader *)bus_unpack(&common__event_header__descriptor, zmq_msg_data(&part[1]), zmq_msg_size(&part[1]), &e);
	if (h && h->boot_id && h->seq)
		deliver(s, part, h);
	bus_unpack_free((ProtobufCMessage *)h);
	parts_close(part, n, PARTS);
	return 0;
}

static void subscribe(struct bus_subscriber *s, const char *topic)
{
	const char *dot = strchr(topic, '.');
	char beat[64];
	(void)zmq_setsockopt(s->socket, ZMQ_SUBSCRIBE, topic, strlen(topic));
	if (!dot)
		return;
	(void)snprintf(beat, sizeof(beat), "%.*s.heartbeat", (int)(dot - topic), topic);
	(void)zmq_setsockopt(s->socket, ZMQ_SUBSCRIBE, beat, strlen(beat));
}

struct bus_subscriber *bus_subscriber_new(struct loop *l, const char *name, const char *const *topics, bus_event_fn fn, void *arg)
{
	struct bus_subscriber *s = xnew(struct bus_subscriber);
	int64_t most = BUS_MESSAGE_MAX;
	*s = (struct bus_subscriber){.name = xstrdup(name), .fn = fn, .arg = arg, .context = endpoint_context()};
	s->socket = xcheck(zmq_socket(s->context, ZMQ_SUB));
	endpoint_set(s->socket, ZMQ_LINGER, 0);
	endpoint_set(s->socket, ZMQ_RCVHWM, QUEUED);
	endpoint_set(s->socket, ZMQ_RECONNECT_IVL, 20);
	endpoint_set(s->socket, ZMQ_RECONNECT_IVL_MAX, 500);
	(void)zmq_setsockopt(s->socket, ZMQ_MAXMSGSIZE, &most, sizeof(most));
	for (; topics && *topics; topics++)
		subscribe(s, *topics);
	if (endpoint_name_ok(name))
		(void)endpoint_connect(s->socket, name, "events");
	s->z = loop_zmq_new(l, s->socket, on_event, NULL, s);
	return s;
}

void bus_subscriber_free(struct bus_subscriber *s)
{
	if (!s)
		return;
	loop_zmq_free(s->z);
	(void)zmq_close(s->socket);
	endpoint_context_put();
	for (unsigned i = 0; i < s->n_seen; i++)
		free(s->seen[i].topic);
	free(s->name);
	free(s);
}
