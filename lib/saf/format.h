/* format: the snapshot file, as the compiler writes it and the reader maps it.
 *
 * Position-independent: every reference is an offset from the file's start (0 = none). Native byte order: a snapshot never
 * leaves its host. The header carries a SHA-256 over everything after that field, so that a torn, truncated or edited file is refused
 * whole (fail closed). Names are at most 8 characters, NUL-terminated in 9 bytes; resource and profile names at most 246.
 *
 * Generic profiles are a trie over qualifiers, one root a class. A node's literal children are a hash table; its
 * wild children stand in order of specificity (literal before % before * before **, left to right), so that a
 * depth-first walk meets the most specific matching profile first (zos.md section 1). */
#pragma once
#include "lib/saf/saf.h"

#define SAF_MAGIC "RVSAF02\n"
enum { SAF_NO_PROFILE = UINT32_MAX, SAF_STAR_ID = UINT32_MAX };

struct snap_table {
	uint32_t off, count;
};

struct snap_header {
	char magic[8];
	uint8_t sha256[32]; /* of everything behind this field */
	uint64_t size, generation;
	struct snap_table users, uids, groups, classes, profiles, labels, hash; /* hash: uint32_t profile+1, power of two */
	uint32_t options, reserved; /* enum snap_option */
};

enum snap_option { SNAP_MLS_FAIL = 1, SNAP_MLS_WARN = 2, SNAP_MLACTIVE_FAIL = 4, SNAP_MLACTIVE_WARN = 8 };
enum snap_user_flag { SNAP_REVOKED = 1, SNAP_RESTRICTED = 2, SNAP_SPECIAL = 4, SNAP_OPERATIONS = 8, SNAP_AUDITOR = 16, SNAP_HAS_UID = 32 };
enum snap_class_flag { SNAP_ACTIVE = 1, SNAP_GENERIC = 2, SNAP_EQUALMAC = 4, SNAP_REVERSEMAC = 8, SNAP_NEEDS_LABEL = 16 };
enum snap_logopt { SNAP_LOG_DEFAULT, SNAP_LOG_ALWAYS, SNAP_LOG_NEVER, SNAP_LOG_SUCCESSES, SNAP_LOG_FAILURES };

struct snap_user { /* sorted by name */
	char name[SAF_USER_MAX], group[SAF_GROUP_MAX], label[SAF_USER_MAX];
	uint8_t flags;
	uint32_t uid, full_name;
	struct snap_table groups; /* uint32_t group indices, ascending; revoked connects left out */
};
struct snap_uid { /* sorted by uid */
	uint32_t uid, user;
};
struct snap_group { /* sorted by name */
	char name[SAF_GROUP_MAX];
};
struct snap_class { /* sorted by name */
	char name[SAF_CLASS_MAX];
	uint8_t flags, logopt;
	uint32_t trie; /* root node, 0: no generics */
};
struct snap_acl { /* sorted by kind, id */
	uint32_t id;
	uint8_t kind, level; /* kind: 0 user, 1 group, 2 star */
};
struct snap_profile {
	uint32_t name; /* string offset */
	uint32_t class_index;
	uint8_t generic, uacc, warning;
	uint8_t audit_success, audit_failures; /* lowest level audited; SAF_ALTER + 1: none */
	char label[SAF_USER_MAX];
	struct snap_table acl;
};
struct snap_label { /* sorted by name */
	char name[SAF_USER_MAX];
	uint16_t level;
	uint64_t categories[4];
};
struct snap_node {
	uint32_t terminal; /* profile that ends here, or SAF_NO_PROFILE */
	struct snap_table literal, wild; /* struct snap_edge; literal: open hash table of a power of two slots, .text 0 = empty */
};
enum snap_edge_kind {
	EDGE_LITERAL,
	EDGE_PATTERN,  /* one qualifier with % or a final * */
	EDGE_TAIL,     /* last in the name: "PAP*" = rest of the name */
	EDGE_ONE,      /* "*" in front or in the middle: exactly one qualifier */
	EDGE_ONE_MORE, /* "*" as whole last qualifier: one or more */
	EDGE_ANY,      /* "**": zero or more */
};
struct snap_edge {
	uint32_t text, node;
	uint16_t kind, len;
	uint32_t hash; /* of a literal: snap_qualifier_hash */
};

static inline uint32_t snap_qualifier_hash(const char *q, size_t len)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)q[i]) * 16777619u;
	return h ^ h >> 15;
}

/* One hash for compiler and reader: over class name, NUL and resource. */
static inline uint64_t snap_hash(const char *class_name, const char *resource, size_t len)
{
	uint64_t h = 0x9e3779b97f4a7c15ull;
	for (; *class_name; class_name++)
		h = (h ^ (uint8_t)*class_name) * 0x100000001b3ull;
	while (len >= 8) {
		uint64_t w;
		__builtin_memcpy(&w, resource, 8);
		h = (h ^ w) * 0xff51afd7ed558ccdull;
		h ^= h >> 32;
		resource += 8;
		len -= 8;
	}
	uint64_t w = 0;
	for (size_t i = 0; i < len; i++)
		w = w << 8 | (uint8_t)resource[i];
	h = (h ^ w ^ (uint64_t)len << 56) * 0xc4ceb9fe1a85ec53ull;
	return h ^ h >> 29;
}
