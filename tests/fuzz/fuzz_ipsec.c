/* The ipsec command line as it comes over SSH or from a batch: words, then the command. */
#include "cli/ipsec/command.h"
#include "cli/ipsec/words.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct words w;
	struct ipsec_command c;
	struct errbuf e;
	if (words_split((const char *)data, size, &w, &e))
		return 0;
	if (w.count > WORDS_MAX || w.word[w.count])
		abort();
	if (!ipsec_parse(w.word, &c, &e)) {
		if (c.nnames > IPSEC_NAMES_MAX || c.nids > IPSEC_NAMES_MAX || strlen(c.stack) > 8)
			abort();
		size_t len = defmgr__filter__get_packed_size(&c.filter);
		uint8_t *packed = malloc(len + 1);
		if (packed && defmgr__filter__pack(&c.filter, packed) != len)
			abort();
		free(packed);
	}
	words_free(&w);
	return 0;
}
