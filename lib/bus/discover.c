#include "lib/bus/bus.h"
#include "lib/bus/endpoint.h"
#include <dirent.h>

void bus_discover(void (*fn)(void *arg, const char *name), void *arg)
{
	char dir[PATH_TEXT_MAX];
	DIR *d = opendir(path_make(dir, "/run/ravelin"));
	struct dirent *entry;
	while (d && (entry = readdir(d)))
		if (endpoint_name_ok(entry->d_name) && endpoint_alive(entry->d_name))
			fn(arg, entry->d_name);
	if (d)
		(void)closedir(d);
}
