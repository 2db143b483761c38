/* ipsec: the IP security policy of a stack as z/OS writes it (zos.md sections 6 and 7), parsed and with every
 * reference resolved. IpFilterPolicy, KeyExchangePolicy and LocalDynVpnPolicy, the reusable objects, groups and
 * sets become plain arrays here; nobody else walks statement trees. stack-core builds filters and anchors from it,
 * ikeD its negotiations; policyD will own the files.
 *
 * Numbers of algorithms are IANA's (ipsec-registry and isakmp-registry), as they stand on the wire. Everything is
 * immutable after ipsec_policy_load, but for which rules are asleep (ipsec_policy_follow); one reader frees it with
 * ipsec_policy_free, which cleanses the shared keys. */
#pragma once
#include "lib/base/addr.h"
#include "lib/base/err.h"
#include "lib/conf/conf.h"
#include "lib/keyring/identity.h"
#include "lib/policy/dscp.h"
#include "lib/policy/when.h"

enum { POLICY_FILTERS_MAX = 65536, POLICY_RULES_MAX = 16384 }; /* simple filters; rules of each kind */
enum { POLICY_NAME_MAX = 65, POLICY_ID_MAX = 256, POLICY_KEY_MAX = 900 };

struct addr_range { /* an address, a prefix, a range: lo..hi of one family; family 0: any address of any family */
	struct addr lo, hi;
};
bool addr_range_covers(const struct addr_range *r, const struct addr *a);
bool addr_range_contains(const struct addr_range *outer, const struct addr_range *inner);
bool addr_range_single(const struct addr_range *r); /* exactly one address */
struct addr_range addr_range_prefix(const struct prefix *p);
/* "192.0.2.0/24", "192.0.2.1", "192.0.2.1-192.0.2.9", "All". */
enum { RANGE_TEXT_MAX = 2 * ADDR_TEXT_MAX };
const char *addr_range_text(const struct addr_range *r, char out[RANGE_TEXT_MAX]);
/* An address, address/length, low-high, or All, Any, *, All4, Any4, All6, Any6. -EDOM: host bits are set; -ERANGE: the
 * higher address stands first; -EINVAL: none of these. */
int addr_range_parse(const char *text, struct addr_range *ret);

/* Phase 1 (RFC 2409 appendix A). */
enum { IKE_ENC_DES = 1, IKE_ENC_3DES = 5, IKE_ENC_AES = 7 };
enum { IKE_HASH_MD5 = 1, IKE_HASH_SHA1 = 2, IKE_HASH_SHA2_256 = 4, IKE_HASH_SHA2_384 = 5, IKE_HASH_SHA2_512 = 6 };
enum { IKE_AUTH_PSK = 1, IKE_AUTH_RSA_SIG = 3 };
/* Exchange modes. */
enum ike_mode { IKE_MODE_DONOT, IKE_MODE_MAIN, IKE_MODE_AGGRESSIVE, IKE_MODE_EITHER };

/* Proposed is offered; a peer's value from lo to hi is accepted. 0: none (no limit). */
struct life {
	uint32_t proposed, lo, hi;
};

/* RFC 4308. A suite's Diffie-Hellman group is the only one that its tunnels use. */
enum policy_suite { SUITE_NONE, SUITE_VPN_A, SUITE_VPN_B };

struct kex_offer { /* KeyExchangeOffer */
	char name[POLICY_NAME_MAX];
	uint16_t enc, key_bits; /* key_bits for AES only: 128, 192, 256 */
	uint16_t hash;
	bool xcbc;	/* AES-XCBC-PRF-128 and AES-XCBC-96 instead of HMAC (RFC 4308 VPN-B) */
	uint16_t auth, group; /* group: 1 2 5 14 15 16 19 20 21 24 */
	enum policy_suite suite;
	struct life seconds, kbytes;
};

enum ike_id_type { IKE_ID_NONE = 0, IKE_ID_IPV4 = 1, IKE_ID_FQDN = 2, IKE_ID_USER_FQDN = 3, IKE_ID_IPV4_SUBNET = 4, IKE_ID_IPV6 = 5,
	IKE_ID_IPV6_SUBNET = 6, IKE_ID_IPV4_RANGE = 7, IKE_ID_IPV6_RANGE = 8, IKE_ID_DER_DN = 9, IKE_ID_KEY_ID = 11 };

struct ike_identity { /* Identity of a security endpoint */
	uint8_t type;		  /* enum ike_id_type; IKE_ID_NONE: any (remote only) */
	char text[POLICY_ID_MAX]; /* as written; wildcards as RemoteSecurityEndpoint allows them */
	struct addr_range range;  /* of an IpAddr identity: one address, prefix or range */
	struct ident id;	  /* local: as it stands in the payload */
	struct ident_pattern *pattern; /* remote: what is compared */
};

struct kex_endpoint { /* LocalSecurityEndpoint, RemoteSecurityEndpoint */
	char name[POLICY_NAME_MAX];
	struct ike_identity identity;
	struct addr_range location;
	char **ca_labels; /* remote: CaLabel; empty: all of the ring */
	size_t n_ca_labels;
};

struct kex_action { /* KeyExchangeAction, with what it inherits from KeyExchangePolicy */
	char name[POLICY_NAME_MAX];
	enum ike_mode initiate, respond;
	bool allow_nat;
	bool filter_by_identity;
	struct kex_offer *offers;
	size_t n_offers;
};

struct kex_rule { /* KeyExchangeRule */
	char name[POLICY_NAME_MAX];
	struct kex_endpoint local, remote;
	struct kex_action action;
	uint8_t shared_key[POLICY_KEY_MAX]; /* SharedKey */
	size_t shared_key_len;
	struct policy_whens when;
	bool asleep; /* none of its time conditions holds: ipsec_policy_follow */
};

/* Phase 2 (RFC 2407). */
enum { IPSEC_PROTO_AH = 2, IPSEC_PROTO_ESP = 3 };
enum { IPSEC_ESP_DES = 2, IPSEC_ESP_3DES = 3, IPSEC_ESP_NULL = 11, IPSEC_ESP_AES_CBC = 12, IPSEC_ESP_AES_CTR = 13,
	IPSEC_ESP_AES_CCM_16 = 16, IPSEC_ESP_AES_GCM_16 = 20, IPSEC_ESP_AES_GMAC = 23 };
enum { IPSEC_AUTH_NONE = 0, IPSEC_AUTH_MD5 = 1, IPSEC_AUTH_SHA1 = 2, IPSEC_AUTH_SHA2_256 = 5, IPSEC_AUTH_SHA2_384 = 6,
	IPSEC_AUTH_SHA2_512 = 7, IPSEC_AUTH_XCBC = 9, IPSEC_AUTH_AES_GMAC_128 = 11, IPSEC_AUTH_AES_GMAC_256 = 13 };

struct data_offer { /* IpDataOffer */
	char name[POLICY_NAME_MAX];
	bool tunnel;	      /* HowToEncap */
	uint16_t esp, key_bits; /* 0: no ESP (HowToEncrypt DoNot with HowToAuth AH); NULL with HowToAuth ESP */
	uint16_t auth;	      /* with AH when @ah, of the ESP otherwise; NONE with a combined mode */
	bool ah;	      /* with @esp beside it: AH over ESP, which has no integrity but a combined mode's own */
	bool esn;	      /* offered and accepted (RFC 4304) */
	bool udp;	      /* ESP in UDP asked for even without a NAT */
	enum policy_suite suite;
	struct life seconds, kbytes;
};

enum vpn_initiation { VPN_EITHER, VPN_LOCAL_ONLY, VPN_REMOTE_ONLY };
enum vpn_df { VPN_DF_PASS, VPN_DF_CLEAR, VPN_DF_SET };

struct vpn_action { /* IpDynVpnAction */
	char name[POLICY_NAME_MAX];
	enum vpn_initiation initiation;
	uint16_t initiate_pfs;	   /* group, 0 none */
	uint16_t acceptable_pfs[12]; /* groups; 0 among them: none */
	size_t n_acceptable_pfs;
	uint32_t vpn_life_s;
	enum vpn_df df;
	struct policy_dscp dscp;
	struct data_offer *offers; /* in order of preference */
	size_t n_offers;
};

struct start_action { /* IpLocalStartAction */
	char name[POLICY_NAME_MAX];
	bool allow_on_demand;
	/* granularity: from the packet (true) or from the rule (false) */
	bool local_ip_packet, remote_ip_packet, local_port_packet, remote_port_packet, protocol_packet;
	struct addr local_endpoint, remote_endpoint; /* family 0: the packet's source and destination */
};

enum { POLICY_PROTO_ALL = 256, POLICY_PROTO_OPAQUE = 257 };
enum policy_routing { POLICY_LOCAL = 1, POLICY_ROUTED = 2, POLICY_EITHER = 3 };
enum policy_action { POLICY_PERMIT, POLICY_DENY, POLICY_IPSEC };
enum policy_logging { POLICY_LOG_NONE, POLICY_LOG_PERMIT, POLICY_LOG_DENY, POLICY_LOG_ALL };

struct policy_service { /* IpService */
	char name[POLICY_NAME_MAX];
	uint16_t protocol;			  /* 0..255, or POLICY_PROTO_ALL, _OPAQUE */
	uint16_t source_lo, source_hi, dest_lo, dest_hi; /* ports; ICMP type and code ranges */
	bool inbound, outbound, fragments_only;
	bool inbound_connect, outbound_connect;
	enum policy_routing routing;
	uint8_t secclass;
};

/* IpFilterRule, unsplit: every source with every destination and service, in this order (zos.md section 6). */
struct policy_rule {
	char name[POLICY_NAME_MAX], group[POLICY_NAME_MAX];
	struct addr_range *sources, *dests;
	size_t n_sources, n_dests;
	struct policy_service *services;
	size_t n_services;
	enum policy_action action;
	enum policy_logging logging;
	bool discard_icmp;
	const struct vpn_action *vpn;	   /* dynamic: the rule is an anchor */
	const char *manual;		   /* IpManVpnAction's name, or NULL */
	const struct start_action *start; /* of an anchor, never NULL; name "": the rule has none, and this says what then holds */
	struct policy_whens when;
	bool asleep;
};

struct local_vpn_rule { /* LocalDynVpnRule: what can be activated by name */
	char name[POLICY_NAME_MAX];
	struct addr_range local_ip, remote_ip;
	uint16_t local_port, remote_port, protocol; /* 0 and POLICY_PROTO_ALL: all */
	bool auto_activate;
	struct addr local_endpoint, remote_endpoint; /* family 0: from the filter rule's start action, else from the addresses */
	struct policy_whens when;
	bool asleep;
};

struct ipsec_policy {
	/* IpFilterPolicy */
	bool pre_decap, filter_logging, allow_on_demand, discard_icmp;
	struct policy_rule *rules; /* in order of search */
	size_t n_rules;
	/* KeyExchangePolicy */
	bool allow_nat;
	uint32_t nat_keepalive_s;
	struct kex_rule *kex_rules; /* in order of search */
	size_t n_kex_rules;
	/* LocalDynVpnPolicy */
	struct local_vpn_rule *local_rules;
	size_t n_local_rules;
	struct vpn_action *vpn_actions;
	size_t n_vpn_actions;
	struct start_action *start_actions;
	size_t n_start_actions;
	struct conf_node **manual; /* IpManVpnAction statements, for stack-core's ipsec/manual.h */
	size_t n_manual;
	struct conf *conf, *common; /* the files; owned */
	uint64_t generation;
	struct policy_clock clock; /* when ipsec_policy_follow looks again */
};

/* The whole file as statement table, and IpManVpnAction's part of it. */
extern const struct conf_spec ipsec_policy_spec;
extern const struct conf_operand manual_operands[];
extern const struct conf_stmt manual_children[];
/* Reads and checks one file's statements. Always sets *@ret, with every error in it (conf_error). -EPERM: it holds keys
 * and others may read it. */
int ipsec_policy_read(const char *path, struct conf **ret);
/* Resolves what was read; @common may be NULL. On success the policy owns both; on failure (-EINVAL) the caller still
 * does, and finds every error in them. */
int ipsec_policy_build(struct conf *file, struct conf *common, struct ipsec_policy **ret);
/* Both at once, for who wants the first error only (@err). @path: the stack file; @common_path: CommonIpSecConfig or
 * NULL. Objects of the common file are known in the stack file; of a name or block that both have, the stack file's
 * wins. */
int ipsec_policy_load(const char *path, const char *common_path, struct errbuf *err, struct ipsec_policy **ret);
void ipsec_policy_free(struct ipsec_policy *p); /* NULL allowed */
/* Time conditions: which rules are in force at @now; the others sleep, and the searches below pass over them as if they were not
 * there. Cheap while nothing is due; call it once after loading and then each second. True: another set of rules than before. */
bool ipsec_policy_follow(struct ipsec_policy *p, time_t now);
/* What is no mistake and will hardly be meant: rules that nothing can use, algorithms that can be broken. How many. */
typedef void (*policy_doubt_fn)(void *arg, const char *text);
size_t policy_doubts(const struct ipsec_policy *p, policy_doubt_fn fn, void *arg);
struct json;
void ipsec_policy_json(const struct ipsec_policy *p, struct json *j); /* all of it as one object; never a key */

/* What a negotiation protects, from the local side: an IKEv1 phase 2 identity pair. */
struct selector {
	struct addr_range local, remote;
	uint16_t protocol;		/* POLICY_PROTO_ALL: all */
	uint16_t local_port, remote_port; /* 0: all (RFC 2407 4.6.2) */
};
/* The first anchor rule (action IpSec with a dynamic VPN action) whose local/remote side and services cover the whole
 * of @s in both directions; NULL: none. The answer to a peer's phase 2 proposal. */
const struct policy_rule *policy_anchor(const struct ipsec_policy *p, const struct selector *s);
/* The rule by name, or NULL. */
const struct policy_rule *policy_rule_find(const struct ipsec_policy *p, const char *name);
/* The local_vpn_rule by name, or NULL; and the anchor rule and selector it stands for (-ENOENT: no anchor covers it). */
const struct local_vpn_rule *policy_local_rule(const struct ipsec_policy *p, const char *name);
int policy_local_anchor(const struct ipsec_policy *p, const struct local_vpn_rule *r, const struct policy_rule **rule,
	struct selector *sel);
/* First KeyExchangeRule whose endpoints' locations cover the two addresses, searching from *@from (a cursor, 0 first). */
const struct kex_rule *policy_kex_rule(const struct ipsec_policy *p, const struct addr *local, const struct addr *remote,
	size_t *from);
/* Does a peer's identity (type, raw bytes as in the ID payload's data) match the endpoint's? X500dn wildcards: an
 * attribute value "*" matches any; DER_DN is compared by attributes. Pure. */
bool policy_identity_match(const struct ike_identity *want, uint8_t type, const void *data, size_t len);
