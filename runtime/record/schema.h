#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/record/byte_io.h"

namespace weir {

struct SchemaField;

/// The shape of a serialised type: what a checkpoint says of the values it holds.
/// Plain data; two schemas are equal when every name, type and default is.
struct Schema {
  enum class Kind : uint8_t {
    kBool,
    kInt8,
    kInt16,
    kInt32,
    kInt64,
    kUInt8,
    kUInt16,
    kUInt32,
    kUInt64,
    kFloat,
    kDouble,
    kString,
    kEventTime,
    kList,
    kMap,
    kOptional,
    kStruct,
    kVariant,
    kOpaque,
  };

  Kind kind = Kind::kOpaque;
  /// Type name of an opaque type; empty otherwise.
  std::string name;
  /// Fields of a struct; the unnamed element types of a list, map (key, value), optional or
  /// variant.
  std::vector<SchemaField> fields;

  friend bool operator==(const Schema&, const Schema&);

  /// Returns e.g. "struct{host: string, ports: list<int32>}".
  [[nodiscard]] std::string ToString() const;

  void Write(ByteWriter& writer) const;
  /// Reads what Write wrote. Returns false on malformed input.
  bool Read(ByteReader& reader, int max_depth = 32);
};

struct SchemaField {
  std::string name;
  Schema type;
  /// The field's value in a default-constructed object, serialised.
  std::string default_value;

  friend bool operator==(const SchemaField&, const SchemaField&) = default;
};

}  // namespace weir
