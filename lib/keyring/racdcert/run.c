/* Running a RACDCERT command: function, owner, authority, audit. */
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include "lib/keyring/racdcert/internal.h"
#include "lib/saf/saf.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct function functions[] = {
	{"ADDRING", "", "RACDCERT [ID(user)] ADDRING(ring)", fn_addring, false},
	{"DELRING", "", "RACDCERT [ID(user)] DELRING(ring)", fn_delring, false},
	{"LISTRING", "", "RACDCERT [ID(user)] LISTRING(ring|*)", fn_listring, true},
	{"ADDCRL", "DSN", "RACDCERT [ID(user)] ADDCRL(ring) DSN('file')", fn_addcrl, false},
	{"ADD", "LABEL WITHLABEL PASSWORD TRUST NOTRUST",
		"RACDCERT [ID(user)|CERTAUTH|SITE] ADD('file') [WITHLABEL('l')] [PASSWORD('p')] "
		"[TRUST|NOTRUST]",
		fn_add, false},
	{"GENCERT",
		"SUBJECTSDN SIZE RSA NISTECC NOTBEFORE NOTAFTER WITHLABEL LABEL SIGNWITH KEYUSAGE "
		"ALTNAME",
		"RACDCERT [ID(user)|CERTAUTH|SITE] GENCERT[('request file')] SUBJECTSDN(CN('c') "
		"T('t') OU('o' ...) O('o') L('l') SP('s') C('c')) WITHLABEL('l')"
		" [SIZE(bits)] [RSA|NISTECC] [NOTBEFORE(DATE(yyyy-mm-dd) TIME(hh:mm:ss))] "
		"[NOTAFTER(DATE(yyyy-mm-dd) TIME(hh:mm:ss))]"
		" [SIGNWITH([CERTAUTH|SITE|ID(u)] LABEL('l'))] [KEYUSAGE(HANDSHAKE DATAENCRYPT "
		"DOCSIGN CERTSIGN)]"
		" [ALTNAME(IP(address) DOMAIN('name') EMAIL('user@name') URI('uri'))]",
		fn_gencert, false},
	{"GENREQ", "DSN", "RACDCERT [ID(user)|CERTAUTH|SITE] GENREQ(LABEL('l')) DSN('file')",
		fn_genreq, true},
	{"LIST", "", "RACDCERT [ID(user)|CERTAUTH|SITE] LIST[(LABEL('l'))]", fn_list, true},
	{"ALTER", "TRUST NOTRUST",
		"RACDCERT [ID(user)|CERTAUTH|SITE] ALTER(LABEL('l')) TRUST|NOTRUST", fn_alter,
		false},
	{"CONNECT", "",
		"RACDCERT [ID(user)] CONNECT([ID(user)|CERTAUTH|SITE] LABEL('l') RING(ring) "
		"[DEFAULT] [USAGE(PERSONAL|CERTAUTH|SITE)])",
		fn_connect, false},
	{"REMOVE", "", "RACDCERT [ID(user)] REMOVE([ID(user)|CERTAUTH|SITE] LABEL('l') RING(ring))",
		fn_remove, false},
	{"DELETE", "", "RACDCERT [ID(user)|CERTAUTH|SITE] DELETE(LABEL('l'))", fn_delete, false},
	{"EXPORT", "DSN FORMAT PASSWORD",
		"RACDCERT [ID(user)|CERTAUTH|SITE] EXPORT(LABEL('l')) DSN('file') "
		"[FORMAT(CERTB64|CERTDER|PKCS12DER)] [PASSWORD('p')]",
		fn_export, false},
	{NULL, NULL, NULL, NULL, false},
};

void racdcert_help(FILE *out)
{
	for (const struct function *f = functions; f->name; f++)
		(void)fprintf(out, "  %s\n", f->usage);
}

void say(struct racd *r, int rc, const char *fmt, ...)
{
	char text[800];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (rc > r->rc)
		r->rc = rc;
	(void)fprintf(r->out, "%s\n", text);
}

bool failed(const struct racd *r)
{
	return r->rc > RACF_WARNED;
}

const struct arg *find(const struct arg *list, const char *name)
{
	for (const struct arg *a = list; a; a = a->next)
		if (!a->quoted && strcmp(a->text, name) == 0)
			return a;
	return NULL;
}

const char *value(struct racd *r, const struct arg *list, const char *name, bool required)
{
	const struct arg *a = find(list, name);
	if (a && a->list && !a->list->next && !a->list->has_list && a->list->raw[0])
		return a->list->raw;
	if (a)
		say(r, RACF_SYNTAX, "IKJ56702I INVALID %s: one value in parentheses is expected",
			name);
	else if (required)
		say(r, RACF_SYNTAX, "IKJ56701I MISSING %s: %s", name, r->function->usage);
	return NULL;
}

const char *label_of(struct racd *r, const struct arg *list)
{
	const char *label = value(r, list, find(list, "WITHLABEL") ? "WITHLABEL" : "LABEL", true);
	if (!label)
		return NULL;
	for (const char *p = label; *p; p++) {
		if (!isprint((unsigned char)*p)) {
			say(r, RACF_SYNTAX,
				"IKJ56702I INVALID LABEL: printable characters are allowed");
			return NULL;
		}
	}
	if (strlen(label) < KEYRING_LABEL_MAX)
		return label;
	say(r, RACF_SYNTAX, "IKJ56702I INVALID LABEL, %.40s: 1 to %d characters", label,
		KEYRING_LABEL_MAX - 1);
	return NULL;
}

const char *owner_text(const struct owner *o)
{
	static char text[KEYRING_USER_MAX + 5];
	if (o->kind != KEYRING_PERSONAL)
		return keyring_usage_text(o->kind);
	(void)snprintf(text, sizeof(text), "ID(%s)", o->name);
	return text;
}

static bool user_owner(struct racd *r, const char *user, struct owner *ret)
{
	char upper[KEYRING_USER_MAX] = "";
	struct owner o = {.kind = KEYRING_PERSONAL};
	for (size_t i = 0; user[i] && i < sizeof(upper) - 1; i++)
		upper[i] = (char)toupper((unsigned char)user[i]);
	int rc = name_ok(user) ? registry_user_uid(r->env->registry, upper, &o.uid) : -ENOENT;
	if (rc == -ENODATA)
		say(r, RACF_REFUSED,
			"IRRD102I USER %s HAS NO UID: ALTUSER %s OMVS(UID(n)) or "
			"OMVS(LOGIN(account)) gives it one",
			upper, upper);
	else if (rc)
		say(r, RACF_REFUSED, "IRRD102I USER %.8s IS NOT DEFINED TO SAF", user);
	(void)snprintf(o.name, sizeof(o.name), "%s", upper);
	*ret = o;
	return !rc;
}

bool owner_of(struct racd *r, const struct arg *list, const struct owner *dflt, struct owner *ret)
{
	bool auth = find(list, "CERTAUTH"), site = find(list, "SITE"), id = find(list, "ID");
	if (auth + site + id > 1) {
		say(r, RACF_SYNTAX, "IKJ56702I ID, CERTAUTH and SITE exclude each other: %s",
			r->function->usage);
		return false;
	}
	if (auth || site) {
		*ret = (struct owner){
			.kind = auth ? KEYRING_CERTAUTH : KEYRING_SITE, .uid = geteuid()};
		(void)snprintf(ret->name, sizeof(ret->name), "%s", auth ? DIR_CERTAUTH : DIR_SITE);
		return true;
	}
	if (id) {
		const char *user = value(r, list, "ID", true);
		return user && user_owner(r, user, ret);
	}
	if (dflt) {
		*ret = *dflt;
		return true;
	}
	if (r->env->user[0])
		return user_owner(r, r->env->user, ret);
	say(r, RACF_SYNTAX,
		"IKJ56701I MISSING ID(user), CERTAUTH or SITE: the caller is no SAF user");
	return false;
}

enum saf_level level_for(const struct racd *r, const struct owner *o)
{
	if (o->kind != KEYRING_PERSONAL)
		return SAF_CONTROL;
	return strcmp(o->name, r->env->user) == 0 ? SAF_READ : SAF_UPDATE;
}

bool may(struct racd *r, const char *function, enum saf_level level)
{
	char resource[64], why[SAF_REASON_MAX];
	struct saf_subject who;
	struct saf_decision d = {.rc = SAF_REFUSED, .intent = level};
	struct saf *saf = NULL;
	bool revoked = true;
	if (r->env->may_administer)
		return true;
	(void)snprintf(resource, sizeof(resource), "IRR.DIGTCERT.%s", function);
	bool known = r->env->user[0] && saf_open(NULL, &saf, NULL) == 0 &&
		     saf_user_by_name(saf, r->env->user, &who, &revoked) == 0 && !revoked;
	bool allowed =
		known && saf_check(saf, &who, "FACILITY", resource, level, &d) == SAF_ALLOWED;
	if (known && !allowed && d.rc == SAF_REFUSED)
		say(r, RACF_REFUSED, "%s", saf_reason(saf, &who, "FACILITY", resource, &d, why));
	else if (!allowed)
		say(r, RACF_REFUSED,
			"ICH408I USER(%s) %s CL(FACILITY): NO PROFILE GIVES ACCESS INTENT(%s)",
			known ? r->env->user : "UNDEFINED", resource, saf_level_text(level));
	r->env->refused = r->env->refused || !allowed;
	if (!allowed)
		say(r, RACF_REFUSED,
			"IRRD101I You are not authorized to issue the RACDCERT command");
	saf_close(saf);
	return allowed;
}

bool racdcert_is(const char *command)
{
	command += strspn(command, " \t");
	size_t n = strcspn(command, " \t\r\n(");
	return (n == 8 && strncasecmp(command, "RACDCERT", 8) == 0) ||
	       (n == 5 && strncasecmp(command, "RACDC", 5) == 0);
}

static const struct function *function_of(const struct arg *a)
{
	for (const struct function *f = functions; f->name && !a->quoted; f++)
		if (strcmp(a->text, f->name) == 0)
			return f;
	return NULL;
}

static bool is_one_of(const char *words, const char *word)
{
	size_t n = strlen(word);
	for (const char *p = words; (p = strstr(p, word)); p += n)
		if ((p == words || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
			return n > 0;
	return false;
}

/* Which function, and is everything else a keyword of it. */
static void check(struct racd *r)
{
	for (const struct arg *a = r->args; a; a = a->next) {
		const struct function *f = r->function ? NULL : function_of(a);
		if (!f)
			continue;
		r->function = f;
		r->operand = a->list;
	}
	if (!r->function) {
		say(r, RACF_SYNTAX,
			"IKJ56701I MISSING FUNCTION: ADDRING, DELRING, LISTRING, ADDCRL, ADD, "
			"GENCERT, GENREQ, LIST, ALTER, CONNECT, REMOVE, DELETE or "
			"EXPORT");
		return;
	}
	for (const struct arg *a = r->args; a; a = a->next)
		if (a->quoted ||
			!(is_one_of("ID CERTAUTH SITE", a->text) || function_of(a) == r->function ||
				is_one_of(r->function->keywords, a->text)))
			say(r, RACF_SYNTAX, "IKJ56712I INVALID KEYWORD, %.40s: %s",
				a->text[0] ? a->text : "(", r->function->usage);
}

static void audit(const struct racd *r)
{
	if (!r->env->audit || !r->function || (r->function->lists && r->rc <= RACF_WARNED))
		return;
	const struct arg *label = find(r->operand, "LABEL"), *with = find(r->args, "WITHLABEL");
	const struct arg *named = label && label->list ? label->list
				  : with && with->list ? with->list
						       : r->operand;
	struct json *j = audit_begin(r->env->audit, AUDIT_RACF, 66, r->rc > RACF_WARNED);
	json_kv_str(j, "user", r->env->user);
	json_kv_str(j, "command", "RACDCERT");
	json_kv_str(j, "function", r->function->name);
	json_kv_str(j, "object", r->owner.name);
	json_kv_str(j, "detail", named ? named->raw : "");
	json_kv_u64(j, "rc", (uint64_t)r->rc);
	(void)audit_commit(r->env->audit);
}

/* Private keys pass through this process. */
static void seal(void)
{
	struct rlimit none = {0, 0};
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

int racdcert_run(struct racdcert_env *env, const char *command, struct json *json, FILE *out)
{
	struct errbuf e;
	struct args *args = xnew(struct args);
	struct racd r = {.env = env, .out = out, .json = json};
	mode_t mask = umask(022); /* daemons read the certificates; keys have their own mode */
	seal();
	if (args_parse(command, args, &e)) {
		say(&r, RACF_SYNTAX, "%s", e.text);
	} else {
		r.args = args->first ? args->first->next : NULL;
		check(&r);
	}
	if (!failed(&r) && owner_of(&r, r.args, NULL, &r.owner))
		r.function->fn(&r);
	audit(&r);
	(void)umask(mask);
	secret_wipe(args, sizeof(*args)); /* passwords */
	free(args);
	return r.rc;
}
