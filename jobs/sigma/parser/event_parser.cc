#include "jobs/sigma/parser/event_parser.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "jobs/sigma/parser/internal/field_pattern.h"
#include "jobs/sigma/parser/internal/parser_functions.h"
#include "jobs/sigma/parser/internal/windows_event_text.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {

/// A step with its arguments at hand.
struct EventParser::Step {
  ParserFunction function = ParserFunction::kSet;
  std::string name;
  std::string field;  ///< Of rename what is renamed.
  std::string to;     ///< Of rename.
  std::vector<std::string> fields;
  EventValue value;
  bool in_place = false;
  std::shared_ptr<const FieldPattern> pattern;

  [[nodiscard]] absl::Status Run(EventValue* event, EventReader& reader) const;

 private:
  [[nodiscard]] absl::Status Error(std::string_view what) const {
    return absl::InvalidArgumentError(
        StrCat("a step of the parser failed: ", what, ": function=", name, " field=", field));
  }
  [[nodiscard]] absl::Status ParseJson(EventValue* event, EventReader& reader) const;
  [[nodiscard]] absl::Status SearchPattern(EventValue* event) const;
  [[nodiscard]] absl::Status Rename(EventValue* event) const;
  [[nodiscard]] absl::Status Extract(EventValue* event) const;
  [[nodiscard]] absl::Status ParseWinEventLog(EventValue* event) const;
};

struct EventParser::Steps {
  std::vector<Step> steps;
};

namespace {

constexpr size_t kMaxSteps = 200;

std::string_view MessageOf(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

std::string TextOf(const ParserStep& step, std::string_view argument) {
  const EventValue* const value = step.Find(argument);
  return value == nullptr ? std::string() : value->text;
}

bool IsTrue(const EventValue* value) {
  return value != nullptr && (value->truth || value->text == "true");
}

std::vector<std::string> Names(const EventValue& value) {
  std::vector<std::string> names;
  for (const EventValue& item : value.items) names.push_back(item.text);
  if (!value.is_string()) return names;
  for (const std::string_view part : StrSplit(value.text, ',')) {
    const std::string_view name = StripWhitespace(part);
    if (!name.empty()) names.emplace_back(name);
  }
  return names;
}

}  // namespace

absl::Status EventParser::Step::ParseJson(EventValue* event, EventReader& reader) const {
  EventValue* const found = FindField(event, field);
  if (found == nullptr || found->IsEmpty()) return absl::OkStatus();
  if (!found->is_string()) return Error("the field is no text");
  absl::StatusOr<EventValue> parsed = reader.Read(found->text);
  if (!parsed.ok()) return Error(MessageOf(parsed.status()));
  if (in_place) {
    *found = *std::move(parsed);
    return absl::OkStatus();
  }
  if (!parsed->is_object()) return Error("the field's JSON is no object");
  *event = *std::move(parsed);
  return absl::OkStatus();
}

absl::Status EventParser::Step::SearchPattern(EventValue* event) const {
  EventValue* const found = FindField(event, field);
  if (found == nullptr || found->is_null()) return Error("the field is missing");
  if (!found->is_string()) return Error("the field is no text");
  auto groups = pattern->Search(found->text);
  if (!groups.ok()) return Error(MessageOf(groups.status()));
  if (!groups->has_value()) return Error("the pattern is not found");
  EventValue object = EventValue::Object();
  for (auto& [group, text] : **groups) {
    object.Set(group, text.has_value() ? EventValue::String(*std::move(text)) : EventValue());
  }
  if (in_place) {
    *found = std::move(object);
  } else {
    *event = std::move(object);
  }
  return absl::OkStatus();
}

absl::Status EventParser::Step::Rename(EventValue* event) const {
  const EventValue* const found = FindField(*event, field);
  if (found == nullptr || found->is_null()) return Error("the field is missing");
  EventValue moved = *found;
  RemoveField(event, field);
  SetField(event, to, std::move(moved));
  return absl::OkStatus();
}

absl::Status EventParser::Step::Extract(EventValue* event) const {
  const EventValue* const found = FindField(*event, field);
  if (found == nullptr) return absl::OkStatus();
  if (!found->is_object()) {
    return found->IsEmpty() ? absl::OkStatus() : Error("the field is no object");
  }
  EventValue object = *found;
  RemoveField(event, field);
  for (EventMember& member : object.members) event->Set(member.name, std::move(member.value));
  return absl::OkStatus();
}

absl::Status EventParser::Step::ParseWinEventLog(EventValue* event) const {
  const EventValue* const found = event->Find(field);
  if (found == nullptr || found->is_null()) return Error("the field is missing");
  if (!found->is_string()) return Error("the field is no text");
  *event = ParseWindowsEventText(std::string(found->text));
  return absl::OkStatus();
}

absl::Status EventParser::Step::Run(EventValue* event, EventReader& reader) const {
  switch (function) {
    case ParserFunction::kParseJson:
      return ParseJson(event, reader);
    case ParserFunction::kRegex:
      return SearchPattern(event);
    case ParserFunction::kRename:
      return Rename(event);
    case ParserFunction::kExtract:
      return Extract(event);
    case ParserFunction::kDrop:
      for (const std::string& one : fields) RemoveField(event, one);
      return absl::OkStatus();
    case ParserFunction::kSet:
      SetField(event, field, value);
      return absl::OkStatus();
    case ParserFunction::kParseWinEventLog:
      return ParseWinEventLog(event);
  }
  return absl::InternalError("an unknown function of the parser language");
}

EventParser::EventParser(std::unique_ptr<Steps> steps) : steps_(std::move(steps)) {}
EventParser::~EventParser() = default;
EventParser::EventParser(EventParser&&) noexcept = default;
EventParser& EventParser::operator=(EventParser&&) noexcept = default;

absl::StatusOr<EventParser> EventParser::Create(const ParserConfig& config) {
  if (config.steps.size() > kMaxSteps) {
    return absl::InvalidArgumentError(
        StrCat("the parser has too many steps: steps=", config.steps.size(), " most=", kMaxSteps));
  }
  auto steps = std::make_unique<Steps>();
  for (const ParserStep& given : config.steps) {
    RETURN_IF_ERROR(CheckParserStep(given));
    Step& step = steps->steps.emplace_back();
    step.function = FindParserFunction(given.function)->function;
    step.name = given.function;
    step.field = TextOf(given, step.function == ParserFunction::kRename ? "from" : "field");
    step.to = TextOf(given, "to");
    step.in_place = IsTrue(given.Find("in_place"));
    if (const EventValue* const value = given.Find("value")) step.value = *value;
    if (const EventValue* const fields = given.Find("fields")) step.fields = Names(*fields);
    if (step.function != ParserFunction::kRegex) continue;
    auto pattern = FieldPattern::Compile(TextOf(given, "pattern"));
    if (!pattern.ok()) {
      return absl::InvalidArgumentError(
          StrCat("a pattern cannot be used: ", MessageOf(pattern.status()),
                 ": step=", steps->steps.size(), " pattern=", TextOf(given, "pattern")));
    }
    step.pattern = *std::move(pattern);
  }
  return EventParser(std::move(steps));
}

absl::Status EventParser::Parse(EventValue* event, EventReader& reader) const {
  for (size_t i = 0; i < steps_->steps.size(); ++i) {
    const absl::Status status = steps_->steps[i].Run(event, reader);
    if (!status.ok()) {
      return absl::InvalidArgumentError(StrCat(MessageOf(status), " step=", i + 1));
    }
  }
  return absl::OkStatus();
}

bool EventParser::empty() const { return steps_->steps.empty(); }

}  // namespace weir::sigma
