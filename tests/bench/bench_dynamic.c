/* Dynamic tunnels in memory, as ikeD drives them: bench_dynamic.
 *
 *   dynamic.install.rate    tunnels a second: both SAs, filters in front of the anchor, ready; 20,000 of them, median of 5 runs
 *   dynamic.remove.rate     the same going again
 *   dynamic.install.worst   us, the slowest single one of a run: nothing waits for packet workers; median of 5
 *   dynamic.memory          bytes a tunnel of 20,000
 *   dynamic.lookup          ns to find an inbound SA among 20,000, median of 5 runs */
#include "daemons/stack-core/filter/filter.h"
#include "daemons/stack-core/ipsec/dynamic.h"
#include "lib/base/xalloc.h"
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TUNNELS = 20000, RUNS = 5, WORKERS = 2, LOOKUPS = 1000000 };

static struct sadb *db;
static struct filter_set *fs;
static struct tunnel *tunnels[TUNNELS];

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(int r)
{
	if (r < 0) {
		(void)fprintf(stderr, "bench_dynamic: %s\n", strerror(-r));
		exit(1);
	}
}

static void policy(void)
{
	struct filter_spec s[2];
	struct errbuf e;

	for (unsigned in = 0; in < 2; in++) {
		filter_spec_init(&s[in], 4, in);
		(void)snprintf(s[in].name, sizeof(s[in].name), "net");
		(void)snprintf(s[in].vpn, sizeof(s[in].vpn), "vpn");
		s[in].action = FILTER_IPSEC;
		s[in].anchor = true;
	}
	must(filter_install(fs, FILTER_POLICY, &(struct filter_install){.rules = s, .n = 2, .loaded = true}, &e));
}

static void install(uint32_t i)
{
	struct sa_params p = {.proto = SA_ESP, .mode = SA_TUNNEL, .spi = 1000 + i, .src = {4, {192, 0, 2, 1}}, .dst = {4, {192, 0, 2, 2}},
		.cipher = CIPHER_AES_GCM, .key_len = 20, .esn = true, .replay = 1024};
	struct generation *g = xnew(struct generation);
	struct filter_protect f;
	struct filter_dynamic *d;
	struct errbuf e;
	char id[16];
	bool made;

	(void)snprintf(id, sizeof(id), "Y%u", i);
	g->number = 1;
	memcpy(p.key, &i, sizeof(i));
	must(sa_new(&p, true, WORKERS, &e, &g->in));
	p.replay = 0;
	must(sa_new(&p, false, WORKERS, &e, &g->out));
	must(dynamic_install(db, id, "net", g, &e, &tunnels[i], &made));
	memset(&f, 0, sizeof(f));
	memcpy(f.rule, "net", 4);
	f.local_lo = f.local_hi = (struct addr){4, {10, 1, (uint8_t)(i >> 8), (uint8_t)i}};
	f.remote_lo = f.remote_hi = (struct addr){4, {10, 2, (uint8_t)(i >> 8), (uint8_t)i}};
	f.proto = FILTER_PROTO_ANY;
	f.tunnel = tunnels[i]->index;
	must(filter_dynamic_add(fs, &f, &e, &d));
	tunnels[i]->filters = d;
	(void)dynamic_ready(tunnels[i], g);
	filter_dynamic_ready(fs, d);
}

static void remove_one(uint32_t i)
{
	filter_dynamic_remove(fs, tunnels[i]->filters);
	(void)dynamic_remove(db, tunnels[i], 0);
}

static double lookups(void)
{
	struct addr dst = {4, {192, 0, 2, 2}};
	uint64_t found = 0;
	double start = now();

	for (uint32_t i = 0, at = 0; i < LOOKUPS; i++, at = (at + 7919) % TUNNELS)
		found += sadb_lookup(db, &dst, SA_ESP, 1000 + at) != NULL;
	must(found == LOOKUPS ? 0 : -EIO);
	return (now() - start) * 1e9 / LOOKUPS;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void line(const char *name, double *v, const char *unit)
{
	qsort(v, RUNS, sizeof(*v), by_value);
	(void)printf("%s\t%.1f\t%s\t-\t-\t-\n", name, v[RUNS / 2], unit);
}

int main(void)
{
	double in[RUNS], out[RUNS], worst[RUNS], bytes[RUNS], look[RUNS];

	urcu_qsbr_register_thread();
	for (unsigned run = 0; run < RUNS; run++) {
		fs = filter_set_new();
		db = sadb_new(WORKERS);
		policy();
		size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
		double start = now(), last = start;
		worst[run] = 0;
		for (uint32_t i = 0; i < TUNNELS; i++) {
			install(i);
			double at = now();
			worst[run] = at - last > worst[run] ? at - last : worst[run];
			last = at;
		}
		in[run] = TUNNELS / (last - start);
		worst[run] *= 1e6;
		bytes[run] = (double)(mallinfo2().uordblks + mallinfo2().hblkhd - before) / TUNNELS;
		look[run] = lookups();
		start = now();
		for (uint32_t i = 0; i < TUNNELS; i++)
			remove_one(i);
		out[run] = TUNNELS / (now() - start);
		urcu_qsbr_quiescent_state();
		filter_set_free(fs);
		sadb_free(db);
	}
	line("dynamic.install.rate", in, "/s");
	line("dynamic.remove.rate", out, "/s");
	line("dynamic.install.worst", worst, "us");
	line("dynamic.memory", bytes, "bytes");
	line("dynamic.lookup", look, "ns");
	urcu_qsbr_unregister_thread();
	return 0;
}
