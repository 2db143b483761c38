/* Identities and patterns. All that is compared as text was checked to be printable ASCII when it
 * came in. */
#include "lib/keyring/identity.h"
#include "lib/base/xalloc.h"
#include "lib/keyring/dn.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

static int check_text(uint8_t type, const uint8_t *p, size_t len, struct errbuf *e)
{
	size_t ats = 0;
	if (!len)
		return err_set(e, EINVAL, "empty %s identity", ident_type_text(type));
	for (size_t i = 0; i < len; i++) {
		if (p[i] <= ' ' || p[i] > '~')
			return err_set(e, EINVAL,
				"%s identity with a character that is not printable ASCII",
				ident_type_text(type));
		ats += p[i] == '@';
	}
	if (type == IDENT_FQDN && ats)
		return err_set(e, EINVAL, "Fqdn identity with an @");
	if (type == IDENT_USER_FQDN && (ats != 1 || p[0] == '@' || p[len - 1] == '@'))
		return err_set(e, EINVAL, "UserAtFqdn identity that is not user@name");
	return 0;
}

static int check_form(uint8_t type, const uint8_t *data, size_t len, struct errbuf *e)
{
	X509_NAME *name;
	switch (type) {
	case IDENT_IPV4:
	case IDENT_IPV6:
		if (len == (type == IDENT_IPV4 ? 4U : 16U))
			return 0;
		return err_set(e, EINVAL, "address identity of %zu bytes", len);
	case IDENT_FQDN:
	case IDENT_USER_FQDN:
		return check_text(type, data, len, e);
	case IDENT_DN:
		name = dn_from_der(data, len);
		X509_NAME_free(name);
		return name ? 0 : err_set(e, EINVAL, "X500dn identity that is not one DER name");
	default:
		return err_set(e, EPROTONOSUPPORT,
			"identity type %u is not supported: IpAddr, Fqdn, UserAtFqdn or X500dn are",
			type);
	}
}

int ident_from_wire(uint8_t type, const void *data, size_t len, struct ident *ret, struct errbuf *e)
{
	if (len > IDENT_DATA_MAX)
		return err_set(
			e, EMSGSIZE, "identity of %zu bytes: %d at most", len, IDENT_DATA_MAX);
	int rc = check_form(type, data, len, e);
	if (rc)
		return rc;
	ret->type = type;
	ret->len = (uint16_t)len;
	memcpy(ret->data, data, len);
	return 0;
}

int ident_from_addr(const struct addr *a, struct ident *ret)
{
	if (!a->family)
		return -EINVAL;
	return ident_from_wire(
		a->family == 4 ? IDENT_IPV4 : IDENT_IPV6, a->b, addr_len(a), ret, NULL);
}

/* IDENT_IPV4 stands for both families. */
static uint8_t keyword_type(const char *keyword)
{
	return strcasecmp(keyword, "IpAddr") == 0	? IDENT_IPV4
	       : strcasecmp(keyword, "Fqdn") == 0	? IDENT_FQDN
	       : strcasecmp(keyword, "UserAtFqdn") == 0 ? IDENT_USER_FQDN
	       : strcasecmp(keyword, "X500dn") == 0	? IDENT_DN
							: IDENT_NONE;
}

static int bad_keyword(const char *keyword, struct errbuf *e)
{
	return err_set(e, EINVAL, "Identity %.20s: IpAddr, Fqdn, UserAtFqdn or X500dn is allowed",
		keyword);
}

static int dn_ident(const char *value, struct ident *ret, struct errbuf *e)
{
	struct errbuf why;
	X509_NAME *name = NULL;
	const unsigned char *der;
	size_t len;
	if (dn_from_text(value, &name, &why))
		return err_set(e, EINVAL, "X500dn: %s", why.text);
	int rc = X509_NAME_get0_der(name, &der, &len) ? ident_from_wire(IDENT_DN, der, len, ret, e)
						      : err_set(e, EINVAL, "X500dn: not a name");
	X509_NAME_free(name);
	return rc;
}

int ident_from_text(const char *keyword, const char *value, struct ident *ret, struct errbuf *e)
{
	struct addr a;
	uint8_t type = keyword_type(keyword);
	switch (type) {
	case IDENT_NONE:
		return bad_keyword(keyword, e);
	case IDENT_IPV4:
		if (addr_parse(value, &a))
			return err_set(e, EINVAL, "IpAddr %.60s: not an address", value);
		return ident_from_addr(&a, ret);
	case IDENT_DN:
		return dn_ident(value, ret, e);
	default:
		return ident_from_wire(type, value, strlen(value), ret, e);
	}
}

const char *ident_type_text(uint8_t type)
{
	switch (type) {
	case IDENT_IPV4:
	case IDENT_IPV6:
		return "IpAddr";
	case IDENT_FQDN:
		return "Fqdn";
	case IDENT_USER_FQDN:
		return "UserAtFqdn";
	case IDENT_DN:
		return "X500dn";
	default:
		return "Unknown";
	}
}

const char *ident_dn_text(const void *der, size_t len, char *out, size_t size)
{
	X509_NAME *name = dn_from_der(der, len);
	if (name)
		(void)dn_text(name, out, size);
	else
		(void)snprintf(out, size, "?");
	X509_NAME_free(name);
	return out;
}

static struct addr addr_of(const struct ident *id)
{
	return id->type == IDENT_IPV4 ? addr_v4(id->data) : addr_v6(id->data);
}

const char *ident_text(const struct ident *id, char out[IDENT_TEXT_MAX])
{
	struct addr a;
	switch (id->type) {
	case IDENT_IPV4:
	case IDENT_IPV6:
		a = addr_of(id);
		return addr_text(&a, out);
	case IDENT_FQDN:
	case IDENT_USER_FQDN:
		(void)snprintf(out, IDENT_TEXT_MAX, "%.*s", id->len, (const char *)id->data);
		return out;
	case IDENT_DN:
		return ident_dn_text(id->data, id->len, out, IDENT_TEXT_MAX);
	default:
		(void)snprintf(out, IDENT_TEXT_MAX, "-");
		return out;
	}
}

static bool dn_equal(const struct ident *a, const struct ident *b)
{
	X509_NAME *x = dn_from_der(a->data, a->len), *y = dn_from_der(b->data, b->len);
	bool same = x && y && X509_NAME_cmp(x, y) == 0;
	X509_NAME_free(x);
	X509_NAME_free(y);
	return same;
}

/* Bytes before the last "@" as they are, the rest without regard to case. */
static bool mailbox_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
	const uint8_t *at = memrchr(a, '@', len);
	size_t user = at ? (size_t)(at - a) + 1 : 0;
	return memcmp(a, b, user) == 0 &&
	       strncasecmp((const char *)a + user, (const char *)b + user, len - user) == 0;
}

bool ident_equal(const struct ident *a, const struct ident *b)
{
	if (a->type != b->type)
		return false;
	if (a->type == IDENT_DN)
		return dn_equal(a, b);
	if (a->len != b->len)
		return false;
	if (a->type == IDENT_FQDN)
		return strncasecmp((const char *)a->data, (const char *)b->data, a->len) == 0;
	if (a->type == IDENT_USER_FQDN)
		return mailbox_equal(a->data, b->data, a->len);
	return a->type != IDENT_NONE && memcmp(a->data, b->data, a->len) == 0;
}

struct ident_pattern {
	uint8_t type; /* IDENT_IPV4 for both families */
	bool any;
	struct addr low, high;
	char text[IDENT_DATA_MAX + 1];
	struct dn_attr attrs[DN_ATTRS_MAX];
	size_t n_attrs;
};

static void prefix_range(const struct prefix *x, struct ident_pattern *p)
{
	p->low = p->high = x->addr;
	for (size_t bit = x->len; bit < addr_len(&x->addr) * 8; bit++)
		p->high.b[bit / 8] = (uint8_t)(p->high.b[bit / 8] | 0x80 >> bit % 8);
}

static int addr_pattern(const char *value, struct ident_pattern *p, struct errbuf *e)
{
	char low[ADDR_TEXT_MAX + 1];
	struct prefix x;
	const char *dash = strchr(value, '-');
	if (!dash) {
		int rc = prefix_parse(value, &x);
		if (rc == 0)
			prefix_range(&x, p);
		return rc == 0 ? 0
			       : err_set(e, EINVAL, "IpAddr %.60s: %s", value,
					 rc == -EDOM	 ? "bits are set behind the prefix length"
					 : rc == -ERANGE ? "the prefix is too long"
							 : "address, address/prefix, "
							   "address-address or * is expected");
	}
	(void)snprintf(low, sizeof(low), "%.*s",
		dash - value > ADDR_TEXT_MAX ? ADDR_TEXT_MAX : (int)(dash - value), value);
	if (addr_parse(low, &p->low) || addr_parse(dash + 1, &p->high) ||
		p->low.family != p->high.family)
		return err_set(e, EINVAL, "IpAddr %.90s: not a range of addresses", value);
	if (memcmp(p->low.b, p->high.b, sizeof(p->low.b)) > 0)
		return err_set(e, EINVAL, "IpAddr %.90s: the range ends before it starts", value);
	return 0;
}

/* A star may stand for the whole, for the first labels of a name, and for the part before "@". */
static int text_pattern(uint8_t type, const char *value, struct ident_pattern *p, struct errbuf *e)
{
	const char *rest = value, *at = strchr(value, '@');
	int rc = strlen(value) > IDENT_DATA_MAX
			 ? err_set(e, EINVAL, "pattern longer than %d characters", IDENT_DATA_MAX)
			 : check_text(type, (const uint8_t *)value, strlen(value), e);
	if (rc)
		return rc;
	if (type == IDENT_USER_FQDN && at) {
		if (memchr(value, '*', (size_t)(at - value)) && at - value > 1)
			return err_set(e, EINVAL,
				"UserAtFqdn %.60s: * stands for the whole part before @", value);
		rest = at + 1;
	}
	if (strncmp(rest, "*.", 2) == 0)
		rest += 2;
	if (strchr(rest, '*'))
		return err_set(e, EINVAL, "%s %.60s: * is allowed alone, before @, or as *.suffix",
			ident_type_text(type), value);
	(void)snprintf(p->text, sizeof(p->text), "%s", value);
	return 0;
}

static int dn_pattern(const char *value, struct ident_pattern *p, struct errbuf *e)
{
	struct errbuf why;
	if (dn_split(value, p->attrs, &p->n_attrs, &why))
		return err_set(e, EINVAL, "X500dn: %s", why.text);
	for (size_t i = 0; i < p->n_attrs; i++)
		dn_fold(p->attrs[i].value);
	return 0;
}

int ident_pattern_new(
	const char *keyword, const char *value, struct ident_pattern **ret, struct errbuf *e)
{
	struct ident_pattern *p = xnew(struct ident_pattern);
	int rc = 0;
	p->type = keyword_type(keyword);
	p->any = strcmp(value, "*") == 0;
	if (p->type == IDENT_NONE)
		rc = bad_keyword(keyword, e);
	else if (!p->any)
		rc = p->type == IDENT_IPV4 ? addr_pattern(value, p, e)
		     : p->type == IDENT_DN ? dn_pattern(value, p, e)
					   : text_pattern(p->type, value, p, e);
	if (rc) {
		free(p);
		return rc;
	}
	*ret = p;
	return 0;
}

void ident_pattern_free(struct ident_pattern *p)
{
	free(p);
}

static bool addr_matches(const struct ident_pattern *p, const struct ident *id)
{
	struct addr a = addr_of(id);
	return a.family == p->low.family && memcmp(a.b, p->low.b, sizeof(a.b)) >= 0 &&
	       memcmp(a.b, p->high.b, sizeof(a.b)) <= 0;
}

static bool name_matches(const char *pattern, const char *name, size_t len)
{
	size_t plen = strlen(pattern);
	if (strncmp(pattern, "*.", 2) ==
		0) /* at least one character and the dot before the suffix */
		return len > plen - 1 && name[0] != '.' &&
		       strncasecmp(name + len - (plen - 1), pattern + 1, plen - 1) == 0;
	return len == plen && strncasecmp(pattern, name, len) == 0;
}

static bool mailbox_matches(const char *pattern, const char *name, size_t len)
{
	const char *at = memrchr(name, '@', len), *pat = strrchr(pattern, '@');
	if (!at || !pat)
		return false;
	size_t user = (size_t)(at - name), puser = (size_t)(pat - pattern);
	bool user_fits = (puser == 1 && pattern[0] == '*') ||
			 (puser == user && memcmp(pattern, name, user) == 0);
	return user_fits && name_matches(pat + 1, at + 1, len - user - 1);
}

/* Literal values choose first; what stars take after that is only a question of numbers, so taking
 * the first that fits finds an assignment whenever there is one. */
static bool attrs_match(const struct ident_pattern *p, const struct dn_attr *have, size_t n)
{
	bool used[DN_ATTRS_MAX] = {false};
	if (n != p->n_attrs)
		return false;
	for (int stars = 0; stars < 2; stars++) {
		for (size_t i = 0; i < n; i++) {
			size_t k = 0;
			if (p->attrs[i].any != stars)
				continue;
			while (k < n &&
				(used[k] || OBJ_cmp(have[k].type, p->attrs[i].type) ||
					(!stars && strcmp(have[k].value, p->attrs[i].value) != 0)))
				k++;
			if (k == n)
				return false;
			used[k] = true;
		}
	}
	return true;
}

static bool dn_matches(const struct ident_pattern *p, const struct ident *id)
{
	struct dn_attr have[DN_ATTRS_MAX];
	size_t n = 0;
	X509_NAME *name = dn_from_der(id->data, id->len);
	bool fits = name && dn_attrs(name, have, &n) == 0 && attrs_match(p, have, n);
	X509_NAME_free(name);
	return fits;
}

bool ident_pattern_match(const struct ident_pattern *p, const struct ident *id)
{
	uint8_t type = id->type == IDENT_IPV6 ? IDENT_IPV4 : id->type;
	if (type == IDENT_NONE || type != p->type)
		return false;
	if (p->any)
		return true;
	switch (type) {
	case IDENT_IPV4:
		return addr_matches(p, id);
	case IDENT_FQDN:
		return name_matches(p->text, (const char *)id->data, id->len);
	case IDENT_USER_FQDN:
		return mailbox_matches(p->text, (const char *)id->data, id->len);
	default:
		return dn_matches(p, id);
	}
}
