#include "jobs/sigma/parser/parser_config.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "jobs/sigma/parser/internal/parser_functions.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "simdjson.h"

namespace weir::sigma {
namespace {

bool IsWordCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '-';
}

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

absl::Status WithPlace(const absl::Status& status, std::string_view place) {
  const std::string_view message(status.message().data(), status.message().size());
  return absl::Status(status.code(), ToAbsl(StrCat(message, place)));
}

/// Reads the language's text from left to right.
class TextReader {
 public:
  explicit TextReader(std::string_view text) : text_(text) {}

  absl::StatusOr<ParserConfig> Read() {
    ParserConfig config;
    while (true) {
      SkipBlanks();
      if (AtEnd()) return config;
      if (Take('|')) continue;
      ASSIGN_OR_RETURN(ParserStep step, ReadStep());
      config.steps.push_back(std::move(step));
      SkipBlanks();
      if (!AtEnd() && text_[at_] != '|') return Error("a step ends in | or with the text", at_);
    }
  }

 private:
  [[nodiscard]] bool AtEnd() const { return at_ == text_.size(); }

  bool Take(char c) {
    if (AtEnd() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void SkipBlanks() {
    while (!AtEnd()) {
      if (text_[at_] == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (IsSpace(text_[at_])) {
        ++at_;
      } else {
        return;
      }
    }
  }

  [[nodiscard]] std::string PlaceOf(size_t position) const {
    const std::string_view before = text_.substr(0, position);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const size_t line_begin = before.rfind('\n') + 1;  // npos + 1 is 0.
    return StrCat(" line=", line, " column=", position - line_begin + 1);
  }

  [[nodiscard]] absl::Status Error(std::string_view what, size_t position) const {
    const std::string found =
        position >= text_.size() ? "the end" : std::string(text_.substr(position, 1));
    return absl::InvalidArgumentError(StrCat("the parser cannot be read: ", what, ": found=", found,
                                             PlaceOf(std::min(position, text_.size()))));
  }

  std::string_view TakeWord() {
    const size_t begin = at_;
    while (!AtEnd() && IsWordCharacter(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  absl::StatusOr<ParserStep> ReadStep() {
    const size_t begin = at_;
    ParserStep step;
    step.function = TakeWord();
    if (step.function.empty()) return Error("a step begins with a function's name", at_);
    if (FindParserFunction(step.function) == nullptr) {
      return WithPlace(UnknownParserFunction(step.function), PlaceOf(begin));
    }
    SkipBlanks();
    if (!Take('(')) return Error("behind a function's name stands (", at_);
    RETURN_IF_ERROR(ReadArguments(&step));
    const absl::Status checked = CheckParserStep(step);
    if (!checked.ok()) return WithPlace(checked, PlaceOf(begin));
    return step;
  }

  // Reads up to and with the closing parenthesis.
  absl::Status ReadArguments(ParserStep* step) {
    SkipBlanks();
    while (!Take(')')) {
      const size_t begin = at_;
      EventMember argument;
      argument.name = TakeWord();
      if (argument.name.empty()) return Error("an argument begins with its name", at_);
      if (step->Find(argument.name) != nullptr) return Error("an argument is given twice", begin);
      SkipBlanks();
      if (!Take('=')) return Error("behind an argument's name stands =", at_);
      SkipBlanks();
      ASSIGN_OR_RETURN(argument.value, ReadLiteral());
      step->arguments.push_back(std::move(argument));
      SkipBlanks();
      if (Take(',')) {
        SkipBlanks();
      } else if (AtEnd() || text_[at_] != ')') {
        return Error("between arguments stands a comma, behind them )", at_);
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<EventValue> ReadLiteral() {
    if (!AtEnd() && text_[at_] == '"') return ReadQuoted();
    const size_t begin = at_;
    const std::string word(TakeWord());
    if (word.empty())
      return Error("a value is a text in quotes, a number, true, false or null", at_);
    if (!AtEnd() && text_[at_] == '+') return Error("a value with + stands in quotes", begin);
    if (word == "true" || word == "false") return EventValue::Bool(word == "true");
    if (word == "null") return EventValue();
    // A word that JSON takes for a number is one.
    EventReader reader;
    absl::StatusOr<EventValue> number = reader.Read(word);
    if (number.ok() && number->kind == EventValue::Kind::kNumber) return *std::move(number);
    return EventValue::String(word);
  }

  absl::StatusOr<EventValue> ReadQuoted() {
    const size_t begin = at_++;
    std::string text;
    while (!AtEnd()) {
      const char c = text_[at_++];
      if (c == '"') return EventValue::String(std::move(text));
      const bool escapes = c == '\\' && !AtEnd() && (text_[at_] == '"' || text_[at_] == '\\');
      text.push_back(escapes ? text_[at_++] : c);
    }
    return Error("a text has no closing quote", begin);
  }

  const std::string_view text_;
  size_t at_ = 0;
};

absl::Status AtStep(const absl::Status& status, size_t index) {
  return WithPlace(status, StrCat(" step=", index + 1));
}

absl::StatusOr<ParserStep> ReadStep(const EventValue& step, const EventValue* all_arguments) {
  ParserStep result;
  const EventValue* arguments = nullptr;
  if (step.is_string()) {
    result.function = step.text;
    if (all_arguments != nullptr) arguments = all_arguments->Find(step.text);
  } else if (const EventValue* const function = step.Find("function");
             function != nullptr && function->is_string()) {
    result.function = function->text;
    arguments = step.Find("args");
  } else {
    return absl::InvalidArgumentError(
        "a step of a parser is neither a function's name nor an object with function and args");
  }
  if (arguments != nullptr && !arguments->is_null()) {
    if (!arguments->is_object()) {
      return absl::InvalidArgumentError(
          StrCat("the arguments of a function are no object: function=", result.function));
    }
    result.arguments = arguments->members;
  }
  RETURN_IF_ERROR(CheckParserStep(result));
  return result;
}

// Returns whether each function occurs with one set of arguments only.
bool HasOneSetOfArguments(const ParserConfig& config) {
  for (const ParserStep& step : config.steps) {
    for (const ParserStep& other : config.steps) {
      if (step.function == other.function && step.arguments != other.arguments) return false;
    }
  }
  return true;
}

void AppendArguments(const ParserStep& step, std::string* json) {
  EventValue object = EventValue::Object();
  object.members = step.arguments;
  AppendJson(object, json);
}

}  // namespace

const EventValue* ParserStep::Find(std::string_view name) const {
  for (const EventMember& argument : arguments) {
    if (argument.name == name) return &argument.value;
  }
  return nullptr;
}

absl::StatusOr<ParserConfig> ParseParserText(std::string_view text) {
  int number = 0;
  for (const std::string_view line : StrSplit(text, '\n')) {
    ++number;
    if (simdjson::validate_utf8(line.data(), line.size())) continue;
    return absl::InvalidArgumentError(StrCat("the parser's text is not UTF-8: line=", number));
  }
  return TextReader(text).Read();
}

absl::StatusOr<ParserConfig> ReadParserConfig(const EventValue& config) {
  const EventValue* const steps = config.Find("steps");
  if (steps == nullptr || steps->kind != EventValue::Kind::kArray) {
    return absl::InvalidArgumentError(
        "the parser's config has no steps; give {\"steps\":[…],\"args\":{…}}");
  }
  const EventValue* const arguments = config.Find("args");
  if (arguments != nullptr && !arguments->is_null() && !arguments->is_object()) {
    return absl::InvalidArgumentError("the args of the parser's config are no object");
  }
  ParserConfig result;
  for (size_t i = 0; i < steps->items.size(); ++i) {
    absl::StatusOr<ParserStep> step = ReadStep(steps->items[i], arguments);
    if (!step.ok()) return AtStep(step.status(), i);
    result.steps.push_back(*std::move(step));
  }
  return result;
}

void AppendParserConfig(const ParserConfig& config, std::string* json) {
  const bool short_form = HasOneSetOfArguments(config);
  json->append("{\"steps\":[");
  for (size_t i = 0; i < config.steps.size(); ++i) {
    const ParserStep& step = config.steps[i];
    if (i > 0) json->push_back(',');
    if (!short_form) json->append("{\"function\":");
    AppendJsonString(json, step.function);
    if (short_form) continue;
    json->append(",\"args\":");
    AppendArguments(step, json);
    json->push_back('}');
  }
  json->push_back(']');
  if (short_form) {
    EventValue arguments = EventValue::Object();
    for (const ParserStep& step : config.steps) {
      EventValue object = EventValue::Object();
      object.members = step.arguments;
      arguments.Set(step.function, std::move(object));
    }
    json->append(",\"args\":");
    AppendJson(arguments, json);
  }
  json->push_back('}');
}

}  // namespace weir::sigma
