/* Any message as JSON, from its descriptor alone. Absent fields are left out, lists are always there (so that a reader can loop over
 * an empty one). */
#include "lib/bus/bus.h"
#include <string.h>

static void enum_json(struct json *j, const ProtobufCEnumDescriptor *d, int v)
{
	const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(d, v);
	if (known)
		json_str(j, known->name);
	else
		json_i64(j, v);
}

static size_t member_size(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return 4;
	}
}

static void value_json(struct json *j, const ProtobufCFieldDescriptor *f, const void *at)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		json_i64(j, *(const int32_t *)at);
		break;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		json_u64(j, *(const uint32_t *)at);
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		json_i64(j, *(const int64_t *)at);
		break;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		json_u64(j, *(const uint64_t *)at);
		break;
	case PROTOBUF_C_TYPE_FLOAT:
		json_double(j, (double)*(const float *)at);
		break;
	case PROTOBUF_C_TYPE_DOUBLE:
		json_double(j, *(const double *)at);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		json_bool(j, *(const protobuf_c_boolean *)at);
		break;
	case PROTOBUF_C_TYPE_ENUM:
		enum_json(j, f->descriptor, *(const int *)at);
		break;
	case PROTOBUF_C_TYPE_STRING:
		json_str(j, *(const char *const *)at);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		json_hex(j, ((const ProtobufCBinaryData *)at)->data, ((const ProtobufCBinaryData *)at)->len);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		bus_json(j, *(const ProtobufCMessage *const *)at);
		break;
	}
}

static bool is_there(const ProtobufCFieldDescriptor *f, const char *base)
{
	const void *at = base + f->offset;
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t *)(const void *)(base + f->quantifier_offset) == f->id;
	if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE)
		return *(const void *const *)at && *(const void *const *)at != f->default_value;
	if (f->label == PROTOBUF_C_LABEL_REQUIRED)
		return true;
	return *(const protobuf_c_boolean *)(const void *)(base + f->quantifier_offset);
}

void bus_json_members(struct json *j, const ProtobufCMessage *m)
{
	const char *base = (const char *)m;
	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			size_t n = *(const size_t *)(const void *)(base + f->quantifier_offset);
			const char *items = *(const char *const *)(const void *)(base + f->offset);
			json_key(j, f->name);
			json_open(j, '[');
			for (size_t k = 0; k < n; k++)
				value_json(j, f, items + k * member_size(f));
			json_close(j, ']');
		} else if (is_there(f, base)) {
			json_key(j, f->name);
			value_json(j, f, base + f->offset);
		}
	}
}

void bus_json(struct json *j, const ProtobufCMessage *m)
{
	json_open(j, '{');
	bus_json_members(j, m);
	json_close(j, '}');
}
