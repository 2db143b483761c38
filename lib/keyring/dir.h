/* dir: the folders of the key rings: names, permissions, reading. Every step down is an openat
 * without following links, and what was opened is what is checked, so that nobody can swap a folder
 * between the look and the use. */
#pragma once
#include "lib/keyring/keyring.h"

/* DIR_TRIES: readings of what may be exchanged meanwhile. */
enum { DIR_NAME_MAX = 3 * KEYRING_RING_MAX, DIR_TRIES = 3 };
#define DIR_CERTAUTH "irrcerta"
#define DIR_SITE "irrsitec"
#define DIR_STORE ".certs"
#define DIR_CRLS ".crl"

/* Ring and label names as file names and back. @out of DIR_NAME_MAX; -EINVAL: empty, too long, not
 * an encoding. */
int dir_encode(const char *name, size_t max, char *out);
int dir_decode(const char *file, char *out, size_t size);

/* A path for messages: where we are. */
struct dir {
	int fd;
	uid_t uid; /* that may own things, beside root */
	char path[512];
};

/* The top: ROOT/var/lib/ravelin/keyring or @dir. */
int dir_open_top(const char *dir, uid_t uid, struct dir *ret, struct errbuf *e);
/* One step down; -ENOENT when there is none, -EPERM when it or its mode is wrong. */
int dir_open_sub(const struct dir *up, const char *name, struct dir *ret, struct errbuf *e);
void dir_close(struct dir *d);

enum dir_secrecy { DIR_PUBLIC, DIR_PRIVATE };
/* The regular file @name, checked and read; *@ret has a NUL behind it and is freed by the caller.
 * DIR_PRIVATE: owned by .uid (root: by anyone), no bit for group or others, and *@ret must be
 * wiped. -ENOENT, -EPERM, -EFBIG. */
int dir_read(const struct dir *d, const char *name, enum dir_secrecy secrecy, size_t max,
	uint8_t **ret, size_t *ret_len, struct errbuf *e);
/* The same checks without opening. 0, -ENOENT or -EPERM. */
int dir_check(const struct dir *d, const char *name, enum dir_secrecy secrecy, struct errbuf *e);
/* Names of @d that do not start with ".", sorted, at most @max. -E2BIG. Free each and the array:
 * dir_list_free. */
int dir_list(const struct dir *d, size_t max, char ***ret, size_t *ret_n, struct errbuf *e);
void dir_list_free(char **names, size_t n);

/* The folder of the ring that @spec names; *@ret_virtual: usage of a virtual ring, 0 otherwise. */
int dir_open_ring(const struct keyring_spec *spec, struct dir *ret,
	char ret_name[KEYRING_USER_MAX + KEYRING_RING_MAX], enum keyring_usage *ret_virtual,
	struct errbuf *e);
