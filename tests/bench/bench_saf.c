/* saf.cached, saf.uncached: decisions per second on one core against 10,000 profiles, half discrete, half generic.
 * saf.reload: milliseconds for a reader to take a new generation of that size. Medians of 7 runs. */
#include "lib/base/xalloc.h"
#include "lib/saf/registry/registry.h"
#include "lib/saf/saf.h"
#include <time.h>
#include <unistd.h>

enum { PROFILES = 10000, RUNS = 7 };

static double now(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* per core: what other processes take does not count */
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double median(double v[RUNS])
{
	qsort(v, RUNS, sizeof(*v), by_value);
	return v[RUNS / 2];
}

static void must(int rc, const struct errbuf *e)
{
	if (rc) {
		(void)fprintf(stderr, "bench_saf: %s\n", e->text);
		exit(1);
	}
}

static void define(struct registry *r, unsigned i)
{
	char command[160];
	FILE *null = fopen("/dev/null", "we");
	switch (i % 4) {
	case 0:
	case 2:
		(void)snprintf(command, sizeof(command), "RDEFINE SERVAUTH EZB.%s.SYS%u.TCP%u.R%u UACC(%s)", i % 4 ? "NETACCESS" : "PORTACCESS", i % 7, i % 13, i,
			i % 3 ? "READ" : "NONE");
		break;
	case 1:
		(void)snprintf(command, sizeof(command), "RDEFINE SERVAUTH EZB.PORTACCESS.*.*.R%u UACC(READ)", i);
		break;
	default:
		(void)snprintf(command, sizeof(command), "RDEFINE SERVAUTH EZB.G%u.*.** UACC(NONE)", i);
		break;
	}
	(void)registry_run(r, command, "IBMUSER", NULL, null);
	(void)fclose(null);
}

/* Resources that half of the time meet a discrete profile, else a generic, else none. */
static void resource(unsigned i, char out[96])
{
	unsigned k = i % PROFILES;
	if (k % 4 == 0 || k % 4 == 2)
		(void)snprintf(out, 96, "EZB.%s.SYS%u.TCP%u.R%u", k % 4 ? "NETACCESS" : "PORTACCESS", k % 7, k % 13, k);
	else if (k % 4 == 1)
		(void)snprintf(out, 96, "EZB.PORTACCESS.SYS%u.TCP%u.R%u", i % 5, i % 11, k);
	else
		(void)snprintf(out, 96, "EZB.G%u.SYS1.TCPIP.X%u", k, i);
}

static double rate(struct saf *s, const struct saf_subject *who, char (*names)[96], unsigned n, unsigned total)
{
	double v[RUNS];
	unsigned allowed = 0;
	for (int run = 0; run < RUNS; run++) {
		double t = now();
		for (unsigned i = 0; i < total; i++) {
			struct saf_decision d;
			allowed += saf_check(s, who, "SERVAUTH", names[i % n], SAF_READ, &d) == SAF_ALLOWED;
		}
		v[run] = total / (now() - t);
	}
	if (!allowed)
		exit(1);
	return median(v);
}

int main(void)
{
	char dir[] = "/tmp/rv-bench-saf-XXXXXX", clean[64];
	struct errbuf e = {""};
	struct registry *r;
	struct saf *s;
	struct saf_subject who;
	if (!mkdtemp(dir))
		return 1;
	must(registry_open(dir, true, &r, &e), &e);
	FILE *null = fopen("/dev/null", "we");
	(void)registry_run(r, "ADDUSER USER1", "IBMUSER", NULL, null);
	for (unsigned i = 0; i < PROFILES; i++)
		define(r, i);
	must(registry_commit(r, &e), &e);
	must(saf_open(dir, &s, &e), &e);
	must(saf_user_by_name(s, "USER1", &who, NULL), &e);

	enum { MANY = 100000, FEW = 64 };
	char(*names)[96] = xcalloc(MANY, sizeof(*names));
	for (unsigned i = 0; i < MANY; i++)
		resource(i, names[i]);
	(void)printf("saf.cached\t%.0f\tdecisions/s\t-\t-\t-\n", rate(s, &who, names, FEW, 3000000));
	(void)printf("saf.uncached\t%.0f\tdecisions/s\t-\t-\t-\n", rate(s, &who, names, MANY, 500000));

	double v[RUNS];
	for (int run = 0; run < RUNS; run++) {
		char command[64];
		(void)snprintf(command, sizeof(command), "ADDUSER N%d", run);
		(void)registry_run(r, command, "IBMUSER", NULL, null);
		must(registry_commit(r, &e), &e);
		double t = now();
		(void)saf_generation(s);
		v[run] = (now() - t) * 1e3;
	}
	(void)printf("saf.reload\t%.2f\tms\t-\t-\t-\n", median(v));
	(void)fclose(null);
	free(names);
	saf_close(s);
	registry_close(r);
	(void)snprintf(clean, sizeof(clean), "rm -rf %s", dir);
	return system(clean) != 0;
}
