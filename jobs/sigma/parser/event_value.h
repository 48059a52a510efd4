#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weir::sigma {

struct EventMember;

/// A JSON value that can be changed: an event on its way through a parser. Numbers stay as they are
/// written, so integers of any size pass unharmed. Plain data; a value of its own.
struct EventValue {
  enum class Kind : uint8_t { kNull, kBool, kNumber, kString, kArray, kObject };

  EventValue() = default;
  [[nodiscard]] static EventValue Bool(bool truth);
  /// `token` must be a JSON number.
  [[nodiscard]] static EventValue Number(std::string token);
  [[nodiscard]] static EventValue String(std::string text);
  [[nodiscard]] static EventValue Array();
  [[nodiscard]] static EventValue Object();

  [[nodiscard]] bool is_null() const { return kind == Kind::kNull; }
  [[nodiscard]] bool is_string() const { return kind == Kind::kString; }
  [[nodiscard]] bool is_object() const { return kind == Kind::kObject; }
  /// Whether there is nothing in it: null, "", [] or {}.
  [[nodiscard]] bool IsEmpty() const;

  // Of an object:

  /// Returns the member of that name; null if there is none.
  [[nodiscard]] const EventValue* Find(std::string_view name) const;
  [[nodiscard]] EventValue* Find(std::string_view name);
  /// Replaces the member's value where it stands, or appends a member.
  void Set(std::string_view name, EventValue value);
  /// Returns whether there was such a member.
  bool Remove(std::string_view name);

  Kind kind = Kind::kNull;
  bool truth = false;  ///< Of kBool.
  std::string text;    ///< Of kString the text, of kNumber how it is written.
  std::vector<EventValue> items;
  std::vector<EventMember> members;  ///< In their order; names are unique.

  friend bool operator==(const EventValue& a, const EventValue& b);
};

/// A name and its value.
struct EventMember {
  std::string name;
  EventValue value;
  friend bool operator==(const EventMember&, const EventMember&) = default;
};

inline bool operator==(const EventValue& a, const EventValue& b) {
  return a.kind == b.kind && a.truth == b.truth && a.text == b.text && a.items == b.items &&
         a.members == b.members;
}

/// Reads JSON. Keeps its buffers between calls. Threads: one at a time.
class EventReader {
 public:
  /// How deep values may nest.
  static constexpr int kMaxDepth = 256;

  EventReader();
  ~EventReader();
  EventReader(EventReader&&) noexcept;
  EventReader& operator=(EventReader&&) noexcept;

  /// Reads one JSON value of any kind. Of members with one name the first one's place and the last
  /// one's value count. Errors: kInvalidArgument for what is no JSON, or nests too deep.
  [[nodiscard]] absl::StatusOr<EventValue> Read(std::string_view json);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Appends `value` as compact JSON.
void AppendJson(const EventValue& value, std::string* json);

// Fields by their path. A path is first taken for a name with dots in it, then for a way through
// objects: `a.b` finds {"a.b":1}, else {"a":{"b":1}}.

/// Returns the field; null if there is none.
[[nodiscard]] const EventValue* FindField(const EventValue& event, std::string_view path);
[[nodiscard]] EventValue* FindField(EventValue* event, std::string_view path);
/// Sets a field by the way through objects: makes those that are missing, replaces what is no
/// object, and removes a name with dots that would hide the field.
void SetField(EventValue* event, std::string_view path, EventValue value);
/// Returns whether there was such a field.
bool RemoveField(EventValue* event, std::string_view path);

}  // namespace weir::sigma
