/* call: the head of an ONC RPC call and of its reply (RFC 5531 sections 8 and 9). What a stranger sends is read with care: a head that
 * cannot be answered is CALL_DROP, one that is wrong in a way the RFC names has its error reply. */
#pragma once
#include "lib/base/rd.h"
#include "lib/base/wr.h"

enum { CALL_AUTH_MAX = 400, CALL_REPLY_HEAD = 24 };

enum call_verdict { CALL_GOOD, CALL_DROP, CALL_RPC_MISMATCH, CALL_BAD_CRED, CALL_REJECTED_CRED };
enum accept_stat { ACCEPT_SUCCESS, ACCEPT_PROG_UNAVAIL, ACCEPT_PROG_MISMATCH, ACCEPT_PROC_UNAVAIL, ACCEPT_GARBAGE_ARGS, ACCEPT_SYSTEM_ERR };
enum auth_stat { AUTH_BADCRED = 1, AUTH_REJECTEDCRED = 2, AUTH_TOOWEAK = 5 };

struct call_head {
	uint32_t xid, prog, vers, proc;
};

/* Reads the head of the call in @r, which then stands at the arguments. */
enum call_verdict call_read(struct rd *r, struct call_head *ret);
/* The reply to a verdict other than CALL_GOOD and CALL_DROP. */
void call_reply_verdict(struct wr *w, uint32_t xid, enum call_verdict v);
void call_reply_accepted(struct wr *w, uint32_t xid, enum accept_stat s); /* results, if it has any, follow */
void call_reply_mismatch(struct wr *w, uint32_t xid, uint32_t low, uint32_t high);
void call_reply_auth(struct wr *w, uint32_t xid, enum auth_stat s);
