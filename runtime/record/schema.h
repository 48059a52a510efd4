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
  /// Type name of an opaque type; of a list whose length is part of its type, that length in
  /// decimal, and no count is written; empty otherwise.
  std::string name;
  /// Fields of a struct; the unnamed element types of a list, map (key, value), optional or
  /// variant. Of an opaque type nothing, or one that says what its values are written as.
  std::vector<SchemaField> fields;
  /// Reads past one value of an opaque type that this process knows. Not part of what is written,
  /// nor of equality.
  bool (*skip)(ByteReader& reader) = nullptr;

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
  /// Names that the field had in earlier versions of the type. Not part of what is written, nor of
  /// equality.
  std::vector<std::string> aliases{};

  friend bool operator==(const SchemaField& a, const SchemaField& b) {
    return a.name == b.name && a.type == b.type && a.default_value == b.default_value;
  }
};

}  // namespace weir
