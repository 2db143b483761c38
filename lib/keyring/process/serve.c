/* Threads that sign. All of them receive from the same SEQPACKET socket: the kernel gives each
 * message to exactly one, so there is no queue and no lock of ours. Keys are parsed once; every
 * thread keeps its own initialised context for each key and mechanism. */
#include "lib/keyring/process/serve.h"
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include "lib/keyring/mech.h"
#include "lib/keyring/wire.h"
#include <openssl/err.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

EVP_PKEY_CTX **serve_ctxs_new(const struct key_set *keys)
{
	return xcalloc((keys->n ? keys->n : 1) * SIGN_MECH_MAX, sizeof(EVP_PKEY_CTX *));
}

void serve_ctxs_free(const struct key_set *keys, EVP_PKEY_CTX **ctxs)
{
	for (size_t i = 0; i < keys->n * SIGN_MECH_MAX; i++)
		EVP_PKEY_CTX_free(ctxs[i]);
	free(ctxs);
}

static EVP_PKEY_CTX *context(EVP_PKEY_CTX **slot, EVP_PKEY *key, const struct mech *m)
{
	if (*slot)
		return *slot;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	if (ctx && EVP_PKEY_sign_init(ctx) > 0 && mech_apply(m, ctx) == 0) {
		*slot = ctx;
		return ctx;
	}
	EVP_PKEY_CTX_free(ctx);
	return NULL;
}

static int refuse(struct wire_msg *out, int err, const char *why)
{
	out->status = (uint32_t)err;
	wire_set_text(out, why);
	return -err;
}

static int sign(const struct key_set *keys, EVP_PKEY_CTX **ctxs, const struct wire_msg *in,
	struct wire_msg *out)
{
	size_t i = 0, len = sizeof(out->data);
	const struct mech *m = mech_find(in->mech);
	while (i < keys->n && memcmp(keys->keys[i].id, in->key, KEYRING_KEY_ID) != 0)
		i++;
	if (i == keys->n)
		return refuse(out, ENOENT, "the signer has no such key");
	if (!m || !mech_fits(m, keys->keys[i].key, in->len))
		return refuse(out, EINVAL, "mechanism or hash length does not fit the key");
	EVP_PKEY_CTX *ctx = context(&ctxs[i * SIGN_MECH_MAX + in->mech], keys->keys[i].key, m);
	if (!ctx || (size_t)EVP_PKEY_get_size(keys->keys[i].key) > len ||
		EVP_PKEY_sign(ctx, out->data, &len, in->data, in->len) <= 0) {
		ERR_clear_error();
		return refuse(out, EIO, "the signature cannot be made");
	}
	out->len = (uint16_t)len;
	return 0;
}

size_t serve_request(const struct key_set *keys, EVP_PKEY_CTX **ctxs, const uint8_t *in, size_t len,
	uint8_t *out)
{
	struct wire_msg request, answer = {.op = WIRE_SIGNED};
	if (wire_decode(in, len, &request) || request.op != WIRE_SIGN)
		return 0;
	answer.id = request.id;
	(void)sign(keys, ctxs, &request, &answer);
	return wire_encode(&answer, out);
}

static const struct key_set *served;
static int served_fd = -1;
static pthread_barrier_t gate;
static pthread_t threads[SERVE_THREADS_MAX];
static int (*confine_thread)(struct errbuf *e);
static struct errbuf refused[SERVE_THREADS_MAX];
static int refused_rc[SERVE_THREADS_MAX];

static void *work(void *arg)
{
	uint8_t in[WIRE_MAX + 1], out[WIRE_MAX];
	EVP_PKEY_CTX **ctxs = serve_ctxs_new(served);
	size_t me = (size_t)((int *)arg - refused_rc);
	refused_rc[me] = confine_thread(&refused[me]);
	(void)pthread_barrier_wait(&gate); /* confined */
	(void)pthread_barrier_wait(&gate); /* serve_go */
	for (;;) {
		ssize_t n = recv(served_fd, in, sizeof(in), 0);
		if (n < 0 && errno == EINTR)
			continue;
		size_t len = n > 0 ? serve_request(served, ctxs, in, (size_t)n, out) : 0;
		if (!len || send(served_fd, out, len, MSG_NOSIGNAL) != (ssize_t)len)
			_exit(n == 0 ? 0 : 1); /* the daemon is gone, or it is no longer itself */
	}
	return NULL;
}

int serve_start(const struct key_set *keys, int fd, unsigned n, int (*confine)(struct errbuf *e),
	struct errbuf *e)
{
	pthread_attr_t attr;
	served = keys;
	served_fd = fd;
	confine_thread = confine;
	n = n > SERVE_THREADS_MAX ? SERVE_THREADS_MAX : n ? n : 1;
	int rc = pthread_barrier_init(&gate, NULL, n + 1);
	rc = rc ? rc : pthread_attr_init(&attr);
	rc = rc ? rc : pthread_attr_setstacksize(&attr, 512 * 1024);
	for (unsigned i = 0; !rc && i < n; i++)
		rc = pthread_create(&threads[i], &attr, work, &refused_rc[i]);
	if (rc)
		return err_set(e, rc, "threads: %s", strerror(rc));
	(void)pthread_barrier_wait(&gate);
	for (unsigned i = 0; i < n; i++)
		if (refused_rc[i])
			return err_set(e, -refused_rc[i], "%s", refused[i].text);
	return 0;
}

void serve_go(void)
{
	(void)pthread_barrier_wait(&gate);
}

void serve_wait(void)
{
	(void)pthread_join(threads[0], NULL);
	_exit(1);
}
