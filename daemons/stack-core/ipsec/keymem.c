/* keymem: slabs by size class; a freed piece is the next to be given out. */
#include "daemons/stack-core/ipsec/keymem.h"
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

enum { SLAB = 65536, LINE = 64, CLASSES = 64 /* of LINE bytes each */ };

struct piece {
	struct piece *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct piece *pieces[CLASSES + 1];

static void add_slab(size_t class)
{
	size_t size = class * LINE;
	uint8_t *slab = mmap(NULL, SLAB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	xcheck(slab == MAP_FAILED ? NULL : slab);
#ifdef __SANITIZE_ADDRESS__
	__lsan_register_root_region(slab, SLAB); /* what keys point to is no leak */
#endif
	(void)madvise(slab, SLAB, MADV_DONTDUMP);
	(void)mlock(slab, SLAB); /* beyond RLIMIT_MEMLOCK: still cleansed, still not dumped */
	for (size_t at = 0; at + size <= SLAB; at += size) {
		struct piece *p = (struct piece *)(void *)(slab + at);
		p->next = pieces[class];
		pieces[class] = p;
	}
}

static size_t class_of(size_t len)
{
	size_t class = (len + LINE - 1) / LINE;

	assert(class && class <= CLASSES); /* sizes of our own structures */
	return class;
}

void *keymem_new(size_t len)
{
	size_t class = class_of(len);

	pthread_mutex_lock(&lock);
	if (!pieces[class])
		add_slab(class);
	struct piece *p = pieces[class];
	pieces[class] = p->next;
	pthread_mutex_unlock(&lock);
	p->next = NULL; /* the rest was zero when it came here */
	return p;
}

void keymem_free(void *p, size_t len)
{
	struct piece *piece = p;

	if (!p)
		return;
	size_t class = class_of(len);
	secret_wipe(p, class * LINE);
	pthread_mutex_lock(&lock);
	piece->next = pieces[class];
	pieces[class] = piece;
	pthread_mutex_unlock(&lock);
}
