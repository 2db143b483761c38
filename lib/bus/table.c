#include "lib/bus/table.h"
#include "lib/base/path.h"
#include "lib/bus/wire.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { QUALIFIER_MAX = 24 };

/* One {name|default} of a template. */
struct hole {
	char name[32], fallback[32];
	size_t len; /* of its text with the braces */
};

static int hole_parse(const char *at, struct hole *ret)
{
	const char *end = strchr(at, '}');
	if (!end)
		return -EINVAL;
	const char *bar = memchr(at, '|', (size_t)(end - at));
	size_t n = (size_t)((bar ? bar : end) - at - 1), m = bar ? (size_t)(end - bar - 1) : 0;
	if (!n || n >= sizeof(ret->name) || m >= sizeof(ret->fallback) || (bar && !m))
		return -EINVAL;
	memcpy(ret->name, at + 1, n);
	ret->name[n] = 0;
	if (m)
		memcpy(ret->fallback, bar + 1, m);
	ret->fallback[m] = 0;
	ret->len = (size_t)(end - at) + 1;
	return 0;
}

static const char *field_text(const ProtobufCMessage *m, const char *name)
{
	const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(m->descriptor, name);
	return f ? *(char *const *)(const void *)((const char *)m + f->offset) : NULL;
}

static const char *hole_value(const struct table *t, const struct hole *h, const ProtobufCMessage *request)
{
	if (!strcmp(h->name, "sysname"))
		return path_sysname();
	if (!strcmp(h->name, "instance"))
		return t->instance;
	if (!strcmp(h->name, "name"))
		return t->instance ? t->instance : t->name;
	const char *v = request ? field_text(request, h->name) : NULL;
	return v && *v ? v : h->fallback;
}

static int put_qualifier(char *out, size_t *len, const struct hole *h, const char *v, struct errbuf *e)
{
	size_t n = v ? strlen(v) : 0;
	if (!n || n > QUALIFIER_MAX || *len + n >= SAF_RESOURCE_MAX)
		return err_set(e, EINVAL, "field %s: 1 to %d characters are allowed", h->name, QUALIFIER_MAX);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)v[i];
		if (c > 0x7f || (!isalnum(c) && !strchr("@#$_-", c)))
			return err_set(e, EINVAL, "field %s: only A-Z 0-9 @ # $ _ - are allowed", h->name);
		out[(*len)++] = (char)toupper(c);
	}
	return 0;
}

int table_resource(const struct table *t, const char *template, const ProtobufCMessage *request,
	char out[SAF_RESOURCE_MAX], struct errbuf *e)
{
	size_t len = 0;
	while (*template) {
		struct hole h;
		if (*template != '{') {
			if (len + 1 >= SAF_RESOURCE_MAX)
				return err_set(e, EINVAL, "resource name too long");
			out[len++] = *template++;
			continue;
		}
		if (hole_parse(template, &h))
			return err_set(e, EINVAL, "bad template");
		int r = put_qualifier(out, &len, &h, hole_value(t, &h, request), e);
		if (r)
			return r;
		template += h.len;
	}
	out[len] = 0;
	return 0;
}

static int template_check(const struct table *t, const char *what, const char *template,
	const ProtobufCMessageDescriptor *request, struct errbuf *e)
{
	struct hole h;
	for (const char *p = template; (p = strchr(p, '{')); p += h.len) {
		if (hole_parse(p, &h))
			return err_set(e, EINVAL, "%s: bad resource template %s", what, template);
		if (!strcmp(h.name, "sysname") || !strcmp(h.name, "name") || (!strcmp(h.name, "instance") && t->instance))
			continue;
		const ProtobufCFieldDescriptor *f =
			request ? protobuf_c_message_descriptor_get_field_by_name(request, h.name) : NULL;
		if (!f || f->type != PROTOBUF_C_TYPE_STRING || f->label == PROTOBUF_C_LABEL_REPEATED)
			return err_set(e, EINVAL, "%s: {%s} in its resource is no string of the request", what, h.name);
	}
	return 0;
}

static int row_check(const struct table *t, const struct row *r, const ProtobufCMethodDescriptor *rpc, struct errbuf *e)
{
	const struct bus_method *m = r->method;
	if (m->request != rpc->input || m->reply != rpc->output || !m->fn)
		return err_set(e, EINVAL, "%s: types differ from the service's, or no handler", r->name);
	if (!m->resource || !*m->resource || (!r->any && (!m->class_name || !*m->class_name || m->level == SAF_NONE)))
		return err_set(e, EINVAL, "%s: has no SAF class, resource and level", r->name);
	if (wire_recursive(m->request) || wire_recursive(m->reply))
		return err_set(e, EINVAL, "%s: a message type contains itself", r->name);
	return template_check(t, r->name, m->resource, m->request, e);
}

static const struct bus_method *method_of(const struct bus_method *methods, const char *name)
{
	for (; methods && methods->name; methods++)
		if (!strcmp(methods->name, name))
			return methods;
	return NULL;
}

static int add_service(struct table *t, const ProtobufCServiceDescriptor *s, const struct bus_method *methods,
	void *user, struct errbuf *e)
{
	for (unsigned i = 0; s && i < s->n_methods; i++) {
		const struct bus_method *m = method_of(methods, s->methods[i].name);
		if (!m)
			return err_set(e, EINVAL, "%s.%s: the service has it, the method table does not", s->package, s->methods[i].name);
		if (t->n_rows == TABLE_METHODS_MAX)
			return err_set(e, EINVAL, "more than %d methods", TABLE_METHODS_MAX);
		struct row *r = &t->rows[t->n_rows++];
		*r = (struct row){.method = m, .user = user, .any = m->resource && !strcmp(m->resource, "ANY")};
		(void)snprintf(r->name, sizeof(r->name), "%s.%s", s->package, m->name);
		int bad = row_check(t, r, &s->methods[i], e);
		if (bad)
			return bad;
	}
	for (const struct bus_method *m = methods; m && m->name; m++)
		if (!s || !protobuf_c_service_descriptor_get_method_by_name(s, m->name))
			return err_set(e, EINVAL, "%s: the method table has it, the service does not", m->name);
	return 0;
}

static int add_events(struct table *t, const struct bus_event *ev, struct errbuf *e)
{
	for (; ev && ev->topic; ev++) {
		if (t->n_topics == TABLE_TOPICS_MAX)
			return err_set(e, EINVAL, "more than %d topics", TABLE_TOPICS_MAX);
		struct topic *p = &t->topics[t->n_topics++];
		*p = (struct topic){.name = ev->topic, .event = ev};
		if (!ev->body || !ev->class_name || !ev->resource || !*ev->resource)
			return err_set(e, EINVAL, "%s: has no message type, SAF class and resource", ev->topic);
		if (wire_recursive(ev->body))
			return err_set(e, EINVAL, "%s: its message type contains itself", ev->topic);
		int r = template_check(t, ev->topic, ev->resource, NULL, e);
		if (!r)
			r = table_resource(t, ev->resource, NULL, p->resource, e);
		if (r)
			return r;
	}
	return 0;
}

static int prefixes_check(const struct table *t, struct errbuf *e)
{
	for (unsigned i = 0; i < t->n_topics; i++)
		for (unsigned k = 0; k < t->n_topics; k++)
			if (i != k && !strncmp(t->topics[i].name, t->topics[k].name, strlen(t->topics[i].name)))
				return err_set(e, EINVAL, "topic %s begins like topic %s: a subscription could not tell them apart",
					t->topics[k].name, t->topics[i].name);
	return 0;
}

static int row_order(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->name, ((const struct row *)b)->name);
}

int table_build(struct table *t, const struct bus_server_spec *spec, struct errbuf *e)
{
	*t = (struct table){.name = spec->name, .instance = spec->instance};
	if (spec->instance && strlen(spec->instance) > BUS_NAME_MAX)
		return err_set(e, EINVAL, "instance names have at most %d characters", BUS_NAME_MAX);
	int r = add_service(t, spec->service, spec->methods, spec->user, e);
	if (!r)
		r = add_service(t, spec->extra_service, spec->extra_methods, spec->extra_user, e);
	if (!r)
		r = add_events(t, spec->events, e);
	if (!r)
		r = add_events(t, spec->extra_events, e);
	if (r)
		return r;
	if (spec->service && t->n_topics) {
		(void)snprintf(t->heartbeat, sizeof(t->heartbeat), "%s.heartbeat", spec->service->package);
		t->topics[t->n_topics++] = (struct topic){.name = t->heartbeat};
	}
	qsort(t->rows, t->n_rows, sizeof(t->rows[0]), row_order);
	return prefixes_check(t, e);
}

const struct row *table_find(const struct table *t, const char *name, size_t len)
{
	struct row key = {0};
	if (len >= sizeof(key.name) || memchr(name, 0, len))
		return NULL;
	memcpy(key.name, name, len);
	return bsearch(&key, t->rows, t->n_rows, sizeof(t->rows[0]), row_order);
}
