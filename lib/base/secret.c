#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include <openssl/crypto.h>
#include <sys/mman.h>
#include <unistd.h>

/* One mapping a secret: a page is cheap beside a key that is swapped out or dumped. */
struct secret {
	size_t len, mapped;
	uint8_t data[];
};

struct secret *secret_new(const void *data, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t mapped = (sizeof(struct secret) + len + page - 1) / page * page;
	void *p = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct secret *s = xcheck(p == MAP_FAILED ? NULL : p);
	(void)madvise(s, mapped, MADV_DONTDUMP);
	(void)mlock(s, mapped); /* beyond RLIMIT_MEMLOCK: still cleansed, still not dumped */
	s->len = len;
	s->mapped = mapped;
	if (data && len)
		memcpy(s->data, data, len);
	return s;
}

void secret_free(struct secret *s)
{
	if (!s)
		return;
	size_t mapped = s->mapped;
	OPENSSL_cleanse(s, mapped);
	(void)munmap(s, mapped);
}

const uint8_t *secret_data(const struct secret *s)
{
	return s->data;
}

uint8_t *secret_writable(struct secret *s)
{
	return s->data;
}

size_t secret_len(const struct secret *s)
{
	return s->len;
}

bool secret_equal(const struct secret *s, const void *data, size_t len)
{
	return s->len == len && CRYPTO_memcmp(s->data, data, len) == 0;
}

void secret_wipe(void *p, size_t len)
{
	OPENSSL_cleanse(p, len);
}
