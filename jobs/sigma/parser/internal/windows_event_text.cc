#include "jobs/sigma/parser/internal/windows_event_text.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <utility>

#include "jobs/sigma/parser/internal/windows_event_fields.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

bool IsLabelCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view(" _-/().[]'").find(c) != std::string_view::npos;
}

bool IsLabel(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsLabelCharacter);
}

bool IsSectionName(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == ' ' || c == '(' || c == ')';
  });
}

bool IsIndented(std::string_view line) {
  return !line.empty() && (line.front() == ' ' || line.front() == '\t');
}

/// What the lines so far have given, and where the next one belongs.
class WindowsEventReader {
 public:
  void Read(std::string_view line) {
    const std::string_view stripped = StripWhitespace(line);
    if (stripped.empty()) {
      last_.clear();
      return;
    }
    const bool indented = IsIndented(line);
    if (!indented && stripped.back() == ':' &&
        IsSectionName(stripped.substr(0, stripped.size() - 1))) {
      section_ = stripped.substr(0, stripped.size() - 1);
      last_.clear();
      return;
    }
    const size_t separator = stripped.find_first_of("=:");
    if (separator == std::string_view::npos || !IsLabel(stripped.substr(0, separator))) {
      return Continue(stripped);
    }
    if (!indented) section_ = {};
    Add(StripWhitespace(stripped.substr(0, separator)),
        StripWhitespace(stripped.substr(separator + 1)));
  }

  EventValue Take() { return std::move(event_); }

 private:
  void Add(std::string_view label, std::string_view value) {
    std::string_view name = label;
    if (!section_.empty()) {
      const EventValue* const id = event_.Find("EventID");
      name = id == nullptr ? "" : WindowsEventField(id->text, section_, label);
    } else if (label == "EventCode") {
      name = "EventID";
    }
    last_ = name;
    if (!name.empty()) event_.Set(name, EventValue::String(std::string(value)));
  }

  void Continue(std::string_view text) {
    if (last_.empty()) return;
    if (EventValue* const value = event_.Find(last_)) {
      if (!value->text.empty()) value->text.push_back(' ');
      value->text.append(text);
    }
  }

  EventValue event_ = EventValue::Object();
  std::string section_;
  std::string last_;  // The field that a line without a separator goes on with.
};

}  // namespace

EventValue ParseWindowsEventText(std::string_view text) {
  WindowsEventReader reader;
  bool first = true;
  for (std::string_view line : StrSplit(text, '\n')) {
    if (std::exchange(first, false)) continue;  // The time.
    if (line.ends_with('\r')) line.remove_suffix(1);
    reader.Read(line);
  }
  return reader.Take();
}

}  // namespace weir::sigma
