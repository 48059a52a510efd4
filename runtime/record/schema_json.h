#pragma once

#include "runtime/base/json_writer.h"
#include "runtime/record/byte_io.h"
#include "runtime/record/schema.h"

namespace weir {

/// Writes one serialised value as JSON, knowing nothing of its type but the schema.
///
/// Structs are objects, tuples, lists and sets arrays, maps objects if their keys are strings, else
/// arrays of pairs; an alternative of a variant is {"index": n, "value": v}; event times are
/// milliseconds; absl::Time and absl::Duration are texts such as "2026-01-31T10:00:00Z" and "1.5s".
/// An opaque value is {"type": name, "hex": bytes}; where it is not known how long it is, it
/// takes all that is left, and what would follow is left out.
/// Returns false on malformed input; the JSON may be cut short then.
bool WriteValueAsJson(const Schema& schema, ByteReader& reader, JsonWriter& json);

/// The same for a key in the canonical encoding of KeyCodec.
bool WriteKeyAsJson(const Schema& schema, ByteReader& reader, JsonWriter& json);

}  // namespace weir
