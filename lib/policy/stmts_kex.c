/* KeyExchangePolicy: phase 1. */
#include "lib/policy/ipsec.h"
#include "lib/policy/statements.h"

static const struct conf_operand initiate_operands[] = {
	{"mode", CONF_WORD, .words = "Main|Aggressive|DoNot", .help = "Exchange that this end starts."}, {0}};
static const struct conf_operand respond_operands[] = {
	{"mode", CONF_WORD, .words = "Either|Main|Aggressive", .help = "Exchanges that a peer may start."}, {0}};
static const struct conf_operand keepalive_operands[] = {
	{"seconds", CONF_UINT, .min = 0, .max = 999, .help = "Seconds between keepalives to a NAT (RFC 3948); 0: none."}, {0}};
static const struct conf_operand key_operands[] = {
	{"form", CONF_WORD, .words = "Ascii|Hex|Ebcdic", .help = "How the key is written; Ebcdic: as the text's bytes in IBM-1047."},
	{"key", CONF_STRING, CONF_SECRET, .max = POLICY_KEY_MAX, .help = "The key."}, {0}};
static const struct conf_operand encrypt_operands[] = {
	{"algorithm", CONF_WORD, .words = "DES|3DES|AES|AES_CBC", .help = "Encryption of the exchange."},
	{"KeyLength", CONF_UINT, CONF_KEYWORD | CONF_OPTIONAL, .min = 128, .max = 256,
		.help = "Bits: 128, 192 or 256 (AES; 128 if left out)."},
	{0}};
static const struct conf_operand hash_operands[] = {
	{"hash", CONF_WORD, .words = "MD5|SHA1|SHA2_256|SHA2_384|SHA2_512", .help = "Hash and pseudo-random function."}, {0}};
static const struct conf_operand peers_operands[] = {
	{"method", CONF_WORD, .words = "RsaSignature|PresharedKey", .help = "How the peers prove who they are."}, {0}};
static const struct conf_operand group_operands[] = {
	{"group", CONF_WORD, .words = "Group1|Group2|Group5|Group14|Group15|Group16|Group19|Group20|Group21|Group24",
		.help = "Diffie-Hellman group."},
	{0}};
static const struct conf_operand ikev2_operands[] = {
	{"algorithm", CONF_STRING, CONF_REPEAT, .max = 64, .help = "IKEv2 only: without effect."}, {0}};
static const struct conf_operand identity_operands[] = {
	{"type", CONF_WORD, .words = "IpAddr|Fqdn|UserAtFqdn|X500dn", .help = "Type of the identity."},
	{"value", CONF_STRING, .max = POLICY_ID_MAX - 1,
		.help = "address; name; user@name; \"CN=gw,O=Example,C=US\". Of a remote end also patterns: prefixes and ranges, "
			"*.name, *@name, * as the value of an attribute, or * alone."},
	{0}};
static const struct conf_operand label_operands[] = {
	{"label", CONF_STRING, .max = 32, .help = "Label of a CA certificate on the key ring."}, {0}};

const struct conf_stmt policy_kex_offer_children[] = {
	{"HowToEncrypt", encrypt_operands, .flags = CONF_ONCE,
		.help = "No default: z/OS's, DES, has to be named."},
	{"HowToAuthMsgs", hash_operands, .flags = CONF_ONCE, .help = "No default: z/OS's, MD5, has to be named."},
	{"HowToAuthPeers", peers_operands, .flags = CONF_ONCE, .help = "Default RsaSignature."},
	{"DHGroup", group_operands, .flags = CONF_ONCE, .help = "No default: z/OS's, Group1, has to be named."},
	{"Suite", policy_suite_operands, .flags = CONF_ONCE,
		.help = "Ravelin: algorithms, group and lifetime of an RFC 4308 suite, in place of HowToEncrypt, HowToAuthMsgs and DHGroup."},
	{"RefreshLifetimeProposed", policy_life_operands, .flags = CONF_ONCE, .help = "Default 480; 1440 with a suite."},
	{"RefreshLifetimeAccepted", policy_life_range_operands, .flags = CONF_ONCE, .help = "Default 240 1440; 1440 with a suite."},
	{"RefreshLifesizeProposed", policy_size_operands, .flags = CONF_ONCE, .help = "Default None."},
	{"RefreshLifesizeAccepted", policy_size_range_operands, .flags = CONF_ONCE, .help = "Default None."},
	{"HowToVerifyMsgs", ikev2_operands, .flags = CONF_ANYNUMBER, .help = "Accepted: IKEv2 only."},
	{"PseudoRandomFunction", ikev2_operands, .flags = CONF_ANYNUMBER, .help = "Accepted: IKEv2 only."}, {0}};

#define MODES                                                                                                          \
	{"HowToInitiate", initiate_operands, .flags = CONF_ONCE, .help = "Default Main; an action's: the policy's."},  \
		{"HowToRespond", respond_operands, .flags = CONF_ONCE, .help = "Default Either; an action's: the policy's."}, \
		{"HowToRespondIKEv1", respond_operands, .flags = CONF_ONCE, .help = "Later name of HowToRespond."},   \
	{"AllowNat", policy_yes_operands, .flags = CONF_ONCE, .help = "NAT traversal (RFC 3947). Default No; an action's: the policy's."}

const struct conf_stmt policy_kex_action_children[] = {MODES,
	{"FilterByIdentity", policy_yes_operands, .flags = CONF_ONCE,
		.help = "Addresses that a peer wants protected must be its identity. Default No."},
	{"KeyExchangeOffer", policy_inline_operands, policy_kex_offer_children, .flags = CONF_BLOCK | CONF_ANYNUMBER,
		.help = "An offer, written here. Offers are in order of preference."},
	{"KeyExchangeOfferRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "A KeyExchangeOffer."}, {0}};

const struct conf_stmt policy_local_end_children[] = {
	{"Identity", identity_operands, .flags = CONF_ONCE, .help = "Who this end is. Default: Location, when that is one address."},
	{"Location", policy_address_operands, .flags = CONF_ONCE, .help = "Where this end is. Default Any."},
	{"LocationRef", policy_name_operands, .flags = CONF_ONCE, .help = "An IpAddr."},
	{"LocationSetRef", policy_name_operands, .flags = CONF_ONCE, .help = "An IpAddrSet."}, {0}};
const struct conf_stmt policy_remote_end_children[] = {
	{"Identity", identity_operands, .flags = CONF_ONCE, .help = "Who the peer may be. Default: anybody."},
	{"Location", policy_address_operands, .flags = CONF_ONCE, .help = "Where the peer may be. Default Any."},
	{"LocationRef", policy_name_operands, .flags = CONF_ONCE, .help = "An IpAddr."},
	{"LocationSetRef", policy_name_operands, .flags = CONF_ONCE, .help = "An IpAddrSet."},
	{"CaLabel", label_operands, .flags = CONF_ANYNUMBER,
		.help = "CA that the peer's certificate must come from. Default: every CA of the ring."},
	{0}};

const struct conf_stmt policy_kex_rule_children[] = {
	{"LocalSecurityEndpoint", policy_inline_operands, policy_local_end_children, .flags = CONF_BLOCK | CONF_ONCE,
		.help = "This end, written here."},
	{"LocalSecurityEndpointRef", policy_name_operands, .flags = CONF_ONCE, .help = "A LocalSecurityEndpoint."},
	{"RemoteSecurityEndpoint", policy_inline_operands, policy_remote_end_children, .flags = CONF_BLOCK | CONF_ONCE,
		.help = "The peer, written here."},
	{"RemoteSecurityEndpointRef", policy_name_operands, .flags = CONF_ONCE, .help = "A RemoteSecurityEndpoint."},
	{"KeyExchangeAction", policy_inline_operands, policy_kex_action_children, .flags = CONF_BLOCK | CONF_ONCE,
		.help = "How to negotiate, written here."},
	{"KeyExchangeActionRef", policy_name_operands, .flags = CONF_ONCE, .help = "A KeyExchangeAction."},
	{"SharedKey", key_operands, .flags = CONF_ONCE, .help = "Key of PresharedKey offers. The file must not be readable by others."},
	POLICY_TIMES, {0}};

const struct conf_stmt policy_kex_group_children[] = {
	{"KeyExchangeRule", policy_name_operands, policy_kex_rule_children, .flags = CONF_BLOCK | CONF_ANYNUMBER,
		.help = "A rule, written here."},
	{"KeyExchangeRuleRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "A KeyExchangeRule."}, {0}};

const struct conf_stmt policy_kex_policy_children[] = {MODES,
	{"NatKeepAliveInterval", keepalive_operands, .flags = CONF_ONCE, .help = "Default 20."},
	{"KeyExchangeRule", policy_name_operands, policy_kex_rule_children, .flags = CONF_BLOCK | CONF_ANYNUMBER,
		.help = "A rule, written here."},
	{"KeyExchangeRuleRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "A KeyExchangeRule."},
	{"KeyExchangeGroup", policy_inline_operands, policy_kex_group_children, .flags = CONF_BLOCK | CONF_ANYNUMBER,
		.help = "Rules, written here."},
	{"KeyExchangeGroupRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "A KeyExchangeGroup."}, {0}};
