/* IpDynVpnAction, IpDataOffer, IpLocalStartAction. */
#include "lib/policy/dscp.h"
#include "lib/policy/statements.h"

#define GROUPS "None|Group1|Group2|Group5|Group14|Group15|Group16|Group19|Group20|Group21|Group24"

static const struct conf_operand initiation_operands[] = {
	{"who", CONF_WORD, .words = "Either|LocalOnly|RemoteOnly", .help = "Who may start the negotiation."}, {0}};
static const struct conf_operand group_operands[] = {
	{"group", CONF_WORD, .words = GROUPS, .help = "Diffie-Hellman group of quick mode."}, {0}};
static const struct conf_operand groups_operands[] = {
	{"group", CONF_WORD, CONF_REPEAT, .words = GROUPS, .help = "Diffie-Hellman groups that a peer may use."}, {0}};
static const struct conf_operand vpn_life_operands[] = {
	{"minutes", CONF_UINT, .min = 0, .max = 525600, .help = "Minutes; 0: no end."}, {0}};
static const struct conf_operand encap2_operands[] = {
	{"mode", CONF_WORD, .words = "Either|Tunnel|Transport", .help = "IKEv2 only: without effect."}, {0}};
static const struct conf_operand dscp_operands[] = {
	{"pass", CONF_WORD, .words = "Yes|No", .help = "Copy the DSCP to the outer header."}, {0}};
static const struct conf_operand encap_operands[] = {
	{"mode", CONF_WORD, .words = "Tunnel|Transport", .help = "Encapsulation mode."}, {0}};
static const struct conf_operand encrypt_operands[] = {
	{"algorithm", CONF_WORD, .words = "DoNot|DES|3DES|AES|AES_CBC|AES_GCM|AES_GCM_16", .help = "ESP encryption."},
	{"KeyLength", CONF_UINT, CONF_KEYWORD | CONF_OPTIONAL, .min = 128, .max = 256,
		.help = "Bits: 128, 192 or 256 (AES; 128 if left out)."},
	{0}};
static const struct conf_operand auth_operands[] = {
	{"protocol", CONF_WORD, .words = "ESP|AH", .help = "Where the integrity check is."},
	{"algorithm", CONF_WORD, CONF_OPTIONAL,
		.words = "NULL|HMAC_MD5|HMAC_SHA|HMAC_SHA1|HMAC_SHA2_256_128|HMAC_SHA2_384_192|HMAC_SHA2_512_256|AES128_XCBC_96",
		.help = "Integrity algorithm; NULL beside AES_GCM."},
	{0}};
static const struct conf_operand granularity_operands[] = {
	{"from", CONF_WORD, .words = "Rule|Packet", .help = "What a tunnel protects is taken from the filter rule or from the packet."},
	{0}};

const struct conf_stmt policy_data_offer_children[] = {
	{"HowToEncap", encap_operands, .flags = CONF_ONCE | CONF_REQUIRED, .help = "Tunnel or transport mode."},
	{"HowToEncrypt", encrypt_operands, .flags = CONF_ONCE,
		.help = "Encryption. No default: a tunnel without encryption says DoNot."},
	{"HowToAuth", auth_operands, .flags = CONF_ONCE, .help = "Integrity. No default."},
	{"Suite", policy_suite_operands, .flags = CONF_ONCE,
		.help = "Ravelin: algorithms and lifetime of an RFC 4308 suite, in place of HowToEncrypt and HowToAuth."},
	{"ExtendedSequenceNumbers", policy_yes_operands, .flags = CONF_ONCE,
		.help = "Ravelin: 64-bit sequence numbers (RFC 4304) are offered and accepted. Default No."},
	{"UdpEncapsulation", policy_yes_operands, .flags = CONF_ONCE,
		.help = "Ravelin: ESP in UDP (RFC 3948) is asked for without a NAT, too. Default No."},
	{"RefreshLifetimeProposed", policy_life_operands, .flags = CONF_ONCE, .help = "Default 240; 480 with a suite."},
	{"RefreshLifetimeAccepted", policy_life_range_operands, .flags = CONF_ONCE, .help = "Default 120 480; 480 with a suite."},
	{"RefreshLifesizeProposed", policy_size_operands, .flags = CONF_ONCE, .help = "Default None."},
	{"RefreshLifesizeAccepted", policy_size_range_operands, .flags = CONF_ONCE, .help = "Default None."}, {0}};

const struct conf_stmt policy_vpn_children[] = {
	{"Initiation", initiation_operands, .flags = CONF_ONCE, .help = "Default Either."},
	{"InitiateWithPfs", group_operands, .flags = CONF_ONCE, .help = "Default None."},
	{"AcceptablePfs", groups_operands, .flags = CONF_ANYNUMBER, .help = "Default None."},
	{"Pfs", group_operands, .flags = CONF_ONCE, .help = "Older form: InitiateWithPfs and AcceptablePfs at once."},
	{"VpnLife", vpn_life_operands, .flags = CONF_ONCE, .help = "How long tunnels are renewed. Default 1440."},
	{"HowToEncapIKEv2", encap2_operands, .flags = CONF_ONCE, .help = "Accepted: IKEv2 only."},
	{"PassthroughDF", policy_df_operands, .flags = CONF_ONCE, .help = "Default Yes."},
	{"PassthroughDSCP", dscp_operands, .flags = CONF_ONCE, .help = "Default Yes."},
	{"OuterDSCP", policy_outer_dscp_operands, .flags = CONF_ANYNUMBER, .help = "Ravelin: DSCP of the outer header, in place of PassthroughDSCP."},
	{"IpDataOffer", policy_inline_operands, policy_data_offer_children, .flags = CONF_BLOCK | CONF_ANYNUMBER,
		.help = "An offer, written here. Offers are in order of preference."},
	{"IpDataOfferRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpDataOffer."}, {0}};

const struct conf_stmt policy_start_children[] = {
	{"AllowOnDemand", policy_yes_operands, .flags = CONF_ONCE, .help = "Default: IpFilterPolicy's."},
	{"LocalIpGranularity", granularity_operands, .flags = CONF_ONCE, .help = "Default Packet."},
	{"RemoteIpGranularity", granularity_operands, .flags = CONF_ONCE, .help = "Default Packet."},
	{"LocalPortGranularity", granularity_operands, .flags = CONF_ONCE, .help = "Default Rule."},
	{"RemotePortGranularity", granularity_operands, .flags = CONF_ONCE, .help = "Default Rule."},
	{"ProtocolGranularity", granularity_operands, .flags = CONF_ONCE, .help = "Default Rule."},
	{"LocalSecurityEndpointAddr", policy_endpoint_operands, .flags = CONF_ONCE,
		.help = "Local end of the tunnel. Default: the packet's source."},
	{"LocalSecurityEndpoint", policy_endpoint_operands, .flags = CONF_ONCE, .help = "The same."},
	{"RemoteSecurityEndpointAddr", policy_endpoint_operands, .flags = CONF_ONCE,
		.help = "Remote end of the tunnel. Default: the packet's destination."},
	{"RemoteSecurityEndpoint", policy_endpoint_operands, .flags = CONF_ONCE, .help = "The same."}, {0}};
