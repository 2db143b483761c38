/* GENCERT: keys, requests and certificates. What a CA certificate gets is what RFC 5280
 * and RFC 4945 ask for; the rest is as RACF's operands say. Serial numbers are 64 random bits. */
#include "lib/base/addr.h"
#include "lib/base/xalloc.h"
#include "lib/keyring/dn.h"
#include "lib/keyring/racdcert/internal.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RSA_MIN = 1024, RSA_MAX = VERIFY_RSA_BITS_MAX, DAY = 86400 };

struct gen {
	struct racd *r;
	const char *label;
	X509_NAME *subject;
	GENERAL_NAMES *alt;
	EVP_PKEY *key;	      /* new, or NULL with a request */
	EVP_PKEY *public_key; /* of it or of the request */
	int64_t from, to;
	struct owner signer_owner;
	struct material signer; /* .n 0: itself */
	bool is_ca;
};

static void gen_fini(struct gen *g)
{
	X509_NAME_free(g->subject);
	GENERAL_NAMES_free(g->alt);
	EVP_PKEY_free(g->key);
	EVP_PKEY_free(g->public_key);
	material_fini(&g->signer);
}

static bool bad(struct racd *r, const char *what, const char *text, const char *allowed)
{
	say(r, RACF_SYNTAX, "IKJ56702I INVALID %s, %.80s: %s", what, text, allowed);
	return false;
}

static bool add_attribute(
	struct racd *r, X509_NAME *name, const struct arg *list, const char *keyword, int nid)
{
	const struct arg *a = find(list, keyword);
	const struct arg *values[DN_ATTRS_MAX];
	size_t n = 0;
	for (const struct arg *v = a ? a->list : NULL; v && n < DN_ATTRS_MAX; v = v->next)
		values[n++] = v;
	if (a && !n)
		return bad(r, "SUBJECTSDN", keyword, "a value in parentheses is expected");
	while (n-- > 0) /* most specific first in the command, last in DER */
		if (!X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8,
			    (const unsigned char *)values[n]->raw, -1, -1, 0))
			return bad(r, keyword, values[n]->raw,
				"too long, or characters that the attribute does not have (C: two "
				"letters)");
	return true;
}

static bool take_subject(struct gen *g)
{
	static const struct {
		const char *keyword;
		int nid;
	} parts[] = {{"C", NID_countryName}, {"SP", NID_stateOrProvinceName},
		{"L", NID_localityName}, {"O", NID_organizationName},
		{"OU", NID_organizationalUnitName}, {"T", NID_title}, {"CN", NID_commonName}};
	const struct arg *a = find(g->r->args, "SUBJECTSDN");
	for (const struct arg *x = a ? a->list : NULL; x; x = x->next) {
		size_t i = 0;
		while (i < 7 && strcmp(parts[i].keyword, x->text) != 0)
			i++;
		if (i == 7)
			return bad(g->r, "SUBJECTSDN", x->text,
				"CN, T, OU, O, L, SP and C are allowed");
	}
	g->subject = xcheck(X509_NAME_new());
	for (size_t i = 0; a && i < 7; i++)
		if (!add_attribute(g->r, g->subject, a->list, parts[i].keyword, parts[i].nid))
			return false;
	return true;
}

static GENERAL_NAME *alt_name(const char *kind, const char *text)
{
	struct addr a;
	struct ident id;
	GENERAL_NAME *n = xcheck(GENERAL_NAME_new());
	bool ip = strcmp(kind, "IP") == 0, mail = strcmp(kind, "EMAIL") == 0,
	     uri = strcmp(kind, "URI") == 0;
	bool good = ip	  ? addr_parse(text, &a) == 0
		    : uri ? strlen(text) <= 255
			  : ident_from_text(mail ? "UserAtFqdn" : "Fqdn", text, &id, NULL) == 0;
	ASN1_STRING *s =
		good ? ASN1_STRING_type_new(ip ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING) : NULL;
	if (!s || !ASN1_STRING_set(s, ip ? (const void *)a.b : text,
			  ip ? (int)addr_len(&a) : (int)strlen(text))) {
		ASN1_STRING_free(s);
		GENERAL_NAME_free(n);
		return NULL;
	}
	GENERAL_NAME_set0_value(n, ip ? GEN_IPADD : mail ? GEN_EMAIL : uri ? GEN_URI : GEN_DNS, s);
	return n;
}

static bool take_alt(struct gen *g)
{
	const struct arg *a = find(g->r->args, "ALTNAME");
	if (a)
		GENERAL_NAMES_free(g->alt); /* the command's names stand instead of the request's */
	if (a)
		g->alt = xcheck(sk_GENERAL_NAME_new_null());
	for (const struct arg *x = a ? a->list : NULL; x; x = x->next) {
		bool known = strcmp(x->text, "IP") == 0 || strcmp(x->text, "DOMAIN") == 0 ||
			     strcmp(x->text, "EMAIL") == 0 || strcmp(x->text, "URI") == 0;
		if (!known || !x->list)
			return bad(g->r, "ALTNAME", x->text,
				"IP(address) DOMAIN('name') EMAIL('user@name') URI('uri') are "
				"allowed");
		for (const struct arg *v = x->list; v; v = v->next) {
			GENERAL_NAME *n = alt_name(x->text, v->raw);
			if (!n)
				return bad(g->r, x->text, v->raw, "not of that form");
			xcheck(sk_GENERAL_NAME_push(g->alt, n) ? n : NULL);
		}
	}
	return true;
}

/* DATE(yyyy-mm-dd) or yyyy/mm/dd, TIME(hh:mm:ss); UTC. */
static bool take_date(
	struct gen *g, const char *keyword, int64_t dflt, const char *dflt_time, int64_t *ret)
{
	const struct arg *a = find(g->r->args, keyword);
	*ret = dflt;
	if (!a)
		return true;
	const char *date = value(g->r, a->list, "DATE", true),
		   *at = find(a->list, "TIME") ? value(g->r, a->list, "TIME", true) : dflt_time;
	struct tm tm = {0};
	if (!date || !at)
		return false;
	const char *end = strptime(date, strchr(date, '/') ? "%Y/%m/%d" : "%Y-%m-%d", &tm);
	const char *end2 = end && !*end ? strptime(at, "%H:%M:%S", &tm) : NULL;
	struct tm again = tm;
	*ret = (int64_t)timegm(&again);
	if (!end2 || *end2 || again.tm_mday != tm.tm_mday) /* 30 February */
		return bad(g->r, keyword, date, "DATE(yyyy-mm-dd) TIME(hh:mm:ss) is expected");
	return true;
}

static bool take_dates(struct gen *g)
{
	int64_t now = (int64_t)time(NULL), today = now - now % DAY;
	if (!take_date(g, "NOTBEFORE", today, "00:00:00", &g->from) ||
		!take_date(g, "NOTAFTER", g->from + 366 * DAY - 1, "23:59:59", &g->to))
		return false;
	if (g->to > g->from)
		return true;
	say(g->r, RACF_SYNTAX, "IRRD112I The certificate would expire before it becomes valid");
	return false;
}

static bool make_key(struct gen *g)
{
	const char *text = find(g->r->args, "SIZE") ? value(g->r, g->r->args, "SIZE", true) : NULL;
	bool ec = find(g->r->args, "NISTECC");
	char *end = NULL;
	unsigned long bits = text ? strtoul(text, &end, 10) : ec ? 256 : 2048;
	if (failed(g->r))
		return false;
	if ((end && *end) ||
		(ec ? bits != 256 && bits != 384 && bits != 521 : bits < RSA_MIN || bits > RSA_MAX))
		return bad(g->r, "SIZE", text ? text : "",
			ec ? "256, 384 or 521 is allowed" : "1024 to 8192 is allowed");
	g->key = ec ? EVP_EC_gen(bits == 256   ? "P-256"
				 : bits == 384 ? "P-384"
					       : "P-521")
		    : EVP_RSA_gen((unsigned)bits);
	if (!g->key) {
		say(g->r, RACF_REFUSED, "IRRD103I no key of %lu bits can be made", bits);
		return false;
	}
	(void)EVP_PKEY_up_ref(g->key);
	g->public_key = g->key;
	return true;
}

/* A request gives subject, alternative names and the public key; its signature proves that whoever
 * made it has the private one. */
static bool take_request(struct gen *g)
{
	uint8_t *data = NULL;
	size_t len = 0;
	const unsigned char *p;
	if (!read_file(g->r, g->r->operand->raw, &data, &len))
		return false;
	BIO *b = xcheck(BIO_new_mem_buf(data, (int)len));
	X509_REQ *req = PEM_read_bio_X509_REQ(b, NULL, NULL, NULL);
	p = data;
	req = req ? req : d2i_X509_REQ(NULL, &p, (long)len);
	BIO_free(b);
	free(data);
	bool good = req && X509_REQ_verify(req, X509_REQ_get0_pubkey(req)) == 1;
	STACK_OF(X509_EXTENSION) *exts = good ? X509_REQ_get_extensions(req) : NULL;
	if (good) {
		g->public_key = X509_REQ_get_pubkey(req);
		g->alt = X509V3_get_d2i(exts, NID_subject_alt_name, NULL, NULL);
		if (!X509_NAME_entry_count(g->subject)) {
			X509_NAME_free(g->subject);
			g->subject = xcheck(X509_NAME_dup(X509_REQ_get_subject_name(req)));
		}
	} else {
		say(g->r, RACF_REFUSED,
			"IRRD104I %.200s is no certificate request, or its signature is wrong",
			g->r->operand->raw);
	}
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	X509_REQ_free(req);
	ERR_clear_error();
	return good;
}

static bool take_signer(struct gen *g)
{
	const struct arg *a = find(g->r->args, "SIGNWITH");
	if (!a && g->r->operand) {
		say(g->r, RACF_SYNTAX, "IKJ56701I MISSING SIGNWITH: a request cannot sign itself");
		return false;
	}
	if (!a)
		return true;
	const char *label = label_of(g->r, a->list);
	if (!label || !owner_of(g->r, a->list, &g->r->owner, &g->signer_owner) ||
		!may(g->r, "GENCERT", level_for(g->r, &g->signer_owner)) ||
		!load(g->r, &g->signer_owner, label, true, &g->signer))
		return false;
	if (g->signer.key && X509_check_ca(g->signer.certs[0]))
		return true;
	say(g->r, RACF_REFUSED, "IRRD118I %s LABEL(%s) cannot sign: %s",
		owner_text(&g->signer_owner), label,
		g->signer.key ? "it is not the certificate of a CA"
			      : "its private key is not here");
	return false;
}

static bool put(struct gen *g, X509 *x, int nid, const char *text)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, g->signer.n ? g->signer.certs[0] : x, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, text);
	bool good = e && X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	return good;
}

static bool key_usage(struct gen *g, char out[160])
{
	static const struct {
		const char *word, *bits;
	} words[] = {{"HANDSHAKE", ",digitalSignature,keyEncipherment"},
		{"DATAENCRYPT", ",dataEncipherment"}, {"DOCSIGN", ",nonRepudiation"},
		{"CERTSIGN", ",keyCertSign,cRLSign"}};
	const struct arg *a = find(g->r->args, "KEYUSAGE");
	out[0] = 0;
	for (const struct arg *x = a ? a->list : NULL; x; x = x->next) {
		size_t i = 0;
		while (i < 4 && strcmp(words[i].word, x->text) != 0)
			i++;
		if (i == 4)
			return bad(g->r, "KEYUSAGE", x->text,
				"HANDSHAKE, DATAENCRYPT, DOCSIGN and CERTSIGN are allowed");
		if (!strstr(out, words[i].bits))
			strcat(out, words[i].bits); /* four words of a table: 84 characters */
		g->is_ca = g->is_ca || i == 3;
	}
	if (!a && g->is_ca)
		(void)snprintf(out, 160, "%s", words[3].bits);
	return true;
}

static bool extend(struct gen *g, X509 *x)
{
	char usage[160], critical[180];
	if (!key_usage(g, usage))
		return false;
	(void)snprintf(critical, sizeof(critical), "critical%s", usage);
	bool good = put(g, x, NID_subject_key_identifier, "hash") &&
		    put(g, x, NID_authority_key_identifier, "keyid");
	if (g->is_ca)
		good = good && put(g, x, NID_basic_constraints, "critical,CA:TRUE");
	if (usage[0])
		good = good && put(g, x, NID_key_usage, critical);
	if (g->alt && sk_GENERAL_NAME_num(g->alt) > 0)
		good = good && X509_add1_ext_i2d(x, NID_subject_alt_name, g->alt,
				       X509_NAME_entry_count(g->subject) == 0, 0) == 1;
	return good;
}

static bool set_serial(X509 *x)
{
	uint64_t serial = 0;
	while (serial == 0)
		if (RAND_bytes((unsigned char *)&serial, sizeof(serial)) != 1)
			return false;
	return ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1 | 1U << 30) == 1;
}

static X509 *make_cert(struct gen *g)
{
	X509 *x = xcheck(X509_new());
	bool itself = !g->signer.n;
	EVP_PKEY *by = itself ? g->key : g->signer.key;
	bool good = X509_set_version(x, X509_VERSION_3) && set_serial(x) &&
		    X509_set_subject_name(x, g->subject) &&
		    X509_set_issuer_name(
			    x, itself ? g->subject : X509_get_subject_name(g->signer.certs[0])) &&
		    ASN1_TIME_set(X509_getm_notBefore(x), (time_t)g->from) &&
		    ASN1_TIME_set(X509_getm_notAfter(x), (time_t)g->to) &&
		    X509_set_pubkey(x, g->public_key) && extend(g, x) &&
		    X509_sign(x, by, EVP_sha256()) > 0;
	if (good)
		return x;
	if (!failed(g->r))
		say(g->r, RACF_REFUSED, "IRRD103I the certificate cannot be made: %s",
			ERR_reason_error_string(ERR_peek_last_error()));
	ERR_clear_error();
	X509_free(x);
	return NULL;
}

/* RACF: what would outlive its signer is added, but not trusted. */
static bool fits_signer(struct gen *g)
{
	const X509 *s = g->signer.n ? g->signer.certs[0] : NULL;
	if (!s || (g->from >= trust_time(X509_get0_notBefore(s)) &&
			  g->to <= trust_time(X509_get0_notAfter(s))))
		return true;
	say(g->r, RACF_WARNED,
		"IRRD113I The certificate that you are creating has an incorrect date range. The "
		"certificate is added with NOTRUST status.");
	return false;
}

static void generate(struct gen *g, const struct dir *store)
{
	struct material m = {.n = 0};
	if (has_entry(store, g->label)) {
		say(g->r, RACF_REFUSED, "IRRD111I Label %s is already in use for %s", g->label,
			owner_text(&g->r->owner));
		return;
	}
	if (!(m.certs[0] = make_cert(g)))
		return;
	m.n = 1;
	m.info = (struct ring_info){.usage = g->r->owner.kind, .is_trusted = fits_signer(g)};
	(void)snprintf(m.info.owner, sizeof(m.info.owner), "%s", g->r->owner.name);
	m.key = g->key;
	g->key = NULL;
	(void)save(g->r, store, g->label, &m, geteuid());
	material_fini(&m);
}

void fn_gencert(struct racd *r)
{
	struct gen g = {
		.r = r, .label = label_of(r, r->args), .is_ca = r->owner.kind == KEYRING_CERTAUTH};
	struct dir store;
	bool good = g.label && may(r, "GENCERT", level_for(r, &r->owner)) && take_signer(&g) &&
		    take_dates(&g) && take_subject(&g) &&
		    (r->operand ? take_request(&g) : make_key(&g)) && take_alt(&g);
	if (good && !X509_NAME_entry_count(g.subject) &&
		(g.is_ca || !g.alt || !sk_GENERAL_NAME_num(g.alt))) {
		say(r, RACF_SYNTAX, "IKJ56701I MISSING SUBJECTSDN: %s", r->function->usage);
		good = false;
	}
	if (good && open_store(r, &r->owner, true, &store)) {
		generate(&g, &store);
		dir_close(&store);
	}
	gen_fini(&g);
}
