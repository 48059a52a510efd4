#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "jobs/sigma/engine/rule.h"

namespace weir::sigma {

/// Other places at which events hold a field of rules.
struct FieldAlias {
  /// As rules call it; `a.*` means every field whose name begins with `a.`.
  std::string field;
  /// Dotted; `*` stands for any one key, and for the rest of the name at the end of an alias of
  /// `a.*`. A path without dots is also looked for below the prefixes.
  std::vector<std::string> paths;
};

/// A list of objects that each hold a field's name and its value:
/// `"Data":[{"@Name":"Image","#text":"C:\\a.exe"}]`.
struct NameValueList {
  std::string path;
  std::string name_key;
  std::string value_key;
};

/// Says which events are of a log source.
struct LogSourceTest {
  LogSource log_source;
  Expression condition;
};

/// Where events hold the fields of rules, and how they show what log source they are of. Plain
/// data; CompileRules builds it into the rule set, so that it costs nothing per rule.
///
/// A field is always found under its own name too. Where an event holds it at several places, any
/// value may match; it is null only if it is so at all of them.
struct EventMapping {
  std::vector<std::string> prefixes;  ///< Paths below which fields stand under their own names.
  std::vector<FieldAlias> fields;
  std::vector<NameValueList> lists;
  std::vector<LogSourceTest> log_sources;

  /// Appends what `other` knows.
  void Append(const EventMapping& other);

  /// Returns the paths at which events may hold `field`, its own name first; `lists` come on top.
  [[nodiscard]] std::vector<std::string> PathsOf(std::string_view field) const;
};

}  // namespace weir::sigma
