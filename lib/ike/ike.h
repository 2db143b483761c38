/* ike: IKEv1 (RFC 2407, 2408, 2409, 3706, 3947, 3948, 4109, 4304, 4308) without I/O. Datagrams, decisions and the time
 * go in; datagrams, SAs to install and the next deadline come out, through struct ike_ops. There is no clock, no
 * socket, no thread and no global: tests run two of these in memory and replay, reorder, drop, truncate and flip.
 *
 * One struct ike serves one stack: any number of local addresses. Nothing that a stranger sends can grow it beyond
 * ike_limits; what it costs before a cookie came back is one small record (a half-open SA), limited per source
 * and in total; at the total, the oldest half-open one makes place.
 *
 * Time is monotonic microseconds, given by the caller with every entry; wall_us only for certificates. All entries run in one
 * thread and may call ops before they return; ops must not call back into this struct ike. */
#pragma once
#include "lib/base/addr.h"
#include "lib/keyring/signer.h"
#include "lib/policy/ipsec.h"

struct ike;

struct ike_path { /* the local end first */
	struct addr local, remote;
	uint16_t local_port, remote_port; /* 4500 on either side: with non-ESP marker, added and removed by the shell */
};

enum { IKE_COOKIE = 8, IKE_KEY_MAX = 72, IKE_OWNER_DATA_MAX = 1024 };

/* One direction of a phase 2 SA. */
struct ike_sa_half {
	uint32_t spi;
	uint8_t enc_key[IKE_KEY_MAX], auth_key[IKE_KEY_MAX]; /* a combined mode's ends in its salt (RFC 4106 8.1) */
	uint16_t enc_key_len, auth_key_len;
};

/* A phase 2 SA pair as stack-core is to have it (stack.InstallTunnel). Installing happens in two steps, so that a
 * rekey loses no packet: inbound first (responder: before message 2 leaves; initiator: before message 3 leaves), then
 * outbound_ready (responder: message 3 or protected traffic came; initiator: message 3 has left). */
struct ike_child {
	char tunnel_id[16];	/* "Y7"; lives through rekeys */
	uint32_t generation;	/* from 1 */
	char parent_id[16];	/* "K3" */
	char rule[POLICY_NAME_MAX], vpn_action[POLICY_NAME_MAX], local_rule[POLICY_NAME_MAX];
	struct selector sel;
	struct ike_path path;	/* outer addresses; ports used when udp */
	bool tunnel, udp, esn, initiator;
	uint8_t proto;		/* IPSEC_PROTO_ESP or _AH */
	bool bundle;		/* ESP, and AH over it: auth and esn are AH's */
	uint16_t esp, key_bits, auth;
	uint16_t pfs_group;
	struct ike_sa_half in, out;
	struct ike_sa_half in_ah, out_ah; /* of the AH in a bundle */
	uint64_t soft_s, hard_s, soft_bytes, hard_bytes; /* 0: none */
	uint64_t vpn_life_s;
	struct addr nat_oa_local, nat_oa_remote; /* family 0: none (RFC 3947 5.2) */
	enum vpn_df df;
	struct policy_dscp dscp;
	/* what ike_resume needs to own the pair after a restart; kept by stack-core, opaque to it */
	uint8_t owner_data[IKE_OWNER_DATA_MAX];
	uint16_t owner_len;
};

/* Phase 1 as ikectl and ipsec -k show it. */
enum ike_state { IKE_INIT, IKE_WAIT_SA, IKE_IN_KE, IKE_WAIT_KE, IKE_DONE, IKE_EXPIRED, IKE_HALF_CLOSED };
struct ike_p1_info {
	char tunnel_id[16]; /* "K3" */
	uint32_t generation;
	enum ike_state state;
	const char *rule, *action;
	struct ike_path path;
	uint8_t local_id_type, remote_id_type;
	char local_id[POLICY_ID_MAX], remote_id[POLICY_ID_MAX];
	bool initiator, aggressive;
	uint8_t icookie[IKE_COOKIE], rcookie[IKE_COOKIE];
	struct kex_offer offer;	/* what was agreed */
	uint64_t life_s, life_kb, bytes, expires_us, refresh_us, established_us; /* monotonic */
	unsigned children;
	bool nat_local, nat_remote, nat_t, dpd, fragmentation;
};
enum ike_child_state { IKE_CHILD_INIT, IKE_CHILD_NEGOTIATING, IKE_CHILD_KEP, IKE_CHILD_DONE, IKE_CHILD_EXPIRED };
struct ike_child_info {
	const struct ike_child *child; /* keys are not to be shown */
	enum ike_child_state state;
	uint64_t expires_us, refresh_us, established_us;
};

enum ike_event_kind { IKE_P1_UP, IKE_P1_REFRESHED, IKE_P1_FAILED, IKE_P1_DOWN, IKE_P2_UP, IKE_P2_REFRESHED, IKE_P2_FAILED,
	IKE_P2_DOWN, IKE_PEER_DEAD, IKE_PEER_MOVED, IKE_RULE_REPLACED, IKE_PROTOCOL_ERROR, IKE_FLOOD };
struct ike_event {
	enum ike_event_kind kind;
	const struct ike_p1_info *p1;	   /* or NULL */
	const struct ike_child_info *child; /* or NULL */
	const struct ike_path *path;
	const char *message;		   /* z/OS-like id: "EZD1785I" */
	const char *text;		   /* for people, never a secret */
};

struct ike_ops {
	void (*send)(void *ctx, const struct ike_path *path, const void *data, size_t len);
	int (*random)(void *ctx, void *out, size_t len);
	/* Installs the inbound SA (and the dynamic filter); 0 or -errno. Answer may come later: returns -EINPROGRESS and
	 * the shell calls ike_installed. */
	int (*install)(void *ctx, const struct ike_child *c);
	void (*outbound_ready)(void *ctx, const struct ike_child *c); /* use its outbound SA; older generation's inbound SA stays */
	void (*remove)(void *ctx, const struct ike_child *c, const char *why);
	void (*event)(void *ctx, const struct ike_event *e);
	/* Phase 2 is wanted again and again: auto-activation retries; ignored when NULL. */
};

struct ike_limits { /* 0: the default */
	uint32_t half_open_total, half_open_source, p1_total, children_total, message_max, fragments_max, retries;
	uint64_t retry_first_us;       /* IkeInitWait, doubles */
	uint64_t dpd_idle_us, dpd_timeout_us;
};

struct ike_config {
	const struct ike_ops *ops;
	void *ctx;
	struct ike_limits limits;
	const struct ipsec_policy *policy; /* borrowed, replaced by ike_policy */
	struct signer *signer;		   /* borrowed; NULL: no RSA signatures */
	bool esn_allowed;
};

int ike_new(const struct ike_config *c, uint64_t now_us, struct ike **ret);
void ike_free(struct ike *k); /* cleanses; sends nothing */
/* A new policy: what it does not allow any more is deleted at once, the rest lives on. */
void ike_policy(struct ike *k, const struct ipsec_policy *p, uint64_t now_us);

void ike_input(struct ike *k, const struct ike_path *path, const void *data, size_t len, uint64_t now_us, uint64_t wall_us);
void ike_tick(struct ike *k, uint64_t now_us, uint64_t wall_us);
uint64_t ike_deadline(const struct ike *k); /* UINT64_MAX: none */
/* Work ahead, for moments when nothing comes in: makes one key pair of a group that the policy names, which costs from 50 us (P-256) to
 * 3 ms (MODP-4096). false: nothing is missing. ike_unprepared asks whether something is. */
bool ike_prepare(struct ike *k);
bool ike_unprepared(const struct ike *k);
void ike_installed(struct ike *k, const char *tunnel_id, uint32_t generation, int error, uint64_t now_us);

/* Makes or finds phase 1 with the peer and negotiates phase 2. Outcomes come as events. 0, or -errno with text:
 * -ENOENT no rule, -EPERM policy says RemoteOnly, -EALREADY under way (then the running one's id is in @id). */
struct ike_activate {
	const struct policy_rule *rule;
	struct selector sel;
	struct addr local_endpoint, remote_endpoint;
	const char *local_rule; /* LocalDynVpnRule's name or NULL */
};
int ike_activate(struct ike *k, const struct ike_activate *a, uint64_t now_us, struct errbuf *err, char id[16]);
/* "K3", "Y7". cascade: a K's children too. 0 or -ENOENT. */
int ike_deactivate(struct ike *k, const char *id, bool cascade, uint64_t now_us);
int ike_refresh(struct ike *k, const char *id, uint64_t now_us);
/* stack-core says: the SA reached its soft or hard limit; traffic was seen on the inbound SA; an unknown SPI came. */
enum ike_stack_event { IKE_SOFT, IKE_HARD, IKE_TRAFFIC, IKE_UNKNOWN_SPI };
void ike_stack_said(struct ike *k, const char *tunnel_id, uint32_t generation, enum ike_stack_event what,
	const struct ike_path *path, uint64_t now_us);
/* After a restart: owns a pair that stack-core still has. The child is as it was installed, without keys. */
int ike_resume(struct ike *k, const struct ike_child *c, uint64_t now_us);

/* Displays; borrowed until the next call into @k. NULL ends. */
const struct ike_p1_info *ike_p1_next(struct ike *k, const char *after_id);
const struct ike_child_info *ike_child_next(struct ike *k, const char *after_id);
const struct ike_child_info *ike_child_next_of(struct ike *k, const char *parent_id, const char *after_id); /* those of one IKE tunnel */
struct ike_stats { uint64_t in, out, malformed, replayed, retransmitted, cookie_refused, half_open_refused, auth_failed, no_proposal,
	p1_up, p2_up, dpd_sent, decrypt_failed; uint32_t half_open, p1, children; };
void ike_stats(const struct ike *k, struct ike_stats *ret);
