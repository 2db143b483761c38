/* What filtering costs: ns a packet with 0, 10, 1,000 and 100,000 defensive filters (hosts, networks, ranges, ports, a mixture, and
 * every shape there is), for flows that the cache knows and for new ones; the same for a million flows at once; and us to install
 * or remove one of 100,000 while a worker reads. The peer of a line is the same with 10 filters, measured in turn with it. */
#include "daemons/stack-core/filter/filter.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <urcu/urcu-qsbr.h>

enum { RUNS = 7, PACKETS = 200000, FLOWS = 1024, BATCH = 256, MANY = 100000 };

static double now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* other programs do not count */
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
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

static void line(const char *name, double v, const char *unit)
{
	printf("%s\t%.2f\t%s\t-\t-\t-\n", name, v, unit);
	fflush(stdout);
}

/* Real ones: hosts, networks, host and port. None of them is where the packets come from. */
static struct filter_spec defence(uint32_t i)
{
	struct filter_spec s;
	struct prefix p = {
		.addr = {4, {(uint8_t)(100 + (i >> 16)), (uint8_t)(i >> 8), (uint8_t)i, 0}},
		.len = 24};
	filter_spec_init(&s, 4, true);
	s.id = i + 1;
	snprintf(s.name, sizeof(s.name), "BENCH%u", i);
	if (i % 4) {
		p.len = 32;
		p.addr.b[3] = 7;
	}
	filter_spec_source(&s, &p);
	if (i % 4 == 2) {
		s.proto = 6;
		s.b = (struct filter_range){80, 80};
	}
	s.expires_us = UINT64_C(1) << 60;
	return s;
}

static struct filter_spec host(uint32_t i)
{
	struct filter_spec s = defence(i);
	filter_spec_source(&s, &(struct prefix){.addr = {4, {(uint8_t)(100 + (i >> 16)), (uint8_t)(i >> 8), (uint8_t)i, 7}}, .len = 32});
	s.proto = FILTER_PROTO_ANY;
	s.b = (struct filter_range){0, UINT16_MAX};
	return s;
}

static struct filter_spec net(uint32_t i)
{
	struct filter_spec s = host(i);
	struct prefix p = {.addr = s.src_lo, .len = (uint8_t)(16 + i % 13)};
	prefix_mask(&p);
	filter_spec_source(&s, &p);
	return s;
}

static struct filter_spec range(uint32_t i)
{
	struct filter_spec s = host(i);
	s.src_lo.b[3] = (uint8_t)(1 + i % 50);
	s.src_hi.b[3] = (uint8_t)(60 + i % 190);
	return s;
}

static struct filter_spec port(uint32_t i)
{
	struct filter_spec s = host(i);
	s.proto = i & 1 ? 6 : 17;
	s.b = (struct filter_range){(uint16_t)(i % 1000), (uint16_t)(i % 3 ? i % 1000 : i % 1000 + 20)};
	return s;
}

static struct filter_spec any(uint32_t i)
{
	struct filter_spec (*const make[])(uint32_t) = {host, net, range, port};
	return make[i % 4](i);
}

/* The worst for a tuple space: every shape there is. */
static struct filter_spec mixed(uint32_t i)
{
	static uint32_t seed = 1;
	struct filter_spec s = defence(i);
	struct prefix p = {.addr = {4, {(uint8_t)(100 + i % 100), (uint8_t)(i >> 8), (uint8_t)i,
					       (uint8_t)(i >> 4)}}};
	seed = seed * 1664525 + 1013904223;
	uint32_t r = seed >> 8;
	p.len = (uint8_t)(9 + r % 24);
	prefix_mask(&p);
	filter_spec_source(&s, &p);
	p.len = (uint8_t)(r / 24 % 33);
	prefix_mask(&p);
	filter_spec_dest(&s, &p);
	s.proto = r & 1 ? 6 : 17;
	s.a = r & 2 ? (struct filter_range){0, UINT16_MAX}
		    : (struct filter_range){(uint16_t)i, (uint16_t)i};
	s.b = r & 4 ? (struct filter_range){80, 443}
		    : (struct filter_range){(uint16_t)(r >> 3 & 1023), 1023};
	return s;
}

static struct filter_set *set_with(uint32_t n, struct filter_spec (*make)(uint32_t i))
{
	struct filter_set *fs = filter_set_new();
	struct filter_spec permit, *v = calloc(n ? n : 1, sizeof(*v));
	struct errbuf e;
	filter_spec_init(&permit, 4, true);
	permit.action = FILTER_PERMIT;
	strcpy(permit.name, "PERMIT");
	for (uint32_t i = 0; i < n; i++)
		v[i] = make(i);
	if (filter_install(fs, FILTER_POLICY,
		    &(struct filter_install){.rules = &permit, .n = 1, .loaded = true}, &e) < 0 ||
		filter_defend(fs, &(struct filter_defend){.add = v, .n_add = n}, 1, &e) < 0) {
		fprintf(stderr, "bench_filters: %s\n", e.text);
		exit(1);
	}
	free(v);
	return fs;
}

static struct pkt packet(uint32_t flow)
{
	return (struct pkt){.family = 4,
		.proto = 6,
		.sport = (uint16_t)flow,
		.dport = 80,
		.inbound = true,
		.scope = PKT_ROUTED,
		.len = 64,
		.src = {4, {10, (uint8_t)(flow >> 16), (uint8_t)(flow >> 8), 1}},
		.dst = {4, {192, 0, 2, 1}}};
}

static double per_packet_from(struct filter_worker *w, uint32_t flows, uint32_t first)
{
	static struct pkt p[FLOWS], *batch[FLOWS];
	struct filter_verdict v;
	unsigned denied = 0;
	double spent = 0;
	for (uint32_t i = 0; i < PACKETS; i += FLOWS) {
		for (uint32_t k = 0; k < FLOWS; k++)
			*(batch[k] = &p[k]) = packet((first + i + k) % flows);
		double t = now_ns();
		for (uint32_t k = 0; k < FLOWS; k++) {
			if (k % BATCH == 0)
				filter_prefetch(w, batch + k, BATCH);
			filter_check(w, &p[k], &v);
			denied += v.action == FILTER_DENY;
		}
		spent += now_ns() - t;
		urcu_qsbr_quiescent_state();
	}
	if (denied)
		exit(1);
	return spent / ((PACKETS + FLOWS - 1) / FLOWS * FLOWS);
}

static double per_packet(struct filter_worker *w, uint32_t flows)
{
	return per_packet_from(w, flows, 0);
}

struct side {
	struct filter_set *fs;
	struct filter_worker *w;
	double v[RUNS];
};

static void side_new(struct side *s, uint32_t n, bool cached, struct filter_spec (*make)(uint32_t i))
{
	s->fs = set_with(n, make);
	s->w = filter_worker_new(s->fs, cached ? FILTER_CACHE_DEFAULT : 0);
	filter_worker_now(s->w, 1000000);
	(void)per_packet(s->w, cached ? FLOWS : 1u << 24);
}

static void lookups(const char *name, uint32_t n, bool cached, struct filter_spec (*make)(uint32_t i))
{
	struct side ours, few;
	side_new(&ours, n, cached, make);
	side_new(&few, 10, cached, make);
	for (unsigned i = 0; i < RUNS; i++) {
		ours.v[i] = per_packet(ours.w, cached ? FLOWS : 1u << 24);
		few.v[i] = per_packet(few.w, cached ? FLOWS : 1u << 24);
	}
	double a = median(ours.v, RUNS), b = median(few.v, RUNS);
	printf("%s\t%.2f\tns\t10 filters\t%.2f\t%.2f\n", name, a, b, a / b);
	fflush(stdout);
	filter_set_free(ours.fs);
	filter_set_free(few.fs);
}

/* A million flows in turn: each packet is of another flow than the last million were. */
static void million(void)
{
	enum { MILLION = 1000000 };
	struct filter_worker_stats st, end;
	struct side s;
	side_new(&s, MANY, true, any);
	for (unsigned i = 0; i < 8; i++) { /* the cache grows */
		for (unsigned k = 0; k < MILLION; k += PACKETS)
			(void)per_packet_from(s.w, MILLION, k);
		filter_worker_now(s.w, 1000000);
		filter_grow(s.fs);
		filter_worker_now(s.w, 1000000);
	}
	filter_worker_stats(s.w, &st);
	for (unsigned i = 0; i < RUNS; i++)
		s.v[i] = per_packet_from(s.w, MILLION, i * PACKETS);
	filter_worker_stats(s.w, &end);
	line("filters.cached.million", median(s.v, RUNS), "ns");
	line("filters.cached.million.hits", (double)(end.hits - st.hits) / (double)(end.hits + end.misses - st.hits - st.misses), "of 1");
	filter_set_free(s.fs);
}

struct reader {
	struct filter_worker *w;
	atomic_bool stop;
};

static void *read_on(void *arg)
{
	struct reader *r = arg;
	urcu_qsbr_register_thread();
	filter_worker_now(r->w, 1000000);
	for (uint32_t i = 0; !atomic_load_explicit(&r->stop, memory_order_relaxed); i++) {
		struct pkt p = packet(i % FLOWS);
		struct filter_verdict v;
		filter_check(r->w, &p, &v);
		if (i % 256 == 0)
			urcu_qsbr_quiescent_state();
	}
	urcu_qsbr_unregister_thread();
	return NULL;
}

static void changes(void)
{
	struct filter_set *fs = set_with(MANY, defence);
	struct reader r = {filter_worker_new(fs, FILTER_CACHE_DEFAULT), false};
	pthread_t thread;
	enum { N = 20000 };
	double *in = calloc(N, sizeof(double)), *out = calloc(N, sizeof(double));
	if (pthread_create(&thread, NULL, read_on, &r))
		exit(1);
	for (uint32_t i = 0; i < N; i++) {
		struct filter_spec s = defence(MANY + i);
		double t = now_ns();
		if (filter_defend(
			    fs, &(struct filter_defend){.add = &s, .n_add = 1}, 1000000, NULL) < 0)
			exit(1);
		in[i] = (now_ns() - t) / 1000;
	}
	for (uint32_t i = 0; i < N; i++) {
		uint64_t id = i * 5 + 1;
		double t = now_ns();
		if (filter_defend(fs, &(struct filter_defend){.remove = &id, .n_remove = 1},
			    1000000, NULL) < 0)
			exit(1);
		out[i] = (now_ns() - t) / 1000;
	}
	atomic_store(&r.stop, true);
	pthread_join(thread, NULL);
	line("filters.install.100000", median(in, N), "us");
	line("filters.install.p99.100000", in[N * 99 / 100], "us");
	line("filters.remove.100000", median(out, N), "us");
	line("filters.remove.p99.100000", out[N * 99 / 100], "us");
	free(in);
	free(out);
	filter_set_free(fs);
}

int main(void)
{
	urcu_qsbr_register_thread();
	lookups("filters.cached.0", 0, true, defence);
	lookups("filters.cached.1000", 1000, true, any);
	lookups("filters.cached.100000", MANY, true, any);
	lookups("filters.new.host.100000", MANY, false, host);
	lookups("filters.new.prefix.100000", MANY, false, net);
	lookups("filters.new.range.100000", MANY, false, range);
	lookups("filters.new.port.100000", MANY, false, port);
	lookups("filters.new.1000", 1000, false, any);
	lookups("filters.new.100000", MANY, false, any);
	lookups("filters.new.shapes.100000", MANY, false, mixed);
	million();
	urcu_qsbr_thread_offline();
	changes();
	urcu_qsbr_unregister_thread();
	return 0;
}
