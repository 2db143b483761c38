/* A SAF database of its own in a temporary directory, made by RACF commands. */
#pragma once
#include "lib/saf/registry/registry.h"
#include "lib/saf/saf.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/support/check_main.h"

static char saf_dir[64];
static struct registry *reg;
static struct saf *saf;
static char said[65536]; /* the messages of the last command */

static inline int racf(const char *command)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int rc = registry_run(reg, command, "IBMUSER", NULL, out);
	(void)fclose(out);
	(void)snprintf(said, sizeof(said), "%s", text);
	free(text);
	return rc;
}

static inline void racf_ok(const char *command)
{
	int rc = racf(command);
	ck_assert_msg(rc <= RACF_WARNED, "%s: rc %d %s", command, rc, said);
}

static inline void publish(void)
{
	struct errbuf e = {0};
	ck_assert_msg(registry_commit(reg, &e) == 0, "%s", e.text);
}

static inline void setup(void)
{
	struct errbuf e = {0};
	(void)snprintf(saf_dir, sizeof(saf_dir), "/tmp/rv-saf-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(saf_dir));
	ck_assert_msg(registry_open(saf_dir, true, &reg, &e) == 0, "%s", e.text);
	ck_assert_msg(saf_open(saf_dir, &saf, &e) == 0, "%s", e.text);
}

static inline void teardown(void)
{
	char command[128];
	saf_close(saf);
	registry_close(reg);
	saf = NULL;
	reg = NULL;
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", saf_dir);
	ck_assert_int_eq(system(command), 0);
}

static inline enum saf_rc ask(const char *user, const char *class_name, const char *resource, enum saf_level level,
	struct saf_decision *ret)
{
	struct saf_subject who;
	bool revoked = false;
	(void)saf_user_by_name(saf, user, &who, &revoked);
	return saf_check(saf, &who, class_name, resource, level, ret);
}

static inline enum saf_rc may(const char *user, const char *resource, enum saf_level level)
{
	struct saf_decision d;
	return ask(user, "SERVAUTH", resource, level, &d);
}

/* The profile that decided, "" for none. */
static inline const char *covering(const char *resource)
{
	static struct saf_decision d;
	(void)ask("IBMUSER", "SERVAUTH", resource, SAF_READ, &d);
	return d.profile;
}
