/* Activate, deactivate, refresh, and the calls that wait for the outcome of a negotiation. */
#include "daemons/ikeD/methods.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { WAIT_MAX_MS = 60000 };

static void reply_activated(struct bus_call *call, const char *id, const char *state)
{
	Ike__ActivateReply reply = IKE__ACTIVATE_REPLY__INIT;
	reply.tunnel_id = (char *)id;
	reply.state = (char *)state;
	bus_reply(call, &reply.base);
}

void methods_outcome(struct iked_stack *s, const char *id, bool up, const char *text)
{
	struct iked *k = s->iked;
	for (unsigned i = 0; i < k->n_waiting;) {
		struct iked_waiting w = k->waiting[i];
		if (w.stack != s || strcmp(w.id, id)) {
			i++;
			continue;
		}
		k->waiting[i] = k->waiting[--k->n_waiting];
		if (up)
			reply_activated(w.call, id, "DONE");
		else
			bus_fail(w.call, BUS_CONFLICT, "%s: %.200s", id, text && *text ? text : "the negotiation failed");
	}
}

void methods_expire(struct iked *k, uint64_t now_us)
{
	for (unsigned i = 0; i < k->n_waiting;) {
		struct iked_waiting w = k->waiting[i];
		if (now_us < w.deadline_us) {
			i++;
			continue;
		}
		k->waiting[i] = k->waiting[--k->n_waiting];
		bus_fail(w.call, BUS_UNAVAILABLE, "%s is still being negotiated", w.id);
	}
}

void methods_end(struct iked *k, struct iked_stack *s)
{
	for (unsigned i = 0; i < k->n_waiting;) {
		struct iked_waiting w = k->waiting[i];
		if (s && w.stack != s) {
			i++;
			continue;
		}
		k->waiting[i] = k->waiting[--k->n_waiting];
		bus_fail(w.call, BUS_UNAVAILABLE, "stack %s is not served any more", w.stack->conf.name);
	}
}

static void activated(struct bus_call *call, struct iked_stack *s, const Ike__ActivateRequest *m, const char *id)
{
	struct iked *k = s->iked;
	uint32_t wait = m->wait_ms > WAIT_MAX_MS ? WAIT_MAX_MS : m->wait_ms;
	const struct ike_child_info *c = NULL;
	char at[16] = "";
	while ((c = ike_child_next(s->engine, at[0] ? at : NULL)) && strcmp(c->child->tunnel_id, id))
		(void)snprintf(at, sizeof(at), "%s", c->child->tunnel_id);
	if (!wait || k->n_waiting == IKED_WAITING_MAX || (c && c->state == IKE_CHILD_DONE)) {
		reply_activated(call, id, c ? text_child_state(c->state) : "INIT");
		return;
	}
	struct iked_waiting *w = &k->waiting[k->n_waiting++];
	*w = (struct iked_waiting){.call = call, .stack = s, .deadline_us = iked_now_us() + wait * 1000u};
	(void)snprintf(w->id, sizeof(w->id), "%s", id);
}

void change_activate(struct bus_call *call, const ProtobufCMessage *req)
{
	const Ike__ActivateRequest *m = (const Ike__ActivateRequest *)req;
	struct iked_stack *s = methods_stack(call, m->stack);
	struct errbuf e = {""};
	char id[16] = "";
	if (!s)
		return;
	const struct local_vpn_rule *r = m->local_rule && *m->local_rule ? policy_local_rule(s->conf.policy, m->local_rule) : NULL;
	if (!r) {
		bus_fail(call, BUS_NOT_FOUND, "stack %s has no LocalDynVpnRule %.64s", s->conf.name, m->local_rule ? m->local_rule : "");
		return;
	}
	if (!s->ready) {
		bus_fail(call, BUS_UNAVAILABLE, "stack %s is not running", s->conf.name);
		return;
	}
	int rc = start_local(s, r, &e, id);
	if (rc && rc != -EALREADY)
		bus_fail(call, rc == -ENOENT ? BUS_NOT_FOUND : BUS_CONFLICT, "%s", e.text[0] ? e.text : log_errno(rc));
	else
		activated(call, s, m, id);
	iked_arm(s->iked);
}

struct id_list {
	char (*id)[16];
	size_t n, cap;
};

static void id_add(struct id_list *l, const char *id)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 16;
		l->id = xrealloc(l->id, l->cap, sizeof(*l->id));
	}
	(void)snprintf(l->id[l->n++], sizeof(*l->id), "%s", id);
}

/* "K*" and "Y*" stand for all of a kind. */
static void id_expand(struct iked_stack *s, const char *id, struct id_list *l)
{
	const struct ike_p1_info *p;
	const struct ike_child_info *c;
	char at[16] = "";
	if (!strcasecmp(id, "K*"))
		while ((p = ike_p1_next(s->engine, at[0] ? at : NULL))) {
			(void)snprintf(at, sizeof(at), "%s", p->tunnel_id);
			id_add(l, at);
		}
	else if (!strcasecmp(id, "Y*"))
		while ((c = ike_child_next(s->engine, at[0] ? at : NULL))) {
			(void)snprintf(at, sizeof(at), "%s", c->child->tunnel_id);
			id_add(l, at);
		}
	else {
		(void)snprintf(at, sizeof(at), "%.15s", id);
		at[0] = at[0] == 'k' ? 'K' : at[0] == 'y' ? 'Y' : at[0];
		id_add(l, at);
	}
}

static void change(struct bus_call *call, struct iked_stack *s, size_t n, char *const *ids, bool refresh, bool cascade)
{
	Ike__ChangedReply reply = IKE__CHANGED_REPLY__INIT;
	struct id_list l = {0};
	for (size_t i = 0; i < n; i++)
		id_expand(s, ids[i], &l);
	char **unknown = xcalloc(l.n, sizeof(*unknown));
	for (size_t i = 0; i < l.n; i++) {
		int rc = refresh ? ike_refresh(s->engine, l.id[i], iked_now_us()) :
				   ike_deactivate(s->engine, l.id[i], cascade, iked_now_us());
		if (rc)
			unknown[reply.n_unknown++] = l.id[i];
		else
			reply.changed++;
	}
	reply.has_changed = true;
	reply.unknown = unknown;
	if (!n)
		bus_fail(call, BUS_INVALID, "ids: none given");
	else if (!reply.changed && reply.n_unknown == 1)
		bus_fail(call, BUS_NOT_FOUND, "stack %s has no tunnel %s", s->conf.name, unknown[0]);
	else
		bus_reply(call, &reply.base);
	free(unknown);
	free(l.id);
	iked_arm(s->iked);
}

void change_deactivate(struct bus_call *call, const ProtobufCMessage *req)
{
	const Ike__DeactivateRequest *m = (const Ike__DeactivateRequest *)req;
	struct iked_stack *s = methods_stack(call, m->stack);
	if (s)
		change(call, s, m->n_ids, m->ids, false, m->cascade);
}

void change_refresh(struct bus_call *call, const ProtobufCMessage *req)
{
	const Ike__RefreshRequest *m = (const Ike__RefreshRequest *)req;
	struct iked_stack *s = methods_stack(call, m->stack);
	if (s)
		change(call, s, m->n_ids, m->ids, true, false);
}
