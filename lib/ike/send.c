/* send: messages out. A message is kept as it went out, so that sending it again costs no crypto. */
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include "lib/ike/engine.h"

enum { SA_BYTES = 2 * IKE_COOKIE };

struct to {
	struct ike *k;
	const struct ike_path *path;
};

static void out(void *ctx, const void *data, size_t len)
{
	const struct to *to = ctx;

	to->k->stats.out++;
	to->k->c.ops->send(to->k->c.ctx, to->path, data, len);
}

static void transmit(struct p1 *p, const uint8_t *data, size_t len)
{
	struct to to = {p->ike, &p->path};

	if (len > IKE_FRAGMENT_MTU && p->vids & VID_FRAGMENTATION) {
		p->frag_id = (uint16_t)(p->frag_id % UINT16_MAX + 1); /* never 0 */
		if (!frag_split(data, len, IKE_FRAGMENT_MTU, p->frag_id, out, &to))
			return;
	}
	out(&to, data, len);
}

static uint64_t retry_after(const struct ike *k, unsigned tries)
{
	uint64_t first = k->c.limits.retry_first_us;

	return first << (tries > 5 ? 5 : tries);
}

void send_message(struct p1 *p, struct flight *f, uint8_t *iv, uint8_t *data, size_t len, bool wants_answer)
{
	struct ike *k = p->ike;

	if (iv && ike_encrypt(&p->suite, p->keys.enc_key, iv, data + ISAKMP_HEADER, len - ISAKMP_HEADER))
		return;
	if (iv)
		p1_used(p, len - ISAKMP_HEADER);
	if (f) {
		bytes_set(&f->sent, data, len);
		f->tries = 0;
		f->wants_answer = wants_answer;
		if (wants_answer)
			timer_set(k, &f->retry, k->now + retry_after(k, 0));
		else
			timer_stop(k, &f->retry);
	}
	transmit(p, data, len);
}

void send_again(struct p1 *p, struct flight *f)
{
	if (!f->sent.len)
		return;
	p->ike->stats.retransmitted++;
	transmit(p, f->sent.p, f->sent.len);
	if (f->wants_answer)
		timer_set(p->ike, &f->retry, p->ike->now + retry_after(p->ike, ++f->tries));
}

void flight_free(struct ike *k, struct flight *f)
{
	timer_stop(k, &f->retry);
	bytes_free(&f->sent);
}

/* An informational exchange: HASH(1) over what @fill's payload says, under an IV of its own. */
static int info_start(struct p1 *p, struct isakmp_build *b, uint32_t *id, uint8_t **hash)
{
	struct isakmp_header h = {.version = ISAKMP_VERSION, .exchange = ISAKMP_INFORMATIONAL};

	memcpy(h.icookie, p->icookie, IKE_COOKIE);
	memcpy(h.rcookie, p->rcookie, IKE_COOKIE);
	if (ike_random(p->ike, id, sizeof(*id)))
		return -EIO;
	*id |= 1; /* never 0 */
	h.id = *id;
	/* What was wrong with message 5 is proved, too: the initiator has the keys. */
	bool secure = p1_peer_done(p) || (p->have_keys && !p->initiator && !p->aggressive && p->message == 4);
	h.flags = secure ? ISAKMP_ENCRYPTED : 0;
	isakmp_start(b, p->ike->out, sizeof(p->ike->out), &h);
	*hash = secure ? isakmp_add_hole(b, ISAKMP_HASH, p->suite.prf_len) : NULL;
	return 0;
}

static void info_send(struct p1 *p, struct isakmp_build *b, uint32_t id, uint8_t *hash)
{
	uint8_t iv[IKE_BLOCK_MAX];
	const uint8_t *end = isakmp_mark(b);
	const uint8_t *rest = hash ? hash + p->suite.prf_len : NULL;

	if (hash && (ike_hash12(&p->suite, &p->keys, id, IKE_PART(NULL, 0), IKE_PART(rest, (size_t)(end - rest)), hash) ||
			    ike_iv_exchange(&p->suite, p->iv, id, iv)))
		return;
	size_t len = isakmp_finish(b, hash ? p->suite.block : 1);
	if (len)
		send_message(p, NULL, hash ? iv : NULL, p->ike->out, len, false);
}

void send_notify(struct p1 *p, const struct ike_notification *n)
{
	struct isakmp_build b;
	uint32_t id;
	uint8_t *hash;

	if (info_start(p, &b, &id, &hash))
		return;
	isakmp_open(&b, ISAKMP_NOTIFY);
	ike_notification_write(&b.w, n);
	isakmp_close(&b);
	info_send(p, &b, id, hash);
}

void send_error(struct p1 *p, uint16_t notify, uint8_t protocol, const void *spi, uint8_t spi_len)
{
	struct ike_notification n = {.doi = IKE_DOI_IPSEC, .protocol = protocol, .type = notify, .spi = spi, .spi_len = spi_len};

	if (notify)
		send_notify(p, &n);
}

static void send_deletions(struct p1 *p, const struct ike_deletion *d, size_t n)
{
	struct isakmp_build b;
	uint32_t id;
	uint8_t *hash;

	if (!p1_peer_done(p) || info_start(p, &b, &id, &hash))
		return;
	for (size_t i = 0; i < n; i++) {
		isakmp_open(&b, ISAKMP_DELETE);
		ike_deletion_write(&b.w, &d[i]);
		isakmp_close(&b);
	}
	info_send(p, &b, id, hash);
}

void send_delete_p1(struct p1 *p)
{
	uint8_t cookies[SA_BYTES];

	memcpy(cookies, p->icookie, IKE_COOKIE);
	memcpy(cookies + IKE_COOKIE, p->rcookie, IKE_COOKIE);
	send_deletions(p, &(struct ike_deletion){.protocol = IKE_PROTO_ISAKMP, .spi_len = SA_BYTES, .n = 1, .spis = cookies}, 1);
}

void send_delete_child(struct p1 *p, const struct ike_child *c)
{
	uint8_t spi[4], ah_spi[4];
	struct wr w = wr_init(spi, sizeof(spi)), a = wr_init(ah_spi, sizeof(ah_spi));
	const struct ike_deletion both[] = {{.protocol = c->proto, .spi_len = sizeof(spi), .n = 1, .spis = spi},
		{.protocol = IPSEC_PROTO_AH, .spi_len = sizeof(ah_spi), .n = 1, .spis = ah_spi}};

	wr_u32(&w, c->in.spi);
	wr_u32(&a, c->in_ah.spi);
	send_deletions(p, both, c->bundle ? 2 : 1);
}

void send_plain_error(struct ike *k, const struct ike_path *path, const struct isakmp_header *h, uint16_t notify)
{
	struct isakmp_header r = {.version = ISAKMP_VERSION, .exchange = ISAKMP_INFORMATIONAL};
	struct ike_notification n = {.doi = IKE_DOI_IPSEC, .protocol = IKE_PROTO_ISAKMP, .type = notify};
	struct to to = {k, path};
	struct isakmp_build b;

	memcpy(r.icookie, h->icookie, IKE_COOKIE);
	memcpy(r.rcookie, h->rcookie, IKE_COOKIE);
	if (ike_random(k, &r.id, sizeof(r.id)))
		return;
	r.id |= 1;
	isakmp_start(&b, k->out, sizeof(k->out), &r);
	isakmp_open(&b, ISAKMP_NOTIFY);
	ike_notification_write(&b.w, &n);
	isakmp_close(&b);
	size_t len = isakmp_finish(&b, 1);
	if (len)
		out(&to, k->out, len);
}
