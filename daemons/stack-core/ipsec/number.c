/* number: sequence numbers of what comes in: the replay window as several workers share it, and how a receiver finds the
 * half of an extended number again that is not sent. */
#include "daemons/stack-core/ipsec/worker.h"
#include <sched.h>
#include <string.h>

enum { RESYNC_AFTER = 64 /* failures */, RESYNC_AHEAD = 4 /* subspaces of 2^32 */ };

/* Packets of one SA mostly come to one worker (fanout by outer addresses), but need not: the window
 * has a lock of one flag. It is held for a few nanoseconds and practically never contended. */
static void window_lock(struct sa *sa)
{
	for (unsigned spins = 1;
		atomic_flag_test_and_set_explicit(&sa->replay_lock, memory_order_acquire);
		spins++) {
		if (spins % 1024 == 0)
			(void)sched_yield(); /* its holder was descheduled */
	}
}

static void window_unlock(struct sa *sa)
{
	atomic_flag_clear_explicit(&sa->replay_lock, memory_order_release);
}

static bool needs_window(const struct sa *sa)
{
	return sa->replay.size || sa->esn;
}

int check_number(struct ipsec_worker *w, struct work *k, uint32_t low)
{
	const struct sa *sa = k->sa;

	k->seq = low;
	if (!needs_window(sa))
		return 0;
	k->seq = replay_infer(&sa->replay, low);
	int verdict = replay_check(&sa->replay, k->seq);
	if (verdict == REPLAY_OK)
		return 0;
	count(&sa->counters[w->index].replayed, 1);
	return verdict == REPLAY_OLD ? DROP_ESP_REPLAY_OLD : DROP_ESP_REPLAY;
}

/* The window moves for all packets of a run under one lock. */
void accept_run(struct ipsec_worker *w, struct sa *sa, unsigned at, unsigned end)
{
	unsigned replayed = 0;

	if (!needs_window(sa))
		return;
	window_lock(sa);
	for (unsigned i = at; i < end; i++) {
		struct work *k = &w->work[i];
		if (k->drop)
			continue;
		int verdict = replay_update(&sa->replay, k->seq);
		k->newest = replay_last(&sa->replay) == k->seq;
		if (verdict != REPLAY_OK) {
			k->drop = verdict == REPLAY_OLD ? DROP_ESP_REPLAY_OLD : DROP_ESP_REPLAY;
			replayed++;
		}
	}
	window_unlock(sa);
	if (replayed)
		count(&sa->counters[w->index].replayed, replayed);
}

void accept_flat(struct ipsec_worker *w, struct sa *sa, unsigned first)
{
	unsigned replayed = 0;

	if (!needs_window(sa))
		return;
	window_lock(sa);
	for (unsigned i = first; i != UINT16_MAX; i = w->flat[i].next) {
		struct flat *f = &w->flat[i];
		if (f->drop || replay_next(&sa->replay, f->seq))
			continue;
		int verdict = replay_update(&sa->replay, f->seq);
		if (verdict != REPLAY_OK) {
			f->drop = verdict == REPLAY_OLD ? DROP_ESP_REPLAY_OLD : DROP_ESP_REPLAY;
			replayed++;
		}
	}
	window_unlock(sa);
	if (replayed)
		count(&sa->counters[w->index].replayed, replayed);
}

/* The half of an extended number that is not sent, where prepare put it. */
static void set_number(struct work *k, struct crypto_job *job)
{
	if (k->sa->aead)
		put64(k->extra + 4, k->seq);
	else
		put32(job->base + job->hash_len - 4, (uint32_t)(k->seq >> 32));
}

/* RFC 4303 appendix A3: when so many packets were lost that the inferred half is wrong, none can be opened any more. After a
 * run of failures one packet is tried with the following halves; the one that opens it moves the window. */
void resync(struct ipsec_worker *w, struct work *k, struct crypto_job *job)
{
	struct sa *sa = k->sa;
	uint64_t inferred = k->seq;
	uint8_t *data = job->base + job->cipher_off;

	if (atomic_load_explicit(&sa->unopened, memory_order_relaxed) < RESYNC_AFTER)
		return;
	atomic_store_explicit(&sa->unopened, 0, memory_order_relaxed);
	memcpy(w->scratch, data, job->cipher_len);
	for (uint32_t ahead = 0; ahead <= RESYNC_AHEAD; ahead++) {
		struct crypto_job attempt = *job;
		k->seq = replay_ahead(&sa->replay, (uint32_t)inferred, ahead);
		if (!k->seq)
			break;
		set_number(k, &attempt);
		unsigned wrong = crypto_run(w->crypto, &attempt, 1);
		memcpy(data, w->scratch, job->cipher_len);
		if (!wrong)
			return;
	}
	k->seq = inferred;
	set_number(k, job);
}
