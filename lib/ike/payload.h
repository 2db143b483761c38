/* payload: the bodies of payloads other than SA (RFC 2408 section 3, RFC 2407 section 4.6, RFC 3947
 * sections 3.2 and 5.2). Readers take the body as isakmp_walk gave it, borrow from it and return 0
 * or -EPROTO with the refusal; writers go between isakmp_open and isakmp_close. Payloads that are
 * plain bytes (KE, NONCE, HASH, SIG, VID, NAT-D) need neither. */
#pragma once
#include "lib/base/addr.h"
#include "lib/base/rd.h"
#include "lib/base/wr.h"
#include "lib/ike/notify.h"
#include "lib/policy/ipsec.h"

enum { IKE_DOI_GENERIC = 0, IKE_DOI_IPSEC = 1, IKE_SIT_IDENTITY_ONLY = 1, IKE_PROTO_ISAKMP = 1 };
enum { IKE_NONCE_MIN = 8, IKE_NONCE_MAX = 256, IKE_SPI_MAX = 16, IKE_DELETE_MAX = 64 };

/* Identification (RFC 2407 4.6.2): of a peer (phase 1) or of the traffic (phase 2). */
struct ike_id {
	uint8_t type, protocol; /* enum ike_id_type; protocol 0: all */
	uint16_t port;		/* 0: all */
	const uint8_t *data;
	size_t len;
};
/* The length must be that of the type; text types hold neither NUL nor nothing; a subnet's mask is
 * contiguous, a range in order. */
int ike_id_read(const void *body, size_t len, struct ike_id *ret, struct ike_refusal *why);
void ike_id_write(struct wr *w, const struct ike_id *id);
/* Phase 2: one side of a selector (@protocol may be POLICY_PROTO_ALL; family 0 of the range:
 * @family's whole range) as body: an address, a subnet if the range is one, else a range. */
void ike_id_write_range(
	struct wr *w, const struct addr_range *r, uint8_t family, uint16_t protocol, uint16_t port);
/* An address, subnet or range as range; -EPROTO with INVALID-ID-INFORMATION for other types. */
int ike_id_range(const struct ike_id *id, struct addr_range *ret, struct ike_refusal *why);

struct ike_notification {
	uint32_t doi;
	uint8_t protocol, spi_len; /* spi_len <= IKE_SPI_MAX */
	uint16_t type;		   /* enum ike_notify_type */
	const uint8_t *spi, *data;
	size_t len; /* of data */
};
int ike_notification_read(
	const void *body, size_t len, struct ike_notification *ret, struct ike_refusal *why);
void ike_notification_write(struct wr *w, const struct ike_notification *n);

struct ike_deletion {
	uint8_t protocol, spi_len; /* ISAKMP: 16, both cookies; AH, ESP: 4 */
	uint16_t n;		   /* 1..IKE_DELETE_MAX */
	const uint8_t *spis;	   /* n * spi_len bytes */
};
int ike_deletion_read(
	const void *body, size_t len, struct ike_deletion *ret, struct ike_refusal *why);
void ike_deletion_write(struct wr *w, const struct ike_deletion *d);

enum ike_cert_encoding { IKE_CERT_PKCS7 = 1, IKE_CERT_X509_SIG = 4, IKE_CERT_CRL = 7 };
struct ike_cert { /* CERT and CERTREQ alike: certificate, or DER name of a CA (empty: any) */
	uint8_t encoding;
	const uint8_t *data;
	size_t len;
};
int ike_cert_read(const void *body, size_t len, struct ike_cert *ret, struct ike_refusal *why);
void ike_cert_write(struct wr *w, const struct ike_cert *c);

/* NAT original address (RFC 3947 5.2). */
int ike_nat_oa_read(const void *body, size_t len, struct addr *ret, struct ike_refusal *why);
void ike_nat_oa_write(struct wr *w, const struct addr *a);

/* Length checks of the plain ones. */
int ike_nonce_check(size_t len, struct ike_refusal *why);
