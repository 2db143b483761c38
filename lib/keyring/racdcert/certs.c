/* ADD, ALTER, DELETE, LIST, EXPORT. */
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include "lib/keyring/dn.h"
#include "lib/keyring/racdcert/internal.h"
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* LABEL00000001 and on, as RACF names what the caller did not. */
static const char *free_label(const struct dir *store, char out[KEYRING_LABEL_MAX])
{
	for (unsigned n = 1; n < 100000000; n++) {
		(void)snprintf(out, KEYRING_LABEL_MAX, "LABEL%08u", n);
		if (!has_entry(store, out))
			return out;
	}
	return NULL;
}

static bool has_same_key(const struct material *a, X509 *b)
{
	EVP_PKEY *key = X509_get0_pubkey(b);
	return a->key && key && EVP_PKEY_eq(a->key, key) == 1;
}

/* A certificate for a key that is here already (the answer to a GENREQ, a renewal) takes the old
 * one's place and keeps the key. */
static bool take_over_key(struct racd *r, const char *label, struct material *m)
{
	struct material old;
	if (!load(r, &r->owner, label, true, &old))
		return false;
	bool same = has_same_key(&old, m->certs[0]);
	if (same && !m->key) {
		m->key = old.key;
		old.key = NULL;
	}
	material_fini(&old);
	if (!same)
		say(r, RACF_REFUSED,
			"IRRD111I Label %s is already in use for %s, by a certificate with another "
			"key",
			label, owner_text(&r->owner));
	return same;
}

static void add_to(struct racd *r, const struct dir *store, struct material *m)
{
	char made[KEYRING_LABEL_MAX];
	bool named = find(r->args, "LABEL") || find(r->args, "WITHLABEL");
	const char *label = named ? label_of(r, r->args) : free_label(store, made);
	if (!label)
		return;
	bool replaces = has_entry(store, label);
	if (replaces && !take_over_key(r, label, m))
		return;
	m->info =
		(struct ring_info){.usage = r->owner.kind, .is_trusted = !find(r->args, "NOTRUST")};
	(void)snprintf(m->info.owner, sizeof(m->info.owner), "%s", r->owner.name);
	if (save(r, store, label, m, geteuid()) && replaces)
		(void)refresh_rings(r, &r->owner, label, m);
	if (!named && !failed(r))
		say(r, RACF_DONE, "Certificate added with LABEL(%s)", label);
}

void fn_add(struct racd *r)
{
	uint8_t *data = NULL;
	size_t len = 0;
	struct material m;
	struct dir store;
	const char *password =
		find(r->args, "PASSWORD") ? value(r, r->args, "PASSWORD", true) : NULL;
	if (!r->operand || r->operand->next || failed(r)) {
		say(r, RACF_SYNTAX, "IKJ56701I MISSING FILE NAME: %s", r->function->usage);
		return;
	}
	if (!may(r, "ADD", level_for(r, &r->owner)) || !read_file(r, r->operand->raw, &data, &len))
		return;
	bool parsed = parse_material(r, data, len, password, &m);
	secret_wipe(data, len);
	free(data);
	if (!parsed)
		return;
	if (r->owner.kind == KEYRING_CERTAUTH && !X509_check_ca(m.certs[0]))
		say(r, RACF_REFUSED,
			"IRRD104I The certificate is not that of a CA (basicConstraints, "
			"keyUsage): CERTAUTH does not take it");
	else if (open_store(r, &r->owner, true, &store)) {
		add_to(r, &store, &m);
		dir_close(&store);
	}
	material_fini(&m);
}

void fn_alter(struct racd *r)
{
	struct material m;
	struct dir store;
	const char *label = label_of(r, r->operand);
	bool trust = find(r->args, "TRUST"), no_trust = find(r->args, "NOTRUST");
	if (label && trust == no_trust)
		say(r, RACF_SYNTAX, "IKJ56701I TRUST or NOTRUST is expected: %s",
			r->function->usage);
	if (!label || failed(r) || !may(r, "ALTER", level_for(r, &r->owner)) ||
		!load(r, &r->owner, label, true, &m))
		return;
	m.info.is_trusted = trust;
	if (open_store(r, &r->owner, false, &store)) {
		if (set_info(r, &store, label, &m.info))
			(void)refresh_rings(r, &r->owner, label, &m);
		dir_close(&store);
	}
	material_fini(&m);
}

void fn_delete(struct racd *r)
{
	char file[DIR_NAME_MAX];
	struct dir store;
	const char *label = label_of(r, r->operand);
	if (!label || !may(r, "DELETE", level_for(r, &r->owner)) ||
		!open_store(r, &r->owner, false, &store))
		return;
	if (!has_entry(&store, label))
		say(r, RACF_REFUSED, "IRRD107I No matching certificate was found for %s: LABEL(%s)",
			owner_text(&r->owner), label);
	else if (refresh_rings(r, &r->owner, label, NULL) &&
		 dir_encode(label, KEYRING_LABEL_MAX - 1, file) == 0)
		(void)drop_folder(r, &store, file);
	dir_close(&store);
}

struct used_in {
	const struct racd *r;
	const char *label;
	unsigned n;
};

static bool list_use(
	void *arg, struct racd *r, const char *user, const char *ring, const struct dir *d)
{
	struct used_in *u = arg;
	struct ring_info info;
	if (!has_entry(d, u->label) || !read_info(d, u->label, &info) ||
		strcmp(info.owner, r->owner.name) != 0)
		return true;
	u->n++;
	if (r->json) {
		json_open(r->json, '{');
		json_kv_str(r->json, "user", user);
		json_kv_str(r->json, "ring", ring);
		json_close(r->json, '}');
	} else {
		(void)fprintf(r->out, "%s    Ring Owner: %s   Ring: >%s<\n",
			u->n == 1 ? "  Ring Associations:\n" : "", user, ring);
	}
	return true;
}

static const char *time_text(int64_t t, char out[32])
{
	struct tm tm;
	time_t at = (time_t)t;
	(void)strftime(out, 32, "%Y/%m/%d %H:%M:%S", gmtime_r(&at, &tm));
	return out;
}

/* The alternative names in OpenSSL's words: "DNS:gw.example.com, IP Address:192.0.2.1". */
static void alt_names(const X509 *x, char *out, size_t size)
{
	BIO *b = xcheck(BIO_new(BIO_s_mem()));
	int at = X509_get_ext_by_NID(x, NID_subject_alt_name, -1);
	int n = at >= 0 && X509V3_EXT_print(b, X509_get_ext(x, at), 0, 0)
			? BIO_read(b, out, (int)size - 1)
			: 0;
	out[n > 0 ? n : 0] = 0;
	BIO_free(b);
}

struct facts {
	char subject[IDENT_TEXT_MAX], issuer[IDENT_TEXT_MAX], serial[64], alt[512], from[32],
		to[32];
};

static void facts_of(const struct ring_entry *x, struct facts *f)
{
	const struct keyring_cert *c = &x->c;
	BIGNUM *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x->x509), NULL);
	char *hex = bn ? BN_bn2hex(bn) : NULL;
	(void)snprintf(f->serial, sizeof(f->serial), "%s", hex ? hex : "?");
	OPENSSL_free(hex);
	BN_free(bn);
	(void)ident_dn_text(c->subject.data, c->subject.len, f->subject, sizeof(f->subject));
	(void)ident_dn_text(c->issuer.data, c->issuer.len, f->issuer, sizeof(f->issuer));
	alt_names(x->x509, f->alt, sizeof(f->alt));
	(void)time_text(c->not_before, f->from);
	(void)time_text(c->not_after, f->to);
}

static void list_text(struct racd *r, const struct ring_entry *x, const struct facts *f)
{
	const struct keyring_cert *c = &x->c;
	struct used_in u = {.r = r, .label = c->label};
	(void)fprintf(r->out,
		"\n  Label: %s\n  Status: %s\n  Start Date: %s\n  End Date:   %s\n  Serial "
		"Number:\n       >%s<\n"
		"  Issuer's Name:\n       >%s<\n  Subject's Name:\n       >%s<\n",
		c->label, c->is_trusted ? "TRUST" : "NOTRUST", f->from, f->to, f->serial, f->issuer,
		f->subject);
	if (f->alt[0])
		(void)fprintf(r->out, "  Subject's AltNames:\n       %s\n", f->alt);
	(void)fprintf(r->out, "  Key Type: %s\n  Key Size: %u\n  Private Key: %s\n", c->key_type,
		c->key_bits, c->has_key ? "YES" : "NO");
	(void)each_ring(r, list_use, &u);
	if (!u.n)
		(void)fprintf(r->out, "  Ring Associations:\n    *** No rings associated ***\n");
}

static void list_json(struct racd *r, const struct ring_entry *x, const struct facts *f)
{
	const struct keyring_cert *c = &x->c;
	struct used_in u = {.r = r, .label = c->label};
	struct json *j = r->json;
	json_open(j, '{');
	json_kv_str(j, "owner", r->owner.name);
	json_kv_str(j, "label", c->label);
	json_kv_bool(j, "trust", c->is_trusted);
	json_kv_str(j, "start", f->from);
	json_kv_str(j, "end", f->to);
	json_kv_str(j, "serial", f->serial);
	json_kv_str(j, "issuer", f->issuer);
	json_kv_str(j, "subject", f->subject);
	json_kv_str(j, "alt_names", f->alt);
	json_kv_str(j, "key_type", c->key_type);
	json_kv_u64(j, "key_size", c->key_bits);
	json_kv_bool(j, "private_key", c->has_key);
	json_kv_bool(j, "ca", c->is_ca);
	json_key(j, "sha256");
	json_hex(j, c->id, sizeof(c->id));
	json_key(j, "rings");
	json_open(j, '[');
	(void)each_ring(r, list_use, &u);
	json_close(j, ']');
	json_close(j, '}');
}

static bool list_file(struct racd *r, const struct dir *store, const char *file)
{
	struct ring_entry x;
	struct errbuf e;
	struct facts f;
	if (ring_entry_read(store, file, 0, &x, &e)) {
		say(r, RACF_REFUSED, "IRRD103I %s", e.text);
		return false;
	}
	facts_of(&x, &f);
	if (r->json)
		list_json(r, &x, &f);
	else
		list_text(r, &x, &f);
	for (size_t i = 0; i < x.c.n_chain; i++)
		free((void *)(uintptr_t)x.c.chain[i].data);
	X509_free(x.x509);
	return true;
}

static void list_store(struct racd *r, const struct dir *store, const char *label)
{
	char **files = NULL, name[KEYRING_LABEL_MAX];
	size_t n = 0;
	unsigned shown = 0;
	struct errbuf e;
	if (dir_list(store, 100000, &files, &n, &e)) {
		say(r, RACF_REFUSED, "IRRD103I %s", e.text);
		return;
	}
	if (r->json)
		json_open(r->json, '[');
	else
		(void)fprintf(
			r->out, "Digital certificate information for %s:\n", owner_text(&r->owner));
	for (size_t i = 0; i < n; i++)
		if (!label ||
			(dir_decode(files[i], name, sizeof(name)) == 0 && strcmp(name, label) == 0))
			shown += list_file(r, store, files[i]);
	if (r->json)
		json_close(r->json, ']');
	if (!shown && !failed(r))
		say(r, label ? RACF_REFUSED : RACF_WARNED,
			"IRRD107I No matching certificate was found for %s%s%s",
			owner_text(&r->owner), label ? ": LABEL " : "", label ? label : "");
	dir_list_free(files, n);
}

void fn_list(struct racd *r)
{
	struct dir store;
	const char *label = r->operand ? label_of(r, r->operand) : NULL;
	if (failed(r) || !may(r, "LIST", level_for(r, &r->owner)) ||
		!open_store(r, &r->owner, false, &store))
		return;
	list_store(r, &store, label);
	dir_close(&store);
}

/* Bytes in OpenSSL's memory; 0: cannot be made. */
static size_t encode(
	struct racd *r, const char *format, const char *label, struct material *m, uint8_t **ret)
{
	BIO *b = NULL;
	char *text = NULL;
	int n = -1;
	if (strcmp(format, "CERTDER") == 0)
		return (n = i2d_X509(m->certs[0], ret)) > 0 ? (size_t)n : 0;
	if (strcmp(format, "CERTB64") == 0 && (b = BIO_new(BIO_s_mem())) &&
		PEM_write_bio_X509(b, m->certs[0]) == 1) {
		n = (int)BIO_get_mem_data(b, &text);
		*ret = OPENSSL_memdup(text, (size_t)n);
		BIO_free(b);
		return *ret ? (size_t)n : 0;
	}
	BIO_free(b);
	const char *password = value(r, r->args, "PASSWORD", true);
	if (!password)
		return 0;
	if (!m->key) {
		say(r, RACF_REFUSED, "IRRD117I %s has no private key here to export", label);
		return 0;
	}
	STACK_OF(X509) *others = sk_X509_new_null();
	for (size_t i = 1; others && i < m->n; i++)
		(void)sk_X509_push(others, m->certs[i]);
	PKCS12 *p12 = PKCS12_create(password, label, m->key, m->certs[0], others, 0, 0, 0, 0, 0);
	n = p12 ? i2d_PKCS12(p12, ret) : -1;
	PKCS12_free(p12);
	sk_X509_free(others);
	return n > 0 ? (size_t)n : 0;
}

void fn_export(struct racd *r)
{
	struct material m;
	uint8_t *data = NULL;
	const char *label = label_of(r, r->operand), *path = value(r, r->args, "DSN", true);
	const char *format =
		find(r->args, "FORMAT") ? value(r, r->args, "FORMAT", true) : "CERTB64";
	bool p12 = format && strcasecmp(format, "PKCS12DER") == 0;
	if (!label || !path || !format)
		return;
	if (!p12 && strcasecmp(format, "CERTDER") != 0 && strcasecmp(format, "CERTB64") != 0) {
		say(r, RACF_SYNTAX,
			"IKJ56702I INVALID FORMAT, %.40s: CERTB64, CERTDER or PKCS12DER is allowed",
			format);
		return;
	}
	if (!may(r, "EXPORT", level_for(r, &r->owner)) || !load(r, &r->owner, label, p12, &m))
		return;
	format = p12 ? "PKCS12DER" : strcasecmp(format, "CERTDER") == 0 ? "CERTDER" : "CERTB64";
	size_t len = encode(r, format, label, &m, &data);
	if (len)
		(void)write_file(r, path, data, len);
	else if (!failed(r))
		say(r, RACF_REFUSED, "IRRD103I %s cannot be encoded as %s", label, format);
	OPENSSL_clear_free(data, len);
	ERR_clear_error();
	material_fini(&m);
}
