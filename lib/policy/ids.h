/* ids: intrusion detection policy (zos.md section 5) as statements say it, ready for the packet path.
 *
 * A rule is a condition and an action. Of each attack type, and of ScanGlobal, the rule with the highest priority counts; scan event and
 * traffic regulation rules are searched by descending priority, and the first that matches decides. What the packet path asks for a
 * packet (protocol, option, port) is a bitmap here. A policy does not change once it is built. */
#pragma once
#include "lib/policy/ipsec.h"

enum { IDS_RULES_MAX = 1024, IDS_EXCLUSIONS_MAX = 256, IDS_TR_MAX = 256, IDS_TRACE_MAX = 2048 };

/* X(NAME, "AttackType", "type in messages") */
#define IDS_ATTACK_TYPES(X)                                          \
	X(MALFORMED, "MALFORMED_PACKET", "Malformed")                \
	X(FLOOD, "FLOOD", "Flood")                                   \
	X(OUTBOUND_RAW, "OUTBOUND_RAW", "OutboundRaw")               \
	X(REDIRECT, "ICMP_REDIRECT", "ICMP")                         \
	X(ECHO, "PERPETUAL_ECHO", "PerpEcho")                        \
	X(FRAGMENT, "IP_FRAGMENT", "IPFragment")                     \
	X(OPTION, "RESTRICTED_IP_OPTIONS", "IPOPT")                  \
	X(PROTOCOL, "RESTRICTED_IP_PROTOCOL", "IPPROTO")             \
	X(OUTBOUND_RAW6, "OUTBOUND_RAW_IPV6", "OutboundRaw6")        \
	X(NEXT_HEADER, "RESTRICTED_IPV6_NEXT_HDR", "IPv6NextHeader") \
	X(HOP_OPTION, "RESTRICTED_IPV6_HOP_OPTIONS", "IPv6HopOptions") \
	X(DEST_OPTION, "RESTRICTED_IPV6_DST_OPTIONS", "IPv6DestOptions") \
	X(HIDING, "DATA_HIDING", "DataHiding")

enum ids_attack {
#define IDS_ATTACK_ENUM(name, word, text) IDS_##name,
	IDS_ATTACK_TYPES(IDS_ATTACK_ENUM)
#undef IDS_ATTACK_ENUM
	IDS_ATTACKS
};

enum ids_condition { IDS_COND_ATTACK, IDS_COND_SCAN_GLOBAL, IDS_COND_SCAN_EVENT, IDS_COND_TR };
enum ids_trace { IDS_TRACE_NONE, IDS_TRACE_HEADER, IDS_TRACE_SIZE, IDS_TRACE_FULL };
enum ids_protocol { IDS_TCP, IDS_UDP, IDS_ICMP, IDS_PROTOCOLS };
/* Which classes of events count: all, the last two, the last, none. */
enum ids_sensitivity { IDS_NOTHING, IDS_LOW, IDS_MEDIUM, IDS_HIGH };
enum ids_class { IDS_NORMAL, IDS_POSSIBLY, IDS_VERY };

struct ids_bits {
	uint64_t w[4]; /* protocols, options: 0..255 */
};
struct ids_ports {
	uint64_t w[1024]; /* 0..65535 */
};
static inline bool ids_bit(const struct ids_bits *b, unsigned n)
{
	return b->w[n / 64 & 3] >> n % 64 & 1;
}
static inline bool ids_port(const struct ids_ports *p, unsigned n)
{
	return p->w[n / 64 & 1023] >> n % 64 & 1;
}

struct ids_report { /* IDSReportSet */
	bool log, console, statistics, exceptions; /* exceptions: statistics only of intervals in which something happened */
	uint8_t level;				   /* LoggingLevel: syslog's */
	uint32_t interval_min;			   /* StatInterval */
	enum ids_trace trace;
	uint32_t trace_size;  /* bytes of the packet, at most IDS_TRACE_MAX */
	uint32_t console_max; /* MaxEventMessage per type and five minutes; 0: no limit */
};

struct ids_exclusion {
	struct addr_range from;
	uint16_t lo, hi; /* ports of the source */
};

struct ids_rule {
	char name[POLICY_NAME_MAX], action[POLICY_NAME_MAX];
	enum ids_condition condition;
	uint32_t priority;
	bool discard; /* attacks */
	bool limit;   /* traffic regulation */
	bool count;   /* scan events; false: excluded */
	struct ids_report report;
	struct ids_exclusion *excludes;
	size_t n_excludes;
	/* attack */
	enum ids_attack attack;
	struct ids_bits values; /* protocols or options */
	bool any_values;	/* at least one was given */
	struct ids_ports *local, *remote; /* perpetual echo, TR, scan events; NULL: all */
	uint32_t flood_min, flood_percent;
	/* scan global */
	uint32_t fast_min, fast_threshold, slow_min, slow_threshold;
	/* scan event and TR */
	enum ids_protocol protocol;
	enum ids_sensitivity sensitivity;
	struct addr_range *hosts; /* LocalHostAddr; none: all */
	size_t n_hosts;
	uint32_t total, percentage, queue; /* queue: datagrams */
	bool per_instance;
	struct policy_whens when;
	bool asleep; /* none of its time conditions holds: ids_policy_follow */
};

struct ids_policy {
	struct ids_rule *rules; /* descending priority */
	size_t n_rules;
	const struct ids_rule *attacks[IDS_ATTACKS]; /* NULL: none */
	const struct ids_rule *scan;		     /* ScanGlobal; NULL: no scan is looked for */
	bool tr_tcp, tr_udp;
	enum ids_sensitivity scan_level[IDS_PROTOCOLS]; /* the highest of any rule; nothing without ScanGlobal */
	struct ids_ports tr_ports;		     /* TCP ports with a TR rule */
	struct policy_clock clock;
	bool borrowed; /* of another: ids_policy_awake */
};

extern const struct conf_spec ids_policy_spec;
/* From one file's checked statements. -EINVAL with the errors in @c. The policy keeps nothing of @c. */
int ids_policy_build(struct conf *c, struct ids_policy **ret);
/* Reads and builds; the first error goes into @err. */
int ids_policy_load(const char *path, struct errbuf *err, struct ids_policy **ret);
void ids_policy_free(struct ids_policy *p); /* NULL allowed */

/* Time conditions. Marks the rules that are not in force at @now, and says whether these are others than before; nothing else looks at
 * the marks. Call it after loading and then each second. */
bool ids_policy_follow(struct ids_policy *p, time_t now);
/* @p without the rules that sleep. It borrows from @p: free it first. */
struct ids_policy *ids_policy_awake(const struct ids_policy *p);
void ids_choose(struct ids_policy *p); /* ids.c: which rule counts for what */

const char *ids_attack_word(enum ids_attack a); /* "MALFORMED_PACKET" */
const char *ids_attack_text(enum ids_attack a); /* "Malformed" */
/* The rule for a scan event at @dst, @port; NULL: none, it does not count. */
const struct ids_rule *ids_scan_rule(const struct ids_policy *p, enum ids_protocol proto, const struct addr *dst, uint16_t port);
const struct ids_rule *ids_tr_rule(const struct ids_policy *p, enum ids_protocol proto, const struct addr *dst, uint16_t port);
bool ids_excluded(const struct ids_rule *r, const struct addr *src, uint16_t sport);
static inline bool ids_sensitive(enum ids_sensitivity s, enum ids_class c)
{
	return (unsigned)c + (unsigned)s > IDS_VERY;
}
