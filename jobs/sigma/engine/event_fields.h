#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "jobs/sigma/engine/event_mapping.h"
#include "jobs/sigma/engine/predicate.h"

namespace weir::sigma {

/// The fields of one event, all of them and by name: what explanations look at. The Matcher reads
/// only the fields that rules ask for and is the one for many events.
///
/// Lifecycle: made by Parse, immutable. Threads: may be shared.
class EventFields {
 public:
  /// What the event says about one field. `a.b` stands for nested and for dotted keys alike.
  struct Field {
    bool has_null = false;
    std::vector<ScalarValue> values;  ///< Of arrays all elements; of floats both texts.
  };

  /// Reads a JSON object. `mapping`, which may be null and else must outlive the result, says where
  /// the event holds fields besides under their own names. Errors: kInvalidArgument, for the very
  /// events that Matcher::Match refuses.
  [[nodiscard]] static absl::StatusOr<EventFields> Parse(std::string_view json_event,
                                                         const EventMapping* mapping = nullptr);

  EventFields(EventFields&&) noexcept = default;
  EventFields& operator=(EventFields&&) noexcept = default;
  EventFields(const EventFields&) = delete;
  EventFields& operator=(const EventFields&) = delete;

  /// Returns what the event says about `name` at all places, or nothing if it has no such key. Its
  /// values live as long as this object.
  [[nodiscard]] std::optional<Field> Find(std::string_view name) const;

  /// Every string value, with the names of their fields: what keywords are searched in.
  struct NamedString {
    std::string_view field;
    ScalarValue value;
  };
  [[nodiscard]] const std::vector<NamedString>& strings() const { return strings_; }

  /// Returns the names of all fields, sorted.
  [[nodiscard]] std::vector<std::string_view> Names() const;

 private:
  class Reader;

  EventFields() = default;

  void AddPath(std::string_view path, std::optional<Field>* field) const;

  const EventMapping* mapping_ = nullptr;
  std::deque<std::string> texts_;  // What values are views of.
  std::map<std::string, Field, std::less<>> fields_;
  std::vector<NamedString> strings_;
  bool has_spaced_names_ = false;
};

}  // namespace weir::sigma
