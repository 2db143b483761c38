/* saf: who may do what. RACF's model over an immutable, mapped snapshot.
 *
 * A reader maps ROOT/var/lib/ravelin/saf/snapshot read-only and asks saf_check(). Cached answers cost no allocation and no
 * system call; a new generation is noticed through a second mapped page that the writer bumps after its rename.
 * The registry behind it (SQLite) is written only by lib/saf/registry (safctl). Rules: zos.md section 1.
 *
 * saf handles are per thread; open one in each thread that decides. */
#pragma once
#include "lib/base/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum saf_level { SAF_NONE, SAF_EXECUTE, SAF_READ, SAF_UPDATE, SAF_CONTROL, SAF_ALTER };
enum saf_rc { SAF_ALLOWED = 0, SAF_NO_DECISION = 4, SAF_REFUSED = 8 }; /* SAF return codes */

enum { SAF_USER_MAX = 9, SAF_GROUP_MAX = 9, SAF_CLASS_MAX = 9, SAF_RESOURCE_MAX = 247, SAF_REASON_MAX = 512 };

struct saf;

/* Who asks. Filled by saf_user_by_uid / saf_user_by_name. */
struct saf_subject {
	char user[SAF_USER_MAX];	 /* "" = not defined to SAF: UACC and ID(*) do not apply; rc 8 where a profile is */
	char seclabel[SAF_USER_MAX]; /* current label, "" none */
	char poe[65];		     /* port of entry, a SERVAUTH resource or "" */
	uint32_t index;		     /* hint into the snapshot; verified */
	uid_t uid;
};

/* What came out; text lives in the struct. */
struct saf_decision {
	enum saf_rc rc;
	enum saf_level intent, allowed;
	bool audit;   /* the profile's (or class's LOGOPTIONS) AUDIT asks for a record */
	bool warning; /* allowed only because of WARNING */
	bool generic;
	uint8_t qualifier;		   /* SMF 80 event 2 qualifier: 0 ok, 1 insufficient, 3 warning, 7 label */
	char profile[SAF_RESOURCE_MAX]; /* that decided; "" when none */
};

int saf_open(const char *dir, struct saf **ret, struct errbuf *e); /* @dir NULL: the standard place; -ENOENT: no snapshot */
void saf_close(struct saf *s);
uint64_t saf_generation(struct saf *s); /* changes when the snapshot does; no system call */

/* 0, or -ENOENT with ret_subject->user "" and the uid set. Revoked users are returned as such in *@ret_revoked. */
int saf_user_by_uid(struct saf *s, uid_t uid, struct saf_subject *ret_subject, bool *ret_revoked);
int saf_user_by_name(struct saf *s, const char *user, struct saf_subject *ret_subject, bool *ret_revoked);

/* Calls @fn for every uid that a SAF user has, in order, over one generation of the snapshot. */
void saf_each_uid(struct saf *s, void (*fn)(void *arg, const struct saf_subject *who, bool revoked), void *arg);

/* The one decision function (zos.md section 1, decision order). Returns rc and fills *@ret (NULL allowed). A revoked or
 * undefined user is refused wherever a profile exists. The caller decides what SAF_NO_DECISION means; where it has no
 * better reason it treats it as refused. Never blocks, never allocates. */
enum saf_rc saf_check(struct saf *s, const struct saf_subject *who, const char *class_name, const char *resource,
	enum saf_level intent, struct saf_decision *ret);

/* "ICH408I USER(BOB     ) GROUP(OPS     ) NAME(...) EZB... CL(SERVAUTH) INSUFFICIENT ACCESS AUTHORITY FROM EZB.** (G) ACCESS
 * INTENT(READ) ACCESS ALLOWED(NONE)" on one line into @out. */
const char *saf_reason(struct saf *s, const struct saf_subject *who, const char *class_name, const char *resource,
	const struct saf_decision *d, char out[SAF_REASON_MAX]);
const char *saf_level_text(enum saf_level l);
int saf_level_parse(const char *text, enum saf_level *ret);

/* --- security labels, for those who carry them between systems or choose one for a client --- */
struct saf_label {
	uint16_t level;		/* 1 to 254 */
	uint64_t categories[4]; /* category n is bit n % 64 of word n / 64 */
};
/* true when class SECLABEL is active and SETROPTS MLACTIVE or MLS is set: labels are enforced. */
bool saf_mls(struct saf *s);
/* The SECLABEL of the profile that covers @resource ("" when it has none). -ENOENT: no profile, or the class is not active. */
int saf_profile_label(struct saf *s, const char *class_name, const char *resource, char ret_label[SAF_USER_MAX]);
/* May a subject of label @subject use an object of label @object, by the table of zos.md section 1 for a normal MAC class? With MLS,
 * writing asks for equivalent labels, without for dominance. false also where one of them is "" or not defined. */
bool saf_label_permits(struct saf *s, const char *subject, const char *object, enum saf_level intent);
/* -ENOENT: no such label, or one of the built-in ones, which have no level and categories. */
int saf_label_value(struct saf *s, const char *label, struct saf_label *ret);
int saf_label_by_value(struct saf *s, const struct saf_label *value, char ret_label[SAF_USER_MAX]);

/* VERIFY: password or PassTicket of @appl; counts bad attempts and revokes. 0 ok; enum saf_verify_result otherwise.
 * Needs the secrets snapshot and the logon-state file (their group). */
enum saf_verify_result { SAF_V_OK, SAF_V_UNKNOWN, SAF_V_BAD, SAF_V_REVOKED, SAF_V_EXPIRED, SAF_V_REPLAY, SAF_V_UNAVAILABLE };
int saf_verify(struct saf *s, const char *user, const char *password, const char *appl, struct saf_subject *ret_subject);
