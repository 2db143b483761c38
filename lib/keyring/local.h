/* local: the inside of the local signer, for its files: calls.c the table, answers.c what the ring in
 * memory answers, requests.c what goes through the signer process, signer_local.c the interface. */
#pragma once
#include "lib/keyring/child.h"
#include "lib/keyring/signer_local.h"
#include <sys/queue.h>

struct loop_timer;

enum {
	READY_MS = 10000,
	TIMEOUT_MS = 10000,
	BACKOFF_MIN_MS = 100,
	BACKOFF_MAX_MS = 5000,
	CAS_MAX = 64,
	DRAINING_MAX = 8
};
enum kind { CALL_FREE, CALL_CAS, CALL_FIND, CALL_SIGN };

struct want {
	struct ident id;
	bool has_id, has_label;
	char label[SIGNER_LABEL_MAX];
	struct verify_blob cas[CAS_MAX];
	size_t n_cas;
	int64_t now;
};

struct signer_call {
	enum kind kind;
	int refused; /* answered like CAS and FIND, with this error; in no slot */
	uint32_t slot, generation;
	void *arg;
	union {
		signer_cas_fn cas;
		signer_cert_fn cert;
		signer_sign_fn sign;
	} fn;
	struct want *want;    /* FIND */
	struct wire_msg *msg; /* SIGN, until sent */
	struct child *child;  /* SIGN, since sent */
	uint64_t deadline_ms;
	TAILQ_ENTRY(signer_call) by_time; /* SIGN: all of them, oldest first */
	TAILQ_ENTRY(signer_call) waiting; /* SIGN: not sent; CAS, FIND: not answered */
};
TAILQ_HEAD(calls, signer_call);

struct local {
	struct signer base; /* first */
	struct loop *loop;
	struct signer_local_spec spec;
	char *name, *user, *dir, *program;
	struct keyring *ring;
	struct child *child;
	struct child *draining[DRAINING_MAX]; /* before a reload, with calls under way */
	struct loop_timer *soon, *restart, *expiry;
	uint64_t backoff_ms;
	struct calls by_time, outbox, answers;
	struct signer_call *slots[SIGNER_OUTSTANDING_MAX];
	uint32_t free_slots[SIGNER_OUTSTANDING_MAX], n_free;
	uint32_t generation;
	char why[256]; /* there is no signer process now */
};

static inline struct local *local_of(struct signer *s)
{
	return (struct local *)(void *)s;
}

/* calls.c. Out of every list; the caller then runs its function. */
void call_forget(struct local *l, struct signer_call *c);
void call_free(struct signer_call *c);
/* Answered by the next turn of the loop, with the error @refused. */
struct signer_call *call_refused(struct local *l, enum kind kind, int refused, void *arg);
/* The caller fills .fn in, and queues it unless it is .refused: the table is full. */
struct signer_call *call_new(struct local *l, enum kind kind, void *arg);

/* answers.c */
void answers_run(void *local);
struct signer_call *local_cas(struct signer *s, signer_cas_fn fn, void *arg);
struct signer_call *local_find(
	struct signer *s, const struct signer_want *want, signer_cert_fn fn, void *arg);

/* requests.c. Opens the ring and starts a process that is ready with its keys. */
int process_start(
	struct local *l, struct keyring **ret_ring, struct child **ret, struct errbuf *e);
void process_restart(void *local);
void process_expire(void *local);
void process_flush(struct local *l);
/* The process before a reload goes on until its calls are answered. */
void process_retire(struct local *l, struct child *child);
void process_drained(struct local *l, struct child *child);
struct signer_call *local_sign(struct signer *s, const uint8_t key[KEYRING_KEY_ID],
	enum sign_mech mech, const void *hash, size_t len, signer_sign_fn fn, void *arg);
