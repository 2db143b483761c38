/* Any bytes as packets through intrusion detection, with every check on: nothing is read beyond the packet, a refused packet has a
 * reason and one that passed has none. The first byte chooses direction and offload. */
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ids/ids.h"
#include "daemons/stack-core/ip/parse.h"
#include <stdlib.h>
#include <string.h>
#include <urcu-qsbr.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ATTACK(type, more) \
	"IDSRule r_" type " { ConditionType Attack\n IDSAttackCondition { AttackType " type "\n" more " }\n IDSActionRef tell }\n"
#define EVENT(proto) \
	"IDSRule s_" proto " { ConditionType ScanEvent\n IDSScanEventCondition { Protocol " proto "\n Sensitivity High }\n IDSAction { ActionType SCAN_EVENT count } }\n"
static const char text[] = "IDSAction tell { ActionType ATTACK nodiscard\n IDSReportSet { TypeActions LOG\n TraceData Full } }\n"
	ATTACK("MALFORMED_PACKET", "") ATTACK("FLOOD", "") ATTACK("ICMP_REDIRECT", "") ATTACK("IP_FRAGMENT", "") ATTACK("DATA_HIDING", "")
	ATTACK("RESTRICTED_IP_OPTIONS", "RestrictedIpOptionRange 0 255\n") ATTACK("RESTRICTED_IP_PROTOCOL", "ProtocolRange 100 255\n")
	ATTACK("OUTBOUND_RAW", "ProtocolRange 1\n") ATTACK("OUTBOUND_RAW_IPV6", "ProtocolRange 58\n")
	ATTACK("RESTRICTED_IPV6_NEXT_HDR", "ProtocolRange 0 255\n") ATTACK("RESTRICTED_IPV6_HOP_OPTIONS", "RestrictedIpOptionRange 0 255\n")
	ATTACK("RESTRICTED_IPV6_DST_OPTIONS", "RestrictedIpOptionRange 0 255\n")
	ATTACK("PERPETUAL_ECHO", "LocalPortRange 1 1000\n RemotePortRange 1 1000\n") EVENT("TCP") EVENT("UDP") EVENT("ICMP")
	"IDSRule g { ConditionType ScanGlobal\n IDSScanGlobalCondition { }\n IDSAction { ActionType SCAN_GLOBAL } }\n";

static struct ids *ids;
static struct ids_policy *policy;
static uint64_t now_ms = 1000000;

static void hear(void *arg, const struct ids_report_out *r)
{
	(void)arg;
	if (!r->text || !*r->text)
		abort();
}

static void start(void)
{
	struct conf *c = NULL;
	rcu_register_thread();
	if (conf_parse(&ids_policy_spec, "f", text, strlen(text), &c) || ids_policy_build(c, &policy))
		abort();
	conf_free(c);
	ids = ids_new(1);
	ids_apply(ids, policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!ids)
		start();
	if (!size || size > 2048)
		return 0;
	struct ids_worker *w = ids_worker(ids, 0);
	uint8_t *copy = malloc(size > 1 ? size - 1 : 1);
	if (!copy)
		abort();
	memcpy(copy, data + 1, size - 1);
	struct pkt p = {.buf = copy, .size = (uint32_t)size - 1, .len = (uint32_t)size - 1};
	if ((data[0] & 1) && p.len >= 20 && copy[0] >> 4 == 4 && (copy[0] & 15u) * 4 <= p.len)
		ip4_checksum(copy);
	now_ms++;
	ids_worker_now(w, now_ms, now_ms * 1000);
	if (!ip_parse(&p)) {
		ids_malformed(w, &p);
	} else {
		p.gso_size = data[0] & 4 ? 100 : 0;
		struct ids_answer answer;
		bool pass = data[0] & 2 ? ids_out(w, &p) : ids_in(w, &p);
		if (pass && (data[0] & 2))
			ids_session_out(w, &p);
		else if (pass && (data[0] & 8))
			ids_filtered(w, &p);
		else if (pass && (data[0] & 16))
			ids_closed(w, &p);
		else if (pass)
			pass = ids_session_in(w, &p, data[0] & 32, &answer);
		if (pass != !p.drop || p.drop >= DROP_MAX)
			abort();
	}
	ids_control(ids, now_ms, now_ms * 1000, hear, NULL);
	free(copy);
	return 0;
}
