/* Distinguished names. Text is written most specific attribute first (RFC 2253 and z/OS alike); DER
 * has them the other way round. */
#include "lib/keyring/dn.h"
#include <ctype.h>
#include <openssl/bio.h>
#include <string.h>

static const char *skip_blanks(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

static ASN1_OBJECT *find_type(const char *name, size_t len)
{
	char text[64];
	while (len && (name[len - 1] == ' ' || name[len - 1] == '\t'))
		len--;
	if (!len || len >= sizeof(text))
		return NULL;
	memcpy(text, name, len);
	text[len] = 0;
	int nid = OBJ_txt2nid(text);
	for (size_t i = 0; nid == NID_undef && i < len; i++)
		text[i] = (char)toupper((unsigned char)text[i]);
	if (nid == NID_undef)
		nid = strcmp(text, "SP") == 0	   ? NID_stateOrProvinceName
		      : strcmp(text, "EMAIL") == 0 ? NID_pkcs9_emailAddress
		      : strcmp(text, "T") == 0	   ? NID_title
						   : OBJ_txt2nid(text);
	return nid == NID_undef ? NULL : OBJ_nid2obj(nid);
}

/* A value up to an unescaped comma; @p stays on it or on the end. Blanks at its end do not count
 * unless escaped or quoted. */
static int take_value(const char **p, struct dn_attr *a, struct errbuf *e)
{
	size_t n = 0, keep = 0;
	bool quoted = false, was_literal = false;
	for (*p = skip_blanks(*p); **p && (quoted || **p != ','); (*p)++) {
		bool literal = quoted;
		if (**p == '"') {
			quoted = !quoted;
			was_literal = true;
			continue;
		}
		if (**p == '\\') {
			literal = true;
			if (!*++*p)
				return err_set(e, EINVAL, "the name ends with a backslash");
		} else if (!quoted && (**p == '+' || **p == '=')) {
			return err_set(e, EINVAL,
				"'%c' in a value: write \\%c (attributes joined by + are not "
				"supported)",
				**p, **p);
		}
		if (n == sizeof(a->value) - 1)
			return err_set(e, EINVAL, "a value is longer than %zu characters",
				sizeof(a->value) - 1);
		a->value[n++] = **p;
		if (literal || **p != ' ')
			keep = n;
		was_literal = was_literal || literal;
	}
	if (quoted)
		return err_set(e, EINVAL, "missing closing quote");
	a->value[keep] = 0;
	a->any = keep == 1 && a->value[0] == '*' && !was_literal;
	return keep ? 0 : err_set(e, EINVAL, "an attribute without a value");
}

int dn_split(const char *text, struct dn_attr *ret, size_t *ret_n, struct errbuf *e)
{
	size_t n = 0;
	const char *p = skip_blanks(text);
	if (!*p)
		return err_set(e, EINVAL, "the name is empty");
	for (;;) {
		const char *eq = strchr(p, '=');
		if (!eq)
			return err_set(e, EINVAL, "'%.40s': ATTRIBUTE=value is expected", p);
		if (n == DN_ATTRS_MAX)
			return err_set(e, EINVAL, "more than %d attributes", DN_ATTRS_MAX);
		ret[n] = (struct dn_attr){.type = find_type(p, (size_t)(eq - p))};
		if (!ret[n].type)
			return err_set(e, EINVAL,
				"'%.*s' is no attribute: CN, OU, O, L, ST, C, DC, UID, "
				"emailAddress and others that OpenSSL knows",
				eq - p > 40 ? 40 : (int)(eq - p), p);
		p = eq + 1;
		int rc = take_value(&p, &ret[n], e);
		if (rc)
			return rc;
		n++;
		if (!*p)
			break;
		p = skip_blanks(p + 1);
	}
	*ret_n = n;
	return 0;
}

void dn_fold(char *value)
{
	char *out = value;
	bool blank = true;
	for (const char *p = value; *p; p++) {
		if (isspace((unsigned char)*p)) {
			if (!blank)
				*out++ = ' ';
			blank = true;
			continue;
		}
		*out++ = (char)((unsigned char)*p < 0x80 ? tolower((unsigned char)*p) : *p);
		blank = false;
	}
	if (out > value && blank)
		out--;
	*out = 0;
}

int dn_from_text(const char *text, X509_NAME **ret, struct errbuf *e)
{
	struct dn_attr attrs[DN_ATTRS_MAX];
	size_t n;
	int rc = dn_split(text, attrs, &n, e);
	if (rc)
		return rc;
	X509_NAME *name = X509_NAME_new();
	for (size_t i = n; name && i-- > 0;) {
		const char *v = attrs[i].value;
		if (X509_NAME_add_entry_by_OBJ(name, attrs[i].type, MBSTRING_UTF8,
			    (const unsigned char *)v, (int)strlen(v), -1, 0))
			continue;
		X509_NAME_free(name);
		return err_set(e, EINVAL, "'%.60s' is not a value for %s", v,
			OBJ_nid2sn(OBJ_obj2nid(attrs[i].type)));
	}
	if (!name)
		return err_set(e, ENOMEM, "out of memory");
	*ret = name;
	return 0;
}

X509_NAME *dn_from_der(const void *der, size_t len)
{
	const unsigned char *p = der;
	X509_NAME *name = len && len <= 8192 ? d2i_X509_NAME(NULL, &p, (long)len) : NULL;
	if (name && p != (const unsigned char *)der + len) {
		X509_NAME_free(name);
		name = NULL;
	}
	return name;
}

int dn_attrs(const X509_NAME *name, struct dn_attr *ret, size_t *ret_n)
{
	int n = X509_NAME_entry_count(name);
	if (n < 0 || n > DN_ATTRS_MAX)
		return -E2BIG;
	for (int i = 0; i < n; i++) {
		const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
		unsigned char *utf8 = NULL;
		int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
		if (len < 0 || len >= DN_VALUE_MAX || memchr(utf8, 0, (size_t)len)) {
			OPENSSL_free(utf8);
			return -EINVAL;
		}
		ret[i] = (struct dn_attr){.type = X509_NAME_ENTRY_get_object(entry)};
		memcpy(ret[i].value, utf8, (size_t)len);
		ret[i].value[len] = 0;
		OPENSSL_free(utf8);
		dn_fold(ret[i].value);
	}
	*ret_n = (size_t)n;
	return 0;
}

const char *dn_text(const X509_NAME *name, char *out, size_t size)
{
	BIO *b = BIO_new(BIO_s_mem());
	int n = -1;
	if (b && X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253) >= 0)
		n = BIO_read(b, out, (int)size - 1);
	BIO_free(b);
	if (n < 0)
		(void)snprintf(out, size, "%s", X509_NAME_entry_count(name) ? "?" : "");
	else
		out[n] = 0;
	return out;
}
