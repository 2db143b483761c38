/* Numbers of the protocols as z/OS's reports spell them, which for most is not as the engine's log does (lib/ike/notify.h). */
#include "daemons/ikeD/iked.h"
#include "lib/ike/notify.h"

const char *text_p1_state(enum ike_state s)
{
	static const char *const text[] = {"INIT", "WAIT SA", "IN KE", "WAIT KE", "DONE", "EXPIRED", "HALF-CLOSED"};
	return text[s];
}

const char *text_child_state(enum ike_child_state s)
{
	static const char *const text[] = {"INIT", "IN NEGOTIATION", "PENDING", "DONE", "EXPIRED"};
	return text[s];
}

const char *text_p1_cipher(unsigned enc)
{
	return enc == IKE_ENC_DES ? "DES" : enc == IKE_ENC_3DES ? "3DES-CBC" : enc == IKE_ENC_AES ? "AES-CBC" : "n/a";
}

const char *text_hash(unsigned hash)
{
	switch (hash) {
	case IKE_HASH_MD5:
		return "HMAC-MD5";
	case IKE_HASH_SHA1:
		return "HMAC-SHA1";
	case IKE_HASH_SHA2_256:
		return "HMAC-SHA2-256";
	case IKE_HASH_SHA2_384:
		return "HMAC-SHA2-384";
	case IKE_HASH_SHA2_512:
		return "HMAC-SHA2-512";
	default:
		return "n/a";
	}
}

const char *text_esp(unsigned transform)
{
	const char *text = ipsec_esp_text((uint16_t)transform);
	return *text == '?' ? "n/a" : text;
}

const char *text_auth(unsigned auth)
{
	switch (auth) {
	case IPSEC_AUTH_MD5:
		return "HMAC-MD5";
	case IPSEC_AUTH_SHA1:
		return "HMAC-SHA1";
	case IPSEC_AUTH_SHA2_256:
		return "HMAC-SHA2-256-128";
	case IPSEC_AUTH_SHA2_384:
		return "HMAC-SHA2-384-192";
	case IPSEC_AUTH_SHA2_512:
		return "HMAC-SHA2-512-256";
	case IPSEC_AUTH_XCBC:
		return "AES128-XCBC-96";
	case IPSEC_AUTH_AES_GMAC_128:
		return "AES-GMAC-128";
	case IPSEC_AUTH_AES_GMAC_256:
		return "AES-GMAC-256";
	default:
		return "n/a";
	}
}

const char *text_id_type(unsigned type)
{
	switch (type) {
	case IKE_ID_IPV4:
		return "ID_IPV4_ADDR";
	case IKE_ID_FQDN:
		return "ID_FQDN";
	case IKE_ID_USER_FQDN:
		return "ID_USER_FQDN";
	case IKE_ID_IPV6:
		return "ID_IPV6_ADDR";
	case IKE_ID_DER_DN:
		return "ID_DER_ASN1_DN";
	case IKE_ID_KEY_ID:
		return "ID_KEY_ID";
	default:
		return "n/a";
	}
}
