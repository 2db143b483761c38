/* What all of ikeD shares, and its life: the signer's process before privileges go, engines, reload, end. */
#include "daemons/ikeD/iked.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <linux/capability.h>
#include <strings.h>
#include <time.h>

enum { ENGINE_MAX_MS = 200 }; /* a signer's answer may have moved a deadline without an entry of ours */
enum { QUIET_MS = 20, AHEAD_MS = 2, AHEAD_PAUSE_MS = 4, AHEAD_AGAIN_MS = 1000 };

static uint64_t clock_us(clockid_t id)
{
	struct timespec ts;
	(void)clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t iked_now_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

uint64_t iked_wall_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

uint64_t iked_wall_of(uint64_t mono_us)
{
	if (!mono_us || mono_us == UINT64_MAX)
		return 0;
	return iked_wall_us() + mono_us - iked_now_us();
}

struct iked_stack *iked_stack_find(struct iked *k, const char *name)
{
	for (unsigned i = 0; i < k->n_stacks; i++)
		if (!strcasecmp(k->stacks[i]->conf.name, name))
			return k->stacks[i];
	return NULL;
}

static void arm_quiet(struct iked *k, uint64_t after_ms)
{
	for (unsigned i = 0; i < k->n_stacks; i++)
		if (ike_unprepared(k->stacks[i]->engine)) {
			loop_timer_set(k->quiet_timer, after_ms);
			return;
		}
}

void iked_arm(struct iked *k)
{
	uint64_t now = iked_now_us(), next = now + ENGINE_MAX_MS * 1000u;
	for (unsigned i = 0; i < k->n_stacks; i++) {
		uint64_t d = ike_deadline(k->stacks[i]->engine);
		next = d < next ? d : next;
	}
	loop_timer_set(k->engine_timer, next > now ? (next - now + 999) / 1000 : 0);
	arm_quiet(k, QUIET_MS);
}

/* Nothing came in for a while: the engines work ahead, a little at a time, so that who comes now does not wait for it. */
static void quiet(void *arg)
{
	struct iked *k = arg;
	uint64_t until = iked_now_us() + AHEAD_MS * 1000u, made = k->counters.pairs_ahead;
	for (unsigned i = 0; i < k->n_stacks; i++)
		while (iked_now_us() < until && ike_prepare(k->stacks[i]->engine))
			k->counters.pairs_ahead++;
	arm_quiet(k, k->counters.pairs_ahead > made ? AHEAD_PAUSE_MS : AHEAD_AGAIN_MS); /* none: OpenSSL refuses the group */
}

static void engines_tick(void *arg)
{
	struct iked *k = arg;
	for (unsigned i = 0; i < k->n_stacks; i++)
		ike_tick(k->stacks[i]->engine, iked_now_us(), iked_wall_us());
	iked_arm(k);
}

static void after_requests(void *daemon)
{
	iked_arm(((struct daemon *)daemon)->state);
}

/* The signer reads its keys while we still may; a ring that iked.conf names must be there, the default one may be missing. */
static int iked_open(struct daemon *d, void *built, struct errbuf *e)
{
	struct iked *k = d->state;
	const struct iked_conf *c = built;
	struct signer_local_spec spec = {.ring = {.name = c->keyring, .user = "IKED", .uid = (uid_t)-1}};
	struct errbuf why = {""};
	k->daemon = d;
	int rc = signer_local_new(d->loop, &spec, &k->signer, &why);
	if (rc == -ENOENT && !c->keyring_given) {
		k->signer = NULL;
		log_notice("no key ring: negotiations with RSA signatures are refused", "ring", c->keyring);
		return 0;
	}
	if (rc)
		return err_set(e, -rc, "KeyRing %.80s: %.150s", c->keyring, why.text);
	k->narrow = narrow_new(k->signer, k);
	return 0;
}

/* @c keeps its names, the stack takes its policy. */
static int add_stack(struct iked *k, struct iked_stack_conf *c, struct errbuf *e)
{
	struct iked_stack *s;
	int rc = iked_stack_new(k, c, &s, e);
	if (rc)
		return rc;
	c->policy = NULL;
	k->stacks[k->n_stacks++] = s;
	return 0;
}

static int iked_start(struct daemon *d, void *built, struct errbuf *e)
{
	struct iked *k = d->state;
	k->daemon = d;
	k->conf = built;
	k->engine_timer = loop_timer_new(d->loop, engines_tick, k);
	k->tick = loop_timer_new(d->loop, iked_stacks_tick, k);
	k->quiet_timer = loop_timer_new(d->loop, quiet, k);
	for (unsigned i = 0; i < k->conf->n_stacks; i++) {
		int rc = add_stack(k, &k->conf->stacks[i], e);
		if (rc)
			return rc;
	}
	iked_stacks_tick(k);
	log_notice("EZD0967I IKE daemon initialized", "stacks", log_u64(k->n_stacks), "version", RAVELIN_VERSION);
	return 0;
}

static struct iked_stack *take(struct iked_stack **old, unsigned n, const char *name)
{
	for (unsigned i = 0; i < n; i++)
		if (old[i] && !strcmp(old[i]->conf.name, name)) {
			struct iked_stack *s = old[i];
			old[i] = NULL;
			return s;
		}
	return NULL;
}

/* In the order of the file, which decides what the default stack is. Negotiations of stacks that stay go on. */
static void new_stacks(struct iked *k)
{
	struct iked_stack *old[IKED_STACKS_MAX];
	unsigned n_old = k->n_stacks;
	memcpy(old, k->stacks, sizeof(old));
	k->n_stacks = 0;
	for (unsigned i = 0; i < k->conf->n_stacks; i++) {
		struct iked_stack_conf *c = &k->conf->stacks[i];
		struct iked_stack *s = take(old, n_old, c->name);
		struct errbuf why = {""};
		if (s) {
			k->stacks[k->n_stacks++] = s;
			iked_stack_policy(s, c);
			c->policy = NULL;
		} else if (add_stack(k, c, &why)) {
			log_error("stack cannot be added", "stack", c->name, "error", why.text);
		}
	}
	for (unsigned i = 0; i < n_old; i++)
		if (old[i])
			iked_stack_free(old[i]);
}

static int check_reload(const struct iked *k, const struct iked_conf *c, struct errbuf *e)
{
	if (strcasecmp(c->keyring, k->conf->keyring))
		return err_set(e, EINVAL, "KeyRing: found '%.72s', expected '%.72s': it cannot change while the daemon runs", c->keyring,
			k->conf->keyring);
	return k->signer ? signer_reload(k->signer, e) : 0;
}

/* MODIFY IKED,REFRESH: iked.conf, the policies and the key ring anew. Takes @built whatever it answers. */
static int iked_reload(struct daemon *d, void *built, struct errbuf *e)
{
	struct iked *k = d->state;
	int rc = check_reload(k, built, e);
	if (rc) {
		iked_conf_free(built);
		return rc;
	}
	struct iked_conf *old = k->conf;
	k->conf = built;
	new_stacks(k);
	iked_conf_free(old);
	iked_stacks_tick(k);
	log_notice("EZD1068I IKE configuration refreshed", "stacks", log_u64(k->n_stacks));
	return 0;
}

/* Tunnels stay in the stacks, protected and until they expire; the next ikeD resumes them. */
static void iked_stop(struct daemon *d)
{
	struct iked *k = d->state;
	methods_end(k, NULL);
	while (k->n_stacks)
		iked_stack_free(k->stacks[--k->n_stacks]);
	signer_free(k->narrow);
	signer_free(k->signer);
	k->signer = k->narrow = NULL;
	if (k->tick) {
		loop_timer_free(k->tick);
		loop_timer_free(k->engine_timer);
		loop_timer_free(k->quiet_timer);
	}
	iked_conf_free(k->conf);
	k->conf = NULL;
}

static void sum_stats(const struct iked *k, struct ike_stats *sum)
{
	memset(sum, 0, sizeof(*sum));
	for (unsigned i = 0; i < k->n_stacks; i++) {
		struct ike_stats s;
		ike_stats(k->stacks[i]->engine, &s);
		sum->malformed += s.malformed;
		sum->replayed += s.replayed;
		sum->retransmitted += s.retransmitted;
		sum->cookie_refused += s.cookie_refused;
		sum->half_open_refused += s.half_open_refused;
		sum->auth_failed += s.auth_failed;
		sum->no_proposal += s.no_proposal;
		sum->p1_up += s.p1_up;
		sum->p2_up += s.p2_up;
		sum->dpd_sent += s.dpd_sent;
		sum->decrypt_failed += s.decrypt_failed;
		sum->half_open += s.half_open;
		sum->p1 += s.p1;
		sum->children += s.children;
	}
}

static void engine_stats(const struct iked *k, daemon_stat_fn fn, void *arg)
{
	struct ike_stats s;
	sum_stats(k, &s);
	fn(arg, "ike_tunnels", "phase 1 security associations", s.p1);
	fn(arg, "ike_dynamic_tunnels", "phase 2 security association pairs", s.children);
	fn(arg, "ike_half_open", "negotiations whose peer has not proved its address", s.half_open);
	fn(arg, "ike_tunnels_up_total", "phase 1 negotiations completed", s.p1_up);
	fn(arg, "ike_dynamic_tunnels_up_total", "phase 2 negotiations completed", s.p2_up);
	fn(arg, "ike_malformed_total", "messages that are no ISAKMP or not of their exchange", s.malformed);
	fn(arg, "ike_replayed_total", "messages seen before", s.replayed);
	fn(arg, "ike_retransmitted_total", "messages sent again", s.retransmitted);
	fn(arg, "ike_cookie_refused_total", "messages with cookies of no negotiation", s.cookie_refused);
	fn(arg, "ike_half_open_refused_total", "first messages refused by HalfOpenLimit", s.half_open_refused);
	fn(arg, "ike_auth_failed_total", "peers that did not prove who they are", s.auth_failed);
	fn(arg, "ike_no_proposal_total", "proposals without anything that the policy allows", s.no_proposal);
	fn(arg, "ike_decrypt_failed_total", "messages that could not be deciphered", s.decrypt_failed);
	fn(arg, "ike_dpd_sent_total", "signs of life asked for", s.dpd_sent);
}

static void iked_stats(struct daemon *d, daemon_stat_fn fn, void *arg)
{
	const struct iked *k = d->state;
	const struct iked_counters *c = &k->counters;
	uint64_t ready = 0;
	for (unsigned i = 0; i < k->n_stacks; i++)
		ready += k->stacks[i]->ready;
	fn(arg, "ike_stacks", "stacks configured", k->n_stacks);
	fn(arg, "ike_stacks_ready", "stacks that run and whose tunnels are known", ready);
	engine_stats(k, fn, arg);
	fn(arg, "ike_datagrams_received_total", "datagrams received", c->received);
	fn(arg, "ike_datagrams_sent_total", "datagrams sent", c->sent);
	fn(arg, "ike_send_failures_total", "datagrams that could not be sent", c->send_failed);
	fn(arg, "ike_not_ike_total", "datagrams on port 4500 without the non-ESP marker", c->not_ike);
	fn(arg, "ike_nat_keepalives_total", "NAT keepalives sent", c->keepalives);
	fn(arg, "ike_installs_total", "tunnels given to a stack", c->installs);
	fn(arg, "ike_install_failures_total", "tunnels that a stack refused", c->install_failures);
	fn(arg, "ike_acquires_total", "packets that asked for a tunnel", c->acquires);
	fn(arg, "ike_acquires_refused_total", "of these, not allowed or not possible", c->acquires_refused);
	fn(arg, "ike_auto_activations_total", "activations by AutoActivate", c->autos);
	fn(arg, "ike_resumed_total", "tunnels taken over from a stack after a start", c->resumed);
	fn(arg, "ike_renegotiated_total", "tunnels negotiated anew as their stack had lost them", c->renegotiated);
	fn(arg, "ike_stacks_lost_total", "times a stack went away", c->stack_lost);
	fn(arg, "ike_audit_records_total", "SMF 119 records written", c->audit_records);
	fn(arg, "ike_key_pairs_ahead_total", "Diffie-Hellman key pairs made in quiet moments", c->pairs_ahead);
	fn(arg, "ike_signatures_total", "signatures asked of the signer", k->signer ? k->signer->n_signs : 0);
	fn(arg, "ike_signer_restarts_total", "times the signer's process had to be started again", k->signer ? k->signer->n_restarts : 0);
}

static const int caps[] = {CAP_NET_BIND_SERVICE, -1};

const struct daemon_spec iked_spec = {
	.name = "ikeD",
	.package = "ike",
	.summary = "Internet Key Exchange for all stacks of this host",
	.conf = &iked_conf_spec,
	.conf_path = "iked.conf",
	.conf_env = "IKED_FILE",
	.service = &ike__ike__descriptor,
	.methods = iked_methods,
	.events = iked_events,
	.caps = caps,
	.size = sizeof(struct iked),
	.build = iked_conf_build,
	.built_free = iked_conf_free,
	.open = iked_open,
	.start = iked_start,
	.reload = iked_reload,
	.stop = iked_stop,
	.flush = after_requests,
	.stats = iked_stats,
};
