/* The lexer and checker of lib/conf under any bytes: both surface forms, tables with every operand type. The first byte
 * chooses the table. Besides not crashing: an accepted text has no errors, a refused one has at least one, and every error names the file. */
#include "tests/unit/lib/conf/sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void visit(const struct conf_node *n, unsigned depth)
{
	for (; n; n = n->next) {
		if (n->conf == NULL || depth > 8)
			abort();
		visit(n->children, depth + 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct conf_spec *const specs[] = {&dm_spec, &policy_spec, &profile_spec};
	if (!size)
		return 0;
	char *text = malloc(size); /* exact size: a read past the end is seen by ASan */
	memcpy(text, data + 1, size - 1);
	struct conf *c;
	int rc = conf_parse(specs[data[0] % 3], "f", text, size - 1, &c);
	if ((rc != 0) != (conf_error_count(c) != 0))
		abort();
	for (unsigned i = 0; i < conf_error_count(c); i++)
		if (strncmp(conf_error(c, i), "f:", 2) != 0)
			abort();
	visit(conf_root(c), 0);
	conf_free(c);
	free(text);
	return 0;
}
