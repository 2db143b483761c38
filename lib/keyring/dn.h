/* dn: distinguished names between text, DER and OpenSSL. */
#pragma once
#include "lib/base/err.h"
#include <openssl/x509.h>
#include <stdbool.h>

enum { DN_ATTRS_MAX = 32, DN_VALUE_MAX = 256 };

/* One attribute of a name: its type and its value ready for comparison (UTF-8, ASCII folded to
 * lower case, runs of blanks one, none at the ends). */
struct dn_attr {
	ASN1_OBJECT *type; /* of OpenSSL's table, or owned by the name that it came from */
	bool any;	   /* the value was * */
	char value[DN_VALUE_MAX];
};

/* "CN=gw,O=Example,C=US" -> at most DN_ATTRS_MAX attributes in the order of the text; the values as
 * written. */
int dn_split(const char *text, struct dn_attr *ret, size_t *ret_n, struct errbuf *e);
void dn_fold(char *value);
/* The same as a name, in the reverse order, as DER has it. Caller frees. */
int dn_from_text(const char *text, X509_NAME **ret, struct errbuf *e);
X509_NAME *dn_from_der(const void *der, size_t len); /* exactly one Name, or NULL */
/* Of a name, folded; -E2BIG, -EINVAL. Types are borrowed from @name. */
int dn_attrs(const X509_NAME *name, struct dn_attr *ret, size_t *ret_n);
const char *dn_text(const X509_NAME *name, char *out, size_t size); /* RFC 2253 */
