/* A resource without a profile (SAF rc 4) is refused: zos.md section 16. A refusal always gives an audit record (SMF type 80,
 * event 2), a grant when the profile's AUDIT asks for one. */
#include "lib/bus/authority.h"
#include "lib/log/log.h"

void authority_subject(const struct authority *a, uid_t uid, struct saf_subject *ret)
{
	bool revoked = false;
	*ret = (struct saf_subject){.uid = uid};
	if (a->saf && saf_user_by_uid(a->saf, uid, ret, &revoked) != 0)
		*ret = (struct saf_subject){.uid = uid};
}

static void record(const struct authority *a, const struct question *q, const struct saf_decision *d, const char *reason)
{
	struct json *j = audit_begin(a->audit, AUDIT_RACF, 2, d->rc ? (d->qualifier ? d->qualifier : 1) : d->qualifier);
	json_kv_str(j, "user", q->who->user);
	json_kv_u64(j, "uid", q->who->uid);
	json_kv_u64(j, "pid", (uint64_t)q->pid);
	json_kv_str(j, "class", q->class_name);
	json_kv_str(j, "resource", q->resource);
	json_kv_str(j, "profile", d->profile);
	json_kv_str(j, "intent", saf_level_text(q->level));
	json_kv_str(j, "allowed", saf_level_text(d->allowed));
	json_kv_u64(j, "rc", d->rc);
	json_kv_str(j, "what", q->what);
	if (reason)
		json_kv_str(j, "reason", reason);
	(void)audit_commit(a->audit);
}

static void refuse(const struct authority *a, const struct question *q, const struct saf_decision *d, const char *reason)
{
	uint32_t suppressed = 0;
	a->stats->unauthorized++;
	record(a, q, d, reason);
	if (log_limit_ok(a->limit, loop_now_ms(), 20, 1000, &suppressed))
		log_notice("refused", "what", q->what, "user", q->who->user, "uid", log_u64(q->who->uid), "pid",
			log_i64(q->pid), "reason", reason, "suppressed", log_u64(suppressed));
}

bool authority_check(const struct authority *a, const struct question *q, char reason[SAF_REASON_MAX])
{
	struct saf_decision d = {.rc = SAF_REFUSED, .intent = q->level};
	if (a->saf)
		(void)saf_check(a->saf, q->who, q->class_name, q->resource, q->level, &d);
	if (d.rc == SAF_ALLOWED) {
		if (d.audit && !q->silent)
			record(a, q, &d, NULL);
		return true;
	}
	if (a->saf)
		(void)saf_reason(a->saf, q->who, q->class_name, q->resource, &d, reason);
	else
		(void)snprintf(reason, SAF_REASON_MAX, "SAF is not available");
	if (!q->silent)
		refuse(a, q, &d, reason);
	return false;
}
