/* table: the hash table of one tuple, for one writer and any number of RCU readers. Inside filter/
 * only.
 *
 * Open addressing over words that hold a node's address and 16 bits of its hash, so that a miss
 * costs one cache line. It grows without ever stopping: while the next, larger array is filled, a
 * few slots with every change, each change is made in both arrays, and readers look at the old one,
 * which stays complete until the new one takes its place. */
#pragma once
#include "daemons/stack-core/filter/hash.h"
#include <stdatomic.h>
#include <urcu/urcu-qsbr.h>

struct filter_rule;

/* A rule under one key of one tuple (a rule whose ranges cover several keys has several). Nodes of
 * one key form a chain, most important first; the table knows its head. */
struct cls_node {
	uint64_t key[HASH_WORDS];
	uint64_t hash, prio;
	struct filter_rule *rule;
	_Atomic(struct cls_node *) next;
	struct cls_tuple *tuple;  /* control */
	struct cls_node *sibling; /* control: of the same rule */
	struct rcu_head rcu;
};

struct table_array {
	struct rcu_head rcu;
	uint64_t mask;
	uint64_t used; /* not empty: nodes and graves */
	_Atomic uintptr_t slot[];
};

struct table {
	_Atomic(struct table_array *) now;
	struct table_array *next; /* being filled */
	uint64_t cursor;	  /* slots of now below it are in next */
	uint64_t live;
};

void table_init(struct table *t);
void table_fini(struct table *t); /* no reader is left */
/* The chain's head becomes @head; @old is the one so far (NULL: none); @head NULL: the key goes.
 * Keys are those of the nodes. */
void table_set(struct table *t, const struct cls_node *old, struct cls_node *head);
struct cls_node *filter_table_find(
	const struct table *t, uint64_t hash, const uint64_t *key, unsigned words);
