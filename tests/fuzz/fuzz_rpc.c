/* One RPC call as a stranger, or a user of this host, may send it: head, arguments, every procedure, and target assistance
 * up to the server. The first byte says who calls: bits 0-2 the transport, bit 3 this host. Besides not crashing: an answer is a reply to that transaction,
 * of whole XDR units, never larger than there is room for; no stranger changes the registry; what is registered can be listed whole and
 * found again; what a call claims to be long costs no memory.
 *
 * Around the program stand small doubles of authority, store, bus and worker: they own this process's only state. */
#include "daemons/rpcbindD/rpcbind.h"
#include "daemons/rpcbindD/xdr.h"
#include <malloc.h>
#include <stdlib.h>

enum { LOCAL_BIT = 8, REGISTERED_MAX = 64, STREAM_ROOM = 1 << 20, MEMORY_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned stored, answers;

/* --- doubles --- */

void rb_find_uid(struct rb_caller *c)
{
	c->uid_asked = true;
}

bool rb_may_change(struct rpcbind *rb, struct rb_caller *c, uint32_t prog, uint32_t vers, enum netid n, uint16_t port)
{
	(void)rb, (void)vers, (void)n, (void)port;
	c->uid = c->local ? (int64_t)(prog % 3) : -1;
	return c->local && prog != RPCBIND_PROG;
}

void rb_limited(struct rpcbind *rb, const struct rb_caller *c)
{
	(void)c;
	rb->counters.limited++;
}

int store_put(struct store *s, const struct registration *e)
{
	(void)s, (void)e;
	stored++;
	return 0;
}

int store_delete(struct store *s, const struct registration *e)
{
	(void)s, (void)e;
	stored--;
	return 0;
}

void bus_publish(struct bus_server *b, const char *topic, const ProtobufCMessage *body)
{
	(void)b, (void)topic;
	if (!protobuf_c_message_get_packed_size(body))
		abort();
}

/* A server that answers with what it was sent, or fails, by its procedure. */
void remote_call(struct remote *r, const struct remote_target *t, const struct remote_client *c, const uint8_t *args, size_t len,
	remote_fn fn, void *arg)
{
	struct remote_answer a = {.status = (enum remote_status)(t->proc % (REMOTE_TOO_WEAK + 1)), .low = 1, .high = 2, .results = args, .len = len};
	(void)r;
	if (len > REMOTE_ARGS_MAX || c->port == 0)
		abort();
	fn(arg, &a);
}

void remote_cancel(struct remote *r, void *arg)
{
	(void)r, (void)arg;
	abort();
}

static void check_reply(const uint8_t *p, size_t len, size_t room)
{
	struct rd r = rd_init(p, len);
	answers++;
	(void)rd_u32(&r);
	if (len % 4 || len < 20 || len > room || rd_u32(&r) != 1)
		abort();
}

void rb_udp_answer(const struct rb_caller *c, const uint8_t *text, size_t len)
{
	check_reply(text, len, c->room);
}

void rb_tcp_answer(struct rb_conn *c, const uint8_t *text, size_t len)
{
	(void)c;
	check_reply(text, len, STREAM_ROOM);
}

/* --- one call --- */

static struct rb_caller caller_of(uint8_t how, size_t len)
{
	static const uint8_t bytes[16] = {192, 0, 2, 7, [15] = 1};
	enum netid n = (enum netid)((how & 7) % NETID_COUNT);
	struct rb_caller c = {.netid = n, .local = n == NETID_LOCAL || how & LOCAL_BIT, .uid = -1, .port = 700, .here_port = 111, .request_len = len,
		.room = netid_is_udp(n) ? RB_UDP_REPLY_MAX : STREAM_ROOM};
	if (netid_family(n) == 4)
		c.addr = c.here = addr_v4(bytes);
	else if (netid_family(n) == 6)
		c.addr = c.here = addr_v6(bytes);
	return c;
}

/* The list of everything has as many entries as there are, and each can be found. */
static void check_list(struct registry *reg)
{
	size_t len;
	const uint8_t *p = registry_dump(reg, 4, &len);
	struct rd r = rd_init(p, len);
	unsigned n = 0;
	struct rpcb e;
	while (rd_u32(&r)) {
		if (!rb_get_rpcb(&r, &e) || !registry_find(reg, e.prog, e.vers, netid_parse(e.netid)))
			abort();
		n++;
	}
	if (!rd_ok(&r) || rd_left(&r) || n != registry_count(reg) || n > REGISTERED_MAX)
		abort();
}

static void serve(struct rpcbind *rb, uint8_t how, const uint8_t *data, size_t len)
{
	static uint8_t text[RB_REPLY_MAX];
	struct rb_caller c = caller_of(how, len);
	struct wr w = wr_init(text, netid_is_udp(c.netid) ? RB_UDP_REPLY_MAX : sizeof(text));
	struct rd r = rd_init(data, len);
	uint32_t xid = rd_u32(&r);
	uint64_t before = registry_stamp(rb->registry);
	if (rb_serve(rb, &c, data, len, &w) == RB_REPLY) {
		struct rd reply = rd_init(text, wr_len(&w));
		check_reply(text, wr_len(&w), c.room);
		if (rd_u32(&reply) != xid || wr_len(&w) + c.tail_len > c.room || c.tail_len % 4)
			abort();
	}
	if (!c.local && registry_stamp(rb->registry) != before)
		abort();
	if (registry_stamp(rb->registry) != before)
		check_list(rb->registry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rb_conf conf = {.registrations = REGISTERED_MAX, .user_registrations = 16, .remote.enabled = true};
	static struct rpcbind rb = {.conf = &conf};
	static struct daemon daemon;
	size_t memory = mallinfo2().uordblks;
	if (!size)
		return 0;
	if (!rb.registry) {
		log_set_level(LOG_L_ERROR);
		rb.daemon = &daemon;
		rb.registry = registry_new(REGISTERED_MAX);
		if (registry_add(rb.registry, 100003, 3, NETID_UDP, "0.0.0.0.8.1", 1, NULL) || registry_add(rb.registry, 100005, 3, NETID_UDP6, "::.3.9", 1, NULL))
			abort();
		memory = mallinfo2().uordblks;
	}
	rb.trace_until_ms = data[0] & 0x80 ? UINT64_MAX : 0;
	serve(&rb, data[0], data + 1, size - 1);
	if (mallinfo2().uordblks > memory + MEMORY_MAX || rb.lates)
		abort();
	return 0;
}
