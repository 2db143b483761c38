#include "lib/ike/frag.h"
#include "lib/base/xalloc.h"

enum { FRAGMENT_FIXED = 4, GENERIC_HEADER = 4 };

struct frag {
	unsigned pieces_max;
	size_t bytes_max;
	uint16_t id;
	unsigned have, last; /* last: number of the last piece, 0 not seen yet */
	size_t bytes;
	uint64_t begun_us;
	struct {
		uint8_t *data;
		size_t len;
	} pieces[FRAG_PIECES_MAX];
	uint8_t *whole; /* the last message put together */
};

struct frag *frag_new(const struct frag_limits *l)
{
	struct frag *f = xnew(struct frag);

	f->pieces_max = l && l->pieces && l->pieces < FRAG_PIECES_MAX ? l->pieces : FRAG_PIECES_MAX;
	f->bytes_max = l && l->bytes ? l->bytes : FRAG_BYTES_MAX;
	return f;
}

static void drop(struct frag *f)
{
	for (unsigned i = 0; i < FRAG_PIECES_MAX; i++) {
		free(f->pieces[i].data);
		f->pieces[i].data = NULL;
	}
	f->have = f->last = 0;
	f->bytes = 0;
}

void frag_free(struct frag *f)
{
	if (!f)
		return;
	drop(f);
	free(f->whole);
	free(f);
}

size_t frag_held(const struct frag *f)
{
	return f->bytes;
}

static int refuse(struct frag *f, struct ike_refusal *why, const char *text)
{
	drop(f);
	return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, text);
}

static void put_together(struct frag *f, const uint8_t **ret, size_t *ret_len)
{
	size_t at = 0;

	f->whole = xcalloc(1, f->bytes);
	for (unsigned i = 0; i < f->last; i++) {
		memcpy(f->whole + at, f->pieces[i].data, f->pieces[i].len);
		at += f->pieces[i].len;
	}
	*ret = f->whole;
	*ret_len = at;
	drop(f);
}

struct piece {
	uint16_t id;
	uint8_t number, flags;
	const uint8_t *data;
	size_t len;
};

/* Does @p contradict what is there? Pieces behind the last one, two last ones, one number with two
 * contents. */
static bool contradicts(const struct frag *f, const struct piece *p)
{
	bool last = p->flags & FRAG_LAST;

	if (f->last && (p->number > f->last || (last && p->number != f->last)))
		return true;
	for (unsigned i = p->number; last && i < FRAG_PIECES_MAX; i++) {
		if (f->pieces[i].data)
			return true;
	}
	const uint8_t *data = f->pieces[p->number - 1].data;
	return data &&
	       (f->pieces[p->number - 1].len != p->len || memcmp(data, p->data, p->len) != 0);
}

static int keep(struct frag *f, const struct piece *p, uint64_t now_us, struct ike_refusal *why)
{
	if (f->bytes + p->len > f->bytes_max)
		return refuse(f, why, "fragments of a message that is too long");
	if (!f->have) {
		f->id = p->id;
		f->begun_us = now_us;
	}
	uint8_t *data = xcalloc(1, p->len);
	memcpy(data, p->data, p->len);
	f->pieces[p->number - 1].data = data;
	f->pieces[p->number - 1].len = p->len;
	f->bytes += p->len;
	f->have++;
	if (p->flags & FRAG_LAST)
		f->last = p->number;
	return FRAG_WAIT;
}

int frag_add(struct frag *f, const void *body, size_t len, uint64_t now_us, uint64_t ttl_us,
	const uint8_t **ret, size_t *ret_len, struct ike_refusal *why)
{
	struct rd r = rd_init(body, len);
	struct piece p;

	free(f->whole);
	f->whole = NULL;
	p.id = rd_u16(&r);
	p.number = rd_u8(&r);
	p.flags = rd_u8(&r);
	p.len = rd_left(&r);
	p.data = rd_bytes(&r, p.len);
	if (!rd_ok(&r) || !p.len || !p.number || p.flags & ~FRAG_LAST)
		return refuse(f, why, "a fragment that is malformed");
	if (p.number > f->pieces_max)
		return refuse(f, why, "too many fragments");
	if (f->have && (f->id != p.id || now_us - f->begun_us > ttl_us || contradicts(f, &p)))
		drop(f);
	if (f->pieces[p.number - 1].data)
		return FRAG_DUPLICATE;
	int rc = keep(f, &p, now_us, why);
	if (rc != FRAG_WAIT || !f->last || f->have != f->last)
		return rc;
	put_together(f, ret, ret_len);
	return 0;
}

int frag_split(const void *msg, size_t len, size_t mtu, uint16_t id,
	void (*send)(void *ctx, const void *data, size_t len), void *ctx)
{
	const size_t front = ISAKMP_HEADER + GENERIC_HEADER + FRAGMENT_FIXED;
	struct isakmp_header h;
	struct isakmp_build b;

	if (mtu <= front || mtu > ISAKMP_MESSAGE_MAX || isakmp_header_read(msg, len, &h, NULL))
		return -EINVAL;
	size_t room = mtu - front, n = (len + room - 1) / room;
	if (n > FRAG_PIECES_MAX)
		return -EMSGSIZE;
	uint8_t *datagram = xcalloc(1, mtu);
	h.flags &= (uint8_t)~ISAKMP_ENCRYPTED; /* the piece is in clear, whatever it holds */
	for (size_t i = 0; i < n; i++) {
		size_t take = i + 1 < n ? room : len - i * room;
		isakmp_start(&b, datagram, mtu, &h);
		isakmp_open(&b, ISAKMP_FRAGMENT);
		wr_u16(&b.w, id);
		wr_u8(&b.w, (uint8_t)(i + 1));
		wr_u8(&b.w, i + 1 == n ? FRAG_LAST : 0);
		wr_bytes(&b.w, (const uint8_t *)msg + i * room, take);
		isakmp_close(&b);
		send(ctx, datagram, isakmp_finish(&b, 1));
	}
	free(datagram);
	return 0;
}
