/* filter: who decides over each packet (zos.md sections 4 and 6).
 *
 * Order of search: defensive filters, newest first; then the filters in force, which are the
 * policy's or, when there is no policy or "ipsec -f default" was said, the profile's IPSECRULEs;
 * last the implicit deny (SYSDEFAULTDENYRULE). A defensive filter that only simulates is logged and
 * the search goes on below it: a block filter may still match, a second simulating one does not.
 *
 * A worker answers repeats from its own flow cache (flow.h). Behind it stands the classifier
 * (classifier.h), whose cost depends on how many different shapes of rules there are, not on how
 * many rules. All tables change under RCU: one control thread calls the functions marked C, any
 * number of workers call those marked W inside a QSBR read side (a registered, online thread which
 * reports a quiescent state only between batches, never while it still uses a verdict). */
#pragma once
#include "daemons/stack-core/filter/drops.h"
#include "daemons/stack-core/pkt.h"
#include "lib/base/addr.h"
#include "lib/base/err.h"
#include "lib/base/ipproto.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	FILTER_NAME_MAX = 65,	      /* with the NUL */
	FILTER_DEFENCES_MAX = 200000, /* defensive filters of one stack */
	FILTER_RULES_MAX = 65536,     /* simple filters of the profile or of a policy */
	FILTER_EXCLUDES_MAX = 64,
	FILTER_WORKERS_MAX = 64,
	FILTER_CACHE_DEFAULT = 65536, /* flows a worker remembers at first */
	FILTER_CACHE_MAX = 2097152    /* and at most: 136 MiB; a million flows at once fit with room to spare */
};

enum filter_action {
	FILTER_DENY = 0,
	FILTER_PERMIT,
	FILTER_IPSEC,
	FILTER_SIMULATE, /* defences only */
	FILTER_HOLD	 /* verdicts only: it waits for a tunnel that is being negotiated, or is to be */
};
enum filter_kind { FILTER_DEFENSIVE, FILTER_PROFILE_RULE, FILTER_POLICY_RULE, FILTER_IMPLICIT, FILTER_DYNAMIC };
enum filter_mode {
	FILTER_MODE_ACTIVE,
	FILTER_MODE_SIMULATE,
	FILTER_MODE_INACTIVE
}; /* of the stack, for defences */
enum filter_source { FILTER_PROFILE, FILTER_POLICY };
enum { FILTER_PROTO_ANY = IPPROTO_ALL };
/* Of an anchor's tunnels (IpLocalStartAction): what is taken from the packet that asks for one; the rest is the
 * rule's. */
enum {
	FILTER_GRAIN_LOCAL_IP = 1,
	FILTER_GRAIN_REMOTE_IP = 2,
	FILTER_GRAIN_LOCAL_PORT = 4,
	FILTER_GRAIN_REMOTE_PORT = 8,
	FILTER_GRAIN_PROTOCOL = 16
};

struct filter_range {
	uint16_t lo, hi;
};

/* What a simple filter is: one family, one direction. filter_spec_init gives "every packet of that
 * family and direction". */
struct filter_spec {
	uint64_t id;	/* of a defence: chosen by defmgrD. Others: ignored */
	uint8_t action; /* enum filter_action */
	uint8_t family; /* 4 or 6 */
	bool inbound;
	uint8_t scope;	  /* PKT_LOCAL, PKT_ROUTED or both */
	uint8_t secclass; /* 0: any */
	bool fragments_only;
	bool opaque; /* only packets whose upper-layer selectors cannot be seen */
	bool log;
	bool discard_icmp; /* the sender of a packet that it denies is told */
	bool global;	   /* a defence of all stacks (display only) */
	uint32_t loglimit; /* a defence's messages per five minutes; 0: no limit */
	uint16_t proto;	   /* 0..255 or FILTER_PROTO_ANY */
	struct addr src_lo, src_hi, dst_lo, dst_hi; /* inclusive, same family */
	/* TCP, UDP, SCTP, DCCP, UDP-Lite: ports. ICMP, ICMPv6, OSPF, mobility: a is the type
	 * (0..255), b the code. A filter that limits either does not match an opaque packet. */
	struct filter_range a, b;
	uint64_t expires_us; /* wall clock; 0: never */
	uint32_t ext;	     /* FilterNameExtension */
	char name[FILTER_NAME_MAX];
	char vpn[FILTER_NAME_MAX]; /* FILTER_IPSEC: IpManVpnAction; IpDynVpnAction of an anchor */
	bool anchor;		   /* FILTER_IPSEC: tunnels are negotiated; in front of this filter stand theirs */
	bool on_demand;		   /* anchor: an outbound packet without a tunnel asks for one */
	uint8_t grain;		   /* anchor: FILTER_GRAIN_* */
	char group[FILTER_NAME_MAX]; /* GroupName; "" none */
	char start[FILTER_NAME_MAX]; /* LocalStartActionName; "" none */
	uint16_t timing;	     /* its rule's time conditions: of struct policy, from 1; 0: none */
};

struct filter_rule; /* opaque: see filter_rule_spec */
struct filter_set;  /* all filters of a stack */
struct filter_worker;

struct sa;
struct sadb;

struct filter_verdict {
	enum filter_action action;	     /* DENY, PERMIT, IPSEC or HOLD */
	uint16_t drop;			     /* enum drop_reason; also set in the packet */
	uint32_t tunnel;		     /* IPSEC: index of the tunnel in the sadb */
	struct sa *sa;			     /* IPSEC, outbound, with filter_set_sadb: to be used */
	const struct filter_rule *rule;	     /* that decided */
	const struct filter_rule *simulated; /* would have denied it; NULL: none */
	bool cached;
	bool returned; /* an ICMP error: the rule is that of the packet in it */
};

/* --- rules --- */
void filter_spec_init(struct filter_spec *s, uint8_t family, bool inbound);
void filter_spec_source(struct filter_spec *s,
	const struct prefix *p); /* and the like for an inclusive range: set lo and hi */
void filter_spec_dest(struct filter_spec *s, const struct prefix *p);
/* @s seen from the other direction: source and destination, ports swapped. */
void filter_spec_mirror(const struct filter_spec *s, struct filter_spec *ret);
int filter_spec_check(const struct filter_spec *s, struct errbuf *err); /* 0 or -EINVAL with text */
/* @p was denied by a rule that says DiscardAction ICMP. */
bool filter_tells(const struct filter_verdict *v, const struct pkt *p);
const struct filter_spec *filter_rule_spec(const struct filter_rule *r);
enum filter_kind filter_rule_kind(const struct filter_rule *r);
/* Texts as z/OS prints them: "TCP(6)", "ALL"; "10.0.0.0/8", "10.0.0.1-10.0.0.9"; "25", "1-9",
 * "all". */
const char *filter_proto_text(unsigned proto, char out[32]);
const char *filter_addrs_text(
	const struct addr *lo, const struct addr *hi, char out[2 * ADDR_TEXT_MAX]);
const char *filter_range_text(const struct filter_range *r, unsigned max, char out[16]);

/* --- the set --- C */
struct filter_set *filter_set_new(void); /* no rules: everything is denied by the implicit deny */
void filter_set_free(struct filter_set *fs); /* no worker is left */

/* Defences. Adds (one with a known id is replaced and keeps its place) in order, oldest first, and
 * removes, in one step, all or nothing: -EINVAL or -ENOSPC with text. @reset: all that are not in
 * @add go. */
struct filter_defend {
	const struct filter_spec *add;
	size_t n_add;
	const uint64_t *remove; /* unknown ids are no error */
	size_t n_remove;
	bool reset;
	bool set_excludes;
	const struct prefix *excludes; /* packets from or to these are not touched by defences */
	size_t n_excludes;
};
int filter_defend(
	struct filter_set *fs, const struct filter_defend *d, uint64_t now_us, struct errbuf *err);
uint32_t filter_defences(const struct filter_set *fs); /* how many there are */
void filter_set_mode(struct filter_set *fs, enum filter_mode mode);
enum filter_mode filter_get_mode(const struct filter_set *fs);
size_t filter_excludes(const struct filter_set *fs, const struct prefix **ret);
/* Removes what has expired; call it every second (a lookup never matches an expired one anyhow).
 * How many went. */
unsigned filter_expire(struct filter_set *fs, uint64_t now_us);

/* The profile's or the policy's filters, in order of search, in place of the earlier ones of that
 * source. n 0 of the policy with @loaded false: there is none. @log_implicit: LOGImplicit. All or
 * nothing. */
struct filter_install {
	const struct filter_spec *rules;
	size_t n;
	bool loaded;
	bool logging; /* LOGENable / FilterLogging: without it no rule logs */
	bool log_implicit;
	bool discard_icmp; /* ImplicitDiscardAction ICMP */
	/* Which tunnel a manual IPSEC rule means, as for filter_resolve; NULL: to be resolved later, it drops until then. */
	uint32_t (*find)(void *arg, const char *vpn);
	void *find_arg;
	bool predecap; /* ESP and AH packets are filtered too before they are opened; the pipeline
			  asks filter_predecap */
};
int filter_install(struct filter_set *fs, enum filter_source source, const struct filter_install *i,
	struct errbuf *err);
/* "ipsec -f default" and "reload". The profile is in force also while no policy is loaded. */
void filter_switch(struct filter_set *fs, enum filter_source want);
enum filter_source filter_in_force(const struct filter_set *fs);
bool filter_predecap(const struct filter_set *fs); /* W too */
bool filter_nests(const struct filter_set *fs);	    /* W too: a rule says ipsec of ESP or AH */
bool filter_logging(const struct filter_set *fs);  /* of the source in force */
/* Where verdicts find the tunnels' SAs; before workers run. Without it no SA is looked for. */
void filter_set_sadb(struct filter_set *fs, struct sadb *db);
/* Is the packet in an ICMP error looked at when the error itself is one that its tunnel carries without being meant for ICMP? Both are
 * on at first; an error that its tunnel does not carry is always asked for the packet in it. */
void filter_set_returned(struct filter_set *fs, bool v4, bool v6);
/* Which tunnel each manual IPSEC rule means: @find gives its index in the sadb, or UINT32_MAX. Call it
 * after each filter_install of a policy and whenever tunnels came or went. How many rules are left
 * without one. */
unsigned filter_resolve(
	struct filter_set *fs, uint32_t (*find)(void *arg, const char *vpn), void *arg);

/* Dynamic tunnels. In front of each anchor of rule @rule that meets the selector goes a pair of filters with it, inbound and
 * outbound, which match where the anchor matches too; the newest stands first. The outbound one matches nothing before the tunnel
 * is ready. With @natt_local and @natt_remote a second
 * pair for these addresses: transport mode shows the NAT's address, not the one negotiated. They follow the policy: when it
 * is replaced, they stand in front of the new anchors of that name. Installing one voids what flow caches know of those
 * anchors and nothing else. */
struct filter_protect {
	char rule[FILTER_NAME_MAX];
	struct addr local_lo, local_hi, remote_lo, remote_hi;
	uint16_t proto, local_port, remote_port; /* FILTER_PROTO_ANY; port 0: all */
	struct addr natt_local, natt_remote;	 /* family 0: none */
	uint32_t tunnel;			 /* index in the sadb */
	bool natt;				 /* display only: the tunnel crosses a NAT */
};
struct filter_dynamic;
/* -EINVAL; -ENOENT: no anchor of that name in the policy meets it. */
int filter_dynamic_add(struct filter_set *fs, const struct filter_protect *p, struct errbuf *err, struct filter_dynamic **ret);
/* Its outbound filters begin to match: the tunnel can be used. A tunnel made ready later stands before earlier ones. */
void filter_dynamic_ready(struct filter_set *fs, struct filter_dynamic *d);
/* Is a tunnel installed, and not ready yet, that such a packet would use? Then nobody needs to be asked for one. */
bool filter_dynamic_coming(const struct filter_set *fs, const struct addr *src, const struct addr *dst, uint8_t proto);
void filter_dynamic_remove(struct filter_set *fs, struct filter_dynamic *d);
bool filter_dynamic_placed(const struct filter_dynamic *d); /* false: the policy has no anchor for it at present */
bool filter_dynamic_same(const struct filter_dynamic *d, const struct filter_protect *p);
const struct filter_rule *filter_rule_anchor(const struct filter_rule *r); /* of a dynamic filter, else NULL */
enum filter_natt { FILTER_NATT_NONE, FILTER_NATT_ANCHOR, FILTER_NATT_DYNAMIC };
enum filter_natt filter_rule_natt(const struct filter_rule *r);

/* Rules in order of search. kind: "current" (what is in force, defences first), "policy",
 * "profile", "defensive". @fn returns false to stop. -EINVAL: no such kind. Nothing is changed
 * meanwhile. */
typedef bool (*filter_fn)(void *arg, const struct filter_rule *r);
int filter_each(const struct filter_set *fs, const char *kind, filter_fn fn, void *arg);
const struct filter_rule *filter_defence_find(const struct filter_set *fs, uint64_t id);
uint64_t filter_matches(const struct filter_set *fs, const struct filter_rule *r);
uint32_t filter_tunnel(const struct filter_rule *r); /* UINT32_MAX: none */

/* "ipsec -t": every rule that such traffic could match, in order of search. Type, code and scope
 * are no inputs. */
struct filter_traffic {
	struct addr src, dst;
	uint16_t proto;		/* FILTER_PROTO_ANY */
	int sport, dport;	/* -1: any */
	bool inbound, outbound; /* either or both */
};
int filter_test(
	const struct filter_set *fs, const struct filter_traffic *t, filter_fn fn, void *arg);

/* --- workers --- W */
/* Made before its thread runs. @cache_entries 0: no flow cache; else rounded to a power of two.
 * NULL: too many workers. */
struct filter_worker *filter_worker_new(struct filter_set *fs, uint32_t cache_entries); /* C */
/* Once a second: gives workers that forget flows which are still in use a larger cache, twice the size at a time. C */
void filter_grow(struct filter_set *fs);
/* The time, once a batch: expiry and log limits go by it. */
void filter_worker_now(struct filter_worker *w, uint64_t now_us);
/* The packets of a batch, parsed, before filter_check is called for each: with very many flows their entries are far away, and
 * are fetched together instead of one after the other. */
void filter_prefetch(const struct filter_worker *w, struct pkt *const *pkts, unsigned n);
/* Decides. A denied packet gets p->drop. An inbound packet that matches an IPSEC rule must have
 * come through that rule's tunnel (p->sa_in = index of the tunnel + 1), and one that came through a
 * tunnel must match its rule (RFC 4301 section 5.2). */
void filter_check(struct filter_worker *w, struct pkt *p, struct filter_verdict *ret);

/* Says about a packet that waited for a tunnel in vain what its rule asks to be said. */
void filter_give_up(struct filter_worker *w, const struct filter_rule *r, const struct pkt *p);

struct filter_worker_stats {
	uint64_t hits, misses, permitted, denied, ipsec, simulated, log_lost;
	uint32_t cache_entries;
};
void filter_worker_stats(
	const struct filter_worker *w, struct filter_worker_stats *ret); /* from any thread */

/* --- log --- C */
enum filter_msg { /* number of the message: z/OS's own */
	FILTER_MSG_PERMITTED = 814,
	FILTER_MSG_DENIED = 815,
	FILTER_MSG_NO_TUNNEL = 821,
	FILTER_MSG_INACTIVE = 822,
	FILTER_MSG_MISMATCH = 833,
	FILTER_MSG_DENIED_LIMITED = 837,
	FILTER_MSG_SIMULATED_LIMITED = 838,
	FILTER_MSG_DEFENCE = 1721,
	FILTER_MSG_SIMULATED = 1722,
};
struct filter_log {
	uint64_t time_us;
	uint16_t msg; /* enum filter_msg */
	uint32_t ext;
	char name[FILTER_NAME_MAX];
	char vpn[FILTER_NAME_MAX];
	uint32_t tunnel; /* UINT32_MAX: none */
	struct addr src, dst;
	uint8_t proto, icmp_type, icmp_code, secclass, scope;
	bool inbound, fragment, opaque;
	uint16_t sport, dport, link;
	uint32_t len;
	uint64_t suppressed;	 /* *_LIMITED: how many messages were held back */
	struct filter_spec spec; /* *_LIMITED: the filter */
};
/* Gives @fn every waiting record, at most @max of them; also, when a five-minute interval has ended
 * or a defence went, one *_LIMITED record per defence that held messages back. How many. */
typedef void (*filter_log_fn)(void *arg, const struct filter_log *rec);
size_t filter_log_read(
	struct filter_set *fs, uint64_t now_us, size_t max, filter_log_fn fn, void *arg);
/* The message text; @ifname, @ifaddr and @tunnel_id may be NULL (N/A). Returns @out. */
const char *filter_log_text(const struct filter_log *rec, const char *ifname, const char *ifaddr,
	const char *tunnel_id, char *out, size_t size);
