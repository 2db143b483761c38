#include "lib/ike/notify.h"
#include "lib/ike/isakmp.h"
#include "lib/policy/ipsec.h"

int ike_refuse(struct ike_refusal *why, uint16_t notify, const char *text)
{
	if (why)
		*why = (struct ike_refusal){notify, text};
	return -EPROTO;
}

struct name {
	uint16_t number;
	const char *text;
};

static const char *find(const struct name *names, size_t n, uint16_t number, const char *otherwise)
{
	for (size_t i = 0; i < n; i++) {
		if (names[i].number == number)
			return names[i].text;
	}
	return otherwise;
}
#define FIND(names, number, otherwise)                                                             \
	find(names, sizeof(names) / sizeof((names)[0]), number, otherwise)

const char *notify_text(uint16_t type)
{
	static const struct name names[] = {
		{NOTIFY_INVALID_PAYLOAD_TYPE, "INVALID-PAYLOAD-TYPE"},
		{NOTIFY_DOI_NOT_SUPPORTED, "DOI-NOT-SUPPORTED"},
		{NOTIFY_SITUATION_NOT_SUPPORTED, "SITUATION-NOT-SUPPORTED"},
		{NOTIFY_INVALID_COOKIE, "INVALID-COOKIE"},
		{NOTIFY_INVALID_MAJOR_VERSION, "INVALID-MAJOR-VERSION"},
		{NOTIFY_INVALID_MINOR_VERSION, "INVALID-MINOR-VERSION"},
		{NOTIFY_INVALID_EXCHANGE_TYPE, "INVALID-EXCHANGE-TYPE"},
		{NOTIFY_INVALID_FLAGS, "INVALID-FLAGS"},
		{NOTIFY_INVALID_MESSAGE_ID, "INVALID-MESSAGE-ID"},
		{NOTIFY_INVALID_PROTOCOL_ID, "INVALID-PROTOCOL-ID"},
		{NOTIFY_INVALID_SPI, "INVALID-SPI"},
		{NOTIFY_INVALID_TRANSFORM_ID, "INVALID-TRANSFORM-ID"},
		{NOTIFY_ATTRIBUTES_NOT_SUPPORTED, "ATTRIBUTES-NOT-SUPPORTED"},
		{NOTIFY_NO_PROPOSAL_CHOSEN, "NO-PROPOSAL-CHOSEN"},
		{NOTIFY_BAD_PROPOSAL_SYNTAX, "BAD-PROPOSAL-SYNTAX"},
		{NOTIFY_PAYLOAD_MALFORMED, "PAYLOAD-MALFORMED"},
		{NOTIFY_INVALID_KEY_INFORMATION, "INVALID-KEY-INFORMATION"},
		{NOTIFY_INVALID_ID_INFORMATION, "INVALID-ID-INFORMATION"},
		{NOTIFY_INVALID_CERT_ENCODING, "INVALID-CERT-ENCODING"},
		{NOTIFY_INVALID_CERTIFICATE, "INVALID-CERTIFICATE"},
		{NOTIFY_CERT_TYPE_UNSUPPORTED, "CERT-TYPE-UNSUPPORTED"},
		{NOTIFY_INVALID_CERT_AUTHORITY, "INVALID-CERT-AUTHORITY"},
		{NOTIFY_INVALID_HASH_INFORMATION, "INVALID-HASH-INFORMATION"},
		{NOTIFY_AUTHENTICATION_FAILED, "AUTHENTICATION-FAILED"},
		{NOTIFY_INVALID_SIGNATURE, "INVALID-SIGNATURE"},
		{NOTIFY_ADDRESS_NOTIFICATION, "ADDRESS-NOTIFICATION"},
		{NOTIFY_SA_LIFETIME, "NOTIFY-SA-LIFETIME"},
		{NOTIFY_CERTIFICATE_UNAVAILABLE, "CERTIFICATE-UNAVAILABLE"},
		{NOTIFY_UNSUPPORTED_EXCHANGE_TYPE, "UNSUPPORTED-EXCHANGE-TYPE"},
		{NOTIFY_UNEQUAL_PAYLOAD_LENGTHS, "UNEQUAL-PAYLOAD-LENGTHS"},
		{NOTIFY_CONNECTED, "CONNECTED"},
		{NOTIFY_RESPONDER_LIFETIME, "RESPONDER-LIFETIME"},
		{NOTIFY_REPLAY_STATUS, "REPLAY-STATUS"},
		{NOTIFY_INITIAL_CONTACT, "INITIAL-CONTACT"},
		{NOTIFY_R_U_THERE, "R-U-THERE"},
		{NOTIFY_R_U_THERE_ACK, "R-U-THERE-ACK"},
	};
	return FIND(names, type, "notify");
}

const char *isakmp_type_text(uint8_t type)
{
	static const struct name names[] = {{ISAKMP_NONE, "none"}, {ISAKMP_SA, "SA"},
		{ISAKMP_PROPOSAL, "proposal"}, {ISAKMP_TRANSFORM, "transform"}, {ISAKMP_KE, "KE"},
		{ISAKMP_ID, "ID"}, {ISAKMP_CERT, "CERT"}, {ISAKMP_CERTREQ, "CERTREQ"},
		{ISAKMP_HASH, "HASH"}, {ISAKMP_SIG, "SIG"}, {ISAKMP_NONCE, "NONCE"},
		{ISAKMP_NOTIFY, "NOTIFY"}, {ISAKMP_DELETE, "DELETE"}, {ISAKMP_VID, "VID"},
		{ISAKMP_NAT_D, "NAT-D"}, {ISAKMP_NAT_OA, "NAT-OA"},
		{ISAKMP_NAT_D_DRAFT, "NAT-D (draft)"}, {ISAKMP_NAT_OA_DRAFT, "NAT-OA (draft)"},
		{ISAKMP_FRAGMENT, "FRAGMENT"}};
	return FIND(names, type, "payload");
}

const char *isakmp_exchange_text(uint8_t exchange)
{
	static const struct name names[] = {{ISAKMP_MAIN, "main mode"},
		{ISAKMP_AGGRESSIVE, "aggressive mode"}, {ISAKMP_INFORMATIONAL, "informational"},
		{ISAKMP_QUICK, "quick mode"}};
	return FIND(names, exchange, "exchange");
}

const char *ike_enc_text(uint16_t enc)
{
	static const struct name names[] = {
		{IKE_ENC_DES, "DES-CBC"}, {IKE_ENC_3DES, "3DES-CBC"}, {IKE_ENC_AES, "AES-CBC"}};
	return FIND(names, enc, "?");
}

const char *ike_hash_text(uint16_t hash)
{
	static const struct name names[] = {{IKE_HASH_MD5, "MD5"}, {IKE_HASH_SHA1, "SHA1"},
		{IKE_HASH_SHA2_256, "SHA2-256"}, {IKE_HASH_SHA2_384, "SHA2-384"},
		{IKE_HASH_SHA2_512, "SHA2-512"}};
	return FIND(names, hash, "?");
}

const char *ike_auth_text(uint16_t auth)
{
	static const struct name names[] = {
		{IKE_AUTH_PSK, "PresharedKey"}, {IKE_AUTH_RSA_SIG, "RsaSignature"}};
	return FIND(names, auth, "?");
}

const char *ike_group_text(uint16_t group)
{
	static const struct name names[] = {{1, "MODP-768"}, {2, "MODP-1024"}, {5, "MODP-1536"},
		{14, "MODP-2048"}, {15, "MODP-3072"}, {16, "MODP-4096"}, {19, "ECP-256"},
		{20, "ECP-384"}, {21, "ECP-521"}, {24, "MODP-2048-256"}};
	return FIND(names, group, "?");
}

const char *ipsec_esp_text(uint16_t esp)
{
	static const struct name names[] = {{IPSEC_ESP_DES, "DES-CBC"},
		{IPSEC_ESP_3DES, "3DES-CBC"}, {IPSEC_ESP_NULL, "NULL"},
		{IPSEC_ESP_AES_CBC, "AES-CBC"}, {IPSEC_ESP_AES_CTR, "AES-CTR"},
		{IPSEC_ESP_AES_CCM_16, "AES-CCM-16"}, {IPSEC_ESP_AES_GCM_16, "AES-GCM-16"},
		{IPSEC_ESP_AES_GMAC, "AES-GMAC"}};
	return FIND(names, esp, "?");
}

const char *ipsec_auth_text(uint16_t auth)
{
	static const struct name names[] = {{IPSEC_AUTH_NONE, "none"},
		{IPSEC_AUTH_MD5, "HMAC-MD5-96"}, {IPSEC_AUTH_SHA1, "HMAC-SHA1-96"},
		{IPSEC_AUTH_SHA2_256, "HMAC-SHA2-256-128"},
		{IPSEC_AUTH_SHA2_384, "HMAC-SHA2-384-192"},
		{IPSEC_AUTH_SHA2_512, "HMAC-SHA2-512-256"}, {IPSEC_AUTH_XCBC, "AES-XCBC-MAC-96"},
		{IPSEC_AUTH_AES_GMAC_128, "AES-128-GMAC"},
		{IPSEC_AUTH_AES_GMAC_256, "AES-256-GMAC"}};
	return FIND(names, auth, "?");
}
