/* ravelin-signer: the process that has the private keys. It is started by a daemon
 * (lib/keyring/signer_local.h), never by hand: file descriptor 3 is its socket. Order: seal, load
 * the keys of one ring, give everything up, filter system calls, READY, answer. */
#include "lib/keyring/process/confine.h"
#include "lib/keyring/process/serve.h"
#include "lib/keyring/wire.h"
#include <getopt.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SECURE_HEAP = 4 * 1024 * 1024 };

static void tell(struct wire_msg *m)
{
	uint8_t out[WIRE_MAX];
	size_t len = wire_encode(m, out);
	if (!len || send(WIRE_FD, out, len, MSG_NOSIGNAL) != (ssize_t)len)
		_exit(1);
}

static int fail(int rc, const char *why)
{
	struct wire_msg m = {.op = WIRE_FAILED, .status = (uint32_t)-rc};
	wire_set_text(&m, why);
	tell(&m);
	return 1;
}

static int usage(void)
{
	(void)fprintf(stderr,
		"usage: ravelin-signer [--dir DIR] [--user USER] [--uid N] [--threads N] RING\n"
		"Started by daemons that sign with a key ring; file descriptor 3 is a SEQPACKET "
		"socket. See ravelin-signer(8).\n");
	return 64;
}

static int serve(const struct keyring_spec *spec, unsigned threads)
{
	static struct key_set keys;
	struct errbuf e = {""};
	int rc = key_set_load(spec, &keys, &e);
	rc = rc ? rc : confine_drop(&e);
	rc = rc ? rc : serve_start(&keys, WIRE_FD, threads, confine_filter, &e);
	rc = rc ? rc : confine_filter(&e);
	if (rc)
		return fail(rc, e.text);
	tell(&(struct wire_msg){.op = WIRE_READY, .keys = (uint16_t)keys.n});
	serve_go();
	serve_wait();
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"dir", required_argument, NULL, 'd'},
		{"user", required_argument, NULL, 'u'}, {"uid", required_argument, NULL, 'i'},
		{"threads", required_argument, NULL, 't'}, {"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	struct keyring_spec spec = {.uid = (uid_t)-1};
	unsigned threads = 1;
	int type = 0;
	socklen_t len = sizeof(type);
	confine_start();
	for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		if (o == 'v')
			return printf("ravelin-signer %s\n", RAVELIN_VERSION) < 0;
		if (o == 'd')
			spec.dir = optarg;
		else if (o == 'u')
			spec.user = optarg;
		else if (o == 'i')
			spec.uid = (uid_t)strtoul(optarg, NULL, 10);
		else if (o == 't')
			threads = (unsigned)strtoul(optarg, NULL, 10);
		else
			return usage();
	}
	spec.name = argv[optind];
	if (!spec.name || getsockopt(WIRE_FD, SOL_SOCKET, SO_TYPE, &type, &len) ||
		type != SOCK_SEQPACKET)
		return usage();
	(void)CRYPTO_secure_malloc_init(SECURE_HEAP,
		64); /* private numbers in locked, undumped memory, as far as the limit goes */
	return serve(&spec, threads);
}
