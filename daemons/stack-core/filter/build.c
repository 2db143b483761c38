/* See build.h. */
#include "daemons/stack-core/filter/build.h"
#include "lib/base/xalloc.h"

int specs_add(struct specs *s, const struct filter_spec *spec, struct errbuf *err)
{
	int rc = filter_spec_check(spec, err);
	if (rc)
		return rc;
	if (s->n == FILTER_RULES_MAX)
		return err_set(err, ENOSPC, "found more than %d simple filters, expected at most so many", FILTER_RULES_MAX);
	if (!(s->n & (s->n - 1)))
		s->v = xrealloc(s->v, s->n ? 2 * s->n : 1, sizeof(*s->v));
	s->v[s->n++] = *spec;
	return 0;
}
