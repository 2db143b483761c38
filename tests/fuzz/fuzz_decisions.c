/* An answer of CrowdSec's API in pieces of whatever size the first byte says. */
#include "daemons/ravelin-bouncer/decisions.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!len)
		return 0;
	size_t step = data[0] ? data[0] : 1;
	struct errbuf e;
	struct decisions_reader *r = decisions_reader_new(50);
	int rc = 0;
	for (size_t i = 1; i < len && !rc; i += step)
		rc = decisions_feed(r, data + i, len - i < step ? len - i : step, &e);
	if (!rc && !decisions_end(r, &e)) {
		const struct decisions *d = decisions_of(r);
		if (d->added.n > 50 || d->removed.n > 50)
			abort();
		for (size_t i = 0; i < d->added.n; i++)
			if (!d->added.v[i].life_us || !d->added.v[i].source.addr.family || d->added.v[i].source.len > addr_len(&d->added.v[i].source.addr) * 8)
				abort();
	}
	decisions_reader_free(r);
	return 0;
}
