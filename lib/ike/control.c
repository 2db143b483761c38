/* What a person asks of the engine: a tunnel activated, ended or renewed. */
#include "lib/ike/engine.h"
#include <stdio.h>

int ike_activate(struct ike *k, const struct ike_activate *a, uint64_t now_us, struct errbuf *err, char id[16])
{
	struct ike_child want = {.sel = a->sel};

	ike_enter(k, now_us, 0);
	if (!a->rule || !a->rule->vpn)
		return err_set(err, ENOENT, "the rule has no dynamic VPN action");
	if (a->rule->vpn->initiation == VPN_REMOTE_ONLY)
		return err_set(err, EPERM, "IpDynVpnAction %s says Initiation RemoteOnly", a->rule->vpn->name);
	(void)snprintf(want.rule, sizeof(want.rule), "%s", a->rule->name);
	(void)snprintf(want.vpn_action, sizeof(want.vpn_action), "%s", a->rule->vpn->name);
	(void)snprintf(want.local_rule, sizeof(want.local_rule), "%s", a->local_rule ? a->local_rule : "");
	want.path = (struct ike_path){a->local_endpoint, a->remote_endpoint, 500, 500};
	struct tunnel *t = tunnel_same(k, &want);
	if (t) {
		(void)snprintf(id, 16, "%s", t->id);
		if (!t->live && !t->quick && !t->waiting)
			tunnel_negotiate(t);
		ike_reap(k);
		return -EALREADY;
	}
	if (k->n_tunnels >= k->c.limits.children_total)
		return err_set(err, ENOSPC, "as many tunnels as the limit allows");
	size_t from = 0;
	if (!policy_kex_rule(k->c.policy, &a->local_endpoint, &a->remote_endpoint, &from))
		return err_set(err, ENOENT, "no KeyExchangeRule is for these two endpoints");
	t = tunnel_new(k, &want);
	t->initiator = true;
	(void)snprintf(id, 16, "%s", t->id);
	tunnel_negotiate(t);
	ike_reap(k);
	return 0;
}

/* One generation of an IKE tunnel: what hangs on it first, while the peer can be told. */
static void p1_deactivate(struct p1 *p, bool cascade)
{
	struct tunnel *t;
	struct quick *q;

	while (cascade && (t = LIST_FIRST(&p->tunnels)))
		tunnel_down(t, "deactivated with its IKE tunnel", true);
	/* A quick mode that we answered may be finished for the peer already: it must not keep a tunnel that we never had. */
	TAILQ_FOREACH(q, &p->quicks, entry)
		if (!q->initiator && !q->dead && q->step != QUICK_DONE)
			send_delete_child(p, &q->child);
	send_delete_p1(p);
	ike_event(p->ike, IKE_P1_DOWN, p, NULL, NULL, "EZD0995I", "deactivated");
	tunnels_lost_p1(p, NULL);
	p1_end(p);
}

int ike_deactivate(struct ike *k, const char *id, bool cascade, uint64_t now_us)
{
	struct tunnel *t = ike_tunnel_find(k, id);
	struct p1 *p = p1_by_id(k, id);

	ike_enter(k, now_us, 0);
	if (!t && !p)
		return -ENOENT;
	if (t)
		tunnel_down(t, "deactivated", true);
	else /* the one that was replaced a moment ago, too */
		for (; p; p = p1_by_id(k, id))
			p1_deactivate(p, cascade);
	ike_reap(k);
	return 0;
}

int ike_refresh(struct ike *k, const char *id, uint64_t now_us)
{
	struct tunnel *t = ike_tunnel_find(k, id);
	struct p1 *p = t ? NULL : p1_by_id(k, id), *next;
	struct errbuf e;

	ike_enter(k, now_us, 0);
	if (t) {
		tunnel_negotiate(t);
		ike_reap(k);
		return 0;
	}
	if (!p || !p->rule || p->step != P1_DONE)
		return -ENOENT;
	int r = p->refreshing ? 0 : p1_initiate(k, &p->path, p->rule, p, &next, &e);
	ike_reap(k);
	return r;
}
