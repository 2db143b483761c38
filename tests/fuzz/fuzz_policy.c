/* A policy file, from its text to filters in a set: whatever it says, it is refused or every filter of it is a sound one. */
#include "daemons/stack-core/filter/policy.h"
#include "lib/base/xalloc.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf *c;
	struct policy p;
	if (!conf_parse(&policy_spec, "f", (const char *)data, size, &c) && !policy_build(c, &p)) {
		struct filter_set *fs = filter_set_new();
		struct filter_install i = {.rules = p.rules, .n = p.n, .loaded = true};
		if (conf_error_count(c) || filter_install(fs, FILTER_POLICY, &i, NULL) < 0)
			abort();
		filter_set_free(fs);
		policy_fini(&p);
	}
	conf_free(c);
	return 0;
}
