/* notify: the numbers with which one IKE tells another what happened (RFC 2408 section 3.14.1, RFC
 * 2407 section 4.6.3, RFC 3706), their texts, and struct ike_refusal, with which every parser here
 * says why it refused. */
#pragma once
#include <errno.h>
#include <stdint.h>

enum ike_notify_type {
	NOTIFY_NONE = 0,
	NOTIFY_INVALID_PAYLOAD_TYPE = 1,
	NOTIFY_DOI_NOT_SUPPORTED = 2,
	NOTIFY_SITUATION_NOT_SUPPORTED = 3,
	NOTIFY_INVALID_COOKIE = 4,
	NOTIFY_INVALID_MAJOR_VERSION = 5,
	NOTIFY_INVALID_MINOR_VERSION = 6,
	NOTIFY_INVALID_EXCHANGE_TYPE = 7,
	NOTIFY_INVALID_FLAGS = 8,
	NOTIFY_INVALID_MESSAGE_ID = 9,
	NOTIFY_INVALID_PROTOCOL_ID = 10,
	NOTIFY_INVALID_SPI = 11,
	NOTIFY_INVALID_TRANSFORM_ID = 12,
	NOTIFY_ATTRIBUTES_NOT_SUPPORTED = 13,
	NOTIFY_NO_PROPOSAL_CHOSEN = 14,
	NOTIFY_BAD_PROPOSAL_SYNTAX = 15,
	NOTIFY_PAYLOAD_MALFORMED = 16,
	NOTIFY_INVALID_KEY_INFORMATION = 17,
	NOTIFY_INVALID_ID_INFORMATION = 18,
	NOTIFY_INVALID_CERT_ENCODING = 19,
	NOTIFY_INVALID_CERTIFICATE = 20,
	NOTIFY_CERT_TYPE_UNSUPPORTED = 21,
	NOTIFY_INVALID_CERT_AUTHORITY = 22,
	NOTIFY_INVALID_HASH_INFORMATION = 23,
	NOTIFY_AUTHENTICATION_FAILED = 24,
	NOTIFY_INVALID_SIGNATURE = 25,
	NOTIFY_ADDRESS_NOTIFICATION = 26,
	NOTIFY_SA_LIFETIME = 27,
	NOTIFY_CERTIFICATE_UNAVAILABLE = 28,
	NOTIFY_UNSUPPORTED_EXCHANGE_TYPE = 29,
	NOTIFY_UNEQUAL_PAYLOAD_LENGTHS = 30,
	NOTIFY_CONNECTED = 16384,
	NOTIFY_RESPONDER_LIFETIME = 24576,
	NOTIFY_REPLAY_STATUS = 24577,
	NOTIFY_INITIAL_CONTACT = 24578,
	NOTIFY_R_U_THERE = 36136,
	NOTIFY_R_U_THERE_ACK = 36137
};

/* Why something from a peer was refused. */
struct ike_refusal {
	uint16_t notify;  /* enum ike_notify_type: what to answer, if anything is to be answered */
	const char *text; /* static, for the log */
};
/* Fills @why (NULL allowed) and returns -EPROTO. */
int ike_refuse(struct ike_refusal *why, uint16_t notify, const char *text);

const char *notify_text(uint16_t type); /* "NO-PROPOSAL-CHOSEN"; "notify" for unknown ones */
const char *isakmp_type_text(
	uint8_t type); /* "SA", "KE", "NAT-D" ...; "payload" for unknown ones */
const char *isakmp_exchange_text(uint8_t exchange); /* "main mode" ... */
/* Values of phase 1 and 2 attributes, for people: "AES-CBC", "HMAC-SHA2-256-128", "MODP-2048"; "?"
 * for unknown ones. */
const char *ike_enc_text(uint16_t enc);
const char *ike_hash_text(uint16_t hash);
const char *ike_auth_text(uint16_t auth);
const char *ike_group_text(uint16_t group);
const char *ipsec_esp_text(uint16_t esp);
const char *ipsec_auth_text(uint16_t auth);
