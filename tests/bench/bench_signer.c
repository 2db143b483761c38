/* signer.rsa2048: IKEv1 signatures a second through the signer process with 256 outstanding, beside
 * OpenSSL's EVP_PKEY_sign alone in one thread; both a second of CPU time, in which ours has the
 * daemon's and the signer's together. signer.rsa2048.latency: microseconds from call to function
 * with one outstanding, beside the same signature made in place. find: certificates chosen a
 * second. Medians of 5 runs. */
#include "lib/base/xalloc.h"
#include "lib/keyring/signer_local.h"
#include "lib/loop/loop.h"
#include <ftw.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { RUNS = 5, OUTSTANDING = 256, SIGNATURES = 768, LATENCIES = 200 };

static struct loop *loop;
static struct signer *sig;
static EVP_PKEY *key;
static uint8_t key_id[KEYRING_KEY_ID], hash[20] = {1, 2, 3};
static char top[] = "/tmp/rv-bench-signer-XXXXXX";
static unsigned started, done;

static void die(const char *what)
{
	(void)fprintf(stderr, "bench_signer: %s\n", what);
	exit(1);
}

static double seconds(clockid_t clock)
{
	struct timespec t;
	if (clock_gettime(clock, &t))
		die("clock_gettime");
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[n / 2];
}

static void put(const char *name, X509 *cert)
{
	char path[256];
	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	FILE *f = fopen(path, "we");
	bool good = f && (cert ? PEM_write_X509(f, cert)
			       : PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL)) == 1;
	if (!good || fclose(f) || chmod(path, cert ? 0644 : 0600))
		die(path);
}

static void make_ring(void)
{
	static const char *const dirs[] = {"", "/BENCH", "/BENCH/ring", "/BENCH/ring/host"};
	char path[256];
	X509 *x = X509_new();
	key = EVP_RSA_gen(2048);
	if (!mkdtemp(top) || !x || !key)
		die("no place for a key ring");
	for (size_t i = 0; i < 4; i++) {
		(void)snprintf(path, sizeof(path), "%s%s", top, dirs[i]);
		(void)mkdir(path, 0755);
		(void)chmod(path, 0755);
	}
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
		(const unsigned char *)"host", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_set_pubkey(x, key);
	if (!X509_sign(x, key, EVP_sha256()))
		die("no certificate");
	put("BENCH/ring/host/cert.pem", x);
	put("BENCH/ring/host/key.pem", NULL);
	X509_free(x);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)st, (void)flag, (void)f;
	return remove(path);
}

static void on_sign(void *arg, int rc, const uint8_t *s, size_t len, const char *why)
{
	unsigned wanted = *(const unsigned *)arg;
	(void)s;
	if (rc || len != 256)
		die(why);
	done++;
	if (started < wanted &&
		signer_sign(sig, key_id, SIGN_RSA_PKCS1_RAW, hash, sizeof(hash), on_sign, arg))
		started++;
}

static void sign_many(unsigned wanted, unsigned outstanding)
{
	started = done = 0;
	while (started < outstanding && started < wanted) {
		if (!signer_sign(
			    sig, key_id, SIGN_RSA_PKCS1_RAW, hash, sizeof(hash), on_sign, &wanted))
			die("no call");
		started++;
	}
	while (done < wanted)
		(void)loop_run_once(loop, 1000);
}

static double through_signer(void)
{
	clockid_t other;
	if (clock_getcpuclockid(signer_local_pid(sig), &other))
		die("clock of the signer");
	double before = seconds(CLOCK_PROCESS_CPUTIME_ID) + seconds(other);
	sign_many(SIGNATURES, OUTSTANDING);
	return SIGNATURES / (seconds(CLOCK_PROCESS_CPUTIME_ID) + seconds(other) - before);
}

static EVP_PKEY_CTX *context(void)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
	if (!c || EVP_PKEY_sign_init(c) <= 0 ||
		EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) <= 0)
		die("no context");
	return c;
}

static void sign_here(EVP_PKEY_CTX *c)
{
	uint8_t out[256];
	size_t len = sizeof(out);
	if (EVP_PKEY_sign(c, out, &len, hash, sizeof(hash)) <= 0)
		die("EVP_PKEY_sign");
}

static double alone(EVP_PKEY_CTX *c)
{
	double before = seconds(CLOCK_PROCESS_CPUTIME_ID);
	for (int i = 0; i < SIGNATURES; i++)
		sign_here(c);
	return SIGNATURES / (seconds(CLOCK_PROCESS_CPUTIME_ID) - before);
}

static void latency(EVP_PKEY_CTX *c)
{
	static double ours[LATENCIES], theirs[LATENCIES];
	for (int i = 0; i < LATENCIES; i++) {
		double a = seconds(CLOCK_MONOTONIC);
		sign_many(1, 1);
		double b = seconds(CLOCK_MONOTONIC);
		sign_here(c);
		theirs[i] = (seconds(CLOCK_MONOTONIC) - b) * 1e6;
		ours[i] = (b - a) * 1e6;
	}
	double x = median(ours, LATENCIES), y = median(theirs, LATENCIES);
	(void)printf("signer.rsa2048.latency\t%.0f\tus\tEVP_PKEY_sign in place\t%.0f\t%.2f\n", x, y,
		x / y);
}

static void on_cert(void *arg, int rc, const struct signer_cert *cert, const char *why)
{
	(void)arg;
	if (rc)
		die(why);
	memcpy(key_id, cert->key, sizeof(key_id));
	done++;
}

static double find_many(void)
{
	const struct signer_want w = {.now = (int64_t)time(NULL)};
	double before = seconds(CLOCK_PROCESS_CPUTIME_ID);
	for (done = started = 0; done < 5000;) {
		for (; started < done + OUTSTANDING && started < 5000; started++)
			if (!signer_find(sig, &w, on_cert, NULL))
				die("no call");
		(void)loop_run_once(loop, 1000);
	}
	return 5000 / (seconds(CLOCK_PROCESS_CPUTIME_ID) - before);
}

int main(void)
{
	double ours[RUNS], theirs[RUNS], finds[RUNS];
	struct errbuf e;
	make_ring();
	loop = loop_new();
	struct signer_local_spec spec = {
		.ring = {.name = "bench/ring", .dir = top, .uid = (uid_t)-1}, .threads = 1};
	int rc = signer_local_new(loop, &spec, &sig, &e);
	(void)nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* everything is in memory now */
	if (rc)
		die(e.text);
	EVP_PKEY_CTX *c = context();
	for (int i = 0; i < RUNS; i++) {
		finds[i] = find_many();
		ours[i] = through_signer();
		theirs[i] = alone(c);
	}
	double x = median(ours, RUNS), y = median(theirs, RUNS);
	(void)printf("signer.rsa2048\t%.0f\tsignatures/s\tEVP_PKEY_sign alone\t%.0f\t%.2f\n", x, y,
		x / y);
	latency(c);
	(void)printf("signer.find\t%.0f\tcertificates/s\t-\t-\t-\n", median(finds, RUNS));
	EVP_PKEY_CTX_free(c);
	EVP_PKEY_free(key);
	signer_free(sig);
	loop_free(loop);
	return 0;
}
