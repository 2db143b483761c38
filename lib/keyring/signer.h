/* signer: who has the private keys and will sign for us. The one interface that the IKE engine's
 * shell sees; behind it is either the local key ring (signer_local.h: keys in a process of their
 * own) or nssD over TLS.
 *
 * Everything is asynchronous: a call returns a handle at once and its function runs later from the
 * loop, exactly once, never from inside the call, unless the handle was cancelled before. A failure
 * arrives there too, as rc < 0 with text. Calls are answered in any order. Only the loop's thread
 * calls these. There always is a handle: more than SIGNER_OUTSTANDING_MAX calls fail like any
 * other, later.
 *
 * Errors: -ENOENT no certificate fits, or no such key (any more: the ring was reloaded; find
 * again); -EACCES the server does not allow it; -ECONNRESET the signer died with the request in it
 * (it is being restarted: ask again); -ETIMEDOUT; -ENOBUFS too many outstanding; -EINVAL the
 * mechanism or the hash's length is none or does not fit the key; -EIO anything else. */
#pragma once
#include "lib/keyring/keyring.h"
#include "lib/keyring/verify.h"

enum { SIGNER_LABEL_MAX = KEYRING_LABEL_MAX, SIGNER_OUTSTANDING_MAX = 4096 };

struct signer;
struct signer_call;

/* A CA that we take certificates of: its DER name goes into CERTREQ payloads. */
struct signer_ca {
	char label[SIGNER_LABEL_MAX];
	struct verify_blob subject; /* DER name */
	/* DER certificate, to verify with (.len 0: the signer verifies itself and does not give
	 * it out) */
	struct verify_blob cert;
	/* DER; of this CA, and with the first CA also those of CAs that are not in the list */
	const struct verify_blob *crls;
	size_t n_crls;
};
/* A trust object of what list_cas gave: anchors are the CAs labelled @labels (none: all), the
 * others help to build chains, all CRLs count. -ENOENT with the reason: a label that is not there,
 * or no CA at all. Caller frees. */
int signer_trust(const struct signer_ca *cas, size_t n, const char *const *labels, size_t n_labels,
	struct verify_trust **ret, struct errbuf *e);

/* A certificate of ours to show, with the handle of its key. */
struct signer_cert {
	char label[SIGNER_LABEL_MAX];
	uint8_t key[KEYRING_KEY_ID]; /* handle for signer_sign */
	/* DER; [0] is the certificate, then what completes the chain below a root */
	struct verify_blob chain[KEYRING_CHAIN_MAX];
	size_t n_chain;
	struct verify_blob subject; /* DER name, the ID payload of an X500dn identity */
};

/* What these are given is borrowed and valid only during the call. @why: text when rc < 0. */
typedef void (*signer_cas_fn)(
	void *arg, int rc, const struct signer_ca *cas, size_t n, const char *why);
typedef void (*signer_cert_fn)(void *arg, int rc, const struct signer_cert *cert, const char *why);
typedef void (*signer_sign_fn)(void *arg, int rc, const uint8_t *sig, size_t len, const char *why);

/* What to find: see keyring_choose. Copied. */
struct signer_want {
	const struct ident *id;	       /* the identity to show; NULL: the default certificate */
	const char *label;	       /* exactly this certificate; NULL: any that fits */
	const struct verify_blob *cas; /* DER names from the peer's CERTREQ; none: any */
	size_t n_cas;		       /* more than 64 are cut off */
	int64_t now;
};

struct signer_ops {
	const char *name; /* "local", "nss" */
	struct signer_call *(*list_cas)(struct signer *s, signer_cas_fn fn, void *arg);
	struct signer_call *(*find)(
		struct signer *s, const struct signer_want *want, signer_cert_fn fn, void *arg);
	struct signer_call *(*sign)(struct signer *s, const uint8_t key[KEYRING_KEY_ID],
		enum sign_mech mech, const void *hash, size_t len, signer_sign_fn fn, void *arg);
	void (*cancel)(struct signer *s, struct signer_call *c);
	int (*reload)(struct signer *s, struct errbuf *e);
	void (*free)(struct signer *s);
};
struct signer {
	const struct signer_ops *ops;
	uint64_t n_finds, n_signs, n_failed, n_restarts; /* for stats */
	unsigned outstanding;
};

/* All CAs whose certificates are taken (iked.conf SupportedCertAuth narrows them in the caller, by
 * label). */
static inline struct signer_call *signer_list_cas(struct signer *s, signer_cas_fn fn, void *arg)
{
	return s->ops->list_cas(s, fn, arg);
}
static inline struct signer_call *signer_find(
	struct signer *s, const struct signer_want *want, signer_cert_fn fn, void *arg)
{
	return s->ops->find(s, want, fn, arg);
}
/* Signs the finished hash @hash (copied). SIGN_RSA_PKCS1_RAW is IKEv1's. */
static inline struct signer_call *signer_sign(struct signer *s, const uint8_t key[KEYRING_KEY_ID],
	enum sign_mech mech, const void *hash, size_t len, signer_sign_fn fn, void *arg)
{
	return s->ops->sign(s, key, mech, hash, len, fn, arg);
}
/* The function will not be called. Only for calls whose function has not run; the handle is dead
 * after either. */
static inline void signer_cancel(struct signer *s, struct signer_call *c)
{
	s->ops->cancel(s, c);
}
/* Takes the ring (or the server's view) anew; on failure the old one stays in use. Calls under way
 * are finished by the old one. */
static inline int signer_reload(struct signer *s, struct errbuf *e)
{
	return s->ops->reload(s, e);
}
/* Cancels what is outstanding. NULL allowed. Not from inside one of its functions. */
static inline void signer_free(struct signer *s)
{
	if (s)
		s->ops->free(s);
}
