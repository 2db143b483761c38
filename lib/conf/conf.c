/* The tree of one parsed file: who owns it, how it is asked, and its errors. All nodes, values and strings live in one arena
 * that conf_free drops. */
#include "lib/conf/conf.h"
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include "lib/conf/parse.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

struct chunk {
	struct chunk *next;
	size_t used, size;
	_Alignas(16) char data[];
};

void *conf_alloc(struct conf *c, size_t size)
{
	size = (size + 15) & ~(size_t)15;
	if (!c->chunks || c->chunks->size - c->chunks->used < size) {
		size_t room = size > 16384 ? size : 16384;
		struct chunk *k = xcalloc(1, sizeof(*k) + room);
		k->size = room;
		k->next = c->chunks;
		c->chunks = k;
	}
	void *p = c->chunks->data + c->chunks->used;
	c->chunks->used += size;
	return p;
}

const char *conf_strdup(struct conf *c, const char *s)
{
	size_t size = strlen(s) + 1;
	return memcpy(conf_alloc(c, size), s, size);
}

static void add_error(struct conf *c, const char *place, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));
static void add_error(struct conf *c, const char *place, const char *fmt, va_list ap)
{
	if (c->fatal || c->error_count == CONF_ERRORS_MAX)
		return;
	char text[2 * CONF_TEXT_BUF], *whole = NULL;
	vsnprintf(text, sizeof(text), fmt, ap);
	if (asprintf(&whole, "%s%s: %s", c->name, place, text) < 0)
		whole = NULL;
	c->errors[c->error_count++] = xcheck(whole);
}

void conf_error_at(struct conf *c, unsigned line, unsigned col, const char *fmt, ...)
{
	char place[32];
	snprintf(place, sizeof(place), ":%u:%u", line, col);
	va_list ap;
	va_start(ap, fmt);
	add_error(c, place, fmt, ap);
	va_end(ap);
}

int conf_node_error(struct conf_node *n, const char *fmt, ...)
{
	char place[32];
	snprintf(place, sizeof(place), ":%u:%u", n->line, n->col);
	va_list ap;
	va_start(ap, fmt);
	add_error(n->conf, place, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

int conf_file_error(struct conf *c, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	add_error(c, "", fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static struct conf *conf_new(const struct conf_spec *spec, const char *name)
{
	struct conf *c = xnew(struct conf);
	c->spec = spec;
	c->name = xstrdup(name);
	return c;
}

int conf_parse(const struct conf_spec *spec, const char *name, const char *text, size_t len, struct conf **ret_conf)
{
	struct conf *c = conf_new(spec, name);
	*ret_conf = c;
	if (len > CONF_TEXT_MAX)
		return conf_file_error(c, "found %zu bytes, expected at most %d", len, CONF_TEXT_MAX);
	if (lex_init(c, text, len))
		check_text(c);
	secret_wipe(&c->lex, sizeof(c->lex)); /* the last tokens may have been keys */
	return c->error_count ? -EINVAL : 0;
}

static int read_all(int fd, char **ret_text, size_t *ret_len)
{
	size_t len = 0, cap = 0;
	char *text = NULL;
	struct stat st;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size >= 0 && st.st_size <= CONF_TEXT_MAX)
		cap = (size_t)st.st_size + 1;
	for (;;) {
		if (len + 1 >= cap || !text) {
			cap = cap > len + 1 ? cap : 2 * (cap + 4096);
			text = xrealloc(text, cap, 1);
		}
		ssize_t n = read(fd, text + len, cap - len);
		if (n < 0) {
			int err = errno;
			free(text);
			return -err;
		}
		len += (size_t)n;
		if (n == 0 || len > CONF_TEXT_MAX)
			break;
	}
	*ret_text = text;
	*ret_len = len;
	return 0;
}

int conf_parse_file(const struct conf_spec *spec, const char *path, struct conf **ret_conf)
{
	char *text = NULL;
	size_t len = 0;
	int rc, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	rc = fd < 0 ? -errno : read_all(fd, &text, &len);
	if (fd >= 0)
		close(fd);
	if (rc) {
		*ret_conf = conf_new(spec, path);
		conf_file_error(*ret_conf, "cannot be read: %s", strerror(-rc));
		return rc;
	}
	rc = conf_parse(spec, path, text, len, ret_conf);
	secret_wipe(text, len);
	free(text);
	return rc;
}

void conf_free(struct conf *c)
{
	if (!c)
		return;
	for (struct chunk *k = c->chunks, *next; k; k = next) {
		next = k->next;
		secret_wipe(k->data, k->used);
		free(k);
	}
	for (unsigned i = 0; i < c->error_count; i++)
		free(c->errors[i]);
	free(c->name);
	free(c);
}

struct conf_node *conf_root(struct conf *c)
{
	return c->first;
}

const char *conf_name(const struct conf *c)
{
	return c->name;
}

unsigned conf_error_count(const struct conf *c)
{
	return c->error_count;
}

const char *conf_error(const struct conf *c, unsigned i)
{
	return i < c->error_count ? c->errors[i] : NULL;
}

static struct conf_node *from_on(struct conf_node *n, const char *name)
{
	while (n && strcasecmp(n->stmt->name, name))
		n = n->next;
	return n;
}

struct conf_node *conf_top(struct conf *c, const char *name)
{
	return from_on(c->first, name);
}

struct conf_node *conf_child(const struct conf_node *n, const char *name)
{
	return n ? from_on(n->children, name) : NULL;
}

struct conf_node *conf_child_last(const struct conf_node *n, const char *name)
{
	struct conf_node *last = NULL;
	for (struct conf_node *k = conf_child(n, name); k; k = conf_next(k, name))
		last = k;
	return last;
}

struct conf_node *conf_find(struct conf_node *from, const char *name)
{
	if (!from)
		return NULL;
	for (const struct conf_stmt *s = from->stmt->children; s && s->name; s++)
		if (!strcasecmp(s->name, name))
			return conf_child(from, name);
	return from_on(from, name);
}

struct conf_node *conf_next(struct conf_node *after, const char *name)
{
	return after ? from_on(after->next, name) : NULL;
}

const struct conf_value *conf_get(const struct conf_node *n, const char *operand_name)
{
	const struct conf_operand *op = n->stmt->operands;
	for (size_t i = 0; op && op[i].type != CONF_END; i++)
		if (!strcasecmp(op[i].name, operand_name))
			return n->values[i].op ? &n->values[i] : NULL;
	assert(!"operand is not in the table");
	return NULL;
}

uint64_t conf_uint(const struct conf_node *n, const char *operand_name)
{
	const struct conf_value *v = conf_get(n, operand_name);
	return v ? v->u : 0;
}

const char *conf_str(const struct conf_node *n, const char *operand_name)
{
	const struct conf_value *v = conf_get(n, operand_name);
	return v ? v->s : NULL;
}
