/* The secrets file: password hashes and PassTicket keys, apart from the snapshot because fewer may read it. */
#pragma once
#include "lib/base/secret.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SECRETS_HASH_MAX = 384, SECRETS_KEY_NAME_MAX = 28 };

struct secrets_user { /* sorted by name */
	char name[12];
	uint32_t expired;
	char hash[SECRETS_HASH_MAX];
};
struct secrets_key { /* sorted by name */
	char name[SECRETS_KEY_NAME_MAX];
	uint32_t replay; /* tickets may be used again */
	uint8_t key[8];
};

struct secrets {
	struct secret *file;
	const struct secrets_user *users;
	const struct secrets_key *keys;
	uint32_t nusers, nkeys;
	uint32_t revoke; /* bad attempts that revoke; 0: never */
};

int secrets_load(const char *dir, struct secrets *ret); /* 0, -EBADMSG or -errno */
void secrets_free(struct secrets *s);
const struct secrets_user *secrets_find_user(const struct secrets *s, const char *user);
const struct secrets_key *secrets_find_key(const struct secrets *s, const char *name);

/* Users, then keys, both in order of name. */
struct secrets_writer {
	uint8_t *data;
	size_t len, cap;
	uint32_t nusers, nkeys;
};
void secrets_begin(struct secrets_writer *w, uint32_t revoke);
void secrets_user(struct secrets_writer *w, const char *name, const char *hash, bool expired);
void secrets_key(struct secrets_writer *w, const char *name, const uint8_t key[8], bool replay);
const void *secrets_end(struct secrets_writer *w, size_t *ret_len); /* borrowed */
void secrets_fini(struct secrets_writer *w);
