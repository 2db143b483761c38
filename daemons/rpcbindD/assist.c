/* CALLIT, BCAST and INDIRECT: the server is found here, called by remote.c, and its answer goes back to who asked. CALLIT and BCAST are silent on
 * failure: they are broadcast, and whoever has nothing to say says nothing. */
#include "daemons/rpcbindD/rpcbind.h"
#include "daemons/rpcbindD/xdr.h"
#include "lib/base/xalloc.h"

enum { INDIRECT = 10 };

/* What went wrong, for INDIRECT. */
static void write_error(struct wr *w, uint32_t xid, const struct remote_answer *a)
{
	switch (a->status) {
	case REMOTE_PROG_MISMATCH:
		call_reply_mismatch(w, xid, a->low, a->high);
		return;
	case REMOTE_TOO_WEAK:
		call_reply_auth(w, xid, AUTH_TOOWEAK);
		return;
	case REMOTE_PROG_UNAVAIL:
		call_reply_accepted(w, xid, ACCEPT_PROG_UNAVAIL);
		return;
	case REMOTE_PROC_UNAVAIL:
		call_reply_accepted(w, xid, ACCEPT_PROC_UNAVAIL);
		return;
	case REMOTE_GARBAGE_ARGS:
		call_reply_accepted(w, xid, ACCEPT_GARBAGE_ARGS);
		return;
	default:
		call_reply_accepted(w, xid, ACCEPT_SYSTEM_ERR);
	}
}

static void write_results(struct wr *w, const struct rb_late *l, const struct remote_answer *a)
{
	char text[UADDR_TEXT_MAX];
	call_reply_accepted(w, l->xid, ACCEPT_SUCCESS);
	if (l->version == 2)
		wr_u32(w, l->target_port);
	else
		xdr_put_text(w, uaddr_text(&l->target, l->target_port, text));
	xdr_put_bytes(w, a->results, a->len);
}

static void unlink_late(struct rb_late *l)
{
	for (struct rb_late **p = &l->rb->lates; *p; p = &(*p)->next)
		if (*p == l) {
			*p = l->next;
			return;
		}
}

static void finished(void *arg, const struct remote_answer *a)
{
	struct rb_late *l = arg;
	uint8_t text[RB_UDP_REPLY_MAX + 256];
	struct wr w = wr_init(text, sizeof(text));
	bool ok = a->status == REMOTE_DONE;
	unlink_late(l);
	rb_stat_remote(&l->rb->stat[l->version - 2], l, ok);
	if (a->why)
		log_debug("no call for another", "program", log_u64(l->prog), "why", a->why);
	if (ok)
		write_results(&w, l, a);
	else if (l->indirect && a->status != REMOTE_SILENT)
		write_error(&w, l->xid, a);
	if (wr_ok(&w) && wr_len(&w) && wr_len(&w) <= l->caller.room) {
		if (l->caller.conn)
			rb_tcp_answer(l->caller.conn, text, wr_len(&w));
		else
			rb_udp_answer(&l->caller, text, wr_len(&w));
	}
	free(l);
}

void rb_late_forget(struct rpcbind *rb, const struct rb_conn *conn)
{
	for (struct rb_late **p = &rb->lates, *l; (l = *p);) {
		if (l->caller.conn != conn) {
			p = &l->next;
			continue;
		}
		*p = l->next;
		remote_cancel(rb->remote, l);
		free(l);
	}
}

/* Where the server of a call listens, on an address of this host. */
static void find_target(struct rpcbind *rb, const struct rb_caller *c, const struct call_head *want, struct remote_target *t)
{
	static const uint8_t v4[4] = {127, 0, 0, 1}, v6[16] = {[15] = 1};
	enum netid first = netid_family(c->netid) == 6 ? NETID_UDP6 : NETID_UDP, other = first == NETID_UDP ? NETID_UDP6 : NETID_UDP;
	const struct registration *e = registry_find_any(rb->registry, want->prog, want->vers, first);
	if (!e)
		e = registry_find_any(rb->registry, want->prog, want->vers, other);
	*t = (struct remote_target){.prog = want->prog, .vers = want->vers, .proc = want->proc};
	if (!e)
		return;
	t->port = e->port;
	t->owner = e->owner;
	t->addr = e->addr;
	if (addr_is_any(&e->addr))
		t->addr = c->here.family == e->addr.family ? c->here : e->addr.family == 4 ? addr_v4(v4) : addr_v6(v6);
}

enum rb_outcome rb_assist(struct rpcbind *rb, struct rb_caller *c, const struct call_head *h, struct rd *r, struct wr *out)
{
	size_t len = 0;
	bool indirect = h->proc == INDIRECT;
	struct call_head want = {.prog = rd_u32(r), .vers = rd_u32(r), .proc = rd_u32(r)};
	const uint8_t *args = xdr_get_bytes(r, REMOTE_ARGS_MAX, &len);
	struct remote_target t;
	if (!args || !rd_ok(r)) {
		if (!indirect)
			return RB_SILENT;
		call_reply_accepted(out, h->xid, ACCEPT_GARBAGE_ARGS);
		return RB_REPLY;
	}
	find_target(rb, c, &want, &t);
	struct remote_client client = {.who = {.local = c->local, .uid = -1, .addr = c->addr, .options = c->options, .options_len = c->options_len},
		.port = c->port, .xid = h->xid};
	if (c->local && rb->conf->remote.enabled) {
		rb_find_uid(c);
		client.who.uid = c->uid;
	}
	struct rb_late *l = xnew(struct rb_late);
	*l = (struct rb_late){.next = rb->lates, .rb = rb, .caller = *c, .xid = h->xid, .prog = want.prog, .vers = want.vers, .proc = want.proc,
		.version = h->vers, .indirect = indirect, .target = t.addr, .target_port = t.port};
	rb->lates = l;
	remote_call(rb->remote, &t, &client, args, len, finished, l);
	return RB_LATER;
}
