/* Filter messages: which are written (a defence's LogLimit), how they reach the control thread, and
 * their text.
 *
 * LogLimit n means on average n messages in five minutes and at most n at once (zos.md section 4):
 * a token bucket, kept as the one time at which it will be full again (GCRA), so that workers share
 * it with one compare-and-swap. */
#include "daemons/stack-core/filter/set.h"
#include "lib/base/xalloc.h"
#include <inttypes.h>
#include <time.h>

#define INTERVAL_US UINT64_C(300000000)
enum { PENDING_MAX = 4096 };

/* May another message be written now? */
static bool limit_ok(struct filter_rule *r, uint64_t now_us)
{
	uint64_t n = r->spec.loglimit;
	if (!n)
		return true;
	uint64_t step = INTERVAL_US / n ? INTERVAL_US / n : 1;
	uint64_t tat = atomic_load_explicit(&r->tat_us, memory_order_relaxed), next;
	do {
		uint64_t from = tat > now_us ? tat : now_us;
		if (from > now_us + INTERVAL_US)
			from = now_us + INTERVAL_US; /* the clock was set back */
		next = from + step;
		if (next > now_us + n * step) {
			atomic_fetch_add_explicit(&r->suppressed, 1, memory_order_relaxed);
			return false;
		}
	} while (!atomic_compare_exchange_weak_explicit(
		&r->tat_us, &tat, next, memory_order_relaxed, memory_order_relaxed));
	return true;
}

void filter_log_packet(
	struct filter_worker *w, struct filter_rule *r, const struct pkt *p, enum filter_msg msg)
{
	if (!limit_ok(r, w->now_us))
		return;
	struct filter_log *rec = log_ring_next(&w->ring);
	if (!rec)
		return;
	rec->time_us = w->now_us;
	rec->msg = (uint16_t)msg;
	rec->ext = r->spec.ext;
	memcpy(rec->name, r->spec.name, sizeof(rec->name));
	memcpy(rec->vpn, r->spec.vpn, sizeof(rec->vpn));
	rec->tunnel = filter_tunnel(r);
	rec->src = p->src;
	rec->dst = p->dst;
	rec->proto = p->proto;
	rec->icmp_type = p->icmp_type;
	rec->icmp_code = p->icmp_code;
	rec->secclass = p->secclass;
	rec->scope = p->scope;
	rec->inbound = p->inbound;
	rec->fragment = p->fragment;
	rec->opaque = pkt_hidden(p);
	rec->sport = p->sport;
	rec->dport = p->dport;
	rec->link = p->inbound ? p->in_link : p->out_link;
	rec->len = p->len;
	rec->suppressed = 0;
	log_ring_commit(&w->ring);
}

static bool report(struct filter_rule *r, uint64_t now_us, struct filter_log *ret)
{
	uint64_t n = atomic_exchange_explicit(&r->suppressed, 0, memory_order_relaxed);
	if (!n)
		return false;
	*ret = (struct filter_log){.time_us = now_us,
		.ext = r->spec.ext,
		.tunnel = UINT32_MAX,
		.suppressed = n,
		.spec = r->spec,
		.inbound = r->spec.inbound,
		.msg = r->spec.action == FILTER_SIMULATE ? FILTER_MSG_SIMULATED_LIMITED
							 : FILTER_MSG_DENIED_LIMITED};
	memcpy(ret->name, r->spec.name, sizeof(ret->name));
	return true;
}

void filter_log_pending(struct filter_set *fs, struct filter_rule *r, uint64_t now_us)
{
	struct filter_log rec;
	if (fs->n_pending == PENDING_MAX || !report(r, now_us, &rec))
		return;
	if (!fs->pending)
		fs->pending = xcalloc(PENDING_MAX, sizeof(*fs->pending));
	fs->pending[fs->n_pending++] = rec;
}

static size_t limited(struct filter_set *fs, uint64_t now_us, filter_log_fn fn, void *arg)
{
	struct filter_log rec;
	size_t n = 0;
	for (; fs->n_pending; n++)
		fn(arg, &fs->pending[--fs->n_pending]);
	if (!fs->report_us || fs->report_us > now_us + INTERVAL_US)
		fs->report_us = now_us + INTERVAL_US;
	if (now_us < fs->report_us)
		return n;
	fs->report_us = now_us + INTERVAL_US;
	for (struct filter_rule *r = fs->newest; r; r = r->older)
		if (r->spec.loglimit && report(r, now_us, &rec)) {
			fn(arg, &rec);
			n++;
		}
	return n;
}

size_t filter_log_read(
	struct filter_set *fs, uint64_t now_us, size_t max, filter_log_fn fn, void *arg)
{
	struct filter_log rec = {0};
	size_t n = 0;
	unsigned workers = atomic_load(&fs->n_workers);
	for (unsigned i = 0; i < workers; i++)
		while (n < max && log_ring_take(&fs->worker[i]->ring, &rec)) {
			fn(arg, &rec);
			n++;
		}
	return n + limited(fs, now_us, fn, arg);
}

/* --- text --- */

static const char *intro(unsigned msg)
{
	switch (msg) {
	case FILTER_MSG_PERMITTED:
		return "EZD0814I Packet permitted:";
	case FILTER_MSG_DENIED:
		return "EZD0815I Packet denied by policy:";
	case FILTER_MSG_NO_TUNNEL:
		return "EZD0821I Packet denied, no tunnel:";
	case FILTER_MSG_INACTIVE:
		return "EZD0822I Packet denied, tunnel inactive:";
	case FILTER_MSG_MISMATCH:
		return "EZD0833I Packet denied, tunnel mismatch:";
	case FILTER_MSG_DENIED_LIMITED:
		return "EZD0837I Defensive filter packet denied messages limited:";
	case FILTER_MSG_SIMULATED_LIMITED:
		return "EZD0838I Defensive filter packet would have been denied messages limited:";
	case FILTER_MSG_DEFENCE:
		return "EZD1721I Packet denied by defensive filter:";
	default:
		return "EZD1722I Packet would have been denied by defensive filter:";
	}
}

static void time_text(uint64_t us, char out[40])
{
	time_t s = (time_t)(us / 1000000);
	struct tm tm;
	char day[24];
	(void)strftime(day, sizeof(day), "%m/%d/%Y %H:%M:%S", gmtime_r(&s, &tm));
	(void)snprintf(out, 40, "%s.%02u", day, (unsigned)(us / 10000 % 100));
}

static void packet_tags(const struct filter_log *r, char out[64])
{
	bool typed = ipproto_typed(r->proto);
	unsigned a = typed ? r->icmp_type : r->sport, b = typed ? r->icmp_code : r->dport;
	if (!typed && !ipproto_ports(r->proto))
		(void)snprintf(out, 64, "-= -= -=");
	else if (r->opaque)
		(void)snprintf(out, 64,
			typed ? "type= Unknown code= Unknown -="
			      : "sport= Unknown dport= Unknown -=");
	else
		(void)snprintf(
			out, 64, typed ? "type= %u code= %u -=" : "sport= %u dport= %u -=", a, b);
}

static const char *packet_text(const struct filter_log *r, const char *ifname, const char *ifaddr,
	const char *tunnel_id, char *out, size_t size)
{
	char ts[40], src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX], proto[32], tags[64], vpn[128] = "";
	bool defence = r->msg == FILTER_MSG_DEFENCE || r->msg == FILTER_MSG_SIMULATED;
	time_text(r->time_us, ts);
	packet_tags(r, tags);
	if (!defence)
		(void)snprintf(vpn, sizeof(vpn), " vpnaction= %s tunnelID= %s",
			*r->vpn ? r->vpn : "N/A", tunnel_id ? tunnel_id : "N/A");
	(void)snprintf(out, size,
		"%s %s filter rule= %s ext= %u sipaddr= %s dipaddr= %s proto= %s %s Interface= %s "
		"(%c) secclass= %u "
		"dest= %s len= %u%s ifcname= %s fragment= %c",
		intro(r->msg), ts, r->name, r->ext, addr_text(&r->src, src),
		addr_text(&r->dst, dst), filter_proto_text(r->proto, proto), tags,
		ifaddr ? ifaddr : "N/A", r->inbound ? 'I' : 'O', r->secclass,
		r->scope == PKT_ROUTED ? "routed" : "local", r->len, vpn, ifname ? ifname : "N/A",
		r->fragment ? 'Y' : 'N');
	return out;
}

static const char *limited_text(const struct filter_log *r, char *out, size_t size)
{
	const struct filter_spec *s = &r->spec;
	char ts[40], src[2 * ADDR_TEXT_MAX], dst[2 * ADDR_TEXT_MAX], proto[32], a[16], b[16];
	bool typed = ipproto_typed(s->proto);
	unsigned max = typed ? UINT8_MAX : UINT16_MAX;
	time_text(r->time_us, ts);
	(void)snprintf(out, size,
		"%s %s filter_rule= %s filter_ext= %u filter_sipaddr= %s filter_dipaddr= %s "
		"filter_proto= %s %s= %s %s= %s "
		"filter_fragmentsonly= %s filter_dir= %s filter_routing= %s suppressed_count= "
		"%" PRIu64,
		intro(r->msg), ts, s->name, s->ext, filter_addrs_text(&s->src_lo, &s->src_hi, src),
		filter_addrs_text(&s->dst_lo, &s->dst_hi, dst),
		s->opaque ? "Opaque" : filter_proto_text(s->proto, proto), typed ? "type" : "sport",
		filter_range_text(&s->a, max, a), typed ? "code" : "dport",
		filter_range_text(&s->b, max, b), s->fragments_only ? "yes" : "no",
		s->inbound ? "inbound" : "outbound",
		s->scope == PKT_LOCAL	 ? "local"
		: s->scope == PKT_ROUTED ? "routed"
					 : "either",
		r->suppressed);
	return out;
}

const char *filter_log_text(const struct filter_log *rec, const char *ifname, const char *ifaddr,
	const char *tunnel_id, char *out, size_t size)
{
	if (rec->msg == FILTER_MSG_DENIED_LIMITED || rec->msg == FILTER_MSG_SIMULATED_LIMITED)
		return limited_text(rec, out, size);
	return packet_text(rec, ifname, ifaddr, tunnel_id, out, size);
}
