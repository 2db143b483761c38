/* saf_verify: is this user who it says? A password, or a PassTicket for the application. */
#include "lib/base/path.h"
#include "lib/saf/internal.h"
#include "lib/saf/verify/logon.h"
#include "lib/saf/verify/passticket.h"
#include "lib/saf/verify/password.h"
#include "lib/saf/verify/secrets.h"
#include <ctype.h>
#include <string.h>
#include <time.h>

struct attempt {
	const struct snap_header *snap;
	const struct snap_user *saf_user; /* NULL: not defined */
	struct secrets secrets;
	struct logon *logon;
	char user[SAF_USER_MAX], group[SAF_GROUP_MAX], appl[SAF_USER_MAX];
	const char *password;
};

static bool upper(char *out, size_t size, const char *in)
{
	size_t len = strlen(in);
	if (len >= size)
		return false;
	for (size_t i = 0; i <= len; i++)
		out[i] = (char)toupper((unsigned char)in[i]);
	return true;
}

/* appl.group.user, appl.user, appl.group, appl: the first that exists decides. */
static const struct secrets_key *ticket_key(const struct attempt *a)
{
	char names[4][40];
	const struct secrets_key *k = NULL;
	(void)snprintf(names[0], sizeof(names[0]), "%s.%s.%s", a->appl, a->group, a->user);
	(void)snprintf(names[1], sizeof(names[1]), "%s.%s", a->appl, a->user);
	(void)snprintf(names[2], sizeof(names[2]), "%s.%s", a->appl, a->group);
	(void)snprintf(names[3], sizeof(names[3]), "%s", a->appl);
	for (unsigned i = 0; i < 4 && !k; i++)
		k = secrets_find_key(&a->secrets, names[i]);
	return k;
}

static int try_ticket(const struct attempt *a)
{
	char ticket[PASSTICKET_MAX];
	int64_t now = time(NULL);
	const struct snap_class *c = snap_class(a->snap, "PTKTDATA");
	const struct secrets_key *k = a->appl[0] && c && (c->flags & SNAP_ACTIVE) ? ticket_key(a) : NULL;
	if (!k || !upper(ticket, sizeof(ticket), a->password) || !passticket_valid(a->user, a->appl, k->key, ticket, now))
		return SAF_V_BAD;
	if (k->replay)
		return SAF_V_OK;
	/* It stays valid for up to one window after @now when the maker's clock is ahead by one. */
	int r = logon_use_ticket(a->logon, a->user, a->appl, ticket, now, now + 2 * PASSTICKET_WINDOW + 1);
	return r == -EEXIST ? SAF_V_REPLAY : r ? SAF_V_UNAVAILABLE : SAF_V_OK;
}

static int judge(const struct attempt *a)
{
	const struct secrets_user *u = a->saf_user ? secrets_find_user(&a->secrets, a->user) : NULL;
	bool match = password_matches(a->password, u ? u->hash : NULL);
	if (!a->saf_user)
		return SAF_V_UNKNOWN;
	if ((a->saf_user->flags & SNAP_REVOKED) || logon_is_revoked(a->logon, a->user))
		return SAF_V_REVOKED;
	int r = match ? u->expired ? SAF_V_EXPIRED : SAF_V_OK : try_ticket(a);
	if (r == SAF_V_OK)
		return logon_good(a->logon, a->user) ? SAF_V_UNAVAILABLE : SAF_V_OK;
	if (r != SAF_V_BAD)
		return r;
	int revoked = logon_bad(a->logon, a->user, a->secrets.revoke);
	return revoked < 0 ? SAF_V_UNAVAILABLE : revoked ? SAF_V_REVOKED : SAF_V_BAD;
}

int saf_verify(struct saf *s, const char *user, const char *password, const char *appl, struct saf_subject *ret_subject)
{
	struct attempt a = {.password = password};
	char dir[sizeof(s->path)];
	bool revoked;
	int r = SAF_V_UNAVAILABLE;
	(void)snprintf(dir, sizeof(dir), "%.*s", (int)(strlen(s->path) - strlen("/snapshot")), s->path);
	if (!upper(a.user, sizeof(a.user), user))
		a.user[0] = 0;
	if (!appl || !upper(a.appl, sizeof(a.appl), appl))
		a.appl[0] = 0;
	snap_refresh(s);
	a.snap = s->h;
	if (s->bad || secrets_load(dir, &a.secrets))
		return SAF_V_UNAVAILABLE;
	a.saf_user = a.user[0] ? snap_user(a.snap, a.user, UINT32_MAX, NULL) : NULL;
	if (a.saf_user)
		memcpy(a.group, a.saf_user->group, sizeof(a.group));
	a.logon = logon_open(dir, true);
	if (a.logon)
		r = judge(&a);
	logon_close(a.logon);
	secrets_free(&a.secrets);
	if (r == SAF_V_OK && saf_user_by_name(s, a.user, ret_subject, &revoked))
		return SAF_V_UNAVAILABLE;
	return r;
}
