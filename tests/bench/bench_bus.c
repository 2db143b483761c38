/* The bus beside bare ZeroMQ, in one run on one machine.
 *   bus.call.p50      median round trip of a small authorised call; peer: a three-frame DEALER/ROUTER echo over ipc
 *   bus.call.rate     calls a second with 64 in flight on one connection; peer: the same echo with 64 in flight
 *   bus.events.rate   events a second to one subscriber, each unpacked and in sequence, nothing lost; peer: bare XPUB/SUB is not one
 *   bus.events.seen   a flood that no subscriber could take: what came and what was reported as lost, per event sent (1 is right)
 * SAF is a table of two rules here (lib/saf has its own benchmark); everything else is what a daemon runs. */
#include "lib/base/path.h"
#include "lib/base/xalloc.h"
#include "tests/support/check_main.h"
/* The fixture of the unit tests without Check, which reports to a runner that is not here. */
#undef ck_assert_int_eq
#undef ck_assert_ptr_nonnull
#define ck_assert_int_eq(a, b) ((a) == (b) ? (void)0 : abort())
#define ck_assert_ptr_nonnull(p) ((p) ? (void)0 : abort())
#include "tests/unit/lib/bus/fixture.h"
#include <time.h>
#include <zmq.h>

enum { RUNS = 5, CALLS = 3000, DEEP = 64, PIPELINED = 30000, BURST = 2000, EVENTS = 200000, FLOOD = 300000 };

static double now_us(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), order);
	return v[n / 2];
}

static void die(const char *what)
{
	(void)fprintf(stderr, "bench_bus: %s\n", what);
	server_stop(SIGKILL);
	exit(1);
}

/* --- bare ZeroMQ --- */

static char echo_address[128];
static pid_t echo_pid;

static void echo_start(void)
{
	(void)snprintf(echo_address, sizeof(echo_address), "ipc://%s/echo", root);
	echo_pid = fork();
	if (echo_pid)
		return;
	void *ctx = zmq_ctx_new(), *s = zmq_socket(ctx, ZMQ_ROUTER);
	zmq_bind(s, echo_address);
	for (;;) {
		int more = 1;
		while (more) {
			zmq_msg_t m;
			zmq_msg_init(&m);
			if (zmq_msg_recv(&m, s, 0) < 0)
				_exit(0);
			more = zmq_msg_more(&m);
			zmq_msg_send(&m, s, more ? ZMQ_SNDMORE : 0);
		}
	}
}

static void echo_send(void *d)
{
	zmq_send(d, "defmgr.Add", 10, ZMQ_SNDMORE);
	zmq_send(d, "12345678", 8, ZMQ_SNDMORE);
	zmq_send(d, "", 0, 0);
}

static void echo_recv(void *d)
{
	char buf[64];
	for (int i = 0; i < 3; i++)
		if (zmq_recv(d, buf, sizeof(buf), 0) < 0)
			die("the echo ended");
}

static double echo_p50(void *d)
{
	static double t[CALLS];
	for (unsigned i = 0; i < CALLS; i++) {
		double start = now_us();
		echo_send(d);
		echo_recv(d);
		t[i] = now_us() - start;
	}
	return median(t, CALLS);
}

static double echo_rate(void *d)
{
	double start = now_us();
	for (unsigned i = 0; i < PIPELINED + DEEP; i++) {
		if (i < PIPELINED)
			echo_send(d);
		if (i >= DEEP)
			echo_recv(d);
	}
	return PIPELINED / (now_us() - start) * 1e6;
}

/* --- ours --- */

static double call_p50(struct bus_client *c)
{
	static double t[CALLS];
	Defmgr__AddRequest r = DEFMGR__ADD_REQUEST__INIT;
	ProtobufCMessage *m;
	struct errbuf e;
	for (unsigned i = 0; i < CALLS; i++) {
		double start = now_us();
		if (bus_client_call_sync(c, "defmgr.Add", &r.base, &defmgr__add_reply__descriptor, 5000, &m, &e) != BUS_OK)
			die(e.text);
		protobuf_c_message_free_unpacked(m, NULL);
		t[i] = now_us() - start;
	}
	return median(t, CALLS);
}

struct flow {
	struct loop *loop;
	struct bus_client *client;
	unsigned started, ended, failed;
	uint64_t events, lost, sent;
	unsigned asked;
};

static void next_call(struct flow *f);

static void on_answer(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply)
{
	struct flow *f = arg;
	(void)text, (void)reply;
	f->ended++;
	f->failed += code != BUS_OK;
	if (f->started < PIPELINED)
		next_call(f);
}

static void next_call(struct flow *f)
{
	Defmgr__AddRequest r = DEFMGR__ADD_REQUEST__INIT;
	f->started++;
	bus_client_call(f->client, "defmgr.Add", &r.base, &defmgr__add_reply__descriptor, 20000, on_answer, f);
}

static double call_rate(void)
{
	struct flow f = {.loop = loop_new()};
	f.client = bus_client_new(f.loop, "testD");
	double start = now_us();
	for (unsigned i = 0; i < DEEP; i++)
		next_call(&f);
	while (f.ended < PIPELINED)
		(void)loop_run_once(f.loop, 1000);
	double took = now_us() - start;
	if (f.failed)
		die("calls failed");
	bus_client_free(f.client);
	loop_free(f.loop);
	return PIPELINED / took * 1e6;
}

static void on_published(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply)
{
	struct flow *f = arg;
	(void)text, (void)reply;
	f->failed += code != BUS_OK;
}

static void ask_burst(struct flow *f, unsigned n)
{
	Defmgr__UpdateRequest r = DEFMGR__UPDATE_REQUEST__INIT;
	r.has_loglimit = 1;
	r.loglimit = n;
	f->asked += n;
	bus_client_call(f->client, "defmgr.UpdateGlobal", &r.base, &defmgr__change_reply__descriptor, 60000, on_published, f);
}

static void on_event(void *arg, const struct bus_event_info *i, const void *body, size_t len)
{
	struct flow *f = arg;
	struct errbuf e;
	if (strcmp(i->topic, "defmgr.filter.added") != 0)
		return;
	f->lost += i->lost;
	if (!body)
		return;
	ProtobufCMessage *m = bus_unpack(&defmgr__filter_event__descriptor, body, len, &e);
	f->events += m != NULL;
	bus_unpack_free(m);
	/* Two bursts are on their way at any time: no more than the queue holds. */
	if (f->events % BURST == 0 && f->asked < EVENTS)
		ask_burst(f, BURST);
}

static void subscribed(struct flow *f, struct bus_subscriber **ret)
{
	static const char *const topics[] = {"defmgr.filter.added", NULL};
	*f = (struct flow){.loop = loop_new()};
	f->client = bus_client_new(f->loop, "testD");
	*ret = bus_subscriber_new(f->loop, "testD", topics, on_event, f);
	for (double end = now_us() + 300000; now_us() < end;)
		(void)loop_run_once(f->loop, 50);
}

static void unsubscribed(struct flow *f, struct bus_subscriber *s)
{
	bus_subscriber_free(s);
	bus_client_free(f->client);
	loop_free(f->loop);
}

static double event_rate(void)
{
	struct flow f;
	struct bus_subscriber *s;
	subscribed(&f, &s);
	double start = now_us();
	ask_burst(&f, BURST);
	ask_burst(&f, BURST);
	while (f.events < EVENTS && !f.lost && !f.failed)
		(void)loop_run_once(f.loop, 1000);
	double took = now_us() - start;
	if (f.lost || f.failed)
		die("events were lost");
	unsubscribed(&f, s);
	return EVENTS / took * 1e6;
}

static double flood_seen(void)
{
	struct flow f;
	struct bus_subscriber *s;
	subscribed(&f, &s);
	f.asked = EVENTS; /* on_event asks for nothing more */
	ask_burst(&f, 1);
	while (f.events < 1)
		(void)loop_run_once(f.loop, 100);
	ask_burst(&f, FLOOD);
	for (double end = now_us() + 5e6; f.events + f.lost < FLOOD + 1 && now_us() < end;)
		(void)loop_run_once(f.loop, 100);
	double seen = (double)(f.events + f.lost) / (FLOOD + 1);
	unsubscribed(&f, s);
	return seen;
}

static void line(const char *name, double value, const char *unit, const char *peer, double peer_value, bool smaller)
{
	if (peer)
		(void)printf("%s\t%.1f\t%s\t%s\t%.1f\t%.2f\n", name, value, unit, peer, peer_value, value / peer_value);
	else
		(void)printf("%s\t%.*f\t%s\t-\t-\t-\n", name, smaller ? 4 : 1, value, unit);
	(void)fflush(stdout);
}

static void calls(void)
{
	double ours[RUNS], bare[RUNS], rate[RUNS], bare_rate[RUNS];
	void *ctx = zmq_ctx_new(), *d = zmq_socket(ctx, ZMQ_DEALER);
	int zero = 0;
	zmq_setsockopt(d, ZMQ_LINGER, &zero, sizeof(zero));
	zmq_connect(d, echo_address);
	struct bus_client *c = bus_client_new(NULL, "testD");
	for (unsigned i = 0; i < RUNS; i++) {
		bare[i] = echo_p50(d);
		ours[i] = call_p50(c);
		bare_rate[i] = echo_rate(d);
		rate[i] = call_rate();
	}
	line("bus.call.p50", median(ours, RUNS), "us", "zeromq-echo", median(bare, RUNS), true);
	line("bus.call.rate", median(rate, RUNS), "calls/s", "zeromq-echo", median(bare_rate, RUNS), false);
	bus_client_free(c);
	zmq_close(d);
	zmq_ctx_term(ctx);
}

int main(void)
{
	double rate[RUNS], seen[RUNS];
	bus_setup();
	server_start();
	echo_start();
	calls();
	for (unsigned i = 0; i < RUNS; i++)
		rate[i] = event_rate();
	line("bus.events.rate", median(rate, RUNS), "events/s", NULL, 0, false);
	for (unsigned i = 0; i < RUNS; i++)
		seen[i] = flood_seen();
	line("bus.events.seen", median(seen, RUNS), "share", NULL, 0, true);
	(void)kill(echo_pid, SIGKILL);
	bus_teardown();
	return 0;
}
