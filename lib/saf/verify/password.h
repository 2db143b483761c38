/* password: one-way hashes of SAF passwords, yescrypt through libcrypt (crypt(5)). */
#pragma once
#include <stdbool.h>

enum { PASSWORD_HASH_MAX = 384 };

int password_hash(const char *password, char ret_hash[PASSWORD_HASH_MAX]); /* 0 or -errno */
/* Constant work for a NULL @hash too, so that an unknown user takes as long as a wrong password. */
bool password_matches(const char *password, const char *hash);
