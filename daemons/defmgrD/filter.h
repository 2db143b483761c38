/* filter: one defensive filter as defmgrD keeps it, and its three faces.
 *
 * A person asks for a filter in the terms of `ipsec -F add` (zos.md section 4); filter_parse() checks every operand and gives
 * the struct below. stack-core knows only filters of one direction and one address family: filter_expand() makes those. The
 * one asked for is expanded to an inbound and an outbound filter when it is bidirectional, and each of them to an IPv4 and an
 * IPv6 one when nothing (addresses, protocol) settles the family. They share the name and are told apart by
 * FilterNameExtension, from 1.
 *
 * An attacker is written as srcip; so the inbound filter takes the addresses and ports as they were given and the outbound
 * one of a bidirectional filter takes them exchanged: both directions of the conversation stop. */
#pragma once
#include "lib/base/addr.h"
#include "lib/base/err.h"
#include "proto/defmgr.pb-c.h"
#include "proto/stack.pb-c.h"
#include <stdbool.h>
#include <stdint.h>

enum {
	FILTER_NAME_MAX = 32,
	FILTER_PARTS_MAX = 4,	  /* two directions, two families */
	FILTER_LIFETIME_MAX = 20160, /* minutes: two weeks */
	FILTER_LIFETIME_DEFAULT = 30,
	FILTER_LOGLIMIT_MAX = 9999,
	FILTER_LOG_TEXT_MAX = 640,
	FILTER_EVENT_MAX = 96,
	FILTER_ANY = -1,
};

/* Of a filter that a DmDefenceRule made. */
struct filter_origin {
	char rule[FILTER_NAME_MAX + 1], event[FILTER_EVENT_MAX]; /* event: the latest */
	uint32_t events;
};

struct filter {
	char name[FILTER_NAME_MAX + 1];
	char user[9]; /* SAF user that added it */
	/* what it matches: fixed for life */
	struct prefix source, dest; /* family 0: all */
	int16_t protocol;	    /* 0..255 or FILTER_ANY */
	int16_t type, code;	    /* 0..255 or FILTER_ANY */
	bool opaque, fragments;
	uint8_t direction, routing, secclass; /* enum Defmgr__Filter__Direction, ...Routing */
	uint16_t sport[2], dport[2];	      /* low, high; 0,0: all */
	/* what `update` may change */
	uint8_t mode; /* enum Defmgr__Filter__Mode */
	bool log;
	uint16_t loglimit;
	uint32_t lifetime_min;
	uint64_t added_us, updated_us, expires_us;
	bool global; /* the global one itself, or a stack's copy of it */
	uint64_t id; /* grows with time: newest first is highest first */
	struct filter_origin *origin; /* its own; NULL: somebody asked for it */

	/* kept by table.c */
	struct filter *hash_next, *newer, *older, *origin_newer, *origin_older;
	uint32_t heap_pos; /* in the expiry heap, from 1; 0: not in one */
	bool dead;	   /* removed from its table; lives on while a batch refers to it */
	uint32_t refs;	   /* batch operations that refer to it */
	uint64_t stamp;	   /* last message it was put into */
};

/* What a stack's configuration decides for a filter. */
struct filter_limits {
	uint32_t max_lifetime; /* minutes; longer ones are cut */
	uint16_t default_loglimit;
};

/* One part for stack.Defend; the texts live beside the message, the name stays borrowed from the filter. */
struct filter_part {
	Stack__Defence msg;
	char source[PREFIX_TEXT_MAX], dest[PREFIX_TEXT_MAX];
};

/* One part as a person sees it. */
struct filter_view {
	Defmgr__Filter msg;
	char source[PREFIX_TEXT_MAX], dest[PREFIX_TEXT_MAX], protocol[16];
};

/* Checks @m and fills *@ret (id, user, global and the times' base are the caller's: times are set from @now_us). -EINVAL with a text
 * that names the operand, what was found and what is allowed. */
int filter_parse(const Defmgr__Filter *m, const struct filter_limits *limits, uint64_t now_us, struct filter *ret, struct errbuf *e);
/* Lifetime cut to the stack's maximum, log limit defaulted when the request gave none. */
void filter_limit(struct filter *f, const Defmgr__Filter *m, const struct filter_limits *limits);

/* Checks an update; nothing given at all is refused. */
int filter_update_check(const Defmgr__UpdateRequest *u, struct errbuf *e);
/* Applies a checked one; the lifetime starts again at @now_us. */
void filter_update(struct filter *f, const Defmgr__UpdateRequest *u, const struct filter_limits *limits, uint64_t now_us);

/* Number of parts, each of id filter_part_id(f, i). @simulate: the stack's mode is Simulate. */
unsigned filter_expand(const struct filter *f, bool simulate, struct filter_part out[FILTER_PARTS_MAX]);
unsigned filter_parts(const struct filter *f);
static inline uint64_t filter_part_id(const struct filter *f, unsigned part)
{
	return f->id * FILTER_PARTS_MAX + part;
}
/* Part @part as a person sees it; @part FILTER_PARTS_MAX: the filter as it was asked for. */
void filter_view(const struct filter *f, unsigned part, const char *stack, struct filter_view *out);

/* The stored form: what filter_view gives for the whole, packed; and back. Nothing is believed: -EINVAL. ret->origin is the caller's to free. */
int filter_from_stored(const Defmgr__Filter *m, struct filter *ret, struct errbuf *e);

/* "Defensive filter added: 2026-11-25 00:30:00 filter rule= ..." as message EZD1723I and its siblings have it, for part @part. */
enum filter_message { FILTER_ADDED = 1723, FILTER_UPDATED = 1724, FILTER_DELETED = 1725, FILTER_EXPIRED = 1726 };
const char *filter_log_text(const struct filter *f, unsigned part, enum filter_message msg, char out[FILTER_LOG_TEXT_MAX]);

/* The name of the filter of @source among those of @tag: "cs:192.0.2.7", "cs:192.0.2.0-24"; "TAG1#" and a digest where that is too long.
 * Where tag and source are no more than that, they can be read in it. */
void filter_tag_name(const char *tag, const struct prefix *source, char out[FILTER_NAME_MAX + 1]);
bool filter_tag_ok(const char *tag); /* as a name, without : and # */
bool filter_tagged(const struct filter *f, const char *tag);
/* Do both match the same packets? */
bool filter_same_match(const struct filter *a, const struct filter *b);

/* Checks a name: 1..32 letters, digits and @ # $ _ . : -, not beginning with '-'. */
bool filter_name_ok(const char *name);
