/* top_json: the same for programs. */
#include "cli/stackctl/top.h"
#include "lib/base/json.h"
#include <stdlib.h>

static void kv(struct json *j, const char *key, double v)
{
	json_key(j, key);
	json_double(j, v);
}

/* A list of @n objects, whose members @row writes. */
static void rows(struct json *j, const char *key, size_t n, void (*row)(struct json *j, const void *from, size_t i), const void *from)
{
	json_key(j, key);
	json_open(j, '[');
	for (size_t i = 0; i < n; i++) {
		json_open(j, '{');
		row(j, from, i);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void worker(struct json *j, const void *from, size_t i)
{
	struct load l = top_load(from, i);
	json_kv_u64(j, "worker", l.worker);
	kv(j, "busy_percent", l.busy);
	kv(j, "packets_per_second", l.packets);
	kv(j, "batch_mean", l.batch);
	kv(j, "time_mean_ns", l.mean_ns);
	kv(j, "time_50_ns", l.p50_ns);
	kv(j, "time_99_ns", l.p99_ns);
}

static void link_of(struct json *j, const void *from, size_t i)
{
	const struct top *t = from;
	struct traffic f = top_traffic(t, t->is.links->links[i]);
	json_kv_str(j, "name", t->is.links->links[i]->name);
	json_kv_bool(j, "up", t->is.links->links[i]->up);
	kv(j, "rx_packets_per_second", f.rx);
	kv(j, "rx_bits_per_second", f.rx_bits);
	kv(j, "tx_packets_per_second", f.tx);
	kv(j, "tx_bits_per_second", f.tx_bits);
	kv(j, "lost_per_second", f.lost);
}

static void tunnel(struct json *j, const void *from, size_t i)
{
	const struct flow *f = (const struct flow *)from + i;
	json_kv_str(j, "tunnel_id", f->sa->tunnel_id);
	json_kv_str(j, "name", f->sa->name);
	json_kv_str(j, "direction", f->sa->direction);
	json_kv_u64(j, "spi", f->sa->spi);
	kv(j, "packets_per_second", f->packets);
	kv(j, "bits_per_second", f->bits);
}

static void flow_of(struct json *j, const void *from, size_t i)
{
	const struct top *t = from;
	bus_json_members(j, &t->is.flows->flows[i]->base);
}

static void drop(struct json *j, const void *from, size_t i)
{
	const struct dropped *d = (const struct dropped *)from + i;
	json_kv_str(j, "stage", d->counter->stage);
	json_kv_str(j, "reason", d->counter->name);
	kv(j, "packets_per_second", d->packets);
	json_kv_u64(j, "packets", d->counter->packets);
}

void top_json(const struct top *t)
{
	struct json j;
	struct dropped *drops;
	size_t n_drops = top_drops(t, &drops);
	json_init(&j);
	json_open(&j, '{');
	json_kv_str(&j, "stack", t->daemon);
	json_kv_u64(&j, "time_us", t->is.meters->now_us);
	kv(&j, "seconds", t->seconds);
	rows(&j, "workers", t->is.meters->n_workers, worker, t);
	if (t->is.links)
		rows(&j, "links", t->is.links->n_links, link_of, t);
	if (t->is.sas) {
		struct flow *flows;
		size_t n = top_flows(t, &flows);
		rows(&j, "tunnels", n, tunnel, flows);
		free(flows);
	}
	if (t->is.flows)
		rows(&j, "flows", t->is.flows->n_flows, flow_of, t);
	rows(&j, "drops", n_drops, drop, drops);
	json_close(&j, '}');
	(void)puts(j.buf);
	json_fini(&j);
	free(drops);
}
