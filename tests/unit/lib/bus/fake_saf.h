/* A SAF of a few rules in shared memory, so that a test can change what a server in another process is told. Stands in for lib/saf in
 * the tests of lib/bus only. */
#pragma once
#include "lib/saf/saf.h"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct fake_rule {
	uid_t uid;
	char resource[64];
	bool allowed;
};

struct saf {
	volatile uint64_t generation;
	volatile unsigned n;
	struct fake_rule rules[32];
};

static struct saf *fake_saf;

static inline void fake_saf_reset(void)
{
	if (!fake_saf)
		fake_saf = mmap(NULL, sizeof(*fake_saf), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(fake_saf, 0, sizeof(*fake_saf));
}

static inline void fake_saf_rule(uid_t uid, const char *resource, bool allowed)
{
	struct fake_rule *r = NULL;
	for (unsigned i = 0; i < fake_saf->n; i++)
		if (fake_saf->rules[i].uid == uid && !strcmp(fake_saf->rules[i].resource, resource))
			r = &fake_saf->rules[i];
	if (!r) {
		r = &fake_saf->rules[fake_saf->n];
		r->uid = uid;
		(void)snprintf(r->resource, sizeof(r->resource), "%s", resource);
	}
	r->allowed = allowed;
	if (r == &fake_saf->rules[fake_saf->n])
		fake_saf->n++;
	fake_saf->generation++;
}

uint64_t saf_generation(struct saf *s)
{
	return s->generation;
}

int saf_user_by_uid(struct saf *s, uid_t uid, struct saf_subject *ret, bool *ret_revoked)
{
	(void)s;
	*ret = (struct saf_subject){.uid = uid};
	*ret_revoked = false;
	(void)snprintf(ret->user, sizeof(ret->user), "U%u", (unsigned)uid);
	return 0;
}

enum saf_rc saf_check(struct saf *s, const struct saf_subject *who, const char *class_name, const char *resource,
	enum saf_level intent, struct saf_decision *ret)
{
	enum saf_rc rc = SAF_NO_DECISION;
	for (unsigned i = 0; i < s->n; i++)
		if (s->rules[i].uid == who->uid && !strcmp(s->rules[i].resource, resource))
			rc = s->rules[i].allowed ? SAF_ALLOWED : SAF_REFUSED;
	*ret = (struct saf_decision){.rc = rc, .intent = intent, .allowed = rc ? SAF_NONE : SAF_READ,
		.audit = !strcmp(class_name, "AUDITED"), .qualifier = rc ? 1 : 0};
	return rc;
}

const char *saf_reason(struct saf *s, const struct saf_subject *who, const char *class_name, const char *resource,
	const struct saf_decision *d, char out[SAF_REASON_MAX])
{
	(void)s, (void)d;
	(void)snprintf(out, SAF_REASON_MAX, "ICH408I USER(%s) %s CL(%s) INSUFFICIENT ACCESS AUTHORITY", who->user, resource, class_name);
	return out;
}

const char *saf_level_text(enum saf_level l)
{
	return l == SAF_READ ? "READ" : l == SAF_NONE ? "NONE" : "CONTROL";
}
