/* What liburcu promises, said to ThreadSanitizer, which does not see into the library: it knows neither that a grace period orders a reader's
 * last look before the free that follows, nor that rcu_assign_pointer orders what was written before it. Without this it must be told to look
 * away from every callback of ours; with it a free too early, a look past a quiescent state and a plain store in place of
 * rcu_assign_pointer are races that it reports. The preset tsan has this file included ahead of every source; nothing else does.
 *
 * Two promises are told: whatever a reader did before it said that it is quiescent comes before the end of a grace period that began earlier
 * (urcu_tsan_gp), and whatever callbacks did comes before the end of a barrier that began later (urcu_tsan_done). */
#pragma once
#define URCU_INLINE_SMALL_FUNCTIONS /* rcu_dereference: a load that ThreadSanitizer sees */
#include <sanitizer/tsan_interface.h>
#include <stdlib.h>
#include <urcu-qsbr.h>

/* The same in every object of a program, therefore weak. */
__attribute__((weak)) char urcu_tsan_gp, urcu_tsan_done;

struct urcu_tsan_call {
	struct rcu_head head, *theirs;
	void (*func)(struct rcu_head *head);
};

static inline void urcu_tsan_quiescent_state(void)
{
	__tsan_release(&urcu_tsan_gp);
	urcu_qsbr_quiescent_state();
}

static inline void urcu_tsan_thread_offline(void)
{
	__tsan_release(&urcu_tsan_gp);
	urcu_qsbr_thread_offline();
}

static inline void urcu_tsan_unregister_thread(void)
{
	__tsan_release(&urcu_tsan_gp);
	urcu_qsbr_unregister_thread();
}

static inline void urcu_tsan_synchronize_rcu(void)
{
	__tsan_release(&urcu_tsan_gp); /* a reader that waits is quiescent */
	urcu_qsbr_synchronize_rcu();
	__tsan_acquire(&urcu_tsan_gp);
}

static inline void urcu_tsan_barrier(void)
{
	__tsan_release(&urcu_tsan_gp);
	urcu_qsbr_barrier();
	__tsan_acquire(&urcu_tsan_done);
}

static inline void urcu_tsan_called(struct rcu_head *head)
{
	struct urcu_tsan_call *c = caa_container_of(head, struct urcu_tsan_call, head);

	__tsan_acquire(&urcu_tsan_gp);
	c->func(c->theirs);
	free(c);
	__tsan_release(&urcu_tsan_done);
}

static inline void urcu_tsan_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	struct urcu_tsan_call *c = malloc(sizeof(*c));

	if (!c)
		abort();
	c->theirs = head;
	c->func = func;
	__tsan_release(&urcu_tsan_gp); /* the callback comes behind its call */
	urcu_qsbr_call_rcu(&c->head, urcu_tsan_called);
}

#undef rcu_set_pointer
#define rcu_set_pointer(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define urcu_qsbr_quiescent_state urcu_tsan_quiescent_state
#define urcu_qsbr_thread_offline urcu_tsan_thread_offline
#define urcu_qsbr_unregister_thread urcu_tsan_unregister_thread
#define urcu_qsbr_synchronize_rcu urcu_tsan_synchronize_rcu
#define urcu_qsbr_barrier urcu_tsan_barrier
#define urcu_qsbr_call_rcu urcu_tsan_call_rcu
