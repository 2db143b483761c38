#include "daemons/rpcbindD/call.h"
#include "daemons/rpcbindD/xdr.h"

enum { MSG_CALL = 0, MSG_REPLY = 1, FLAVOR_NONE = 0, FLAVOR_SYS = 1, RPC_VERSION = 2, MACHINE_MAX = 255, GIDS_MAX = 16 };

/* AUTH_SYS says who the client claims to be. Nobody believes it; it must be well-formed all the same. */
static bool is_auth_sys(const uint8_t *p, size_t len)
{
	size_t n;
	struct rd r = rd_init(p, len);
	(void)rd_u32(&r);
	(void)xdr_get_bytes(&r, MACHINE_MAX, &n);
	(void)rd_u32(&r);
	(void)rd_u32(&r);
	uint32_t gids = rd_u32(&r);
	return rd_ok(&r) && gids <= GIDS_MAX && rd_left(&r) == 4 * (size_t)gids;
}

enum call_verdict call_read(struct rd *r, struct call_head *ret)
{
	size_t cred_len = 0, verf_len = 0;
	ret->xid = rd_u32(r);
	if (rd_u32(r) != MSG_CALL || !rd_ok(r))
		return CALL_DROP;
	uint32_t version = rd_u32(r);
	if (!rd_ok(r))
		return CALL_DROP;
	if (version != RPC_VERSION)
		return CALL_RPC_MISMATCH;
	ret->prog = rd_u32(r);
	ret->vers = rd_u32(r);
	ret->proc = rd_u32(r);
	uint32_t flavor = rd_u32(r);
	if (!rd_ok(r))
		return CALL_DROP;
	const uint8_t *cred = xdr_get_bytes(r, CALL_AUTH_MAX, &cred_len);
	(void)rd_u32(r);
	if (!cred || !xdr_get_bytes(r, CALL_AUTH_MAX, &verf_len) || !rd_ok(r))
		return CALL_BAD_CRED;
	if (flavor == FLAVOR_NONE)
		return CALL_GOOD;
	if (flavor != FLAVOR_SYS)
		return CALL_REJECTED_CRED;
	return is_auth_sys(cred, cred_len) ? CALL_GOOD : CALL_BAD_CRED;
}

static void denied(struct wr *w, uint32_t xid, uint32_t how)
{
	wr_u32(w, xid);
	wr_u32(w, MSG_REPLY);
	wr_u32(w, 1);
	wr_u32(w, how);
}

void call_reply_auth(struct wr *w, uint32_t xid, enum auth_stat s)
{
	denied(w, xid, 1);
	wr_u32(w, (uint32_t)s);
}

void call_reply_verdict(struct wr *w, uint32_t xid, enum call_verdict v)
{
	if (v != CALL_RPC_MISMATCH) {
		call_reply_auth(w, xid, v == CALL_BAD_CRED ? AUTH_BADCRED : AUTH_REJECTEDCRED);
		return;
	}
	denied(w, xid, 0);
	wr_u32(w, RPC_VERSION);
	wr_u32(w, RPC_VERSION);
}

void call_reply_accepted(struct wr *w, uint32_t xid, enum accept_stat s)
{
	uint8_t *p = wr_space(w, CALL_REPLY_HEAD);
	if (!p)
		return;
	struct wr h = wr_init(p, CALL_REPLY_HEAD);
	wr_u32(&h, xid);
	wr_u32(&h, MSG_REPLY);
	wr_zero(&h, 12);
	wr_u32(&h, (uint32_t)s);
}

void call_reply_mismatch(struct wr *w, uint32_t xid, uint32_t low, uint32_t high)
{
	call_reply_accepted(w, xid, ACCEPT_PROG_MISMATCH);
	wr_u32(w, low);
	wr_u32(w, high);
}
