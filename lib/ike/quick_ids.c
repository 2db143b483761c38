/* quick_ids: what traffic a pair of phase 2 SAs is for, said by two identities (RFC 2407 section 4.6.2, RFC 2409 section 5.5), and the
 * rule of the policy that protects it. */
#include "lib/ike/quick.h"

void quick_add_ids(struct quick *q, struct isakmp_build *b, const struct selector *s)
{
	uint8_t family = q->child.path.local.family;
	const uint8_t *from = isakmp_mark(b);

	isakmp_open(b, ISAKMP_ID);
	ike_id_write_range(&b->w, &s->local, s->local.lo.family ? s->local.lo.family : family, s->protocol, s->local_port);
	isakmp_close(b);
	isakmp_open(b, ISAKMP_ID);
	ike_id_write_range(&b->w, &s->remote, s->remote.lo.family ? s->remote.lo.family : family, s->protocol, s->remote_port);
	isakmp_close(b);
	/* Kept without the first byte of each generic header, which names the next payload. */
	bytes_set(&q->ids, from, (size_t)(isakmp_mark(b) - from));
}

/* The identities that come back must be those that were sent. */
bool quick_same_ids(const struct quick *q, const struct isakmp_payloads *pl)
{
	const uint8_t *at = q->ids.p;
	size_t left = q->ids.len;

	for (size_t i = 0; i < 2; i++) {
		const struct isakmp_payload *id = isakmp_find(pl, ISAKMP_ID, i);
		if (!id || left < 4 || left - 4 < id->len || at[2] != (uint8_t)((id->len + 4) >> 8) || at[3] != (uint8_t)(id->len + 4) ||
			memcmp(at + 4, id->body, id->len))
			return false;
		at += id->len + 4;
		left -= id->len + 4;
	}
	return !left;
}

/* What a peer wants protected: two identities, or none, which means the two ends. */
int quick_read_selector(struct quick *q, const struct isakmp_payloads *pl, struct selector *s, struct ike_refusal *why)
{
	const struct isakmp_payload *i = isakmp_find(pl, ISAKMP_ID, 0), *r = isakmp_find(pl, ISAKMP_ID, 1);
	const struct ike_path *path = &q->p1->path;
	struct ike_id ci, cr;

	*s = (struct selector){{path->local, path->local}, {path->remote, path->remote}, POLICY_PROTO_ALL, 0, 0};
	if (!i && !r)
		return 0;
	if (!i || !r || isakmp_count(pl, ISAKMP_ID) != 2)
		return ike_refuse(why, NOTIFY_INVALID_ID_INFORMATION, "quick mode with one identity, or more than two");
	if (ike_id_read(i->body, i->len, &ci, why) || ike_id_read(r->body, r->len, &cr, why) || ike_id_range(&ci, &s->remote, why) ||
		ike_id_range(&cr, &s->local, why))
		return -EPROTO;
	if (ci.protocol != cr.protocol)
		return ike_refuse(why, NOTIFY_INVALID_ID_INFORMATION, "the two identities name different protocols");
	s->protocol = ci.protocol ? ci.protocol : POLICY_PROTO_ALL;
	s->remote_port = ci.port;
	s->local_port = cr.port;
	bytes_set(&q->idci, i->body, i->len);
	bytes_set(&q->idcr, r->body, r->len);
	q->has_ids = true;
	return 0;
}

const struct policy_rule *quick_anchor(struct quick *q, struct selector *s, struct ike_refusal *why)
{
	const struct ipsec_policy *policy = q->p1->ike->c.policy;
	const struct p1 *p = q->p1;
	const struct policy_rule *r = policy_anchor(policy, s);

	if (!r && quick_natted(p)) { /* behind a NAT a host may call itself what it sees; we see the NAT (RFC 3947 section 5.2) */
		struct selector seen = *s;
		if (p->nat.remote && addr_range_single(&s->remote))
			seen.remote = (struct addr_range){p->path.remote, p->path.remote};
		if (p->nat.local && addr_range_single(&s->local))
			seen.local = (struct addr_range){p->path.local, p->path.local};
		if ((r = policy_anchor(policy, &seen)))
			*s = seen;
	}
	if (!r)
		(void)ike_refuse(why, NOTIFY_INVALID_ID_INFORMATION, "no rule of the policy protects that traffic");
	else if (r->vpn->initiation == VPN_LOCAL_ONLY)
		(void)ike_refuse(why, NOTIFY_INVALID_ID_INFORMATION, "its IpDynVpnAction says Initiation LocalOnly");
	else if (p->rule && p->rule->action.filter_by_identity &&
		 ((p->peer.type != IKE_ID_IPV4 && p->peer.type != IKE_ID_IPV6) || !addr_range_single(&s->remote) ||
			 memcmp(s->remote.lo.b, p->peer.data, p->peer.len < 16 ? p->peer.len : 16)))
		(void)ike_refuse(why, NOTIFY_INVALID_ID_INFORMATION, "FilterByIdentity: the peer's traffic is not its own");
	else
		return r;
	return NULL;
}
