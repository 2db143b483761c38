/* identity: who a peer says it is, and what a rule or a certificate allows it to say.
 *
 * An identity is the body of an IKE ID payload (RFC 2407 section 4.6.2) of one of the types that
 * z/OS policy can name: IpAddr, Fqdn, UserAtFqdn and X500dn. A pattern is the same with wildcards,
 * as RemoteSecurityEndpoint's Identity may have them (zos.md section 7). Pure functions: no I/O, no
 * clock, no globals. */
#pragma once
#include "lib/base/addr.h"
#include "lib/base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ID types as on the wire (RFC 2407 section 4.6.2.1). Others are refused: they name no single
 * peer. */
enum ident_type {
	IDENT_NONE = 0,
	IDENT_IPV4 = 1,
	IDENT_FQDN = 2,
	IDENT_USER_FQDN = 3,
	IDENT_IPV6 = 5,
	IDENT_DN = 9
};

enum { IDENT_DATA_MAX = 512, IDENT_TEXT_MAX = 640 };

struct ident {
	uint8_t type; /* enum ident_type */
	uint16_t len;
	/* as in the payload after protocol and port: 4 or 16 bytes, text without NUL, DER Name */
	uint8_t data[IDENT_DATA_MAX];
};

/* From the wire. -EPROTONOSUPPORT: a type we do not take; -EMSGSIZE: too long; -EINVAL: not of its
 * type's form (an address of the wrong length, empty or non-printable text, "@" missing, DER that
 * is not exactly one Name). */
int ident_from_wire(
	uint8_t type, const void *data, size_t len, struct ident *ret, struct errbuf *e);
/* From policy: @keyword IpAddr, Fqdn, UserAtFqdn or X500dn (any case). An X500dn is
 * "CN=gw,OU=net,O=Example,C=US", most specific attribute first as z/OS writes it; attribute names
 * are those of OpenSSL (CN, OU, O, L, ST, C, DC, UID, emailAddress, ...); "\" before a comma, a
 * plus, an equals sign or itself takes it literally, and a value may stand in "double quotes".
 * -EINVAL with the reason. */
int ident_from_text(const char *keyword, const char *value, struct ident *ret, struct errbuf *e);
int ident_from_addr(const struct addr *a, struct ident *ret);
/* "192.0.2.1", "gw.example.com", "anna@example.com", "CN=gw,O=Example,C=US", safe to print, into
 * @out, which is returned. */
const char *ident_text(const struct ident *id, char out[IDENT_TEXT_MAX]);
const char *ident_type_text(uint8_t type); /* "IpAddr" ...; "Unknown" */
/* A DER Name as "CN=gw,O=Example,C=US" into @out; "?" when it is none. */
const char *ident_dn_text(const void *der, size_t len, char *out, size_t size);
/* Equal as RFC 4945 section 3 compares: text without regard to ASCII case (the part before "@"
 * keeps its case), names in OpenSSL's canonical form. */
bool ident_equal(const struct ident *a, const struct ident *b);

/* Patterns of a rule:
 *   IpAddr      address, address/prefix, address-address, or * (any address)
 *   Fqdn        name, *.suffix (one or more labels), or *
 *   UserAtFqdn  user@name, *@name, *@*.suffix, or *
 *   X500dn      a name whose attribute values may be *: each attribute of the pattern is matched
 *               by a different one of the peer's name, in any order, and the name has no
 *               attribute beyond them; the value * alone as whole pattern: any name.
 * Only identities of the pattern's own type match. */
struct ident_pattern;
int ident_pattern_new(
	const char *keyword, const char *value, struct ident_pattern **ret, struct errbuf *e);
void ident_pattern_free(struct ident_pattern *p); /* NULL allowed */
bool ident_pattern_match(const struct ident_pattern *p, const struct ident *id);
