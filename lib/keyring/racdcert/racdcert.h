/* racdcert: RACF's RACDCERT command over the key ring directory (lib/keyring/keyring.h).
 *
 *   RACDCERT [ID(user)|CERTAUTH|SITE] FUNCTION operands
 *
 * Certificates belong to a user, to CERTAUTH or to SITE, and are kept in OWNER/.certs/LABEL;
 * CONNECT copies one into a ring, with its key only where the ring's owner may have it. Keys in
 * .certs belong to root; those in rings to the user's uid, 0600. Every change is written beside the
 * old state, fsynced and renamed; one safctl runs at a time (the registry's lock).
 *
 * Authority: root and SPECIAL may all; others need IRR.DIGTCERT.function in class FACILITY: READ
 * for what is their own, UPDATE for another user's, CONTROL for CERTAUTH and SITE; no profile means
 * refused. Files are read and written with the caller's own uid. */
#pragma once
#include "lib/saf/registry/registry.h"

struct racdcert_env {
	/* everything committed: authority is asked of the published snapshot */
	struct registry *registry;
	const char *user;    /* SAF user who asks, "" none */
	bool may_administer; /* root or SPECIAL: registry_may_administer */
	struct audit *audit; /* NULL: none */
	const char *dir;     /* NULL: the standard key ring directory */
	bool refused;	     /* set when SAF did not allow a command */
};

bool racdcert_is(const char *command); /* is the first word RACDCERT (or its short form RACDC) */
/* Runs one command; messages and lists to @out, or with @json one JSON value to it. Returns a RACF
 * return code. The process dumps no core from then on: private keys pass through it. */
int racdcert_run(struct racdcert_env *env, const char *command, struct json *json, FILE *out);
void racdcert_help(FILE *out);
