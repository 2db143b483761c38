#include "lib/base/path.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char root_dir[160];
static int root_known;
static char sysname[SYSNAME_MAX];

void path_set_root(const char *root)
{
	(void)snprintf(root_dir, sizeof(root_dir), "%s", root ? root : "");
	root_known = 1;
	sysname[0] = 0;
}

const char *path_root(void)
{
	if (!root_known)
		path_set_root(secure_getenv("RAVELIN_ROOT"));
	return root_dir;
}

const char *path_make(char out[PATH_TEXT_MAX], const char *fmt, ...)
{
	int n = snprintf(out, PATH_TEXT_MAX, "%s", path_root());
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(out + n, (size_t)(PATH_TEXT_MAX - n), fmt, ap);
	va_end(ap);
	return out;
}

static void take_sysname(const char *from)
{
	size_t n = 0;
	for (; from[n] && n < SYSNAME_MAX - 1; n++) {
		unsigned char c = (unsigned char)toupper((unsigned char)from[n]);
		if (!isalnum(c) && !strchr("@#$", c))
			break;
		sysname[n] = (char)c;
	}
	sysname[n] = 0;
}

const char *path_sysname(void)
{
	if (sysname[0])
		return sysname;
	const char *env = secure_getenv("RAVELIN_SYSNAME");
	char file[PATH_TEXT_MAX], line[256] = "";
	if (env)
		take_sysname(env);
	FILE *f = sysname[0] ? NULL : fopen(path_make(file, "/etc/ravelin/sysname"), "re");
	if (f) {
		if (fgets(line, sizeof(line), f))
			take_sysname(line);
		(void)fclose(f);
	}
	if (!sysname[0] && gethostname(line, sizeof(line) - 1) == 0)
		take_sysname(line);
	if (!sysname[0])
		take_sysname("LINUX");
	return sysname;
}
