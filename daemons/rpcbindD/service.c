#include "daemons/rpcbindD/service.h"
#include <stdbool.h>
#include <stdio.h>

enum { SERVICES_MAX = 512 };

static struct {
	char name[24];
	uint32_t prog;
} all[SERVICES_MAX];
static unsigned count;
static bool loaded;

static void load(void)
{
	char line[256];
	FILE *f = fopen("/etc/rpc", "re");
	loaded = true;
	while (f && count < SERVICES_MAX && fgets(line, sizeof(line), f))
		if (line[0] != '#' && sscanf(line, "%23s %u", all[count].name, &all[count].prog) == 2)
			count++;
	if (f)
		(void)fclose(f);
}

const char *service_name(uint32_t prog)
{
	if (!loaded)
		load();
	for (unsigned i = 0; i < count; i++)
		if (all[i].prog == prog)
			return all[i].name;
	return NULL;
}
