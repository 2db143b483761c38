/* Runs a fuzz target as an ordinary test. libFuzzer explores; this driver remembers: every file of the corpus
 * directories named on the command line goes into the target, and so do up to MUTATIONS damaged copies of them,
 * the same ones at each run: cut at every byte, one bit turned at a time, the head of one file with the tail of
 * another. It prints what it did in the form of a test and ends with 1 when there was no corpus to replay (a folder
 * that was lost in a move must not look like success). */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define MUTATIONS	2000
#define INPUT_MAX	(1u << 20)
#define FILES_MAX	10000
#define SECONDS_MAX	4.0

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct input {
	char *path;
	uint8_t *data;
	size_t len;
};

struct corpus {
	struct input *inputs;
	size_t n;
	size_t bytes;
};

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Each run gets a copy of exactly its size, so that ASan sees the first byte read behind the end. */
static void run(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy)
		abort();
	memcpy(copy, data, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct input *)a)->path, ((const struct input *)b)->path);
}

static void add_file(struct corpus *c, const char *path)
{
	struct input in = { 0 };
	struct stat st;
	FILE *f;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > INPUT_MAX || c->n == FILES_MAX)
		return;
	f = fopen(path, "rb");
	if (!f) {
		fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
		return;
	}
	in.path = strdup(path);
	in.data = malloc((size_t)st.st_size + 1);
	c->inputs = realloc(c->inputs, (c->n + 1) * sizeof(*c->inputs));
	if (!in.path || !in.data || !c->inputs)
		abort();
	in.len = fread(in.data, 1, (size_t)st.st_size, f);
	fclose(f);
	c->bytes += in.len;
	c->inputs[c->n++] = in;
}

static void add_directory(struct corpus *c, const char *dir)
{
	char path[4096];
	struct dirent *e;
	DIR *d = opendir(dir);

	if (!d) {
		add_file(c, dir);
		return;
	}
	while ((e = readdir(d)))
		if (snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) < (int)sizeof(path))
			add_file(c, path);
	closedir(d);
}

/* Small and repeatable: xorshift64*. The order of readdir() must not decide what is tested, so inputs are sorted. */
static uint64_t next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

/* Truncation at every byte, as far as the share of this file goes; then at evenly spread ones. */
static size_t truncations(const struct input *in, size_t share)
{
	size_t step = in->len > share ? (in->len + share - 1) / share : 1, done = 0;

	for (size_t len = 0; len < in->len; len += step, done++)
		run(in->data, len);
	return done;
}

static size_t flips(const struct input *in, size_t share, uint64_t *state)
{
	uint8_t *copy = malloc(in->len + 1);
	size_t done = 0;

	if (!copy)
		abort();
	for (; in->len && done < share; done++) {
		size_t at = (size_t)(next(state) % in->len);
		uint8_t kept = in->data[at];

		memcpy(copy, in->data, in->len);
		copy[at] = (uint8_t)(kept ^ (1u << (next(state) & 7)));
		run(copy, in->len);
	}
	free(copy);
	return done;
}

static size_t splices(const struct corpus *c, const struct input *in, size_t share, uint64_t *state)
{
	size_t done = 0;

	for (; done < share; done++) {
		const struct input *other = &c->inputs[next(state) % c->n];
		size_t head = (size_t)(next(state) % (in->len + 1));
		size_t from = (size_t)(next(state) % (other->len + 1));
		size_t len = head + other->len - from;
		uint8_t *mixed = malloc(len + 1);

		if (!mixed)
			abort();
		memcpy(mixed, in->data, head);
		memcpy(mixed + head, other->data + from, other->len - from);
		run(mixed, len);
		free(mixed);
	}
	return done;
}

static size_t mutate(const struct corpus *c, double end)
{
	size_t share = MUTATIONS / c->n ? MUTATIONS / c->n : 1;
	size_t third = share / 3 ? share / 3 : 1, done = 0;
	uint64_t state = 0x9e3779b97f4a7c15ull;

	for (size_t i = 0; i < c->n && done < MUTATIONS && seconds() < end; i++) {
		const struct input *in = &c->inputs[i];

		done += truncations(in, third);
		done += flips(in, third, &state);
		done += splices(c, in, third, &state);
	}
	return done;
}

int main(int argc, char **argv)
{
	struct corpus c = { 0 };
	double start = seconds();
	size_t mutations;

	for (int i = 1; i < argc; i++)
		add_directory(&c, argv[i]);
	if (!c.n) {
		printf("not ok - no corpus to replay\n");
		return 1;
	}
	qsort(c.inputs, c.n, sizeof(*c.inputs), by_path);
	for (size_t i = 0; i < c.n; i++)
		run(c.inputs[i].data, c.inputs[i].len);
	mutations = mutate(&c, start + SECONDS_MAX);
	printf("ok - %zu files (%zu bytes) and %zu mutations in %.2f s\n", c.n, c.bytes, mutations, seconds() - start);
	for (size_t i = 0; i < c.n; i++) {
		free(c.inputs[i].path);
		free(c.inputs[i].data);
	}
	free(c.inputs);
	return 0;
}
