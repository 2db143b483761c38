/* Whose certificate is it (RFC 4945 section 3). */
#include "lib/keyring/dn.h"
#include "lib/keyring/trust.h"
#include <string.h>
#include <strings.h>

/* The name of @gn as an identity of the wanted type; false when it is of another kind or has a form
 * we refuse. */
static bool san_ident(const GENERAL_NAME *gn, struct ident *ret)
{
	const ASN1_STRING *s = gn->type == GEN_IPADD   ? gn->d.iPAddress
			       : gn->type == GEN_DNS   ? gn->d.dNSName
			       : gn->type == GEN_EMAIL ? gn->d.rfc822Name
						       : NULL;
	if (!s || ASN1_STRING_length(s) <= 0)
		return false;
	size_t len = (size_t)ASN1_STRING_length(s);
	uint8_t type = gn->type == GEN_DNS     ? IDENT_FQDN
		       : gn->type == GEN_EMAIL ? IDENT_USER_FQDN
		       : len == 4	       ? IDENT_IPV4
					       : IDENT_IPV6;
	return ident_from_wire(type, ASN1_STRING_get0_data(s), len, ret, NULL) == 0;
}

static bool in_san(X509 *cert, const struct ident *id)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	bool found = false;
	for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
		struct ident have;
		found = san_ident(sk_GENERAL_NAME_value(names, i), &have) && ident_equal(&have, id);
	}
	GENERAL_NAMES_free(names);
	return found;
}

static bool is_subject(X509 *cert, const struct ident *id)
{
	X509_NAME *name = dn_from_der(id->data, id->len);
	bool same = name && X509_NAME_entry_count(name) > 0 &&
		    X509_NAME_cmp(name, X509_get_subject_name(cert)) == 0;
	X509_NAME_free(name);
	return same;
}

bool trust_identity(X509 *cert, const struct ident *id, struct errbuf *e)
{
	char name[100], text[IDENT_TEXT_MAX];
	if (id->type == IDENT_DN ? is_subject(cert, id)
				 : id->type != IDENT_NONE && in_san(cert, id))
		return true;
	(void)err_set(e, EACCES, "%s: the certificate is not that of %s %.100s (it is not %s)",
		dn_text(X509_get_subject_name(cert), name, sizeof(name)), ident_type_text(id->type),
		ident_text(id, text),
		id->type == IDENT_DN ? "its subject" : "in its subjectAltName");
	return false;
}

bool verify_identity(const void *cert_der, size_t len, const struct ident *id, struct errbuf *e)
{
	X509 *x = trust_cert(cert_der, len);
	if (!x)
		(void)err_set(e, EINVAL, "not one DER certificate");
	bool same = x && trust_identity(x, id, e);
	X509_free(x);
	return same;
}
