/* What the tests of ids/ share: a policy from text, packets, a worker, what was told. */
#pragma once
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ids/ids.h"
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/parse.h"
#include "tests/support/check_main.h"
#include <string.h>
#include <urcu-qsbr.h>

static struct ids *ids;
static struct ids_worker *w;
static struct ids_policy *policy;
static uint64_t now_ms;
static struct {
	enum ids_told told;
	bool log, console, discarded, fast, entered;
	uint64_t count;
	struct ids_event event;
	char text[IDS_TEXT_MAX];
} heard[4096];
static unsigned n_heard;
static uint8_t frame[4096];
static struct pkt pkt;

static inline void listen_to(void *arg, const struct ids_report_out *r)
{
	(void)arg;
	ck_assert_uint_lt(n_heard, 4096);
	heard[n_heard].told = r->told;
	heard[n_heard].log = r->log;
	heard[n_heard].console = r->console;
	heard[n_heard].fast = r->fast;
	heard[n_heard].entered = r->entered;
	heard[n_heard].count = r->count;
	if (r->event)
		heard[n_heard].event = *r->event;
	(void)snprintf(heard[n_heard].text, IDS_TEXT_MAX, "%s", r->text);
	n_heard++;
}

static inline void control(uint64_t ms)
{
	now_ms += ms;
	ids_control(ids, now_ms, now_ms * 1000, listen_to, NULL);
	ids_worker_now(w, now_ms, now_ms * 1000);
}

static inline void with_policy(const char *text)
{
	struct conf *c = NULL;
	int rc = conf_parse(&ids_policy_spec, "ids", text, strlen(text), &c);
	struct ids_policy *p = NULL;
	rc = rc ? rc : ids_policy_build(c, &p);
	ck_assert_msg(!rc, "%s", conf_error_count(c) ? conf_error(c, 0) : "?");
	conf_free(c);
	ids_apply(ids, p);
	ids_policy_free(policy);
	policy = p;
	ids_worker_now(w, now_ms, now_ms * 1000);
}

static inline void ids_setup(void)
{
	rcu_register_thread();
	ids = ids_new(1);
	w = ids_worker(ids, 0);
	now_ms = 1000000000;
	n_heard = 0;
	ids_worker_now(w, now_ms, now_ms * 1000);
}

static inline void ids_teardown(void)
{
	ids_apply(ids, NULL);
	ids_free(ids);
	ids_policy_free(policy);
	policy = NULL;
	rcu_unregister_thread();
}

static inline struct addr at(const char *text)
{
	struct addr a;
	ck_assert_int_eq(addr_parse(text, &a), 0);
	return a;
}

/* The packet in frame[], parsed; true: ip_parse took it. */
static inline bool take(uint32_t len)
{
	pkt = (struct pkt){.buf = frame, .size = sizeof(frame), .len = len};
	if (frame[0] >> 4 == 4)
		ip4_checksum(frame);
	return ip_parse(&pkt);
}

/* An IPv4 header and @payload zero bytes behind @options bytes of options. */
static inline uint8_t *ip4(const char *src, const char *dst, uint8_t proto, uint32_t options, uint32_t payload)
{
	struct addr s = at(src), d = at(dst);
	memset(frame, 0, sizeof(frame));
	ip4_write(frame, &s, &d, proto, 64, 0, 20 + options + payload, 1, false);
	frame[0] = (uint8_t)(0x40 | (5 + options / 4));
	return frame + 20 + options;
}

static inline uint8_t *ip6(const char *src, const char *dst, uint8_t next, uint32_t payload)
{
	struct addr s = at(src), d = at(dst);
	memset(frame, 0, sizeof(frame));
	ip6_write(frame, &s, &d, next, 64, 0, payload);
	return frame + 40;
}

static inline uint32_t tcp4(const char *src, unsigned sport, const char *dst, unsigned dport, uint8_t flags, uint32_t seq, uint32_t ack)
{
	uint8_t *t = ip4(src, dst, 6, 0, 20);
	ip_put16(t, sport);
	ip_put16(t + 2, dport);
	ip_put32(t + 4, seq);
	ip_put32(t + 8, ack);
	t[12] = 0x50;
	t[13] = flags;
	return 40;
}
