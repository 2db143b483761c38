/* wire: looks at protobuf bytes through a descriptor before anything is allocated, for what protobuf-c does not check: UTF-8 and NUL in
 * strings, enum values, groups, nesting. Every length is checked against what is left. */
#pragma once
#include "lib/base/err.h"
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

enum { WIRE_DEPTH_MAX = 16 };

int wire_check(const ProtobufCMessageDescriptor *d, const void *data, size_t len, struct errbuf *e);
/* A message type that can contain itself would let a peer choose our stack's depth (protobuf-c has no limit). */
bool wire_recursive(const ProtobufCMessageDescriptor *d);
