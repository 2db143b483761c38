/* RACF commands as an administrator's file may hold them: one a line, carried out on a registry that is thrown away. */
#include "lib/saf/registry/registry.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/rv-fuzz-saf-XXXXXX";
static struct registry *registry;

static void clean(void)
{
	char command[64];
	registry_close(registry); /* nothing was committed */
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	if (system(command))
		abort();
}

static void run_line(const char *line)
{
	char *text = NULL;
	size_t len = 0;
	struct json j;
	json_init(&j);
	FILE *out = open_memstream(&text, &len);
	int rc = registry_run(registry, line, "IBMUSER", &j, out);
	(void)fclose(out);
	if (rc != RACF_DONE && rc != RACF_WARNED && rc != RACF_REFUSED && rc != RACF_SYNTAX)
		abort();
	if (rc > RACF_WARNED && !len) /* a failure says why */
		abort();
	free(text);
	json_fini(&j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct errbuf e;
	if (!registry) {
		if (!mkdtemp(dir) || registry_open(dir, true, &registry, &e))
			abort();
		(void)atexit(clean);
	}
	char *copy = malloc(size + 1), *rest = copy, *line;
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	copy[size] = 0;
	while ((line = strsep(&rest, "\n")))
		run_line(line);
	free(copy);
	return 0;
}
