/* signer_local: the signer of the local key ring.
 *
 * Certificates are read here, private keys only in the child process "ravelin-signer", which is
 * started over a SEQPACKET socketpair, loads the keys of one ring, gives up every privilege and, by
 * a seccomp filter, everything but reading and answering requests: it cannot open a file or a
 * socket any more. It dumps no core, locks its memory and dies with its parent. A reload starts a
 * second child and drops the first when its requests are answered. A child that dies is started
 * again (at once, then after 100 ms doubling to 5 s); what was sent to it fails with -ECONNRESET,
 * what comes meanwhile waits.
 *
 * The parent never opens a key file. What that is worth against a parent that was taken over
 * depends on the uid: see ravelin-signer(8). */
#pragma once
#include "lib/keyring/signer.h"

struct loop;

struct signer_local_spec {
	struct keyring_spec ring;
	/* NULL: RAVELIN_SIGNER, else ravelin-signer beside the running program or in the libexec
	 * directory */
	const char *program;
	unsigned threads;    /* 0: one a CPU, at most 8 */
	unsigned timeout_ms; /* of one request; 0: 10,000 */
};

/* Each restart and reload reads the keys with the uid that the daemon has then: they must belong to
 * the one that it keeps. Waits (at most 10 s) until the child has loaded the keys, so that a bad
 * ring stops the daemon at start with the reason. */
/* Errors of keyring_open, -ENOENT only for a ring that is not there; -ENOEXEC: no program;
 * -ETIMEDOUT. */
int signer_local_new(struct loop *l, const struct signer_local_spec *spec, struct signer **ret,
	struct errbuf *e);
/* The ring in use: for keyring_trust and reports. Borrowed until the next reload; keyring_ref to
 * keep. */
struct keyring *signer_local_ring(struct signer *s);
pid_t signer_local_pid(const struct signer *s); /* of the child; 0 while there is none */
