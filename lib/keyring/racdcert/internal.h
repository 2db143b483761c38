/* What the files of racdcert share. */
#pragma once
#include "lib/keyring/key.h"
#include "lib/keyring/racdcert/racdcert.h"
#include "lib/keyring/ring.h"
#include "lib/saf/registry/internal.h"

/* Whose certificates. */
struct owner {
	char name[KEYRING_USER_MAX]; /* user, irrcerta, irrsitec */
	enum keyring_usage kind;     /* PERSONAL: a user */
	uid_t uid;		     /* of a user */
};

struct racd {
	struct racdcert_env *env;
	const struct function *function;
	const struct arg *operand; /* the function's own list */
	const struct arg *args;	   /* all */
	struct owner owner;
	FILE *out;
	struct json *json;
	int rc;
};

struct function {
	const char *name, *keywords, *usage;
	void (*fn)(struct racd *r);
	bool lists; /* changes nothing: no audit record */
};

/* run.c */
void say(struct racd *r, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool failed(const struct racd *r);
const struct arg *find(const struct arg *list, const char *name); /* NULL */
/* as written; NULL */
const char *value(struct racd *r, const struct arg *list, const char *name, bool required);
/* LABEL('l') of @list, checked; NULL after a message. */
const char *label_of(struct racd *r, const struct arg *list);
/* ID(u), CERTAUTH or SITE of @list; @dflt when none is there. False after a message. */
bool owner_of(struct racd *r, const struct arg *list, const struct owner *dflt, struct owner *ret);
/* May the caller do IRR.DIGTCERT.@function at @level; false after ICH408I. */
bool may(struct racd *r, const char *function, enum saf_level level);
enum saf_level level_for(const struct racd *r, const struct owner *o);
const char *owner_text(const struct owner *o); /* "ID(IKED)", "CERTAUTH", "SITE" */

/* store.c */
struct material {
	X509 *certs[KEYRING_CHAIN_MAX];
	size_t n;
	EVP_PKEY *key; /* NULL */
	struct ring_info info;
};
void material_fini(struct material *m);
/* One step: 0, -ENOENT without a message, or another after one. */
int open_below(
	struct racd *r, const struct dir *up, const char *name, bool create, struct dir *ret);
bool open_top(struct racd *r, bool create, struct dir *ret);
/* Folders; @create makes them. Failures are said. */
bool open_store(struct racd *r, const struct owner *o, bool create, struct dir *ret);
bool open_ring(struct racd *r, const struct owner *o, const char *ring, struct dir *ret);
bool make_ring(struct racd *r, const struct owner *o, const char *ring);
bool drop_folder(struct racd *r, const struct dir *parent, const char *file);
bool has_entry(const struct dir *parent, const char *label);
/* The certificate @label of @o, with its key when @with_key and there is one. */
bool load(struct racd *r, const struct owner *o, const char *label, bool with_key,
	struct material *ret);
/* Writes or replaces; the key belongs to @key_uid. */
bool save(struct racd *r, const struct dir *parent, const char *label, const struct material *m,
	uid_t key_uid);
bool read_info(const struct dir *parent, const char *label, struct ring_info *ret);
bool set_info(
	struct racd *r, const struct dir *parent, const char *label, const struct ring_info *info);
bool put_crl(struct racd *r, const struct dir *ring, const char *name, const void *der, size_t len);
/* walk.c. Each ring of each user, until @fn returns false. */
typedef bool (*ring_fn)(
	void *arg, struct racd *r, const char *user, const char *ring, const struct dir *d);
bool each_ring(struct racd *r, ring_fn fn, void *arg);
/* After a change of the stored certificate: the same in every ring that has it (@m NULL: takes it
 * out). */
bool refresh_rings(
	struct racd *r, const struct owner *o, const char *label, const struct material *m);

/* file.c: with the caller's uid. */
bool read_file(struct racd *r, const char *path, uint8_t **ret, size_t *ret_len);
bool write_file(struct racd *r, const char *path, const void *data, size_t len);
/* Certificate, chain and key from PEM, DER or PKCS #12. */
bool parse_material(struct racd *r, const uint8_t *data, size_t len, const char *password,
	struct material *ret);

/* The functions. */
void fn_addring(struct racd *r);
void fn_delring(struct racd *r);
void fn_listring(struct racd *r);
void fn_connect(struct racd *r);
void fn_remove(struct racd *r);
void fn_addcrl(struct racd *r);
void fn_add(struct racd *r);
void fn_alter(struct racd *r);
void fn_delete(struct racd *r);
void fn_list(struct racd *r);
void fn_export(struct racd *r);
void fn_gencert(struct racd *r);
void fn_genreq(struct racd *r);
