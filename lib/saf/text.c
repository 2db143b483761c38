/* Words for levels, and the ICH408I text (zos.md section 1, "Violation message"). */
#include "lib/saf/internal.h"
#include <string.h>
#include <strings.h>

static const char *const levels[] = {"NONE", "EXECUTE", "READ", "UPDATE", "CONTROL", "ALTER"};

const char *saf_level_text(enum saf_level l)
{
	return (unsigned)l < sizeof(levels) / sizeof(*levels) ? levels[l] : "?";
}

int saf_level_parse(const char *text, enum saf_level *ret)
{
	for (unsigned i = 0; i < sizeof(levels) / sizeof(*levels); i++)
		if (strcasecmp(text, levels[i]) == 0) {
			*ret = (enum saf_level)i;
			return 0;
		}
	return -EINVAL;
}

const char *saf_reason(struct saf *s, const struct saf_subject *who, const char *class_name, const char *resource,
	const struct saf_decision *d, char out[SAF_REASON_MAX])
{
	const struct snap_user *u = who->user[0] ? snap_user(s->h, who->user, who->index, NULL) : NULL;
	const char *why = d->qualifier == 7 ? "INSUFFICIENT SECURITY LABEL AUTHORITY" : "INSUFFICIENT ACCESS AUTHORITY";
	int n;
	if (!u)
		n = snprintf(out, SAF_REASON_MAX, "ICH408I USER(UID %lu) NOT RACF-DEFINED", (unsigned long)who->uid);
	else
		n = snprintf(out, SAF_REASON_MAX, "ICH408I USER(%s) GROUP(%s) NAME(%.20s)", u->name, u->group,
			u->full_name ? snap_str(s->h, u->full_name) : "####################");
	if (u && (u->flags & SNAP_REVOKED))
		why = "REVOKED USER ACCESS ATTEMPT";
	n += snprintf(out + n, (size_t)(SAF_REASON_MAX - n), " %.246s CL(%s) ", resource, class_name);
	if (d->rc == SAF_NO_DECISION)
		(void)snprintf(out + n, (size_t)(SAF_REASON_MAX - n), "NO PROFILE COVERS IT ACCESS INTENT(%s)", saf_level_text(d->intent));
	else
		(void)snprintf(out + n, (size_t)(SAF_REASON_MAX - n), "%s%s FROM %.120s%s ACCESS INTENT(%s) ACCESS ALLOWED(%s)",
			d->warning ? "WARNING: " : "", why, d->profile, d->generic ? " (G)" : "", saf_level_text(d->intent),
			saf_level_text(d->allowed));
	return out;
}
