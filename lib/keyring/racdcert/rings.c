/* ADDRING, DELRING, LISTRING, ADDCRL, CONNECT, REMOVE. */
#include "lib/base/xalloc.h"
#include "lib/keyring/racdcert/internal.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

/* The single operand of the function itself. */
static const char *ring_name(struct racd *r)
{
	if (r->operand && !r->operand->next && !r->operand->has_list && r->operand->raw[0])
		return r->operand->raw;
	say(r, RACF_SYNTAX, "IKJ56701I MISSING RING NAME: %s", r->function->usage);
	return NULL;
}

static bool is_user(struct racd *r)
{
	if (r->owner.kind != KEYRING_PERSONAL)
		say(r, RACF_SYNTAX, "IKJ56702I %s has no key rings: ID(user) is expected",
			owner_text(&r->owner));
	return r->owner.kind == KEYRING_PERSONAL;
}

void fn_addring(struct racd *r)
{
	const char *ring = ring_name(r);
	if (ring && is_user(r) && may(r, "ADDRING", level_for(r, &r->owner)))
		(void)make_ring(r, &r->owner, ring);
}

void fn_delring(struct racd *r)
{
	char file[DIR_NAME_MAX];
	struct dir d, user;
	const char *ring = ring_name(r);
	if (!ring || !is_user(r) || !may(r, "DELRING", level_for(r, &r->owner)) ||
		!open_ring(r, &r->owner, ring, &d))
		return;
	struct errbuf e;
	if (dir_encode(ring, KEYRING_RING_MAX - 1, file) == 0 &&
		dir_open_sub(&d, "..", &user, &e) == 0) {
		(void)drop_folder(r, &user, file);
		dir_close(&user);
	} else {
		say(r, RACF_REFUSED, "IRRD103I %s", e.text);
	}
	dir_close(&d);
}

static void list_entry(struct racd *r, const struct keyring_cert *c)
{
	if (!r->json) {
		(void)fprintf(r->out, "  %-32s   %-12s   %-8s   %-7s%s\n", c->label,
			c->owner[0] ? c->owner : "-", keyring_usage_text(c->usage),
			c->is_default ? "YES" : "NO", c->is_trusted ? "" : "   NOTRUST");
		return;
	}
	json_open(r->json, '{');
	json_kv_str(r->json, "label", c->label);
	json_kv_str(r->json, "owner", c->owner);
	json_kv_str(r->json, "usage", keyring_usage_text(c->usage));
	json_kv_bool(r->json, "default", c->is_default);
	json_kv_bool(r->json, "trust", c->is_trusted);
	json_kv_bool(r->json, "private_key", c->has_key);
	json_close(r->json, '}');
}

static void list_ring(struct racd *r, const char *user, const char *ring)
{
	char name[KEYRING_USER_MAX + KEYRING_RING_MAX];
	struct errbuf e;
	struct keyring *k = NULL;
	struct keyring_spec spec = {.name = name, .dir = r->env->dir, .uid = r->owner.uid};
	(void)snprintf(name, sizeof(name), "%s/%s", user, ring);
	if (keyring_open(&spec, &k, &e)) {
		say(r, RACF_REFUSED, "IRRD103I %s", e.text);
		return;
	}
	if (r->json) {
		json_open(r->json, '{');
		json_kv_str(r->json, "ring", ring);
		json_key(r->json, "certificates");
		json_open(r->json, '[');
	} else {
		(void)fprintf(r->out, "\n  Ring:\n       >%s<\n  %-32s   %-12s   %-8s   DEFAULT\n",
			ring, "Certificate Label Name", "Cert Owner", "USAGE");
	}
	for (size_t i = 0; i < keyring_count(k); i++)
		list_entry(r, keyring_at(k, i));
	if (r->json) {
		json_close(r->json, ']');
		json_close(r->json, '}');
	} else if (!keyring_count(k)) {
		(void)fprintf(r->out, "  *** No certificates connected ***\n");
	}
	keyring_unref(k);
}

struct listing {
	const char *user, *wanted;
	unsigned n;
};

static bool list_one(
	void *arg, struct racd *r, const char *user, const char *ring, const struct dir *d)
{
	struct listing *l = arg;
	(void)d;
	if (strcmp(user, l->user) != 0 ||
		(strcmp(l->wanted, "*") != 0 && strcmp(ring, l->wanted) != 0))
		return true;
	l->n++;
	list_ring(r, user, ring);
	return true;
}

void fn_listring(struct racd *r)
{
	struct listing l = {.user = r->owner.name};
	l.wanted = ring_name(r);
	if (!l.wanted || !is_user(r) || !may(r, "LISTRING", level_for(r, &r->owner)))
		return;
	if (r->json)
		json_open(r->json, '[');
	else
		(void)fprintf(r->out, "Digital ring information for user %s:\n", r->owner.name);
	bool went = each_ring(r, list_one, &l);
	if (r->json)
		json_close(r->json, ']');
	if (went && !l.n)
		say(r, strcmp(l.wanted, "*") == 0 ? RACF_WARNED : RACF_REFUSED,
			"IRRD114I Ring %s does not exist for %s", l.wanted, owner_text(&r->owner));
}

static X509_CRL *parse_crl(const uint8_t *data, size_t len)
{
	X509_CRL *crl = NULL;
	if (!memmem(data, len, "-----BEGIN", 10))
		return trust_crl(data, len);
	BIO *b = xcheck(BIO_new_mem_buf(data, (int)len));
	crl = PEM_read_bio_X509_CRL(b, NULL, NULL, NULL);
	BIO_free(b);
	ERR_clear_error();
	return crl;
}

/* One CRL a CA: a newer one takes the place of the older. */
void fn_addcrl(struct racd *r)
{
	char name[32];
	struct dir d;
	uint8_t *data = NULL, *der = NULL;
	size_t len = 0;
	const char *ring = ring_name(r), *path = value(r, r->args, "DSN", true);
	if (!ring || !path || !is_user(r) || !may(r, "ADD", level_for(r, &r->owner)) ||
		!read_file(r, path, &data, &len))
		return;
	X509_CRL *crl = parse_crl(data, len);
	int n = crl && trust_crl_is_plain(crl) ? i2d_X509_CRL(crl, &der) : -1;
	free(data);
	if (n <= 0) {
		say(r, RACF_REFUSED,
			"IRRD104I %.200s is no CRL in PEM or DER, or one with critical extensions "
			"(partitioned, indirect, delta)",
			path);
	} else if (open_ring(r, &r->owner, ring, &d)) {
		(void)snprintf(name, sizeof(name), "%08lx",
			X509_NAME_hash_ex(X509_CRL_get_issuer(crl), NULL, NULL, NULL));
		(void)put_crl(r, &d, name, der, (size_t)n);
		dir_close(&d);
	}
	OPENSSL_free(der);
	X509_CRL_free(crl);
}

/* At most one default: the old one steps back before the new one is there. */
static bool clear_default(struct racd *r, const struct dir *ring, const char *except)
{
	char **files = NULL, label[KEYRING_LABEL_MAX];
	size_t n = 0;
	struct errbuf e;
	struct ring_info info;
	bool good = true;
	if (dir_list(ring, KEYRING_CERTS_MAX, &files, &n, &e)) {
		say(r, RACF_REFUSED, "IRRD103I %s", e.text);
		return false;
	}
	for (size_t i = 0; good && i < n; i++) {
		if (dir_decode(files[i], label, sizeof(label)) || strcmp(label, except) == 0 ||
			!read_info(ring, label, &info) || !info.is_default)
			continue;
		info.is_default = false;
		good = set_info(r, ring, label, &info);
	}
	dir_list_free(files, n);
	return good;
}

static bool usage_of(struct racd *r, const struct owner *cert, enum keyring_usage *ret)
{
	const char *text = find(r->operand, "USAGE") ? value(r, r->operand, "USAGE", true)
						     : keyring_usage_text(cert->kind);
	if (text && keyring_usage_parse(text, ret) == 0)
		return true;
	if (text)
		say(r, RACF_SYNTAX,
			"IKJ56702I INVALID USAGE, %.40s: PERSONAL, CERTAUTH or SITE is allowed",
			text);
	return false;
}

static bool check_words(struct racd *r, const char *const *words)
{
	for (const struct arg *a = r->operand; a; a = a->next) {
		size_t i = 0;
		while (words[i] && (a->quoted || strcmp(words[i], a->text) != 0))
			i++;
		if (!words[i])
			say(r, RACF_SYNTAX, "IKJ56712I INVALID KEYWORD, %.40s: %s", a->text,
				r->function->usage);
	}
	return !failed(r);
}

/* What CONNECT needs: the ring's owner and the certificate's both count. */
static enum saf_level connect_level(
	const struct racd *r, const struct owner *cert, enum keyring_usage usage)
{
	enum saf_level ring = level_for(r, &r->owner), of_cert = level_for(r, cert);
	if (cert->kind == KEYRING_CERTAUTH && usage == KEYRING_CERTAUTH)
		return ring; /* a CA certificate without its key is public */
	return of_cert > ring ? of_cert : ring;
}

static void connect_to(struct racd *r, const struct dir *ring, const struct owner *cert,
	const char *label, enum keyring_usage usage)
{
	struct material m;
	struct ring_info there;
	bool same = cert->kind != KEYRING_PERSONAL || strcmp(cert->name, r->owner.name) == 0;
	if (has_entry(ring, label) &&
		(!read_info(ring, label, &there) || strcmp(there.owner, cert->name) != 0)) {
		say(r, RACF_REFUSED,
			"IRRD111I Label %s is already in use in the ring by a certificate of "
			"another owner",
			label);
		return;
	}
	if (!load(r, cert, label, usage != KEYRING_CERTAUTH && same, &m))
		return;
	m.info.usage = usage;
	m.info.is_default = find(r->operand, "DEFAULT");
	(void)snprintf(m.info.owner, sizeof(m.info.owner), "%s", cert->name);
	if (!m.info.is_default || clear_default(r, ring, label))
		(void)save(r, ring, label, &m, r->owner.uid);
	material_fini(&m);
}

void fn_connect(struct racd *r)
{
	static const char *const words[] = {
		"ID", "CERTAUTH", "SITE", "LABEL", "RING", "DEFAULT", "USAGE", NULL};
	struct owner cert;
	enum keyring_usage usage;
	struct dir d;
	if (!check_words(r, words) || !is_user(r) || !owner_of(r, r->operand, &r->owner, &cert) ||
		!usage_of(r, &cert, &usage))
		return;
	const char *label = label_of(r, r->operand), *ring = value(r, r->operand, "RING", true);
	if (!label || !ring || !may(r, "CONNECT", connect_level(r, &cert, usage)) ||
		!open_ring(r, &r->owner, ring, &d))
		return;
	connect_to(r, &d, &cert, label, usage);
	dir_close(&d);
}

void fn_remove(struct racd *r)
{
	static const char *const words[] = {"ID", "CERTAUTH", "SITE", "LABEL", "RING", NULL};
	struct owner cert;
	struct ring_info info;
	char file[DIR_NAME_MAX];
	struct dir d;
	if (!check_words(r, words) || !is_user(r) || !owner_of(r, r->operand, &r->owner, &cert))
		return;
	const char *label = label_of(r, r->operand), *ring = value(r, r->operand, "RING", true);
	if (!label || !ring || !may(r, "REMOVE", level_for(r, &r->owner)) ||
		!open_ring(r, &r->owner, ring, &d))
		return;
	if (!has_entry(&d, label) || !read_info(&d, label, &info) ||
		strcmp(info.owner, cert.name) != 0)
		say(r, RACF_REFUSED,
			"IRRD107I No matching certificate was found: %s LABEL(%s) is not in ring "
			"%s",
			owner_text(&cert), label, ring);
	else if (dir_encode(label, KEYRING_LABEL_MAX - 1, file) == 0)
		(void)drop_folder(r, &d, file);
	dir_close(&d);
}
