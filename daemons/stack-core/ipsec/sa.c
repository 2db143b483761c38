/* sa: making an SA of its parameters.
 *
 * AEAD IVs. RFC 4106 asks that no IV is ever used twice with a key. Within the life of an SA the
 * sequence number, which workers take from one atomic counter, cannot repeat, so IV = iv_base +
 * sequence number cannot either. Manual keys live longer than an SA, though: after a restart
 * numbers begin at 1 again under the same key. So iv_base is the wall clock in ns at the moment the
 * SA is made: an earlier life that sent less than one packet a nanosecond stayed below it. This
 * holds as long as the clock is not set back across a restart; who cannot promise that uses CBC
 * with HMAC for manual tunnels, or IKE. */
#include "daemons/stack-core/ipsec/sa.h"
#include "daemons/stack-core/ipsec/outer.h"
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include <time.h>

static uint64_t wall_clock_ns(void)
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

static int check_addresses(const struct sa_params *p, struct errbuf *err)
{
	if (p->src.family && p->dst.family && p->src.family != p->dst.family)
		return err_set(
			err, EINVAL, "the security endpoints are of different address families");
	if (p->mode == SA_TUNNEL && (!p->src.family || !p->dst.family))
		return err_set(err, EINVAL, "tunnel mode needs both security endpoint addresses");
	return 0;
}

static int check(const struct sa_params *p, struct errbuf *err)
{
	if (p->proto != SA_ESP && p->proto != SA_AH)
		return err_set(err, EINVAL, "protocol is neither ESP nor AH");
	if (p->mode != SA_TUNNEL && p->mode != SA_TRANSPORT)
		return err_set(err, EINVAL, "mode is neither tunnel nor transport");
	if (p->spi < 256)
		return err_set(err, EINVAL, "SPI %u is reserved: the lowest is 256", p->spi);
	if (p->proto == SA_AH && p->cipher != CIPHER_NULL)
		return err_set(err, EINVAL, "AH does not encrypt");
	if (p->auth == AUTH_AH && (p->proto != SA_ESP || p->replay || p->esn))
		return err_set(err, EINVAL, "numbers that no integrity check covers cannot be relied on");
	if (p->replay && (p->replay < REPLAY_MIN || p->replay > REPLAY_MAX))
		return err_set(err, EINVAL, "replay window %u is not 0 or %d to %d", p->replay,
			REPLAY_MIN, REPLAY_MAX);
	if (p->key_len > SA_KEY_MAX || p->auth_len > SA_KEY_MAX)
		return err_set(err, EINVAL, "key too long");
	if (p->udp && p->proto != SA_ESP)
		return err_set(err, EINVAL, "AH does not go in UDP");
	if (p->udp && (!p->sport || !p->dport))
		return err_set(err, EINVAL, "ESP in UDP needs both ports");
	if ((p->oa_src.family && p->oa_src.family != p->src.family) || (p->oa_dst.family && p->oa_dst.family != p->dst.family))
		return err_set(err, EINVAL, "an original address is of another family than its outer one");
	return check_addresses(p, err);
}

static void path_free(struct rcu_head *h)
{
	free(caa_container_of(h, struct sa_path, rcu));
}

void sa_move(struct sa *sa, const struct sa_path *to)
{
	struct sa_path *path = xnew(struct sa_path), *old = atomic_load(&sa->path);

	*path = *to;
	outer_template(path, sa->proto);
	atomic_store_explicit(&sa->path, path, memory_order_release);
	if (old)
		urcu_qsbr_call_rcu(&old->rcu, path_free);
	if (sa->over)
		sa_move(sa->over, to);
}

static int make_key(const struct sa_params *p, struct errbuf *err, struct crypto_key **ret)
{
	size_t key_len = p->key_len;

	if ((unsigned)p->cipher >= CIPHER_COUNT)
		return err_set(err, EINVAL, "no such algorithm");
	if (crypto_cipher_info(p->cipher)->icv) {
		if (key_len < CRYPTO_SALT)
			return err_set(err, EINVAL, "the key has no salt");
		key_len -= CRYPTO_SALT;
	}
	return crypto_key_new(p->backend, p->cipher, p->key, key_len, p->auth, p->auth_key,
		p->auth_len, err, ret);
}

static void fill(struct sa *sa, const struct sa_params *p)
{
	const struct crypto_cipher_info *c = crypto_cipher_info(p->cipher);

	sa->spi = p->spi;
	sa->proto = (uint8_t)p->proto;
	sa->mode = (uint8_t)p->mode;
	sa->iv_len = c->iv;
	sa->block = c->block < 4 ? 4 : c->block;
	sa->aead = c->icv != 0;
	sa->icv_len = c->icv ? c->icv : crypto_auth_info(p->auth)->icv;
	sa->esn = p->esn;
	sa->df = (uint8_t)p->df;
	sa->keep_dscp = p->keep_dscp;
	struct sa_path path = {.src = p->src, .dst = p->dst, .sport = p->sport, .dport = p->dport, .udp = p->udp};
	sa_move(sa, &path);
	sa->fix_checksum = sa->mode == SA_TRANSPORT && (p->oa_src.family || p->oa_dst.family);
	sa->flat = sa->proto == SA_ESP && sa->mode == SA_TUNNEL && !sa->esn && crypto_is_flat(sa->key);
	sa->hard_bytes = p->hard_bytes ? p->hard_bytes : UINT64_MAX;
	if (sa->aead)
		memcpy(sa->salt, p->key + p->key_len - CRYPTO_SALT, CRYPTO_SALT);
	sa->iv_base = p->iv_base ? p->iv_base : wall_clock_ns();
	/* Far from the end of 64 bits: numbers are taken before they are checked. Where none is checked, it may cycle (RFC 4303 3.3.3). */
	sa->seq_limit = p->esn || p->auth == AUTH_AH ? UINT64_MAX - UINT32_MAX : UINT32_MAX;
	atomic_store(&sa->seq, p->first_seq);
}

static int make(const struct sa_params *p, bool inbound, unsigned workers, struct errbuf *err, struct sa **ret)
{
	struct crypto_key *key;
	int r = check(p, err);

	if (r < 0)
		return r;
	if (!workers || workers > CRYPTO_WORKERS_MAX)
		return err_set(err, EINVAL, "%u workers", workers);
	r = make_key(p, err, &key);
	if (r < 0)
		return r;
	struct sa *sa = xcheck(aligned_alloc(64, (sizeof(*sa) + 63) / 64 * 64));
	memset(sa, 0, sizeof(*sa));
	sa->key = key;
	sa->inbound = inbound;
	sa->workers = workers;
	sa->counters = xcheck(aligned_alloc(64, sizeof(*sa->counters) * workers));
	memset(sa->counters, 0, sizeof(*sa->counters) * workers);
	atomic_flag_clear(&sa->replay_lock);
	replay_init(&sa->replay, inbound ? p->replay : 0, p->esn);
	if (inbound)
		sa->replay.last = p->first_seq;
	fill(sa, p);
	sa->params = xnew(struct sa_params);
	*sa->params = *p;
	sa->dscp = p->map_dscp ? sa->params->dscp : NULL;
	*ret = sa;
	return 0;
}

int sa_new(const struct sa_params *p, bool inbound, unsigned workers, struct errbuf *err, struct sa **ret)
{
	if (p->auth == AUTH_AH)
		return err_set(err, EINVAL, "%s without integrity protection is refused (RFC 8221)", crypto_cipher_info(p->cipher)->name);
	return make(p, inbound, workers, err, ret);
}

static int check_bundle(const struct sa_params *esp, const struct sa_params *ah, struct errbuf *err)
{
	if (esp->proto != SA_ESP || ah->proto != SA_AH)
		return err_set(err, EINVAL, "a bundle is AH over ESP");
	if (ah->mode != SA_TRANSPORT)
		return err_set(err, EINVAL, "the AH of a bundle is in transport mode");
	if (esp->udp || esp->oa_src.family || esp->oa_dst.family)
		return err_set(err, EINVAL, "AH does not pass a NAT");
	if (!addr_equal(&esp->src, &ah->src) || !addr_equal(&esp->dst, &ah->dst))
		return err_set(err, EINVAL, "AH and ESP of a bundle have the same two ends");
	return 0;
}

int sa_new_bundle(const struct sa_params *esp, const struct sa_params *ah, bool inbound, unsigned workers, struct errbuf *err,
	struct sa **ret)
{
	struct sa *inner = NULL, *outer = NULL;

	if (!ah)
		return sa_new(esp, inbound, workers, err, ret);
	int r = check_bundle(esp, ah, err);
	if (!r)
		r = make(esp, inbound, workers, err, &inner);
	if (!r)
		r = make(ah, inbound, workers, err, &outer);
	if (r < 0) {
		sa_free(inner);
		return r;
	}
	inner->over = outer;
	outer->under = inner;
	inner->flat = false; /* it comes inside AH alone */
	*ret = inner;
	return 0;
}

void sa_free(struct sa *sa)
{
	if (!sa)
		return;
	sa_free(sa->over);
	crypto_key_free((struct crypto_key *)(uintptr_t)sa->key);
	secret_wipe(sa->params, sizeof(*sa->params));
	free(sa->params);
	free(sa->counters);
	free(atomic_load(&sa->path));
	secret_wipe(sa, sizeof(*sa));
	free(sa);
}

static void sa_free_rcu(struct rcu_head *h)
{
	sa_free(caa_container_of(h, struct sa, rcu));
}

void sa_retire(struct sa *sa)
{
	urcu_qsbr_call_rcu(&sa->rcu, sa_free_rcu);
}

void sa_sum(const struct sa *sa, struct sa_counters *ret)
{
	struct sa_counters sum = {0};

	for (unsigned i = 0; i < sa->workers; i++) {
		struct sa_counters *c = &sa->counters[i];
		sum.packets += atomic_load_explicit(&c->packets, memory_order_relaxed);
		sum.bytes += atomic_load_explicit(&c->bytes, memory_order_relaxed);
		sum.auth_failed += atomic_load_explicit(&c->auth_failed, memory_order_relaxed);
		sum.replayed += atomic_load_explicit(&c->replayed, memory_order_relaxed);
		sum.malformed += atomic_load_explicit(&c->malformed, memory_order_relaxed);
	}
	*ret = sum;
}

static uint32_t header_len(uint8_t family)
{
	return family == 6 ? 40 : 20;
}

uint32_t sa_ah_len(const struct sa *sa, uint8_t outer_family)
{
	uint32_t align = outer_family == 6 ? 8 : 4; /* RFC 4302 2.2 */
	return (12U + sa->icv_len + align - 1) / align * align;
}

uint32_t sa_overhead(const struct sa *sa, uint8_t inner_family)
{
	const struct sa_path *path = sa_outside(sa);
	uint8_t outer = sa->mode == SA_TUNNEL ? path->dst.family : inner_family;
	uint32_t bytes = (sa->mode == SA_TUNNEL ? header_len(outer) : 0) + (path->udp ? 8 : 0);

	if (sa->proto == SA_AH)
		return bytes + sa_ah_len(sa, outer);
	if (sa->over)
		bytes += sa_ah_len(sa->over, outer);
	return bytes + 8 + sa->iv_len + 2 + (sa->block - 1U) + sa->icv_len;
}

uint32_t sa_mtu(const struct sa *sa, uint32_t link_mtu, uint8_t inner_family)
{
	const struct sa_path *path = sa_outside(sa);
	uint8_t outer = sa->mode == SA_TUNNEL ? path->dst.family : inner_family;
	uint32_t clear = header_len(outer); /* travels in front of ESP */
	uint32_t back = sa->mode == SA_TUNNEL ? 0 : clear;

	if (sa->proto == SA_AH) {
		uint32_t fixed = sa_overhead(sa, inner_family);
		return link_mtu > fixed ? link_mtu - fixed : 0;
	}
	uint32_t fixed = clear + (path->udp ? 8 : 0) + 8 + sa->iv_len + sa->icv_len;
	if (sa->over)
		fixed += sa_ah_len(sa->over, outer);
	if (link_mtu < fixed + sa->block)
		return 0;
	return (link_mtu - fixed) / sa->block * sa->block - 2 + back;
}

const char *sa_cipher_text(const struct sa *sa)
{
	return crypto_cipher_info(sa->params->cipher)->name;
}

const char *sa_auth_text(const struct sa *sa)
{
	return sa->aead ? "NULL" : crypto_auth_info(sa->params->auth)->name;
}
