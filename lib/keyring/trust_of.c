#include "lib/keyring/signer.h"
#include <stdbool.h>
#include <string.h>
#include <strings.h>

static bool is_named(const char *label, const char *const *labels, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(labels[i], label) == 0)
			return true;
	return n == 0;
}

static int check_labels(const struct signer_ca *cas, size_t n, const char *const *labels,
	size_t n_labels, struct errbuf *e)
{
	for (size_t i = 0; i < n_labels; i++) {
		size_t k = 0;
		while (k < n && strcasecmp(cas[k].label, labels[i]) != 0)
			k++;
		if (k == n)
			return err_set(e, ENOENT,
				"there is no trusted CA certificate labelled %.40s", labels[i]);
	}
	return n ? 0 : err_set(e, ENOENT, "there is no trusted CA certificate");
}

int signer_trust(const struct signer_ca *cas, size_t n, const char *const *labels, size_t n_labels,
	struct verify_trust **ret, struct errbuf *e)
{
	struct errbuf why = {""};
	int rc = check_labels(cas, n, labels, n_labels, e);
	if (rc)
		return rc;
	struct verify_trust *t = verify_trust_new();
	for (size_t i = 0; !rc && i < n; i++)
		rc = is_named(cas[i].label, labels, n_labels)
			     ? verify_trust_add_ca(t, cas[i].cert.data, cas[i].cert.len, &why)
			     : verify_trust_add_intermediate(
				       t, cas[i].cert.data, cas[i].cert.len, &why);
	/* When all CAs are known: then a CRL's signature is checked once, here. */
	for (size_t i = 0; !rc && i < n; i++)
		for (size_t k = 0; !rc && k < cas[i].n_crls; k++)
			rc = verify_trust_add_crl(t, cas[i].crls[k].data, cas[i].crls[k].len, &why);
	if (rc) {
		verify_trust_free(t);
		return err_set(e, -rc, "%s", why.text);
	}
	*ret = t;
	return 0;
}
