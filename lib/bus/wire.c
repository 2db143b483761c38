/* protobuf bytes: (tag, value)... ; tag = varint(field << 3 | wire type). Types: 0 varint, 1 eight bytes, 2 length and
 * bytes, 5 four bytes; 3 and 4 are groups, which nothing here uses and which are refused.
 *
 * Memory: unpacking goes into one block whose size follows the input's (amplification: 1 MiB of empty sub-messages would become 75 MB).
 * protobuf-c allocates the root message first, so the block starts right before what bus_unpack returns. */
#include "lib/bus/wire.h"
#include "lib/base/rd.h"
#include "lib/base/utf8.h"
#include "lib/base/xalloc.h"
#include "lib/bus/bus.h"

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

static uint64_t varint(struct rd *r)
{
	uint64_t v = 0;
	for (unsigned shift = 0; shift < 70; shift += 7) {
		uint8_t b = rd_u8(r);
		if (shift < 64)
			v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
	}
	r->bad = true;
	return 0;
}

static int wire_type(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return FIXED64;
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
		return FIXED32;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		return BYTES;
	default:
		return VARINT;
	}
}

static int enum_check(const ProtobufCFieldDescriptor *f, uint64_t v, struct errbuf *e)
{
	if (f->type != PROTOBUF_C_TYPE_ENUM || protobuf_c_enum_descriptor_get_value(f->descriptor, (int)(int32_t)v))
		return 0;
	return err_set(e, EINVAL, "field %s: no such value as %d", f->name, (int)(int32_t)v);
}

static int packed_check(const ProtobufCFieldDescriptor *f, struct rd in, struct errbuf *e)
{
	int type = wire_type(f);
	if (type != VARINT)
		return rd_left(&in) % (type == FIXED64 ? 8 : 4) ? err_set(e, EINVAL, "field %s: bad length", f->name) : 0;
	while (rd_left(&in)) {
		uint64_t v = varint(&in);
		if (!rd_ok(&in))
			return err_set(e, EINVAL, "field %s: bad number", f->name);
		int r = enum_check(f, v, e);
		if (r)
			return r;
	}
	return 0;
}

static int message_check(const ProtobufCMessageDescriptor *d, struct rd in, unsigned depth, struct errbuf *e);

static int bytes_check(const ProtobufCFieldDescriptor *f, struct rd in, unsigned depth, struct errbuf *e)
{
	if (f->type == PROTOBUF_C_TYPE_MESSAGE)
		return message_check(f->descriptor, in, depth + 1, e);
	if (f->type == PROTOBUF_C_TYPE_STRING && !utf8_text(in.p, rd_left(&in)))
		return err_set(e, EINVAL, "field %s: not UTF-8 text", f->name);
	return 0;
}

/* Reads the value of @type; a field that we do not know is skipped. */
static int value_check(const ProtobufCFieldDescriptor *f, unsigned type, struct rd *r, unsigned depth, struct errbuf *e)
{
	bool packed = f && type == BYTES && wire_type(f) != BYTES && f->label == PROTOBUF_C_LABEL_REPEATED;
	if (f && !packed && (unsigned)wire_type(f) != type)
		return err_set(e, EINVAL, "field %s: another type", f->name);
	if (type == VARINT) {
		uint64_t v = varint(r);
		return f && rd_ok(r) ? enum_check(f, v, e) : 0;
	}
	if (type == FIXED64 || type == FIXED32) {
		(void)rd_bytes(r, type == FIXED64 ? 8 : 4);
		return 0;
	}
	if (type != BYTES)
		return err_set(e, EINVAL, "not a protobuf message");
	uint64_t len = varint(r);
	if (len > rd_left(r)) {
		r->bad = true;
		return 0;
	}
	struct rd in = rd_init(rd_bytes(r, (size_t)len), (size_t)len);
	if (!f)
		return 0;
	return packed ? packed_check(f, in, e) : bytes_check(f, in, depth, e);
}

static int message_check(const ProtobufCMessageDescriptor *d, struct rd r, unsigned depth, struct errbuf *e)
{
	if (depth > WIRE_DEPTH_MAX)
		return err_set(e, EINVAL, "nested too deeply");
	while (rd_left(&r)) {
		uint64_t tag = varint(&r), id = tag >> 3;
		if (!rd_ok(&r) || !id || id > 0x1fffffff)
			return err_set(e, EINVAL, "not a protobuf message");
		const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field(d, (unsigned)id);
		int bad = value_check(f, (unsigned)tag & 7, &r, depth, e);
		if (bad)
			return bad;
		if (!rd_ok(&r))
			return err_set(e, EINVAL, "%s%s: cut short", f ? "field " : d->name, f ? f->name : "");
	}
	return 0;
}

int wire_check(const ProtobufCMessageDescriptor *d, const void *data, size_t len, struct errbuf *e)
{
	return message_check(d, rd_init(data, len), 0, e);
}

static bool recursive(const ProtobufCMessageDescriptor *d, const ProtobufCMessageDescriptor **path, unsigned depth)
{
	if (depth > WIRE_DEPTH_MAX)
		return true;
	for (unsigned i = 0; i < depth; i++)
		if (path[i] == d)
			return true;
	path[depth] = d;
	for (unsigned i = 0; i < d->n_fields; i++)
		if (d->fields[i].type == PROTOBUF_C_TYPE_MESSAGE && recursive(d->fields[i].descriptor, path, depth + 1))
			return true;
	return false;
}

bool wire_recursive(const ProtobufCMessageDescriptor *d)
{
	const ProtobufCMessageDescriptor *path[WIRE_DEPTH_MAX + 1];
	return recursive(d, path, 0);
}

struct arena {
	size_t used, size;
	_Alignas(16) unsigned char data[];
};

static void *arena_alloc(void *data, size_t size)
{
	struct arena *a = data;
	size_t need = (size + 15) & ~(size_t)15;
	if (need < size || need > a->size - a->used)
		return NULL;
	void *p = a->data + a->used;
	a->used += need;
	return p;
}

static void arena_free(void *data, void *p)
{
	(void)data, (void)p; /* the block goes as a whole */
}

ProtobufCMessage *bus_unpack(const ProtobufCMessageDescriptor *d, const void *data, size_t len, struct errbuf *e)
{
	if (len > BUS_MESSAGE_MAX) {
		(void)err_set(e, EMSGSIZE, "larger than %d bytes", BUS_MESSAGE_MAX);
		return NULL;
	}
	if (wire_check(d, data, len, e))
		return NULL;
	size_t size = len * 64 + 4096 + d->sizeof_message, most = 8u << 20;
	struct arena *a = xcheck(malloc(sizeof(*a) + (size < most ? size : most)));
	a->used = 0;
	a->size = (size < most ? size : most) & ~(size_t)15;
	ProtobufCAllocator allocator = {arena_alloc, arena_free, a};
	ProtobufCMessage *m = protobuf_c_message_unpack(d, &allocator, len, data);
	if (!m || (void *)m != a->data) {
		(void)err_set(e, EINVAL, m ? "unexpected layout" : "not a %s, or too many parts in it", d->name);
		free(a);
		return NULL;
	}
	return m;
}

void bus_unpack_free(ProtobufCMessage *m)
{
	if (m)
		free((unsigned char *)m - offsetof(struct arena, data));
}
