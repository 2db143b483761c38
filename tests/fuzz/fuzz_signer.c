/* The signer's socket, both ends: what a daemon that was taken over may send to the process with
 * the keys, and what that process, taken over, may send back. Keys have the ids 1 1 1... (RSA) and
 * 2 2 2... (EC). */
#include "lib/keyring/process/serve.h"
#include "lib/keyring/wire.h"
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct key both[2];
static struct key_set keys = {both, 2};
static EVP_PKEY_CTX **ctxs;

static void make_keys(void)
{
	memset(both[0].id, 1, sizeof(both[0].id));
	memset(both[1].id, 2, sizeof(both[1].id));
	both[0].key = EVP_RSA_gen(1024);
	both[1].key = EVP_EC_gen("P-256");
	ctxs = serve_ctxs_new(&keys);
	if (!both[0].key || !both[1].key)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t out[WIRE_MAX], again[WIRE_MAX];
	struct wire_msg m, answer;
	if (!ctxs)
		make_keys();
	bool good = wire_decode(data, len, &m) == 0;
	if (good && (wire_encode(&m, again) != len || memcmp(again, data, len) != 0))
		abort(); /* one form only */
	size_t n = serve_request(&keys, ctxs, data, len, out);
	if (!n) {
		if (good && m.op == WIRE_SIGN)
			abort(); /* every request has an answer */
		return 0;
	}
	if (!good || m.op != WIRE_SIGN || wire_decode(out, n, &answer) ||
		answer.op != WIRE_SIGNED || answer.id != m.id)
		abort();
	bool known = memcmp(m.key, both[0].id, sizeof(m.key)) == 0 ||
		     memcmp(m.key, both[1].id, sizeof(m.key)) == 0;
	if (!answer.status && !known)
		abort(); /* signed with what */
	return 0;
}
