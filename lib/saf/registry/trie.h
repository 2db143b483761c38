/* trie: the generic profiles of a class by qualifiers, in the order in which a search must try them. */
#pragma once
#include "lib/saf/registry/image.h"

struct trie;
struct trie *trie_new(void);
void trie_add(struct trie *t, const char *name, uint32_t profile);
/* Appends it to the image and frees it; where its root is. */
uint32_t trie_put(struct image *im, struct trie *t);
