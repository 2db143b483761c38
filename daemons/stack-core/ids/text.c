/* text: messages as TRMD writes them (zos.md section 5). The numbers
 * EZZ8648I, EZZ8650I (statistics), EZZ9321I, EZZ9322I, EZZ9325I and EZZ8639I are from memory. */
#include "daemons/stack-core/ids/worker.h"
#include <time.h>
#include <unistd.h>

static const char *stamp(uint64_t us, char out[40])
{
	time_t s = (time_t)(us / 1000000);
	struct tm tm;
	char date[32];
	gmtime_r(&s, &tm);
	(void)strftime(date, sizeof(date), "%m/%d/%Y %H:%M:%S", &tm);
	(void)snprintf(out, 40, "%s.%02u", date, (unsigned)(us / 10000 % 100));
	return out;
}

static const char *host(char out[65])
{
	if (gethostname(out, 64))
		out[0] = 0;
	out[64] = 0;
	return out;
}

const char *text_attack(const struct ids_event *e, char out[IDS_TEXT_MAX])
{
	char when[40], src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX], name[65];
	unsigned a = e->what;
	bool option = a == IDS_OPTION || a == IDS_HOP_OPTION || a == IDS_DEST_OPTION;
	(void)snprintf(out, IDS_TEXT_MAX,
		"%s TRMD ATTACK packet %s discarded:%s,sipaddr=%s,dipaddr=%s,sport=%u,dport=%u,type=%s,proto=%u,option=%u,fragsize=%u,"
		"correlator=%u,probeid=%08X,sensorhostname=%s,restrictval=%u",
		e->discarded ? "EZZ8648I" : "EZZ8649I", e->discarded ? "was" : "would have been", stamp(e->time_us, when), addr_text(&e->src, src),
		addr_text(&e->dst, dst), e->sport, e->dport, ids_attack_text((enum ids_attack)a), e->proto, option ? e->value : 0,
		a == IDS_FRAGMENT ? e->value : 0, e->correlator, 0x04000000u | e->probe, host(name), e->value);
	return out;
}

const char *text_scan(const struct ids_event *e, const struct ids_rule *r, const struct scan_found *f, char out[IDS_TEXT_MAX])
{
	char when[40], src[ADDR_TEXT_MAX], name[65];
	(void)snprintf(out, IDS_TEXT_MAX,
		"EZZ8643I TRMD SCAN threshold exceeded:%s,sipaddr=%s,scantype=%c,pthreshold=%u,pinterval=%u,events=%u,correlator=%u,probeid=%08X,"
		"sensorhostname=%s",
		stamp(e->time_us, when), addr_text(&e->src, src), f->is_fast ? 'F' : 'S', f->is_fast ? r->fast_threshold : r->slow_threshold,
		f->is_fast ? r->fast_min : r->slow_min, f->is_fast ? f->fast : f->slow, e->correlator, 0x04000000u | e->probe, host(name));
	return out;
}

const char *text_tr(const struct ids_event *e, char out[IDS_TEXT_MAX])
{
	char when[40], src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX], name[65];
	if (e->kind == IDS_EV_TR_UDP)
		(void)snprintf(out, IDS_TEXT_MAX, "EZZ8638I TRMD UDP constrained entry logged:%s,dipaddr=%s,dport=%u,qsize=%u,queued=%u,discarded=%s,"
			"correlator=%u,probeid=%08X,sensorhostname=%s", stamp(e->time_us, when), addr_text(&e->dst, dst), e->dport, e->total, e->current,
			e->discarded ? "yes" : "no", e->correlator, 0x04000000u | e->probe, host(name));
	else
		(void)snprintf(out, IDS_TEXT_MAX, "%s TRMD TCP connection %srefused:%s,lhost=%s,port=%u,host=%s,available=%u,total=%u,percent=%u,"
			"correlator=%u,probeid=%08X,host_current=%u,sensorhostname=%s", e->discarded ? "EZZ9324I" : "EZZ9325I",
			e->discarded ? "" : "would have been ", stamp(e->time_us, when), addr_text(&e->dst, dst), e->dport, addr_text(&e->src, src),
			e->available, e->total, e->percent, e->correlator, 0x04000000u | e->probe, e->current, host(name));
	return out;
}

const char *text_constrained(const struct ids_event *e, bool entered, char out[IDS_TEXT_MAX])
{
	char when[40], dst[ADDR_TEXT_MAX], name[65];
	(void)snprintf(out, IDS_TEXT_MAX, "%s TRMD %s constrained %s logged:%s,lhost=%s,port=%u,%s=%u,total=%u,sensorhostname=%s",
		e->kind == IDS_EV_TR_UDP ? "EZZ8639I" : entered ? "EZZ9321I" : "EZZ9322I", e->kind == IDS_EV_TR_UDP ? "UDP" : "TCP",
		entered ? "entry" : "exit", stamp(e->time_us, when), addr_text(&e->dst, dst), e->dport, e->kind == IDS_EV_TR_UDP ? "queued" : "connections",
		e->current, e->total, host(name));
	return out;
}

const char *text_suppressed(const char *type, uint64_t count, uint64_t now_us, char out[IDS_TEXT_MAX])
{
	char when[40];
	(void)snprintf(out, IDS_TEXT_MAX, "EZZ9327I TRMD ATTACK log records suppressed:%s,type=%s,count=%llu", stamp(now_us, when), type,
		(unsigned long long)count);
	return out;
}

const char *text_statistics(enum ids_attack a, uint64_t detected, uint64_t discarded, uint64_t now_us, char out[IDS_TEXT_MAX])
{
	char when[40];
	(void)snprintf(out, IDS_TEXT_MAX, "EZZ8650I TRMD ATTACK statistics:%s,type=%s,attacks=%llu,discarded=%llu", stamp(now_us, when),
		ids_attack_text(a), (unsigned long long)detected, (unsigned long long)discarded);
	return out;
}
