/* RPC calls as a stranger, or a user of this host, may send it: head, arguments, every procedure, and target assistance
 * up to the server. The first byte says who calls: bits 0-2 the transport, bit 3 this host,
 * bit 4 that records of a stream follow instead of one message. Besides not crashing: an answer is a reply to that transaction,
 * of whole XDR units, never larger than there is room for; no stranger changes the registry; what is registered can be listed whole and
 * found again; what a call claims to be long costs no memory.
 *
 * Around the program stand the doubles of its unit tests. */
#include "daemons/rpcbindD/record.h"
#include "tests/unit/daemons/rpcbindD/doubles.h"
#include <malloc.h>

enum { LOCAL_BIT = 8, STREAM_BIT = 16, TRACE_BIT = 128, REGISTERED_MAX = 64, STREAM_ROOM = 1 << 20, MEMORY_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reply(const uint8_t *p, size_t len, size_t room)
{
	struct rd r = rd_init(p, len);
	(void)rd_u32(&r);
	if (len % 4 || len < 20 || len > room || rd_u32(&r) != 1)
		abort();
}

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
	doubles.uid = xid % 3;
	doubles.answer = (struct remote_answer){.status = (enum remote_status)(xid / 3 % (REMOTE_TOO_WEAK + 1)), .low = 1, .high = 2};
	doubles.answered = 0;
	if (rb_serve(rb, &c, data, len, &w) == RB_REPLY) {
		struct rd reply = rd_init(text, wr_len(&w));
		check_reply(text, wr_len(&w), c.room);
		if (rd_u32(&reply) != xid || wr_len(&w) + c.tail_len > c.room || c.tail_len % 4)
			abort();
	}
	if (doubles.answered)
		check_reply(doubles.reply, doubles.reply_len, c.room);
	if (!c.local && registry_stamp(rb->registry) != before)
		abort();
	if (registry_stamp(rb->registry) != before)
		check_list(rb->registry);
}

/* Each record lies within what came, and is no longer than it may be; a record cut short is none yet. */
static void serve_records(struct rpcbind *rb, uint8_t how, const uint8_t *data, size_t len)
{
	static uint8_t gather[RECORD_MAX];
	const uint8_t *text, *ignored;
	size_t n, ignored_len;
	for (ssize_t took; (took = record_next(data, len, gather, &text, &n)) > 0; data += took, len -= (size_t)took) {
		if ((size_t)took > len || n > RECORD_MAX || (size_t)took < n + 4)
			abort();
		serve(rb, how, text, n);
		if (record_next(data, (size_t)took - 1, gather, &ignored, &ignored_len) != 0)
			abort();
	}
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
	rb.trace_until_ms = data[0] & TRACE_BIT ? UINT64_MAX : 0;
	if (data[0] & STREAM_BIT)
		serve_records(&rb, data[0], data + 1, size - 1);
	else
		serve(&rb, data[0], data + 1, size - 1);
	if (mallinfo2().uordblks > memory + MEMORY_MAX || rb.lates)
		abort();
	return 0;
}
