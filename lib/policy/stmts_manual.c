/* IpManVpnAction: its statements. What they mean is known to the stack, which checks them (ipsec/manual.h). */
#include "lib/policy/dscp.h"
#include "lib/policy/ipsec.h"

#define ENDPOINT_WORDS "Any|Any4|Any6"

const struct conf_operand manual_operands[] = {
	{"name", CONF_NAME, 0, NULL, NULL, 0, 64, "name of the tunnel"},
	{NULL, CONF_END},
};

static const struct conf_operand active[] = {
	{"state", CONF_WORD, 0, "Yes|No", "Yes", 0, 0, "activate when the policy is installed"},
	{NULL, CONF_END},
};
static const struct conf_operand endpoint[] = {
	{"address", CONF_PREFIX, 0, ENDPOINT_WORDS, NULL, 0, 0, "address in the outer header"},
	{NULL, CONF_END},
};
static const struct conf_operand passthrough_df[] = {
	{"pass", CONF_WORD, 0, "Yes|No", "Yes", 0, 0,
		"copy the Don't Fragment bit to the outer header"},
	{"else", CONF_WORD, CONF_OPTIONAL, "Clear|Set", NULL, 0, 0, "what No puts there"},
	{NULL, CONF_END},
};
static const struct conf_operand passthrough_dscp[] = {
	{"pass", CONF_WORD, 0, "Yes|No", "Yes", 0, 0, "copy the DSCP to the outer header"},
	{NULL, CONF_END},
};
static const struct conf_operand encap[] = {
	{"mode", CONF_WORD, 0, "Tunnel|Transport", NULL, 0, 0, "encapsulation mode"},
	{NULL, CONF_END},
};
static const struct conf_operand udp_encap[] = {
	{"udp", CONF_WORD, 0, "Yes|No", "No", 0, 0, "ESP in UDP, port 4500 at both ends"},
	{NULL, CONF_END},
};
static const struct conf_operand encrypt[] = {
	{"algorithm", CONF_WORD, 0, "DoNot|DES|3DES|AES|AES_CBC|AES_GCM|AES_GCM_16|CHACHA20_POLY1305", NULL, 0, 0,
		"ESP encryption; CHACHA20_POLY1305 (RFC 7634) is Ravelin's"},
	{"KeyLength", CONF_UINT, CONF_KEYWORD | CONF_OPTIONAL, NULL, NULL, 128, 256,
		"bits: 128, 192 or 256 (AES; 128 if left out)"},
	{NULL, CONF_END},
};
static const struct conf_operand auth[] = {
	{"protocol", CONF_WORD, 0, "ESP|AH", NULL, 0, 0, "where the integrity check is"},
	{"algorithm", CONF_WORD, CONF_OPTIONAL,
		"NULL|HMAC_MD5|HMAC_SHA|HMAC_SHA1|HMAC_SHA2_256_128|HMAC_SHA2_384_192|HMAC_SHA2_"
		"512_256|AES128_XCBC_96",
		NULL, 0, 0, "integrity algorithm; NULL beside AES_GCM and CHACHA20_POLY1305"},
	{NULL, CONF_END},
};
static const struct conf_operand sa_operands[] = {
	{"spi", CONF_UINT, 0, NULL, NULL, 256, UINT32_MAX, "security parameter index"},
	{"key", CONF_STRING, CONF_SECRET, NULL, NULL, 0, 130,
		"hex or text of the algorithm's length"},
	{NULL, CONF_END},
};
static const struct conf_operand window[] = {
	{"packets", CONF_UINT, 0, NULL, "0", 0, 4096,
		"replay window of the inbound SA, 64 to 4096; 0: none"},
	{NULL, CONF_END},
};

const struct conf_stmt manual_children[] = {
	{"Active", active, NULL, NULL, CONF_ONCE, "initial state"},
	{"LocalSecurityEndpointAddr", endpoint, NULL, NULL, CONF_ONCE, "our end"},
	{"RemoteSecurityEndpointAddr", endpoint, NULL, NULL, CONF_ONCE, "the other end"},
	{"PassthroughDF", passthrough_df, NULL, NULL, CONF_ONCE,
		"Don't Fragment bit (RFC 4301 5.1.2)"},
	{"PassthroughDSCP", passthrough_dscp, NULL, NULL, CONF_ONCE, "DSCP (RFC 4301 5.1.2)"},
	{"OuterDSCP", policy_outer_dscp_operands, NULL, NULL, CONF_ANYNUMBER, "Ravelin: DSCP of the outer header, in place of PassthroughDSCP"},
	{"HowToEncap", encap, NULL, NULL, CONF_ONCE | CONF_REQUIRED, "tunnel or transport mode"},
	{"HowToEncrypt", encrypt, NULL, NULL, CONF_ONCE, "encryption"},
	{"HowToAuth", auth, NULL, NULL, CONF_ONCE, "integrity"},
	{"AuthInboundSa", sa_operands, NULL, NULL, CONF_ONCE,
		"SPI and integrity key of what comes in"},
	{"AuthOutboundSa", sa_operands, NULL, NULL, CONF_ONCE,
		"SPI and integrity key of what goes out"},
	{"EncryptInboundSa", sa_operands, NULL, NULL, CONF_ONCE,
		"SPI and encryption key of what comes in"},
	{"EncryptOutboundSa", sa_operands, NULL, NULL, CONF_ONCE,
		"SPI and encryption key of what goes out"},
	{"UdpEncapsulation", udp_encap, NULL, NULL, CONF_ONCE,
		"Ravelin: ESP in UDP (RFC 3948), which carries bulk traffic several times faster; both ends alike"},
	{"ReplayWindow", window, NULL, NULL, CONF_ONCE,
		"Ravelin: replay window; both ends restart together when it is on"},
	{NULL},
};
