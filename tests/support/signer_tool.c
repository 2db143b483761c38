/* signer_tool USER/RING: a daemon's side of a key ring, for tests. Commands on standard input, one
 * answer line each:
 *
 *   pid                         of the signer process
 *   sign LABEL HEX              IKEv1 signature of the hash, as hex; LABEL with _ for blanks
 *   find KEYWORD VALUE          label of the certificate to show as that identity
 *   verify FILE KEYWORD VALUE   the PEM certificates of a peer: "ok subject", or the outcome and
 * the reason reload
 */
#include "lib/keyring/ring.h"
#include "lib/keyring/signer_local.h"
#include "lib/loop/loop.h"
#include <string.h>
#include <time.h>

static struct loop *loop;
static struct signer *sig;
static bool answered;

static void on_sign(void *arg, int rc, const uint8_t *s, size_t len, const char *why)
{
	(void)arg;
	answered = true;
	if (rc)
		(void)printf("failed %d %s", rc, why);
	for (size_t i = 0; i < len; i++)
		(void)printf("%02x", s[i]);
	(void)printf("\n");
}

static void on_cert(void *arg, int rc, const struct signer_cert *c, const char *why)
{
	(void)arg;
	answered = true;
	(void)printf("%s\n", rc ? why : c->label);
}

static void wait_answer(const struct signer_call *c)
{
	answered = !c;
	if (!c)
		(void)printf("failed\n");
	while (!answered)
		(void)loop_run_once(loop, 1000);
}

static void do_sign(char *label, const char *hex)
{
	uint8_t hash[SIGN_HASH_MAX];
	size_t n = 0;
	for (char *p = label; *p; p++)
		*p = *p == '_' ? ' ' : *p;
	for (unsigned byte; n < sizeof(hash) && sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
		hash[n] = (uint8_t)byte;
	const struct keyring_cert *c = keyring_find(signer_local_ring(sig), label);
	wait_answer(c ? signer_sign(sig, c->id, SIGN_RSA_PKCS1_RAW, hash, n, on_sign, NULL) : NULL);
}

static void do_find(const char *keyword, const char *text)
{
	struct ident id;
	struct errbuf e;
	if (ident_from_text(keyword, text, &id, &e)) {
		(void)printf("%s\n", e.text);
		return;
	}
	const struct signer_want w = {.id = &id, .now = (int64_t)time(NULL)};
	wait_answer(signer_find(sig, &w, on_cert, NULL));
}

static size_t read_certs(const char *path, X509 *certs[KEYRING_CHAIN_MAX])
{
	static uint8_t text[KEYRING_FILE_MAX];
	struct errbuf e;
	size_t n = 0;
	FILE *f = fopen(path, "re");
	size_t len = f ? fread(text, 1, sizeof(text), f) : 0;
	if (f)
		(void)fclose(f);
	return ring_parse_certs(text, len, certs, &n, &e) ? 0 : n;
}

static void do_verify(const char *path, const char *keyword, const char *text)
{
	struct verify_trust *t = NULL;
	struct peer_key *k = NULL;
	struct ident id;
	struct errbuf e = {""};
	X509 *certs[KEYRING_CHAIN_MAX] = {NULL};
	struct verify_peer p = {
		.id = &id, .now = (int64_t)time(NULL), .n_certs = read_certs(path, certs)};
	for (size_t i = 0; i < p.n_certs; i++) {
		uint8_t *der = NULL;
		int len = i2d_X509(certs[i], &der);
		p.certs[i] = (struct verify_blob){der, len > 0 ? (size_t)len : 0};
		X509_free(certs[i]);
	}
	int rc = ident_from_text(keyword, text, &id, &e);
	rc = rc ? rc : keyring_trust(signer_local_ring(sig), NULL, 0, &t, &e);
	enum verify_outcome o = rc ? VERIFY_MALFORMED : verify_peer(t, &p, &k, &e);
	(void)printf("%s %s\n", verify_outcome_text(o), o ? e.text : peer_key_subject(k));
	for (size_t i = 0; i < p.n_certs; i++)
		OPENSSL_free((void *)(uintptr_t)p.certs[i].data);
	peer_key_free(k);
	verify_trust_free(t);
}

int main(int argc, char **argv)
{
	struct errbuf e;
	char line[2048], *word[4];
	struct signer_local_spec spec = {
		.ring = {.name = argc == 2 ? argv[1] : "", .uid = (uid_t)-1}};
	loop = loop_new();
	if (signer_local_new(loop, &spec, &sig, &e)) {
		(void)fprintf(stderr, "signer_tool: %s\n", e.text);
		return 1;
	}
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		char *save = NULL;
		for (int i = 0; i < 4; i++)
			if (!(word[i] = strtok_r(i ? NULL : line, " \n", &save)))
				word[i] = "";
		if (strcmp(word[0], "pid") == 0)
			(void)printf("%d\n", signer_local_pid(sig));
		else if (strcmp(word[0], "sign") == 0)
			do_sign(word[1], word[2]);
		else if (strcmp(word[0], "find") == 0)
			do_find(word[1], word[2]);
		else if (strcmp(word[0], "verify") == 0)
			do_verify(word[1], word[2], word[3]);
		else if (strcmp(word[0], "reload") == 0)
			(void)printf("%s\n", signer_reload(sig, &e) ? e.text : "ok");
	}
	signer_free(sig);
	loop_free(loop);
	return 0;
}
