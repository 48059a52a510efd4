#include "runtime/record/schema_migration.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {

namespace {

using Kind = Schema::Kind;

// Elements that take no bytes cannot be more than this: what a damaged count may cost.
constexpr uint64_t kMaxElementsWithoutBytes = uint64_t{1} << 24;

bool IsSigned(Kind kind) { return kind >= Kind::kInt8 && kind <= Kind::kInt64; }
bool IsUnsigned(Kind kind) { return kind >= Kind::kUInt8 && kind <= Kind::kUInt64; }

// Of a number, bool or time; 0 of any other kind.
size_t NumberBytes(Kind kind) {
  switch (kind) {
    case Kind::kBool:
    case Kind::kInt8:
    case Kind::kUInt8:
      return 1;
    case Kind::kInt16:
    case Kind::kUInt16:
      return 2;
    case Kind::kInt32:
    case Kind::kUInt32:
    case Kind::kFloat:
      return 4;
    case Kind::kInt64:
    case Kind::kUInt64:
    case Kind::kDouble:
    case Kind::kEventTime:
      return 8;
    default:
      return 0;
  }
}

bool IsArray(const Schema& schema) { return schema.kind == Kind::kList && !schema.name.empty(); }
uint64_t ArrayLength(const Schema& schema) {
  return std::strtoull(schema.name.c_str(), nullptr, 10);
}

// Whether the fields of a struct have no names.
bool IsTuple(const Schema& schema) {
  return !schema.fields.empty() &&
         std::all_of(schema.fields.begin(), schema.fields.end(),
                     [](const SchemaField& field) { return field.name.empty(); });
}

bool MayTakeNoBytes(const Schema& schema) {
  if (schema.kind == Kind::kOpaque) return schema.fields.empty();
  if (schema.kind != Kind::kStruct && !IsArray(schema)) return false;
  return std::all_of(schema.fields.begin(), schema.fields.end(),
                     [](const SchemaField& field) { return MayTakeNoBytes(field.type); });
}

bool ReadElementCount(const Schema& container, ByteReader& reader, uint64_t* count) {
  if (IsArray(container)) {
    *count = ArrayLength(container);
    return *count <= std::max<uint64_t>(kMaxElementsWithoutBytes, reader.remaining()) ||
           reader.Fail();
  }
  const bool bounded =
      std::any_of(container.fields.begin(), container.fields.end(),
                  [](const SchemaField& field) { return !MayTakeNoBytes(field.type); });
  if (!reader.ReadCount(count, bounded ? 1 : 0)) return false;
  return bounded || *count <= kMaxElementsWithoutBytes || reader.Fail();
}

bool SkipElements(const Schema& schema, ByteReader& reader) {
  uint64_t count = 0;
  if (!ReadElementCount(schema, reader, &count)) return false;
  if (schema.fields.size() == 1) {
    if (const size_t bytes = NumberBytes(schema.fields[0].type.kind); bytes > 0) {
      return count <= reader.remaining() / bytes ? reader.Skip(count * bytes) : reader.Fail();
    }
  }
  for (uint64_t i = 0; i < count; ++i) {
    for (const SchemaField& field : schema.fields) {
      if (!SkipValue(field.type, reader)) return false;
    }
  }
  return true;
}

// Reads one value, and returns its bytes.
bool ReadSpan(const Schema& schema, ByteReader& reader, std::string_view* span) {
  ByteReader ahead = reader;
  if (!SkipValue(schema, ahead)) return reader.Fail();
  return reader.ReadView(reader.remaining() - ahead.remaining(), span);
}

template <class T>
bool ReadAs(ByteReader& reader, auto* value) {
  T raw{};
  if (!reader.ReadFixed(&raw)) return false;
  *value = static_cast<std::remove_pointer_t<decltype(value)>>(raw);
  return true;
}

template <class T>
void WriteNumber(Kind kind, T value, ByteWriter& writer) {
  switch (kind) {
    case Kind::kInt16:
      return writer.WriteFixed(static_cast<int16_t>(value));
    case Kind::kInt32:
      return writer.WriteFixed(static_cast<int32_t>(value));
    case Kind::kInt64:
      return writer.WriteFixed(static_cast<int64_t>(value));
    case Kind::kUInt16:
      return writer.WriteFixed(static_cast<uint16_t>(value));
    case Kind::kUInt32:
      return writer.WriteFixed(static_cast<uint32_t>(value));
    case Kind::kUInt64:
      return writer.WriteFixed(static_cast<uint64_t>(value));
    case Kind::kFloat:
      return writer.WriteFixed(static_cast<float>(value));
    default:
      return writer.WriteFixed(static_cast<double>(value));
  }
}

bool Widen(Kind from, Kind to, ByteReader& reader, ByteWriter& writer) {
  if (from == Kind::kFloat) {
    float value = 0;
    if (!reader.ReadFixed(&value)) return false;
    WriteNumber(to, value, writer);
    return true;
  }
  int64_t value = 0;  // Holds all that can be widened: not 64-bit unsigned numbers.
  bool read = false;
  switch (from) {
    case Kind::kInt8:
      read = ReadAs<int8_t>(reader, &value);
      break;
    case Kind::kInt16:
      read = ReadAs<int16_t>(reader, &value);
      break;
    case Kind::kInt32:
      read = ReadAs<int32_t>(reader, &value);
      break;
    case Kind::kUInt8:
      read = ReadAs<uint8_t>(reader, &value);
      break;
    case Kind::kUInt16:
      read = ReadAs<uint16_t>(reader, &value);
      break;
    case Kind::kUInt32:
      read = ReadAs<uint32_t>(reader, &value);
      break;
    default:
      return reader.Fail();
  }
  if (read) WriteNumber(to, value, writer);
  return read;
}

// Whether every value of `from` is one of `to`.
bool CanWiden(Kind from, Kind to) {
  const size_t from_bytes = NumberBytes(from);
  const size_t to_bytes = NumberBytes(to);
  if (from == Kind::kFloat) return to == Kind::kDouble;
  if (!IsSigned(from) && !IsUnsigned(from)) return false;
  if (to == Kind::kFloat) return from_bytes <= 2;
  if (to == Kind::kDouble) return from_bytes <= 4;
  if (IsSigned(from) && !IsSigned(to)) return false;
  return (IsSigned(to) || IsUnsigned(to)) && to_bytes > from_bytes;
}

}  // namespace

bool SkipValue(const Schema& schema, ByteReader& reader) {
  if (const size_t bytes = NumberBytes(schema.kind); bytes > 0) return reader.Skip(bytes);
  switch (schema.kind) {
    case Kind::kString: {
      std::string_view ignored;
      return reader.ReadStringView(&ignored);
    }
    case Kind::kList:
    case Kind::kMap:
      return SkipElements(schema, reader);
    case Kind::kOptional: {
      bool present = false;
      if (schema.fields.size() != 1 || !reader.ReadFixed(&present)) return reader.Fail();
      return !present || SkipValue(schema.fields[0].type, reader);
    }
    case Kind::kStruct:
      return std::all_of(schema.fields.begin(), schema.fields.end(),
                         [&](const SchemaField& field) { return SkipValue(field.type, reader); });
    case Kind::kVariant: {
      uint8_t index = 0;
      if (!reader.ReadFixed(&index) || index >= schema.fields.size()) return reader.Fail();
      return SkipValue(schema.fields[index].type, reader);
    }
    default:
      if (!schema.fields.empty()) return SkipValue(schema.fields[0].type, reader);
      return schema.skip != nullptr ? schema.skip(reader) : reader.Fail();
  }
}

bool IsSameKeySchema(const Schema& a, const Schema& b) {
  return a.kind == b.kind && a.name == b.name &&
         std::equal(a.fields.begin(), a.fields.end(), b.fields.begin(), b.fields.end(),
                    [](const SchemaField& left, const SchemaField& right) {
                      return left.name == right.name && IsSameKeySchema(left.type, right.type);
                    });
}

// How values of one type within the value are turned.
struct SchemaMigration::Node {
  enum class Action : uint8_t {
    kCopy,      // As it is.
    kWiden,     // A number.
    kPresent,   // Into an optional; children[0] turns the value.
    kOptional,  // children[0] turns what is in it.
    kElements,  // A child per element type.
    kStruct,    // A child per present field.
    kVariant,   // A child per earlier alternative.
  };
  Action action = Action::kCopy;
  const Schema* from = nullptr;
  Kind to = Kind::kOpaque;
  std::vector<Node> children;
  // Of a struct: the earlier field of each present one, none if it is new. Of a variant: the
  // present index of each earlier alternative.
  std::vector<std::optional<size_t>> places;
  std::vector<std::string> defaults;  // Of a struct: by present field.

  bool Migrate(ByteReader& reader, ByteWriter& writer) const;
  bool MigrateStruct(ByteReader& reader, ByteWriter& writer) const;
};

bool SchemaMigration::Node::MigrateStruct(ByteReader& reader, ByteWriter& writer) const {
  std::vector<std::string_view> spans(from->fields.size());
  for (size_t i = 0; i < spans.size(); ++i) {
    if (!ReadSpan(from->fields[i].type, reader, &spans[i])) return false;
  }
  for (size_t i = 0; i < children.size(); ++i) {
    if (!places[i].has_value()) {
      writer.WriteBytes(defaults[i].data(), defaults[i].size());
      continue;
    }
    ByteReader field(spans[*places[i]]);
    if (!children[i].Migrate(field, writer)) return reader.Fail();
  }
  return true;
}

bool SchemaMigration::Node::Migrate(ByteReader& reader, ByteWriter& writer) const {
  switch (action) {
    case Action::kCopy: {
      std::string_view span;
      if (!ReadSpan(*from, reader, &span)) return false;
      writer.WriteBytes(span.data(), span.size());
      return true;
    }
    case Action::kWiden:
      return Widen(from->kind, to, reader, writer);
    case Action::kPresent:
      writer.WriteFixed(true);
      return children[0].Migrate(reader, writer);
    case Action::kOptional: {
      bool present = false;
      if (!reader.ReadFixed(&present)) return false;
      writer.WriteFixed(present);
      return !present || children[0].Migrate(reader, writer);
    }
    case Action::kElements: {
      uint64_t count = 0;
      if (!ReadElementCount(*from, reader, &count)) return false;
      if (!IsArray(*from)) writer.WriteVarint(count);
      for (uint64_t i = 0; i < count; ++i) {
        for (const Node& element : children) {
          if (!element.Migrate(reader, writer)) return false;
        }
      }
      return true;
    }
    case Action::kStruct:
      return MigrateStruct(reader, writer);
    case Action::kVariant: {
      uint8_t index = 0;
      if (!reader.ReadFixed(&index) || index >= children.size()) return reader.Fail();
      writer.WriteFixed(static_cast<uint8_t>(*places[index]));
      return children[index].Migrate(reader, writer);
    }
  }
  return reader.Fail();
}

struct SchemaMigration::Plan {
  Schema from;  // What nodes point into; knows how long opaque values are.
  Node root;
};

// Makes the nodes of a plan, and the errors of schemas that do not fit.
class SchemaMigration::Planner {
 public:
  absl::StatusOr<Node> Make(Schema& from, const Schema& to) {
    Node node;
    node.from = &from;
    node.to = to.kind;
    if (from.kind == to.kind) {
      RETURN_IF_ERROR(MakeOfOneKind(from, to, &node));
    } else if (CanWiden(from.kind, to.kind)) {
      node.action = Node::Action::kWiden;
    } else if (to.kind == Kind::kOptional && to.fields.size() == 1) {
      node.action = Node::Action::kPresent;
      ASSIGN_OR_RETURN(Node value, Make(from, to.fields[0].type));
      node.children.push_back(std::move(value));
    } else {
      return Refuse(
          "a type has changed to one that cannot hold all of its values; keep the type, or give "
          "the field another name and the old value is dropped",
          from, to);
    }
    return node;
  }

 private:
  using Action = Node::Action;

  absl::Status MakeOfOneKind(Schema& from, const Schema& to, Node* node) {
    switch (from.kind) {
      case Kind::kOpaque:
        return MakeOpaque(from, to);
      case Kind::kStruct:
        return IsTuple(from) || IsTuple(to) ? MakeTuple(from, to, node)
                                            : MakeStruct(from, to, node);
      case Kind::kVariant:
        return MakeVariant(from, to, node);
      case Kind::kOptional:
        return MakeElements(from, to, Action::kOptional, node);
      case Kind::kMap:
      case Kind::kList:
        return MakeElements(from, to, Action::kElements, node);
      default:
        return absl::OkStatus();
    }
  }

  absl::Status MakeOpaque(Schema& from, const Schema& to) {
    if (from.name != to.name) {
      return Refuse(
          "an opaque type has become another one; keep it, or give the field another "
          "name and the old value is dropped",
          from, to);
    }
    from.skip = to.skip;
    return absl::OkStatus();
  }

  absl::Status MakeElements(Schema& from, const Schema& to, Action action, Node* node) {
    if (from.name != to.name) {
      return Refuse(
          "an array has another length, or has become a list; keep the type, or give "
          "the field another name and the old value is dropped",
          from, to);
    }
    if (from.fields.size() != to.fields.size()) return Refuse("a type is malformed", from, to);
    bool changed = false;
    for (size_t i = 0; i < from.fields.size(); ++i) {
      const bool is_map_key = from.kind == Kind::kMap && i == 0;
      const Scope scope(this, from.kind == Kind::kOptional ? "" : is_map_key ? "[key]" : "[]");
      if (is_map_key && !IsSameKeySchema(from.fields[0].type, to.fields[0].type) &&
          !CanWiden(from.fields[0].type.kind, to.fields[0].type.kind)) {
        return Refuse(
            "the key type of a map has changed, so two keys could become one; keep it, "
            "or give the field another name and the old value is dropped",
            from.fields[0].type, to.fields[0].type);
      }
      ASSIGN_OR_RETURN(Node element, Make(from.fields[i].type, to.fields[i].type));
      changed = changed || element.action != Action::kCopy;
      node->children.push_back(std::move(element));
    }
    if (changed) node->action = action;
    return absl::OkStatus();
  }

  absl::Status MakeTuple(Schema& from, const Schema& to, Node* node) {
    if (from.fields.size() != to.fields.size()) {
      return Refuse(
          "a type whose fields have no names has another number of them; keep the "
          "number, or give the field another name and the old value is dropped",
          from, to);
    }
    bool changed = false;
    for (size_t i = 0; i < from.fields.size(); ++i) {
      const Scope scope(this, StrCat(".", i));
      ASSIGN_OR_RETURN(Node field, Make(from.fields[i].type, to.fields[i].type));
      changed = changed || field.action != Action::kCopy;
      node->children.push_back(std::move(field));
      node->places.emplace_back(i);
    }
    if (changed) node->action = Action::kStruct;
    node->defaults.resize(to.fields.size());
    return absl::OkStatus();
  }

  // Returns the earlier field of each present one.
  static std::vector<std::optional<size_t>> Match(const Schema& from, const Schema& to) {
    std::vector<std::optional<size_t>> places(to.fields.size());
    std::vector<bool> taken(from.fields.size());
    const auto take = [&](size_t present, const std::string& name) {
      for (size_t i = 0; i < from.fields.size() && !places[present].has_value(); ++i) {
        if (taken[i] || from.fields[i].name != name) continue;
        places[present] = i;
        taken[i] = true;
      }
    };
    for (size_t i = 0; i < to.fields.size(); ++i) take(i, to.fields[i].name);
    for (size_t i = 0; i < to.fields.size(); ++i) {
      for (const std::string& alias : to.fields[i].aliases) take(i, alias);
    }
    return places;
  }

  absl::Status MakeStruct(Schema& from, const Schema& to, Node* node) {
    node->places = Match(from, to);
    bool same = from.fields.size() == to.fields.size();
    std::vector<bool> kept(from.fields.size());
    for (size_t i = 0; i < to.fields.size(); ++i) {
      node->defaults.push_back(to.fields[i].default_value);
      if (!node->places[i].has_value()) {
        node->children.emplace_back();
        same = false;
        continue;
      }
      const size_t place = *node->places[i];
      kept[place] = true;
      const Scope scope(this, StrCat(".", to.fields[i].name));
      ASSIGN_OR_RETURN(Node field, Make(from.fields[place].type, to.fields[i].type));
      same = same && place == i && field.action == Action::kCopy;
      node->children.push_back(std::move(field));
    }
    if (!from.fields.empty() && !to.fields.empty() &&
        std::find(kept.begin(), kept.end(), true) == kept.end()) {
      return Refuse(
          "no field of a struct has the name of an earlier one, so it is another type; "
          "name earlier fields with WEIR_FIELD_ALIASES, or give the state another name",
          from, to);
    }
    for (size_t i = 0; i < from.fields.size(); ++i) {
      const Scope scope(this, StrCat(".", from.fields[i].name));
      if (!kept[i]) RETURN_IF_ERROR(CheckSkippable(from.fields[i].type));
    }
    if (!same) node->action = Action::kStruct;
    return absl::OkStatus();
  }

  absl::Status MakeVariant(Schema& from, const Schema& to, Node* node) {
    // Alternatives have no names: those of equal types meet in their order, the others by place.
    std::vector<bool> taken(to.fields.size());
    node->places.resize(from.fields.size());
    for (size_t i = 0; i < from.fields.size(); ++i) {
      for (size_t j = 0; j < to.fields.size() && !node->places[i].has_value(); ++j) {
        if (taken[j] || from.fields[i].type != to.fields[j].type) continue;
        node->places[i] = j;
        taken[j] = true;
      }
    }
    bool same = true;
    for (size_t i = 0; i < from.fields.size(); ++i) {
      const Scope scope(this, StrCat("<", i, ">"));
      if (!node->places[i].has_value()) {
        if (i >= to.fields.size() || taken[i]) {
          return Refuse(
              "a variant lacks an alternative that it had; keep it, new ones go to the "
              "end",
              from.fields[i].type, to);
        }
        node->places[i] = i;
        taken[i] = true;
      }
      ASSIGN_OR_RETURN(Node alternative,
                       Make(from.fields[i].type, to.fields[*node->places[i]].type));
      same = same && *node->places[i] == i && alternative.action == Action::kCopy;
      node->children.push_back(std::move(alternative));
    }
    if (!same) node->action = Action::kVariant;
    return absl::OkStatus();
  }

  // A field that is gone must be passed over.
  absl::Status CheckSkippable(const Schema& from) {
    if (from.kind == Kind::kOpaque && from.fields.empty()) {
      return Refuse(
          "a field is gone whose type has a Serde of its own, so it is not known how "
          "long its values are; keep the field, or give the state another name",
          from, Schema());
    }
    for (const SchemaField& field : from.fields) RETURN_IF_ERROR(CheckSkippable(field.type));
    return absl::OkStatus();
  }

  // Names a part of the value while it is looked at.
  class Scope {
   public:
    Scope(Planner* planner, std::string_view part)
        : planner_(planner), size_(planner->path_.size()) {
      planner_->path_ += part;
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope() { planner_->path_.resize(size_); }

   private:
    Planner* const planner_;
    const size_t size_;
  };

  [[nodiscard]] absl::Status Refuse(std::string_view why, const Schema& from,
                                    const Schema& to) const {
    return absl::FailedPreconditionError(
        StrCat(why, ": field=", path_, " snapshot_type=", from.ToString(), " declared_type=",
               to.kind == Kind::kOpaque && to.name.empty() ? std::string("none") : to.ToString()));
  }

  std::string path_ = "value";
};

absl::StatusOr<SchemaMigration> SchemaMigration::Create(const Schema& from, const Schema& to) {
  auto plan = std::make_shared<Plan>();
  plan->from = from;
  ASSIGN_OR_RETURN(plan->root, Planner().Make(plan->from, to));
  return SchemaMigration(std::move(plan));
}

bool SchemaMigration::IsIdentity() const { return plan_->root.action == Node::Action::kCopy; }

bool SchemaMigration::Migrate(ByteReader& from, ByteWriter& to) const {
  return plan_->root.Migrate(from, to);
}

bool SchemaMigration::MigrateWhole(std::string_view from, std::string* to) const {
  to->clear();
  ByteReader reader(from);
  ByteWriter writer(to);
  return Migrate(reader, writer) && reader.remaining() == 0;
}

}  // namespace weir
