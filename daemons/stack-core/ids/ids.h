/* ids: intrusion detection in the stack (zos.md section 5): attacks, scans, traffic regulation.
 *
 * Workers look at packets and decide; the control thread tells. Between them are one ring of small records a worker and one of packet
 * copies, and budgets that the control thread fills: of each attack type at most 100 records in five minutes leave a worker, so that a
 * flood costs the control thread nothing, and what was held back is told as a count (EZZ9327I). A lost record is counted. Scans, whose
 * sources can be invented too, are told a thousand times in five minutes at most.
 *
 * What is dropped and why: malformed packets always, policy or not; SYN floods are always met; everything else as the action of the
 * rule says. Functions marked W are called by workers inside an RCU read side, those marked C by the control thread. */
#pragma once
#include "daemons/stack-core/pkt.h"
#include "lib/base/err.h"
#include "lib/policy/ids.h"

enum { IDS_LOGS = 100, IDS_SCANS = 1000, IDS_TRACES = 100, IDS_INTERVAL_MS = 300000, IDS_TEXT_MAX = 1024, IDS_LINKS_MAX = 64, IDS_WORKERS_MAX = 64 };

/* Points of detection: X(NAME, number, "what"). A probe id is 0x0400 in front of the number. */
#define IDS_PROBES(X)                                                                      \
	X(PARSE, 0x0101, "header cut off, inconsistent or not of a real host")             \
	X(FLAGS, 0x0102, "TCP flags that exclude each other")                              \
	X(OFFSET, 0x0103, "TCP header length")                                             \
	X(UDP_LENGTH, 0x0104, "UDP length")                                                \
	X(LAND, 0x0105, "source is the destination")                                       \
	X(FLOOD_START, 0x0201, "SYN flood began")                                          \
	X(FLOOD_SYN, 0x0202, "SYN dropped")                                                \
	X(FLOOD_END, 0x0203, "SYN flood ended")                                            \
	X(FLOOD_LINK, 0x0204, "interface flood began")                                     \
	X(FLOOD_LINK_END, 0x0205, "interface flood ended")                                 \
	X(RAW, 0x0301, "raw IPv4 packet sent")                                             \
	X(REDIRECT4, 0x0401, "ICMP redirect")                                              \
	X(REDIRECT6, 0x0402, "ICMPv6 redirect")                                            \
	X(ECHO_PORTS, 0x0501, "both ports echo")                                           \
	X(FIRST_SHORT, 0x0601, "first fragment under 576 bytes")                           \
	X(LATER_LOW, 0x0602, "fragment offset under 256")                                  \
	X(OPTION4, 0x0701, "IPv4 option")                                                  \
	X(PROTOCOL4, 0x0801, "IPv4 protocol")                                              \
	X(RAW6, 0x0901, "raw IPv6 packet sent")                                            \
	X(NEXT6, 0x0a01, "IPv6 next header")                                               \
	X(HOP6, 0x0b01, "IPv6 hop-by-hop option")                                          \
	X(DEST6, 0x0c01, "IPv6 destination option")                                        \
	X(HIDE_FLAG, 0x0d01, "IPv4 reserved flag")                                         \
	X(HIDE_END, 0x0d02, "bytes behind the end of the IPv4 option list")                \
	X(HIDE_PAD, 0x0d03, "IPv6 padding that is not zero")                               \
	X(SCAN_FLAGS, 0x1001, "TCP segment without SYN, ACK and RST")                      \
	X(SCAN_CLOSED, 0x1002, "SYN to a closed port")                                     \
	X(SCAN_RESET, 0x1003, "half-open connection reset by its opener")                  \
	X(SCAN_STRAY, 0x1004, "segment of no connection")                                  \
	X(SCAN_OPEN, 0x1005, "connection opened")                                          \
	X(SCAN_FILTERED, 0x1006, "denied by a filter")                                     \
	X(SCAN_UDP, 0x1007, "datagram to a closed port")                                   \
	X(SCAN_ICMP, 0x1008, "ICMP request")                                               \
	X(TR_TCP, 0x2001, "connection over its limit")                                     \
	X(TR_UDP, 0x2002, "receive queue over its limit")

enum ids_probe {
#define IDS_PROBE_ENUM(name, number, what) IDS_PROBE_##name = number,
	IDS_PROBES(IDS_PROBE_ENUM)
#undef IDS_PROBE_ENUM
};
const char *ids_probe_text(unsigned probe);

enum ids_kind { IDS_EV_ATTACK, IDS_EV_SCAN, IDS_EV_TR_TCP, IDS_EV_TR_UDP };

struct ids_event { /* a worker's record */
	uint64_t time_us;
	uint8_t kind;	  /* enum ids_kind */
	uint8_t what;	  /* enum ids_attack, or enum ids_class of a scan event */
	uint8_t protocol; /* enum ids_protocol: scans, TR */
	uint8_t proto;	  /* of the packet */
	bool discarded;
	uint16_t probe, sport, dport, link;
	uint32_t value; /* the restricted option or protocol, the size of the fragment */
	uint32_t len, correlator;
	uint32_t available, total, percent, current; /* TR */
	struct addr src, dst;
};

struct ids;
struct ids_worker;

/* --- control --- C */
struct ids *ids_new(unsigned workers);
void ids_free(struct ids *ids); /* no worker is left */
/* The policy in force from now on; NULL: none. On return no worker reads the earlier one. The caller owns both. */
void ids_apply(struct ids *ids, const struct ids_policy *p);
const struct ids_policy *ids_policy_of(const struct ids *ids);
struct ids_worker *ids_worker(struct ids *ids, unsigned index);
/* Packets are traced into @path from the first one on; the file is rotated to @path.1 at 8 MiB. */
void ids_trace_to(struct ids *ids, const char *path);

enum ids_told { IDS_TOLD_ATTACK, IDS_TOLD_SUPPRESSED, IDS_TOLD_STATISTICS, IDS_TOLD_SCAN, IDS_TOLD_TR, IDS_TOLD_CONSTRAINED };
struct ids_report_out {
	enum ids_told told;
	const struct ids_event *event;
	const struct ids_rule *rule; /* NULL: none */
	const char *text;	     /* the message as z/OS has it */
	bool log, console;
	uint64_t count; /* suppressed; statistics: detected in the interval; scans: distinct probes */
	uint64_t discarded;
	bool fast;	/* scans */
	bool entered;	/* constrained: entered, as opposed to left */
};
typedef void (*ids_report_fn)(void *arg, const struct ids_report_out *r);
/* Takes what workers left and tells it; also what is due by the clock. */
void ids_control(struct ids *ids, uint64_t now_ms, uint64_t now_us, ids_report_fn fn, void *arg);
bool ids_waiting(const struct ids *ids); /* records that want to be taken at once */

struct ids_counts {
	uint64_t detected[IDS_ATTACKS], discarded[IDS_ATTACKS], logged[IDS_ATTACKS], suppressed[IDS_ATTACKS], lost, traced, trace_lost;
	uint64_t scan_events, scans_fast, scans_slow, evicted, challenged, proven, refused; /* refused: traffic regulation */
	uint32_t sources; /* that probed lately, as far as they are remembered */
};
void ids_counts(const struct ids *ids, struct ids_counts *ret);

struct ids_scanner {
	struct addr source;
	uint32_t fast, slow; /* distinct probes in either interval; an estimate when over 64 */
	bool reported;
};
unsigned ids_scanners(const struct ids *ids, uint64_t now_ms, struct ids_scanner *ret, unsigned max); /* the busiest first */
struct ids_flood {
	struct addr addr;
	uint16_t port;
	uint64_t dropped;
};
unsigned ids_floods(const struct ids *ids, struct ids_flood *ret, unsigned max);
struct ids_pool { /* a regulated port: connections, or datagrams that wait */
	enum ids_protocol protocol;
	struct addr addr; /* family 0: every address */
	uint16_t port;
	const char *rule;
	uint32_t total, used, percentage;
	bool constrained, limit;
	uint64_t refused;
};
unsigned ids_pools(const struct ids *ids, struct ids_pool *ret, unsigned max);
void ids_link_counts(struct ids *ids, unsigned link, uint64_t received); /* for interface floods: packets so far, every second */

/* --- workers --- W */
void ids_worker_now(struct ids_worker *w, uint64_t now_ms, uint64_t now_us); /* once a batch */
bool ids_worker_told(struct ids_worker *w); /* a scan or refusal was recorded since the last call: wake the control thread */
/* A parsed packet from outside; false: p->drop is set. */
bool ids_in(struct ids_worker *w, struct pkt *p);
/* The same for one that was put together of fragments, which came by ids_in each: now its transport header can be seen. */
bool ids_whole(struct ids_worker *w, struct pkt *p);
/* A parsed packet of this host's programs; false: p->drop is set. */
bool ids_out(struct ids_worker *w, struct pkt *p);
/* ip_parse refused @p; its addresses are filled in where they can be read. */
void ids_malformed(struct ids_worker *w, struct pkt *p);

/* Connections, for scans, SYN floods and traffic regulation. A TCP segment to be sent back, or none. */
struct ids_answer {
	bool send;
	uint8_t flags;
	uint32_t seq, ack;
};
/* A packet from outside that filters permit; @home: for this host or the stack itself. False: p->drop is set. */
bool ids_session_in(struct ids_worker *w, struct pkt *p, bool home, struct ids_answer *ret);
void ids_session_out(struct ids_worker *w, struct pkt *p); /* of this host's programs */
void ids_filtered(struct ids_worker *w, const struct pkt *p); /* from outside, denied by a filter */
void ids_closed(struct ids_worker *w, const struct pkt *p);   /* to a port of the stack itself, which has none */
void ids_discarded(struct ids_worker *w, const struct pkt *p); /* for whatever reason */
