/* quick: what the files of quick mode (quick.c and quick_*.c) share. Nobody else includes it; engine.h has what the engine calls. */
#pragma once
#include "lib/ike/engine.h"

/* quick.c */
struct quick *quick_new(struct p1 *p, uint32_t id, bool initiator);
struct tunnel *quick_tunnel(const struct quick *q); /* NULL: it has ended */
void quick_failed(struct quick *q, const char *why); /* ends it; a tunnel that waited for it hears why */

/* quick_message.c */
int quick_random(struct ike *k, uint32_t least, uint32_t *ret);
int quick_spis(struct quick *q); /* ours: one for each protocol that there may be */
bool quick_natted(const struct p1 *p);
int quick_own_values(struct quick *q); /* nonce, and a DH pair when there is a group */
struct p2_terms quick_terms(const struct quick *q, const uint16_t *groups, size_t n_groups);
void quick_start(struct quick *q, struct isakmp_build *b);
/* Fills the hash over what follows it and sends. @ni: empty for message 1. */
int quick_finish(struct quick *q, struct isakmp_build *b, uint8_t *hash, struct ike_part ni, bool wants_answer);
int quick_take_values(struct quick *q, const struct isakmp_payloads *pl, const struct isakmp_payload **ret_ke, struct ike_refusal *why);
void quick_add_nat_oa(struct quick *q, struct isakmp_build *b);
int quick_take_nat_oa(struct quick *q, const struct isakmp_payloads *pl, struct ike_refusal *why);
void quick_add_lifetimes(struct quick *q, struct isakmp_build *b);
void quick_take_lifetimes(struct quick *q, const struct isakmp_payloads *pl);

/* quick_ids.c */
void quick_add_ids(struct quick *q, struct isakmp_build *b, const struct selector *s);
bool quick_same_ids(const struct quick *q, const struct isakmp_payloads *pl);
int quick_read_selector(struct quick *q, const struct isakmp_payloads *pl, struct selector *s, struct ike_refusal *why);
/* The rule that protects @s, which may change when a NAT hides an end; NULL with the refusal. */
const struct policy_rule *quick_anchor(struct quick *q, struct selector *s, struct ike_refusal *why);

/* quick_child.c */
int quick_keys(struct quick *q, const struct isakmp_payload *ke, struct ike_refusal *why);
void quick_describe(struct quick *q, const struct policy_rule *r);
void quick_install(struct quick *q);
void quick_forget_halves(struct ike_child *c); /* SPIs and keys; cleanses */

/* quick_initiator.c, quick_responder.c: a message of the exchange, decrypted; -EPROTO with the refusal. */
int quick_take_1(struct quick *q, const struct isakmp_payloads *pl, struct ike_refusal *why);
int quick_take_2(struct quick *q, const struct isakmp_payloads *pl, struct ike_refusal *why);
int quick_confirmed(struct quick *q); /* the peer has its SAs: message 3 came, or traffic under them */
void quick_message_2(struct quick *q);
void quick_message_3(struct quick *q);
