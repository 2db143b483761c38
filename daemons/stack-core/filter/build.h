/* build: what profile.c and policy.c share on the way to filters. Inside filter/ only. */
#pragma once
#include "daemons/stack-core/filter/policy.h"

struct specs {
	struct filter_spec *v;
	size_t n;
};

/* Appends @spec when it makes sense. -EINVAL with text; -ENOSPC: FILTER_RULES_MAX. */
int specs_add(struct specs *s, const struct filter_spec *spec, struct errbuf *err);
