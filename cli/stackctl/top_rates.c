/* top_rates: counters of two samples as rates. */
#include "cli/stackctl/top.h"
#include "lib/base/xalloc.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A counter that began anew counts from 0. */
static double rate(const struct top *t, uint64_t was, uint64_t is)
{
	return (double)(is >= was ? is - was : is) / t->seconds;
}

/* The bucket in which the @q-th part of what was counted lies; its upper end. */
static double quantile(const uint64_t *was, const uint64_t *is, size_t n, double q)
{
	uint64_t all = 0, seen = 0;
	for (size_t i = 0; i < n; i++)
		all += is[i] - (was ? was[i] : 0);
	for (size_t i = 0; i < n && all; i++) {
		seen += is[i] - (was ? was[i] : 0);
		if ((double)seen >= q * (double)all)
			return ldexp(1, (int)i);
	}
	return 0;
}

struct load top_load(const struct top *t, size_t i)
{
	const Stack__WorkerMeter *is = t->is.meters->workers[i];
	const Stack__WorkerMeter *was = i < t->was.meters->n_workers ? t->was.meters->workers[i] : NULL;
	if (was && (was->packets > is->packets || was->n_time_ns != is->n_time_ns))
		was = NULL; /* another life of the stack */
	double batches = (double)(is->batches - (was ? was->batches : 0)), packets = (double)(is->packets - (was ? was->packets : 0));
	double sampled = (double)(is->sampled - (was ? was->sampled : 0)), ns = (double)(is->sampled_ns - (was ? was->sampled_ns : 0));
	const uint64_t *then = was ? was->time_ns : NULL;
	return (struct load){is->worker, (double)(is->busy_ns - (was ? was->busy_ns : 0)) / t->seconds / 1e7, packets / t->seconds,
		batches > 0 ? packets / batches : 0, sampled > 0 ? ns / sampled : 0, quantile(then, is->time_ns, is->n_time_ns, 0.5),
		quantile(then, is->time_ns, is->n_time_ns, 0.99)};
}

static const Stack__Link *link_then(const struct top *t, const char *name)
{
	for (size_t i = 0; t->was.links && i < t->was.links->n_links; i++)
		if (!strcmp(t->was.links->links[i]->name, name))
			return t->was.links->links[i];
	return NULL;
}

struct traffic top_traffic(const struct top *t, const Stack__Link *is)
{
	static const Stack__Link none = STACK__LINK__INIT;
	const Stack__Link *was = link_then(t, is->name);
	was = was ? was : &none;
	return (struct traffic){rate(t, was->rx_packets, is->rx_packets), 8 * rate(t, was->rx_bytes, is->rx_bytes),
		rate(t, was->tx_packets, is->tx_packets), 8 * rate(t, was->tx_bytes, is->tx_bytes),
		rate(t, was->rx_dropped + was->tx_dropped, is->rx_dropped + is->tx_dropped)};
}

static int busier(const void *a, const void *b)
{
	const struct flow *x = a, *y = b;
	return x->bits != y->bits ? (x->bits < y->bits) - (x->bits > y->bits) : (x->packets < y->packets) - (x->packets > y->packets);
}

static int by_spi(const void *a, const void *b)
{
	const Stack__Sa *x = *(Stack__Sa *const *)a, *y = *(Stack__Sa *const *)b;
	int r = strcmp(x->direction, y->direction);
	return r ? r : (x->spi > y->spi) - (x->spi < y->spi);
}

size_t top_flows(const struct top *t, struct flow **ret)
{
	struct flow *all = xcalloc(t->is.sas->n_sas + 1, sizeof(*all));
	size_t n = 0;
	if (t->was.sas)
		qsort(t->was.sas->sas, t->was.sas->n_sas, sizeof(*t->was.sas->sas), by_spi);
	for (size_t i = 0; i < t->is.sas->n_sas; i++) {
		Stack__Sa *is = t->is.sas->sas[i];
		Stack__Sa **was = t->was.sas && t->was.sas->n_sas
			? bsearch(&is, t->was.sas->sas, t->was.sas->n_sas, sizeof(*t->was.sas->sas), by_spi) : NULL;
		all[n++] = (struct flow){is, rate(t, was ? (*was)->packets : 0, is->packets), 8 * rate(t, was ? (*was)->bytes : 0, is->bytes)};
	}
	qsort(all, n, sizeof(*all), busier);
	*ret = all;
	return n;
}

static int more_dropped(const void *a, const void *b)
{
	const struct dropped *x = a, *y = b;
	return x->packets != y->packets ? (x->packets < y->packets) - (x->packets > y->packets)
					: (x->counter->packets < y->counter->packets) - (x->counter->packets > y->counter->packets);
}

static uint64_t counted_then(const struct top *t, size_t i)
{
	const Stack__CountersReply *was = t->was.counters, *is = t->is.counters;
	return i < was->n_counters && !strcmp(was->counters[i]->name, is->counters[i]->name) ? was->counters[i]->packets : 0;
}

size_t top_drops(const struct top *t, struct dropped **ret)
{
	struct dropped *all = xcalloc(t->is.counters->n_counters + 1, sizeof(*all));
	size_t n = 0;
	for (size_t i = 0; i < t->is.counters->n_counters; i++) {
		const Stack__Counter *k = t->is.counters->counters[i];
		if (k->drop && k->packets)
			all[n++] = (struct dropped){k, rate(t, counted_then(t, i), k->packets)};
	}
	qsort(all, n, sizeof(*all), more_dropped);
	*ret = all;
	return n;
}
