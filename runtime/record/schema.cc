#include "runtime/record/schema.h"

#include <array>
#include <string_view>

namespace weir {
namespace {

constexpr std::array<std::string_view, 19> kKindNames = {
    "bool",   "int8",     "int16",  "int32",   "int64",  "uint8",      "uint16",
    "uint32", "uint64",   "float",  "double",  "string", "event_time", "list",
    "map",    "optional", "struct", "variant", "opaque"};

}  // namespace

bool operator==(const Schema& a, const Schema& b) {
  return a.kind == b.kind && a.name == b.name && a.fields == b.fields;
}

std::string Schema::ToString() const {
  if (kind == Kind::kOpaque) return name;
  std::string text(kKindNames[static_cast<size_t>(kind)]);
  if (kind == Kind::kList && !name.empty()) text = "array" + name;
  if (fields.empty() && kind != Kind::kStruct) return text;
  text += kind == Kind::kStruct ? '{' : '<';
  for (size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) text += ", ";
    if (kind == Kind::kStruct) {
      text += fields[i].name;
      text += ": ";
    }
    text += fields[i].type.ToString();
  }
  text += kind == Kind::kStruct ? '}' : '>';
  return text;
}

void Schema::Write(ByteWriter& writer) const {
  writer.WriteFixed(static_cast<uint8_t>(kind));
  writer.WriteString(name);
  writer.WriteVarint(fields.size());
  for (const SchemaField& field : fields) {
    writer.WriteString(field.name);
    field.type.Write(writer);
    writer.WriteString(field.default_value);
  }
}

bool Schema::Read(ByteReader& reader, int max_depth) {
  uint8_t raw_kind = 0;
  uint64_t count = 0;
  if (max_depth == 0) return reader.Fail();
  if (!reader.ReadFixed(&raw_kind) || raw_kind >= kKindNames.size()) return reader.Fail();
  if (!reader.ReadString(&name) || !reader.ReadCount(&count, 4)) return false;
  kind = static_cast<Kind>(raw_kind);
  fields.resize(count);
  for (SchemaField& field : fields) {
    if (!reader.ReadString(&field.name) || !field.type.Read(reader, max_depth - 1) ||
        !reader.ReadString(&field.default_value)) {
      return false;
    }
  }
  return true;
}

}  // namespace weir
