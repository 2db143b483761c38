/* A private SAF database for a test: commands in, a reader out. */
#pragma once
#include "lib/saf/registry/registry.h"
#include "lib/saf/saf.h"
#include "tests/support/check_main.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct saf_box {
	char dir[64];
	struct registry *reg;
	struct saf *saf;
};

static inline void box_open(struct saf_box *b)
{
	struct errbuf e;
	(void)snprintf(b->dir, sizeof(b->dir), "/tmp/rv-saf-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(b->dir));
	ck_assert_int_eq(registry_open(b->dir, true, &b->reg, &e), 0);
	ck_assert_int_eq(saf_open(b->dir, &b->saf, &e), 0);
}

static inline void box_close(struct saf_box *b)
{
	static const char *const names[] = {"registry.db", "registry.db-wal", "registry.db-shm", "snapshot", "generation", "lock", "secrets", "logon.db"};
	saf_close(b->saf);
	registry_close(b->reg);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char path[128];
		(void)snprintf(path, sizeof(path), "%s/%s", b->dir, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(b->dir);
}

/* Runs one command and returns its code; the messages go to @text (at least 2048 bytes; NULL: ignored). */
static inline int box_run(struct saf_box *b, const char *command, char *text)
{
	char *buf = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&buf, &len);
	int rc = registry_run(b->reg, command, "IBMUSER", NULL, out);
	(void)fclose(out);
	if (text)
		(void)snprintf(text, 2048, "%s", buf);
	free(buf);
	return rc;
}

/* Commands that must work, then in force. */
static inline void box_do(struct saf_box *b, const char *const *commands)
{
	struct errbuf e;
	char text[2048];
	for (; *commands; commands++) {
		int rc = box_run(b, *commands, text);
		ck_assert_msg(rc <= 4, "%s: %s", *commands, text);
	}
	ck_assert_int_eq(registry_commit(b->reg, &e), 0);
}

static inline struct saf_decision box_ask(struct saf_box *b, const char *user, const char *resource, enum saf_level level)
{
	struct saf_subject who;
	struct saf_decision first, again;
	(void)saf_user_by_name(b->saf, user, &who, NULL);
	enum saf_rc rc = saf_check(b->saf, &who, "SERVAUTH", resource, level, &first);
	ck_assert_int_eq(rc, first.rc);
	/* The cached answer is the same answer. */
	ck_assert_int_eq(saf_check(b->saf, &who, "SERVAUTH", resource, level, &again), rc);
	ck_assert_str_eq(first.profile, again.profile);
	ck_assert_int_eq(first.allowed, again.allowed);
	ck_assert_int_eq(first.audit, again.audit);
	return first;
}
