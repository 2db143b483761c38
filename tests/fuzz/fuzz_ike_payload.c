/* fuzz_ike_payload: hostile bytes into everything that reads IKE's wire. Byte 0 of the input
 * chooses: 0 a whole message: header, chain of payloads, and each payload's body by its reader 1 an
 * SA payload's body against phase 1 offers, 2 against phase 2 offers: whatever is chosen, its
 * answer must be well formed, one of what the peer sent, and chosen again 3 fragments, each with a
 * length byte before it: no more is held than the limit 4 a public value of the group that byte 1
 * names */
#include "lib/ike/dh.h"
#include "lib/ike/frag.h"
#include "lib/ike/isakmp.h"
#include "lib/ike/offer.h"
#include "lib/ike/payload.h"
#include "lib/ike/vid.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
	if (!good)
		abort();
}

/* 0 or a refusal that says what and why. */
static void outcome(int rc, const struct ike_refusal *why)
{
	must(rc == 0 || (rc == -EPROTO && why->notify && why->text));
}

static void read_body(const struct isakmp_payload *p)
{
	struct ike_refusal why = {0};
	union {
		struct ike_id id;
		struct ike_notification n;
		struct ike_deletion d;
		struct ike_cert c;
		struct addr a;
	} u;
	struct addr_range range;

	switch (p->type) {
	case ISAKMP_SA:
		outcome(offer_sa_check(p->body, p->len, &why), &why);
		break;
	case ISAKMP_ID:
		if (ike_id_read(p->body, p->len, &u.id, &why) == 0) {
			must(u.id.data >= p->body && u.id.data + u.id.len == p->body + p->len);
			outcome(ike_id_range(&u.id, &range, &why), &why);
		} else {
			outcome(-EPROTO, &why);
		}
		break;
	case ISAKMP_NOTIFY:
		outcome(ike_notification_read(p->body, p->len, &u.n, &why), &why);
		break;
	case ISAKMP_DELETE:
		outcome(ike_deletion_read(p->body, p->len, &u.d, &why), &why);
		break;
	case ISAKMP_CERT:
	case ISAKMP_CERTREQ:
		outcome(ike_cert_read(p->body, p->len, &u.c, &why), &why);
		break;
	case ISAKMP_NAT_OA:
	case ISAKMP_NAT_OA_DRAFT:
		outcome(ike_nat_oa_read(p->body, p->len, &u.a, &why), &why);
		break;
	}
}

static void message(const uint8_t *data, size_t size)
{
	struct isakmp_header h;
	struct isakmp_payloads p;
	struct ike_refusal why = {0};

	outcome(isakmp_header_read(data, size, &h, &why), &why);
	if (size < ISAKMP_HEADER)
		return;
	data += ISAKMP_HEADER;
	size -= ISAKMP_HEADER;
	int rc = isakmp_walk(h.next, data, size, h.flags & ISAKMP_ENCRYPTED ? 16 : 0, &p, &why);
	outcome(rc, &why);
	if (rc)
		return;
	must(p.n && p.n <= ISAKMP_PAYLOADS_MAX && p.end > data && p.end <= data + size);
	for (size_t i = 0; i < p.n; i++) {
		must(p.at[i].body >= data && p.at[i].body + p.at[i].len <= p.end);
		must(*isakmp_type_text(p.at[i].type));
		read_body(&p.at[i]);
	}
	(void)vids_of(&p);
}

static void phase1(const uint8_t *data, size_t size)
{
	static const struct kex_offer offers[] = {{.enc = 7,
							  .key_bits = 256,
							  .hash = 4,
							  .auth = 1,
							  .group = 14,
							  .seconds = {28800, 600, 86400}},
		{.enc = 5, .hash = 2, .auth = 3, .group = 2, .kbytes = {1000, 100, 100000}},
		{.enc = 7, .key_bits = 128, .hash = 2, .xcbc = true, .auth = 1, .group = 14},
		{.enc = 1, .hash = 1, .auth = 1, .group = 1}};
	struct p1_choice c, again;
	struct ike_refusal why = {0};
	int rc = offer_p1_choose(data, size, offers, 4, &c, &why);

	outcome(rc, &why);
	if (rc)
		return;
	must(c.index < 4 && c.answer_len && c.answer_len <= sizeof(c.answer));
	must(offer_p1_check(data, size, c.answer, c.answer_len, offers, 4, &again, &why) == 0);
	must(again.index == c.index && memcmp(&again.agreed, &c.agreed, sizeof(c.agreed)) == 0);
}

static void phase2(const uint8_t *data, size_t size)
{
	static const struct data_offer offers[] = {{.tunnel = true,
							   .esp = 12,
							   .key_bits = 256,
							   .auth = 5,
							   .seconds = {14400, 600, 86400}},
		{.tunnel = true, .esp = 20, .key_bits = 128, .esn = true}, {.esp = 12, .auth = 9},
		{.tunnel = true, .ah = true, .auth = 2}, {.esp = 11, .auth = 1},
		{.tunnel = true, .esp = 12, .key_bits = 128, .ah = true, .auth = 2, .esn = true}};
	static const uint16_t groups[] = {0, 2, 14};
	struct p2_terms t = {.spi = 0x01020304, .ah_spi = 0x05060708, .groups = groups, .n_groups = 3};
	struct p2_choice c, again;
	struct ike_refusal why = {0};

	if (!size)
		return;
	t.nat = *data & 1;
	t.draft = *data & 2;
	t.esn_allowed = *data & 4;
	data++;
	size--;
	int rc = offer_p2_choose(data, size, offers, 6, &t, &c, &why);
	outcome(rc, &why);
	if (rc)
		return;
	must(c.index < 6 && c.spi >= 256 && (c.index == 5) == (c.ah_spi >= 256) && c.answer_len && c.answer_len <= sizeof(c.answer));
	must(offer_p2_check(data, size, c.answer, c.answer_len, offers, 6, &t, &again, &why) == 0);
	must(again.index == c.index && again.spi == t.spi && again.ah_spi == (c.ah_spi ? t.ah_spi : 0) && again.encap == c.encap);
}

static void fragments(const uint8_t *data, size_t size)
{
	struct frag_limits l = {.pieces = 8, .bytes = 600};
	struct frag *f = frag_new(&l);
	struct rd r = rd_init(data, size);
	const uint8_t *whole;
	size_t len;

	for (uint64_t now = 0; rd_left(&r); now += 10) {
		struct ike_refusal why = {0};
		size_t n = rd_u8(&r);
		const uint8_t *body = rd_bytes(&r, n < rd_left(&r) ? n : rd_left(&r));
		n = (size_t)(r.p - body);
		int rc = frag_add(f, body, n, now, 500, &whole, &len, &why);
		must(rc == FRAG_WAIT || rc == FRAG_DUPLICATE || rc == 0 ||
			(rc == -EPROTO && why.text));
		must(frag_held(f) <= 600 && (rc || (len && len <= 600 && whole)));
	}
	frag_free(f);
}

static void public_value(const uint8_t *data, size_t size)
{
	static const uint16_t cheap[] = {1, 2, 19, 20};
	static struct dh_key *keys[4];
	uint8_t secret[DH_SHARED_MAX];
	struct ike_refusal why = {0};

	if (!size)
		return;
	unsigned n = *data % 4;
	if (!keys[n])
		must(dh_key_new(cheap[n], &keys[n]) == 0);
	outcome(dh_shared(keys[n], data + 1, size - 1, secret, &why), &why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	switch (data[0] % 5) {
	case 0:
		message(data + 1, size - 1);
		break;
	case 1:
		phase1(data + 1, size - 1);
		break;
	case 2:
		phase2(data + 1, size - 1);
		break;
	case 3:
		fragments(data + 1, size - 1);
		break;
	default:
		public_value(data + 1, size - 1);
	}
	return 0;
}
