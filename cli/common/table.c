#include "cli/common/cli.h"
#include "lib/base/xalloc.h"

enum { COLUMNS_MAX = 32 };

struct cli_table {
	size_t columns, cells, cap;
	size_t width[COLUMNS_MAX];
	char **cell;
};

/* Characters, not bytes: what a terminal shows of UTF-8. */
static size_t width_of(const char *s)
{
	size_t n = 0;
	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void add(struct cli_table *t, const char *text)
{
	size_t column = t->columns ? t->cells % t->columns : 0;
	if (t->cells == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->cell = xrealloc(t->cell, t->cap, sizeof(*t->cell));
	}
	/* Not cli_safe: its few buffers may hold the cells of this row that are still to come. */
	char *safe = xstrdup(text && *text ? text : "-");
	for (char *p = safe; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	t->cell[t->cells++] = safe;
	if (width_of(safe) > t->width[column])
		t->width[column] = width_of(safe);
}

struct cli_table *cli_table_new(const char *heading, ...)
{
	struct cli_table *t = xnew(struct cli_table);
	const char *texts[COLUMNS_MAX];
	va_list ap;
	va_start(ap, heading);
	for (const char *h = heading; h && t->columns < COLUMNS_MAX; h = va_arg(ap, const char *))
		texts[t->columns++] = h;
	va_end(ap);
	for (size_t i = 0; i < t->columns; i++)
		add(t, texts[i]);
	return t;
}

void cli_table_row(struct cli_table *t, const char *cell, ...)
{
	va_list ap;
	va_start(ap, cell);
	const char *text = cell;
	for (size_t i = 0; i < t->columns; i++) {
		add(t, text);
		text = text ? va_arg(ap, const char *) : NULL;
	}
	va_end(ap);
}

void cli_table_end(struct cli_table *t)
{
	for (size_t i = 0; i < t->cells; i++) {
		size_t column = i % t->columns;
		bool last = column + 1 == t->columns;
		(void)fputs(t->cell[i], stdout);
		for (size_t w = width_of(t->cell[i]); !last && w < t->width[column] + 2; w++)
			(void)putchar(' ');
		if (last)
			(void)putchar('\n');
		free(t->cell[i]);
	}
	free(t->cell);
	free(t);
}
