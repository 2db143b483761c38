/* top_json: the same for programs. */
#include "cli/stackctl/top.h"
#include "lib/base/json.h"
#include <stdlib.h>

static void kv(struct json *j, const char *key, double v)
{
	json_key(j, key);
	json_double(j, v);
}

static void json_workers(const struct top *t, struct json *j)
{
	json_key(j, "workers");
	json_open(j, '[');
	for (size_t i = 0; i < t->is.meters->n_workers; i++) {
		struct load l = top_load(t, i);
		json_open(j, '{');
		json_kv_u64(j, "worker", l.worker);
		kv(j, "busy_percent", l.busy);
		kv(j, "packets_per_second", l.packets);
		kv(j, "batch_mean", l.batch);
		kv(j, "time_mean_ns", l.mean_ns);
		kv(j, "time_50_ns", l.p50_ns);
		kv(j, "time_99_ns", l.p99_ns);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void json_links(const struct top *t, struct json *j)
{
	json_key(j, "links");
	json_open(j, '[');
	for (size_t i = 0; i < t->is.links->n_links; i++) {
		struct traffic f = top_traffic(t, t->is.links->links[i]);
		json_open(j, '{');
		json_kv_str(j, "name", t->is.links->links[i]->name);
		json_kv_bool(j, "up", t->is.links->links[i]->up);
		kv(j, "rx_packets_per_second", f.rx);
		kv(j, "rx_bits_per_second", f.rx_bits);
		kv(j, "tx_packets_per_second", f.tx);
		kv(j, "tx_bits_per_second", f.tx_bits);
		kv(j, "lost_per_second", f.lost);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void json_tunnels(const struct top *t, struct json *j)
{
	struct flow *all;
	size_t n = top_flows(t, &all);
	json_key(j, "tunnels");
	json_open(j, '[');
	for (size_t i = 0; i < n; i++) {
		json_open(j, '{');
		json_kv_str(j, "tunnel_id", all[i].sa->tunnel_id);
		json_kv_str(j, "name", all[i].sa->name);
		json_kv_str(j, "direction", all[i].sa->direction);
		json_kv_u64(j, "spi", all[i].sa->spi);
		kv(j, "packets_per_second", all[i].packets);
		kv(j, "bits_per_second", all[i].bits);
		json_close(j, '}');
	}
	json_close(j, ']');
	free(all);
}

static void json_flows(const struct top *t, struct json *j)
{
	json_key(j, "flows");
	json_open(j, '[');
	for (size_t i = 0; i < t->is.flows->n_flows; i++)
		bus_json(j, &t->is.flows->flows[i]->base);
	json_close(j, ']');
}

static void json_drops(const struct top *t, struct json *j)
{
	struct dropped *all;
	size_t n = top_drops(t, &all);
	json_key(j, "drops");
	json_open(j, '[');
	for (size_t i = 0; i < n; i++) {
		json_open(j, '{');
		json_kv_str(j, "stage", all[i].counter->stage);
		json_kv_str(j, "reason", all[i].counter->name);
		kv(j, "packets_per_second", all[i].packets);
		json_kv_u64(j, "packets", all[i].counter->packets);
		json_close(j, '}');
	}
	json_close(j, ']');
	free(all);
}

void top_json(const struct top *t)
{
	struct json j;
	json_init(&j);
	json_open(&j, '{');
	json_kv_str(&j, "stack", t->daemon);
	json_kv_u64(&j, "time_us", t->is.meters->now_us);
	kv(&j, "seconds", t->seconds);
	json_workers(t, &j);
	if (t->is.links)
		json_links(t, &j);
	if (t->is.sas)
		json_tunnels(t, &j);
	if (t->is.flows)
		json_flows(t, &j);
	json_drops(t, &j);
	json_close(&j, '}');
	(void)puts(j.buf);
	json_fini(&j);
}
