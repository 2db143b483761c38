/* stack_run PROFILE: the packet path of a stack from its profile, without bus, SAF and privileges dropped; for measurements and for
 * tests of the path alone. Ends at SIGTERM or SIGINT and prints what it counted. */
#include "daemons/stack-core/core.h"
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>

static volatile sig_atomic_t ended;

static void end(int signo)
{
	(void)signo;
	ended = 1;
}

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void print_counters(const struct stack *s)
{
	uint64_t pass[PASS_MAX], drops[DROP_MAX];

	stack_counters(s, pass, drops);
	for (unsigned i = 0; i < PASS_MAX; i++)
		if (pass[i])
			printf("%s\t%s\t%llu\n", pass_stage(i), pass_name(i), (unsigned long long)pass[i]);
	for (unsigned i = 1; i < DROP_MAX; i++)
		if (drops[i])
			printf("drop\t%s\t%llu\n", drop_name(i), (unsigned long long)drops[i]);
	for (unsigned i = 0; i < s->n_links; i++)
		for (unsigned k = 0; k < s->n_workers; k++)
			printf("%s\t%s.%u\t%llu\n", link_driver_text(&s->links[i]), s->links[i].name, k, (unsigned long long)s->links[i].counters[k].rx_packets);
}

static void unheard(void *arg, const struct ids_report_out *r)
{
	(void)arg;
	(void)r;
}

/* Intrusion detection, without anybody to tell. */
static void watch(struct stack *s, uint64_t ms)
{
	struct link_counters c;

	for (unsigned i = 0; i < s->n_links; i++) {
		link_sum(&s->links[i], &c);
		ids_link_counts(s->ids, i, c.rx_packets);
	}
	ids_control(s->ids, ms, ms * 1000, unheard, NULL);
}

static int start(struct core *k, struct stack_conf *c, struct errbuf *e)
{
	k->stack = stack_new("RUN", c->workers);
	memcpy(k->stack->links, c->links, sizeof(c->links));
	k->stack->n_links = c->n_links;
	filter_switch(k->stack->filters, FILTER_POLICY);
	int r = stack_open(k->stack, e);
	r = r < 0 ? r : core_apply(k, c, e);
	return r < 0 ? r : stack_start(k->stack, e);
}

static int serve(struct stack_conf *conf)
{
	struct core k = {0};
	struct errbuf e = {""};
	int r = start(&k, conf, &e);

	if (r < 0)
		fprintf(stderr, "%s\n", e.text);
	while (!r && !ended) {
		struct pollfd p = {k.stack->control_fd, POLLIN, 0};
		(void)poll(&p, 1, 100);
		stack_control(k.stack, now_ms());
		watch(k.stack, now_ms());
	}
	stack_stop(k.stack);
	if (!r)
		print_counters(k.stack);
	stack_free(k.stack);
	return r < 0 ? 71 : 0;
}

int main(int argc, char **argv)
{
	struct conf *c;
	void *built = NULL;
	int rc = 78;

	if (argc != 2)
		return 64;
	if (conf_parse_file(&stack_profile_spec, argv[1], &c) || stack_conf_build(c, "RUN", &built)) {
		for (unsigned i = 0; i < conf_error_count(c); i++)
			fprintf(stderr, "%s\n", conf_error(c, i));
	} else {
		signal(SIGTERM, end);
		signal(SIGINT, end);
		rc = serve(built);
	}
	stack_conf_free(built);
	conf_free(c);
	return rc;
}
