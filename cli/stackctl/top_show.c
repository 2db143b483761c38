/* top_show: a picture of the stack for people. */
#include "cli/stackctl/top.h"
#include "lib/base/ipproto.h"
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { TUNNELS_SHOWN = 10, FLOWS_SHOWN = 10, DROPS_SHOWN = 12, HEADINGS = 11 };

/* "12.3M" */
static const char *si(double v)
{
	static const char units[] = " kMGT";
	static char texts[16][16];
	static unsigned next;
	char *out = texts[next++ % 16];
	unsigned u = 0;
	for (; v >= 9999.5 && u < sizeof(units) - 2; u++)
		v /= 1000;
	(void)snprintf(out, sizeof(texts[0]), u ? "%.*f%c" : "%.*f", v < 99.95 && u ? 1 : 0, v, units[u]);
	return out;
}

static const char *ns_text(double ns, char out[16])
{
	if (ns <= 0)
		(void)snprintf(out, 16, "-");
	else if (ns < 10e3)
		(void)snprintf(out, 16, "%.1fus", ns / 1e3);
	else if (ns < 10e6)
		(void)snprintf(out, 16, "%.0fus", ns / 1e3);
	else
		(void)snprintf(out, 16, "%.0fms", ns / 1e6);
	return out;
}

static void show_workers(struct top *t)
{
	struct cli_table *table = cli_table_new("WORKER", "BUSY%", "PPS", "BATCH", "MEAN", "HALF-IN", "99%-IN", NULL);
	for (size_t i = 0; i < t->is.meters->n_workers; i++) {
		struct load l = top_load(t, i);
		char worker[16], busy[16], batch[16], mean[16], half[16], most[16];
		(void)snprintf(worker, sizeof(worker), "%u", l.worker);
		(void)snprintf(busy, sizeof(busy), "%.1f", l.busy);
		(void)snprintf(batch, sizeof(batch), "%.1f", l.batch);
		cli_table_row(table, worker, busy, si(l.packets), batch, ns_text(l.mean_ns, mean), ns_text(l.p50_ns, half),
			ns_text(l.p99_ns, most), NULL);
	}
	cli_table_end(table);
}

static void show_links(struct top *t)
{
	struct cli_table *table = cli_table_new("INTERFACE", "STATE", "RX-PPS", "RX-BIT/S", "TX-PPS", "TX-BIT/S", "LOST/S", NULL);
	for (size_t i = 0; i < t->is.links->n_links; i++) {
		const Stack__Link *l = t->is.links->links[i];
		struct traffic f = top_traffic(t, l);
		cli_table_row(table, l->name, l->up ? "up" : "down", si(f.rx), si(f.rx_bits), si(f.tx), si(f.tx_bits), si(f.lost), NULL);
	}
	cli_table_end(table);
}

static void show_tunnels(struct top *t, size_t most)
{
	struct flow *all;
	size_t n = top_flows(t, &all);
	struct cli_table *table = cli_table_new("TUNNEL", "NAME", "DIR", "REMOTE", "STATE", "PPS", "BIT/S", NULL);
	for (size_t i = 0; i < n && i < most; i++)
		cli_table_row(table, all[i].sa->tunnel_id, all[i].sa->name, all[i].sa->direction[0] == 'I' ? "in" : "out", all[i].sa->remote,
			all[i].sa->state, si(all[i].packets), si(all[i].bits), NULL);
	cli_table_end(table);
	free(all);
}

static void show_drops(struct top *t, size_t most)
{
	struct dropped *all;
	size_t n = top_drops(t, &all);
	struct cli_table *table = cli_table_new("DROPPED/S", "SINCE START", "STAGE", "REASON", "WHAT", NULL);
	for (size_t i = 0; i < n && i < most; i++)
		cli_table_row(table, si(all[i].packets), cli_u64(all[i].counter->packets), all[i].counter->stage, all[i].counter->name,
			all[i].counter->help, NULL);
	cli_table_end(table);
	free(all);
}

static const char *end_text(const char *address, bool has_port, uint32_t port, char out[64])
{
	if (!has_port)
		(void)snprintf(out, 64, "%.46s", address);
	else
		(void)snprintf(out, 64, strchr(address, ':') ? "[%.46s]:%u" : "%.46s:%u", address, port);
	return out;
}

static void show_flows(struct top *t, size_t most)
{
	struct cli_table *table = cli_table_new("FLOW FROM", "TO", "PROT", "INTERFACE", "~PPS", "~BIT/S", NULL);
	for (size_t i = 0; i < t->is.flows->n_flows && i < most; i++) {
		const Stack__Flow *f = t->is.flows->flows[i];
		const char *name = ipproto_name(f->protocol);
		char from[64], to[64];
		cli_table_row(table, end_text(f->source, f->has_source_port, f->source_port, from),
			end_text(f->destination, f->has_dest_port, f->dest_port, to), name ? name : cli_u64(f->protocol), f->link,
			si((double)f->packets_per_second), si((double)f->bits_per_second), NULL);
	}
	cli_table_end(table);
}

/* What a picture has room for. */
struct room {
	size_t tunnels, flows, drops;
};

static struct room room_of(const struct top *t)
{
	size_t tunnels = t->is.sas ? t->is.sas->n_sas : 0, flows = t->is.flows ? t->is.flows->n_flows : 0;
	struct room r = {TUNNELS_SHOWN, FLOWS_SHOWN, DROPS_SHOWN};
	if (t->rows) {
		size_t fixed = HEADINGS + t->is.meters->n_workers + (t->is.links ? t->is.links->n_links : 0);
		size_t left = t->rows > fixed ? t->rows - fixed : 0;
		r.tunnels = tunnels < left / 3 ? tunnels : left / 3;
		left -= r.tunnels;
		r.flows = flows < left / 2 ? flows : left / 2;
		r.drops = left - r.flows;
	}
	return r;
}

void top_picture(struct top *t)
{
	char when[16];
	time_t now = time(NULL);
	struct tm tm;
	struct winsize size;
	t->rows = t->terminal && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) ? size.ws_row : 0;
	struct room room = room_of(t);
	if (t->terminal)
		(void)printf("\033[H\033[J");
	(void)strftime(when, sizeof(when), "%H:%M:%S", localtime_r(&now, &tm));
	(void)printf("%s  %s  over %.1f s  %u trace%s\n\n", t->daemon, when, t->seconds, t->is.meters->traces, t->is.meters->traces == 1 ? "" : "s");
	show_workers(t);
	if (t->is.links) {
		(void)printf("\n");
		show_links(t);
	}
	if (t->is.sas && t->is.sas->n_sas && room.tunnels) {
		(void)printf("\n");
		show_tunnels(t, room.tunnels);
	}
	if (t->is.flows && t->is.flows->n_flows && room.flows) {
		(void)printf("\n");
		show_flows(t, room.flows);
	}
	if (room.drops) {
		(void)printf("\n");
		show_drops(t, room.drops);
	}
	if (!t->terminal && !t->once)
		(void)printf("\n");
}
