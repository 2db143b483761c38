/* engine: inside the IKE engine (ike.h): what its files share.
 *
 *   engine.c   tables and entries                  timers.c   a heap of deadlines
 *   control.c  what people ask                     show.c     what is displayed
 *   send.c     messages out: encryption, fragments, retransmission
 *   p1.c       phase 1: tables and messages        p1_main.c p1_aggressive.c   its messages
 *   p1_values.c  what is agreed on                 p1_life.c   lifetime, lifesize, succession
 *   auth.c     identities, keys, certificates, signatures
 *   quick.c quick_*.c  quick mode                  tunnel.c   phase 2 tunnels and their generations
 *   info.c     informational exchanges, DPD        ahead.c    key pairs made in quiet moments
 *
 * Nothing is freed while an entry runs: what ends is unlinked, marked dead and reaped when the entry returns, so that a function may
 * go on reading what it just ended. */
#pragma once
#include "lib/ike/dh.h"
#include "lib/ike/frag.h"
#include "lib/ike/ike.h"
#include "lib/ike/keymat.h"
#include "lib/ike/natd.h"
#include "lib/ike/payload.h"
#include "lib/ike/sa.h"
#include "lib/ike/vid.h"
#include <string.h>
#include <sys/queue.h>

enum { IKE_BUCKETS = 16384, IKE_OUT_MAX = 32768, IKE_FRAGMENT_MTU = 1240, IKE_IDS_MAX = 65536, IKE_EXCHANGES_MAX = 64, IKE_CRS_MAX = 16 };
#define IKE_SECOND UINT64_C(1000000)

struct timer {
	uint64_t due;
	size_t at; /* place in the heap + 1; 0: not armed */
	void (*fn)(struct ike *k, void *arg);
	void *arg;
};
struct timers {
	struct timer **v;
	size_t n, cap;
};
void timer_set(struct ike *k, struct timer *t, uint64_t due_us); /* again: moves */
void timer_stop(struct ike *k, struct timer *t);
struct timer *timer_due(struct ike *k, uint64_t now_us); /* taken out; NULL: none */

struct bytes {
	uint8_t *p;
	size_t len;
};
void bytes_set(struct bytes *b, const void *p, size_t len); /* copies; what was there is cleansed */
void bytes_free(struct bytes *b);
static inline struct ike_part bytes_part(const struct bytes *b)
{
	return (struct ike_part){b->p, b->len};
}

/* What one end keeps to send again, and how it knows a message it has had. */
struct flight {
	struct bytes sent;   /* as it went out: encrypted */
	uint64_t answers;    /* digest of the message that it answers, 0: none */
	uint64_t previous;   /* digest of the one before */
	unsigned tries;	     /* sent again so often */
	bool wants_answer;
	struct timer retry;
};

enum p1_step {
	P1_IDLE,
	P1_WAIT,	/* for the peer's message */
	P1_SIGNER,	/* for the signer */
	P1_DONE
};

/* Needed until phase 1 is done; a half-open responder without a third message has none but the SA body. */
struct p1_kex {
	struct dh_key *dh;
	struct bytes ni, nr, gxi, gxr, gxy;
	struct bytes sai;    /* initiator's SA body */
	struct bytes answer; /* aggressive mode: the responder's */
	struct bytes own_id, peer_id; /* ID payload bodies */
	struct bytes cr[IKE_CRS_MAX];	/* DER names the peer takes */
	unsigned n_cr;
	struct bytes certs[VERIFY_CERTS_MAX], crls[VERIFY_CRLS_MAX];
	unsigned n_certs, n_crls;
	struct bytes chain[KEYRING_CHAIN_MAX]; /* ours */
	unsigned n_chain;
	struct bytes signature;
	struct signer_call *call;
	unsigned sign_tries;
	uint8_t key[KEYRING_KEY_ID];
};

struct p1 {
	TAILQ_ENTRY(p1) entry, half;
	LIST_ENTRY(p1) hash, source, pair, by_number;
	struct ike *ike;
	uint32_t number, generation;
	char id[16];
	struct ike_path path;
	uint64_t source_key;
	uint8_t icookie[IKE_COOKIE], rcookie[IKE_COOKIE];
	bool initiator, aggressive, dead, half_open, reported, paired;
	bool natt, natt_draft; /* both ends speak it */
	struct natd_result nat;
	enum p1_step step;
	uint8_t message; /* of the exchange, last handled or sent */
	const struct kex_rule *rule;
	struct kex_offer offer; /* agreed */
	struct ike_suite suite;
	struct ike_skeys keys;
	bool have_keys;
	uint8_t iv[IKE_BLOCK_MAX]; /* running; at the end the last block of phase 1 */
	unsigned vids;
	struct p1_kex *x;
	struct flight flight;
	struct frag *frag;
	uint16_t frag_id;
	struct ident peer, own;
	uint64_t established_us, expires_us, refresh_us;
	uint64_t bytes, soft_bytes, hard_bytes; /* protected since it was done, and the limits; UINT64_MAX: none */
	struct timer life, dpd;
	bool answered; /* something came under its cookies, proved or not */
	bool refreshing;  /* a successor is being negotiated */
	struct p1 *replaces, *successor; /* the one that it will succeed; the one that will succeed it; NULL when that is gone */
	/* DPD */
	uint64_t heard_us;
	uint32_t dpd_out, dpd_in, dpd_id; /* dpd_id: message id of the last question */
	uint64_t dpd_acked_us;
	uint64_t dpd_since_us; /* unanswered since; 0 */
	/* phase 2 */
	LIST_HEAD(, tunnel) tunnels;
	TAILQ_HEAD(, quick) quicks;
	unsigned n_tunnels, n_quicks;
	uint32_t *ids; /* message ids that were used, as hash table: 0 is none */
	unsigned n_ids, cap_ids;
};

enum quick_step { QUICK_WAIT_INSTALL, QUICK_WAIT, QUICK_DONE };
struct quick {
	TAILQ_ENTRY(quick) entry;
	LIST_ENTRY(quick) hash;
	struct p1 *p1;
	struct tunnel *tunnel;
	uint32_t id;
	uint64_t began_us;
	bool initiator, dead;
	enum quick_step step;
	uint8_t iv[IKE_BLOCK_MAX];
	struct bytes ni, nr, sa, ids; /* sa: body we sent; ids: both ID bodies as sent, for the answer */
	struct dh_key *dh;
	uint16_t group;
	struct p2_choice choice;
	struct ike_child child; /* under negotiation; has the keys until it is installed */
	struct bytes idci, idcr; /* as received: the answer repeats them */
	bool has_ids;
	struct flight flight;
	struct timer linger;
};

/* A generation that was replaced and is still understood for a while. */
struct old_child {
	struct old_child *next;
	struct tunnel *tunnel;
	struct ike_child child;
	struct timer gone;
};
struct tunnel {
	TAILQ_ENTRY(tunnel) entry;
	LIST_ENTRY(tunnel) of_p1, hash, same, ends;
	struct ike *ike;
	struct p1 *p1; /* NULL: it went; a new one is made when needed */
	uint32_t number;
	char id[16];
	struct ike_child child; /* in force, without keys; before the first: what is asked for */
	uint32_t last_generation; /* given out */
	bool live, dead, initiator; /* initiator: of the first negotiation */
	bool waiting; /* for its phase 1 to be ready */
	struct quick *quick; /* our own negotiation under way */
	struct old_child *old;
	uint64_t established_us, expires_us, refresh_us;
	struct timer refresh;
	struct timer adopt; /* a phase 1 is to be made for it */
	bool orphan; /* resumed, or its phase 1 ended before it: whether the peer lives shows when one is made */
};

LIST_HEAD(p1_list, p1);
LIST_HEAD(tunnel_list, tunnel);
LIST_HEAD(quick_list, quick);
TAILQ_HEAD(p1_queue, p1);
struct ike {
	struct ike_config c;
	uint64_t now, wall;
	struct timers timers;
	struct p1_list by_cookie[IKE_BUCKETS];
	struct p1_list by_source[IKE_BUCKETS]; /* half-open only */
	struct p1_list by_pair[IKE_BUCKETS]; /* done ones and our own under way, by their two addresses */
	struct p1_list by_number[IKE_BUCKETS];
	struct tunnel_list by_id[IKE_BUCKETS];
	struct tunnel_list by_same[IKE_BUCKETS]; /* by what they protect, and between whom */
	struct tunnel_list by_ends[IKE_BUCKETS]; /* only between whom */
	struct quick_list by_message[IKE_BUCKETS]; /* by phase 1 and message id */
	const struct ike_path *from; /* of the message being handled; NULL: none is */
	struct p1_queue p1s, half; /* half: oldest first */
	TAILQ_HEAD(, tunnel) tunnels;
	struct p1_queue dead_p1;
	TAILQ_HEAD(, quick) dead_quick;
	TAILQ_HEAD(dead_tunnels, tunnel) dead_tunnel;
	uint32_t n_p1, n_half, n_tunnels, next_k, next_y;
	uint64_t key[2];
	struct dh_pool *pool;
	struct ike_stats stats;
	/* CAs of the signer */
	struct signer_call *cas_call;
	struct bytes *ca_names; /* DER, for certificate requests */
	size_t n_ca_names;
	struct trust { const struct kex_rule *rule; struct verify_trust *trust; } *trusts; /* rule NULL: all CAs */
	size_t n_trusts;
	struct ike_p1_info p1_info;
	struct ike_child_info child_info;
	uint8_t out[IKE_OUT_MAX], in[IKE_OUT_MAX * 2];
};

/* engine.c */
/* Every entry of ike.h begins with the first and ends with the second: what ended meanwhile is freed only when nothing reads it. */
void ike_enter(struct ike *k, uint64_t now_us, uint64_t wall_us);
void ike_reap(struct ike *k);
uint64_t ike_digest(const struct ike *k, const void *data, size_t len); /* keyed; never 0 */
int ike_random(struct ike *k, void *out, size_t len);
void ike_event(struct ike *k, enum ike_event_kind kind, struct p1 *p, struct tunnel *t, const struct ike_path *path, const char *message,
	const char *fmt, ...) __attribute__((format(printf, 7, 8)));
const struct ike_p1_info *ike_p1_fill(struct ike *k, const struct p1 *p);
const struct ike_child_info *ike_child_fill(struct ike *k, const struct tunnel *t);
struct tunnel *ike_tunnel_find(struct ike *k, const char *id);

/* The peer has the keys in use: what it is told is protected. Main mode's responder has with its message 6, before we judge that. */
static inline bool p1_peer_done(const struct p1 *p)
{
	return p->step == P1_DONE || (p->initiator && !p->aggressive && p->have_keys && p->message == 6);
}

/* send.c */
/* Sends a finished message of @len bytes in @data: encrypts its body with @iv (NULL: in clear), fragments if need be and, with @f, keeps
 * it to be sent again. */
void send_message(struct p1 *p, struct flight *f, uint8_t *iv, uint8_t *data, size_t len, bool wants_answer);
void send_again(struct p1 *p, struct flight *f);
void flight_free(struct ike *k, struct flight *f);
/* A notify in an informational exchange of its own: encrypted and authenticated when @p has keys, else in clear. */
void send_notify(struct p1 *p, const struct ike_notification *n);
void send_error(struct p1 *p, uint16_t notify, uint8_t protocol, const void *spi, uint8_t spi_len);
void send_delete_p1(struct p1 *p);
void send_delete_child(struct p1 *p, const struct ike_child *c);
/* To who has no SA here. */
void send_plain_error(struct ike *k, const struct ike_path *path, const struct isakmp_header *h, uint16_t notify);

/* p1.c */
struct p1 *p1_new(struct ike *k, const struct ike_path *path, bool initiator);
void p1_end(struct p1 *p); /* unlinks; no message, no event */
void p1_deaf(struct p1 *p); /* the peer answers nothing by it: told, deleted; what hangs on it begins anew when its time comes */
void p1_free(struct p1 *p);
int p1_initiate(struct ike *k, const struct ike_path *path, const struct kex_rule *rule, struct p1 *replaces, struct p1 **ret,
	struct errbuf *err);
void p1_respond(struct ike *k, const struct ike_path *path, const struct isakmp_header *h, const uint8_t *data, size_t len);
void p1_input(struct p1 *p, const struct ike_path *path, const struct isakmp_header *h, uint8_t *data, size_t len);
void p1_failed(struct p1 *p, uint16_t notify, const char *message, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void p1_number(struct p1 *p, const struct p1 *replaces); /* "K3", generation */
void p1_kex_free(struct p1 *p); /* what only the negotiation needed */

/* p1_index.c */
struct p1_list *p1_cookies(struct ike *k, const uint8_t icookie[IKE_COOKIE]); /* with this one, among others with the same digest */
struct p1 *p1_find(struct ike *k, const uint8_t icookie[IKE_COOKIE], const uint8_t rcookie[IKE_COOKIE]);
struct p1 *p1_under_way(struct ike *k, const struct ike_path *path); /* begun by us */
/* Who is between these two ends, among others with the same digest. */
struct p1_list *p1_pairs(struct ike *k, const struct addr *local, const struct addr *remote);
struct p1 *p1_by_id(struct ike *k, const char *id); /* its newest generation */
/* The done one between the two ends, newest first; NULL. */
struct p1 *p1_between(struct ike *k, const struct addr *local, const struct addr *remote);

/* p1_half.c */
/* Room for one more half-open SA: of one source only so many; of all, the oldest makes place once half of the table is full. */
bool p1_admit(struct ike *k, const struct ike_path *path);
void p1_half_open(struct p1 *p);
void p1_not_half_open(struct p1 *p); /* it does not count against floods any more */

/* p1_ids.c: is a message id new, and used from now on? A table that fills up makes the SA be renewed. */
bool p1_id_used(const struct p1 *p, uint32_t id);
bool p1_id_use(struct p1 *p, uint32_t id);

/* p1_life.c */
void p1_done(struct p1 *p);
void p1_life(struct ike *k, void *p1); /* its timer: half-open too long, time to renew, or the end */
void p1_used(struct p1 *p, size_t bytes); /* its keys have protected so much more */
void p1_moved(struct p1 *p, const struct ike_path *path); /* the peer's messages come from elsewhere now, and are good */
void p1_add_contact(struct p1 *p, struct isakmp_build *b); /* INITIAL-CONTACT, if it is the first */
bool p1_says_contact(const struct isakmp_payloads *pl);
void p1_take_contact(struct p1 *p, const struct isakmp_payloads *pl);

/* p1_values.c */
int p1_keys(struct p1 *p); /* SKEYID and all, phase 1's first IV */
struct ike_kex p1_kex_of(const struct p1 *p);
/* A new DH pair of the agreed group; own KE and nonce into x. */
int p1_own_values(struct p1 *p);
int p1_take_values(struct p1 *p, const struct isakmp_payloads *pl, struct ike_refusal *why); /* the peer's KE and NONCE */
int p1_shared(struct p1 *p, struct ike_refusal *why);
int p1_take_nat(struct p1 *p, const struct isakmp_header *h, const struct isakmp_payloads *pl, struct ike_refusal *why);
void p1_add_nat(struct p1 *p, struct isakmp_build *b);
unsigned p1_own_vids(const struct p1 *p);
void p1_take_vids(struct p1 *p, const struct isakmp_payloads *pl);
void p1_start_message(struct p1 *p, struct isakmp_build *b, bool encrypted);
void p1_send(struct p1 *p, struct isakmp_build *b, bool encrypted, bool wants_answer);
/* Responder: the first rule for the two addresses that the mode may be answered under and whose offers fit; of aggressive mode, which
 * says who it is at once, also for the peer's identity. */
int p1_choose(struct p1 *p, const struct isakmp_payload *sa, struct p1_choice *c, struct ike_refusal *why);
bool p1_answers(const struct kex_rule *r, bool aggressive); /* HowToRespond allows the mode */
int p1_set_offer(struct p1 *p, const struct p1_choice *c);

/* p1_main.c, p1_aggressive.c: a message of the exchange, decrypted; -EPROTO with the refusal. */
int main_begin(struct p1 *p);
int main_respond(struct p1 *p, const struct isakmp_payloads *pl, struct ike_refusal *why);
int main_message(struct p1 *p, const struct isakmp_header *h, const struct isakmp_payloads *pl, struct ike_refusal *why);
void main_resume(struct p1 *p); /* the signer answered */
int aggressive_begin(struct p1 *p);
int aggressive_respond(struct p1 *p, const struct isakmp_header *h, const struct isakmp_payloads *pl, struct ike_refusal *why);
int aggressive_message(struct p1 *p, const struct isakmp_header *h, const struct isakmp_payloads *pl, struct ike_refusal *why);
void aggressive_resume(struct p1 *p);

/* auth.c */
int auth_own_id(struct p1 *p); /* x->own_id of a rule's local identity (but that of a certificate) */
int auth_take_id(struct p1 *p, const struct isakmp_payloads *pl, struct ike_refusal *why);
int auth_final_rule(struct p1 *p, struct ike_refusal *why); /* by the peer's identity */
void auth_take_certs(struct p1 *p, const struct isakmp_payloads *pl);
void auth_take_requests(struct p1 *p, const struct isakmp_payloads *pl);
void auth_add_requests(struct p1 *p, struct isakmp_build *b);
void auth_add_proof(struct p1 *p, struct isakmp_build *b); /* CERT and SIG, or HASH */
/* Makes ready what proves us: 0 at once; 1: the signer was asked and p1's resume will run. -errno. */
int auth_find(struct p1 *p);
int auth_sign(struct p1 *p);
int auth_check(struct p1 *p, const struct isakmp_payloads *pl, struct ike_refusal *why); /* the peer's proof */
void auth_load_cas(struct ike *k);
void auth_forget_cas(struct ike *k);

/* ahead.c: a new policy names other groups. */
void ahead_policy(struct ike *k);

/* allowed.c: does the new policy still allow it? The KeyExchangeRule that it then belongs to; NULL: no. */
const struct kex_rule *allowed_p1(const struct ipsec_policy *policy, const struct p1 *p);
bool allowed_tunnel(const struct ipsec_policy *policy, const struct tunnel *t);

/* quick.c, quick_*.c */
void quick_begin(struct tunnel *t); /* t->p1 is done */
void quick_input(struct p1 *p, const struct isakmp_header *h, uint8_t *data, size_t len);
void quick_end(struct quick *q);
void quick_free(struct quick *q);
void quick_installed(struct quick *q, int error);
void quick_traffic(struct tunnel *t, uint32_t generation); /* its inbound SA was used: as good as message 3 */
void quick_refused(struct p1 *p, uint32_t id, const char *why); /* the peer's notify */

/* tunnel.c, tunnel_*.c; what these share: tunnel.h */
struct tunnel *tunnel_new(struct ike *k, const struct ike_child *what);
struct tunnel *tunnel_same(struct ike *k, const struct ike_child *c); /* that protects the same between the same ends */
void tunnel_attach(struct tunnel *t, struct p1 *p); /* NULL: detach */
void tunnel_in_force(struct tunnel *t, const struct ike_child *c);
void tunnel_down(struct tunnel *t, const char *why, bool tell_peer);
void tunnel_failed(struct tunnel *t, const char *message, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void tunnel_negotiate(struct tunnel *t); /* now, or when a phase 1 is there */
void tunnel_free(struct tunnel *t);
/* The peer deleted its inbound SA @spi. */
void tunnel_deleted(struct p1 *p, uint8_t protocol, uint32_t spi);
void tunnels_of_ready(struct p1 *p);
void tunnels_adopt(struct p1 *p); /* the living ones of the same peer that have no phase 1 */
void tunnels_forget(struct p1 *p, const char *why); /* these end */
bool tunnels_between(struct ike *k, const struct ike_path *path);
void tunnel_moved(struct tunnel *t, const struct ike_path *path);
void tunnel_resumed(struct tunnel *t);
/* Dead peer detection (RFC 3706) runs under a phase 1, so tunnels that outlive theirs (it expired unrenewed, or the peer deleted it)
 * get a new one after the time that an idle peer is left alone. It is begun whether or not packets flow: the engine does not see
 * them. That it is not answered at all is taken as an unanswered R-U-THERE is; any answer, and be it a refusal in clear, shows that
 * somebody is there, and it is tried again later. Not so when a command took the phase 1 away, when the peer never said that it knows
 * DPD, or when the KeyExchangeRule says HowToInitiate DoNot: then a dead peer is found when the tunnel is to be renewed. */
void tunnels_orphaned(struct p1 *p); /* @p ends */
void tunnels_unproved(struct p1 *p, bool dead); /* @p did not come to be; @dead: and nothing was heard */
void tunnels_lost_p1(struct p1 *p, const char *why);

/* info.c */
void info_input(struct p1 *p, const struct isakmp_header *h, uint8_t *data, size_t len);
void info_heard(struct p1 *p); /* a good message or traffic came */
void info_dpd(struct ike *k, void *p1);

/* Decrypts the body behind the header in place; walks it. @iv is advanced only by the caller's copy. 0 or -EPROTO. */
int ike_open(struct p1 *p, const struct isakmp_header *h, uint8_t *data, size_t len, uint8_t iv[IKE_BLOCK_MAX], struct isakmp_payloads *ret,
	struct ike_refusal *why);
