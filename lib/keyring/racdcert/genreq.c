/* GENREQ: a request for another CA, with the names of the certificate that is here. */
#include "lib/base/xalloc.h"
#include "lib/keyring/racdcert/internal.h"
#include <openssl/err.h>
#include <openssl/pem.h>

static X509_REQ *make_request(const struct material *m)
{
	X509_REQ *req = xcheck(X509_REQ_new());
	STACK_OF(X509_EXTENSION) *exts = NULL;
	GENERAL_NAMES *alt = X509_get_ext_d2i(m->certs[0], NID_subject_alt_name, NULL, NULL);
	bool good = X509_REQ_set_version(req, X509_REQ_VERSION_1) &&
		    X509_REQ_set_subject_name(req, X509_get_subject_name(m->certs[0])) &&
		    X509_REQ_set_pubkey(req, m->key);
	if (alt)
		good = good && X509V3_add1_i2d(&exts, NID_subject_alt_name, alt, 0, 0) == 1 &&
		       X509_REQ_add_extensions(req, exts) == 1;
	good = good && X509_REQ_sign(req, m->key, EVP_sha256()) > 0;
	GENERAL_NAMES_free(alt);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	if (good)
		return req;
	X509_REQ_free(req);
	return NULL;
}

void fn_genreq(struct racd *r)
{
	struct material m;
	char *text = NULL;
	const char *label = label_of(r, r->operand), *path = value(r, r->args, "DSN", true);
	if (!label || !path || !may(r, "GENREQ", level_for(r, &r->owner)) ||
		!load(r, &r->owner, label, true, &m))
		return;
	X509_REQ *req = m.key ? make_request(&m) : NULL;
	BIO *b = xcheck(BIO_new(BIO_s_mem()));
	long len = req && PEM_write_bio_X509_REQ(b, req) == 1 ? BIO_get_mem_data(b, &text) : 0;
	if (len > 0)
		(void)write_file(r, path, text, (size_t)len);
	else
		say(r, RACF_REFUSED,
			m.key ? "IRRD103I the request for %s cannot be made"
			      : "IRRD117I %s has no private key here",
			label);
	BIO_free(b);
	X509_REQ_free(req);
	ERR_clear_error();
	material_fini(&m);
}
