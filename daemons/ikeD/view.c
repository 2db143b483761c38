/* Rows: what the engine knows, as messages of proto/ike.proto. Never a key. */
#include "daemons/ikeD/iked.h"

#define SET(m, field, value)                                                                                  \
	do {                                                                                                  \
		(m).has_##field = true;                                                                       \
		(m).field = (value);                                                                          \
	} while (0)

static void hex(const uint8_t *data, char out[2 * IKE_COOKIE + 1])
{
	for (unsigned i = 0; i < IKE_COOKIE; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", data[i]);
}

static void tunnel_algorithms(const struct kex_offer *o, Ike__Tunnel *m)
{
	if (!o->enc)
		return;
	m->encryption = (char *)text_p1_cipher(o->enc);
	SET(*m, key_bits, o->key_bits);
	m->hash = (char *)text_hash(o->hash);
	m->prf = (char *)(o->xcbc ? "AES128-XCBC-PRF" : text_hash(o->hash));
	SET(*m, group, o->group);
	m->authentication = (char *)(o->auth == IKE_AUTH_RSA_SIG ? "RSA SIGNATURE" : "PRESHARED KEY");
}

static void tunnel_times(const struct ike_p1_info *p, Ike__Tunnel *m)
{
	SET(*m, life_s, p->life_s);
	SET(*m, life_kb, p->life_kb);
	SET(*m, bytes, p->bytes);
	SET(*m, established_us, iked_wall_of(p->established_us));
	SET(*m, refresh_us, iked_wall_of(p->refresh_us));
	SET(*m, expires_us, iked_wall_of(p->expires_us));
}

void view_tunnel(const struct iked_stack *s, const struct ike_p1_info *p, struct iked_tunnel_view *v)
{
	Ike__Tunnel *m = &v->msg;
	ike__tunnel__init(m);
	m->stack = (char *)s->conf.name;
	m->tunnel_id = (char *)p->tunnel_id;
	SET(*m, generation, p->generation);
	m->state = (char *)text_p1_state(p->state);
	m->rule = (char *)p->rule;
	m->action = (char *)p->action;
	m->local = (char *)addr_text(&p->path.local, v->local);
	m->remote = (char *)addr_text(&p->path.remote, v->remote);
	SET(*m, local_port, p->path.local_port);
	SET(*m, remote_port, p->path.remote_port);
	m->local_id_type = (char *)text_id_type(p->local_id_type);
	m->remote_id_type = (char *)text_id_type(p->remote_id_type);
	m->local_id = (char *)p->local_id;
	m->remote_id = (char *)p->remote_id;
	SET(*m, aggressive, p->aggressive);
	SET(*m, initiator, p->initiator);
	hex(p->icookie, v->icookie);
	hex(p->rcookie, v->rcookie);
	m->icookie = v->icookie;
	m->rcookie = v->rcookie;
	SET(*m, children, p->children);
	SET(*m, nat_t, p->nat_t);
	SET(*m, nat_local, p->nat_local);
	SET(*m, nat_remote, p->nat_remote);
	SET(*m, dpd, p->dpd);
	SET(*m, fragmentation, p->fragmentation);
	tunnel_algorithms(&p->offer, m);
	tunnel_times(p, m);
}

static void dyn_algorithms(const struct ike_child *c, Ike__DynTunnel *m)
{
	m->ipsec_protocol = (char *)(c->bundle ? "AH+ESP" : c->proto == IPSEC_PROTO_AH ? "AH" : "ESP");
	m->encryption = (char *)text_esp(c->proto == IPSEC_PROTO_AH ? 0 : c->esp);
	SET(*m, key_bits, c->key_bits);
	m->authentication = (char *)text_auth(c->auth);
	SET(*m, in_spi, c->in.spi);
	SET(*m, out_spi, c->out.spi);
	if (c->bundle) {
		SET(*m, in_ah_spi, c->in_ah.spi);
		SET(*m, out_ah_spi, c->out_ah.spi);
	}
	SET(*m, esn, c->esn);
	SET(*m, pfs_group, c->pfs_group);
}

static void dyn_outer(const struct ike_child *c, struct iked_dyn_view *v)
{
	static const char *const df[] = {"Yes", "No Clear", "No Set"};
	Ike__DynTunnel *m = &v->msg;
	SET(*m, tunnel_mode, c->tunnel);
	m->local = (char *)addr_text(&c->path.local, v->local);
	m->remote = (char *)addr_text(&c->path.remote, v->remote);
	SET(*m, udp, c->udp);
	if (c->udp) {
		SET(*m, local_port, c->path.local_port);
		SET(*m, remote_port, c->path.remote_port);
	}
	if (c->nat_oa_local.family)
		m->nat_oa_local = (char *)addr_text(&c->nat_oa_local, v->oa_local);
	if (c->nat_oa_remote.family)
		m->nat_oa_remote = (char *)addr_text(&c->nat_oa_remote, v->oa_remote);
	m->df = (char *)df[c->df];
	SET(*m, passthrough_dscp, c->dscp.pass);
	if (c->dscp.mapped)
		m->outer_dscp = (char *)policy_dscp_text(&c->dscp, v->dscp);
}

void view_child(const struct iked_stack *s, const struct ike_child *c, struct iked_dyn_view *v)
{
	Ike__DynTunnel *m = &v->msg;
	ike__dyn_tunnel__init(m);
	m->stack = (char *)s->conf.name;
	m->tunnel_id = (char *)c->tunnel_id;
	SET(*m, generation, c->generation);
	m->parent_id = (char *)c->parent_id;
	m->rule = (char *)c->rule;
	m->vpn_action = (char *)c->vpn_action;
	m->local_rule = (char *)c->local_rule;
	dyn_outer(c, v);
	m->local_addresses = (char *)addr_range_text(&c->sel.local, v->sel_local);
	m->remote_addresses = (char *)addr_range_text(&c->sel.remote, v->sel_remote);
	if (c->sel.protocol != POLICY_PROTO_ALL)
		SET(*m, protocol, c->sel.protocol);
	SET(*m, local_data_port, c->sel.local_port);
	SET(*m, remote_data_port, c->sel.remote_port);
	SET(*m, initiator, c->initiator);
	SET(*m, life_s, c->hard_s);
	SET(*m, life_bytes, c->hard_bytes);
	SET(*m, refresh_bytes, c->soft_bytes);
	dyn_algorithms(c, m);
}

void view_dyn(const struct iked_stack *s, const struct ike_child_info *i, struct iked_dyn_view *v)
{
	view_child(s, i->child, v);
	Ike__DynTunnel *m = &v->msg;
	m->state = (char *)text_child_state(i->state);
	SET(*m, established_us, iked_wall_of(i->established_us));
	SET(*m, refresh_us, iked_wall_of(i->refresh_us));
	SET(*m, expires_us, iked_wall_of(i->expires_us));
	if (i->child->vpn_life_s && i->established_us)
		SET(*m, vpn_expires_us, iked_wall_of(i->established_us + i->child->vpn_life_s * 1000000u));
}
