/* registry: who serves which program, by (program, version, netid) (RFC 1833). Bounded; an answer to DUMP is made once for each
 * change. Lookups go by a hash with a random key: programs and versions are chosen by whoever registers. */
#pragma once
#include "daemons/rpcbindD/uaddr.h"
#include <sys/types.h>

enum { RPCBIND_PROG = 100000, REGISTRY_MAX = 65536 };

struct registration {
	uint32_t prog, vers;
	enum netid netid;
	char uaddr[UADDR_TEXT_MAX];
	struct addr addr; /* of .uaddr; unset for local */
	uint16_t port;
	uid_t owner;
	bool built_in; /* the registry itself: never unset, not stored */
	bool seen;     /* its port was found in use at some time */
	uint8_t missed;
	uint64_t hits[3]; /* lookups by version 2, 3, 4 */
	struct registration *next_hash, *next_prog;
	struct registration *before, *after; /* in order of registration */
};

struct registry;
struct registry *registry_new(unsigned max);
void registry_free(struct registry *r); /* NULL allowed */
unsigned registry_count(const struct registry *r);
uint64_t registry_stamp(const struct registry *r); /* changes with every change */
struct registration *registry_first(const struct registry *r);

/* Exactly this; or, with registry_find_any, of the same program and netid when the version is not there (the server itself then says which
 * versions it has). NULL: none. */
struct registration *registry_find(const struct registry *r, uint32_t prog, uint32_t vers, enum netid n);
struct registration *registry_find_any(const struct registry *r, uint32_t prog, uint32_t vers, enum netid n);
/* 0; -EEXIST: (prog, vers, netid) is taken; -ENOSPC: full; -EINVAL: not an address of that netid. */
int registry_add(struct registry *r, uint32_t prog, uint32_t vers, enum netid n, const char *uaddr, uid_t owner, struct registration **ret);
void registry_remove(struct registry *r, struct registration *e);
/* The XDR list of DUMP: @version 2 mappings, else rpcbs. Borrowed until the next change. */
const uint8_t *registry_dump(struct registry *r, unsigned version, size_t *ret_len);
const char *owner_text(uid_t uid, char out[16]);
