#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "jobs/sigma/engine/pattern.h"
#include "jobs/sigma/engine/predicate.h"
#include "jobs/sigma/engine/source_place.h"

namespace weir::sigma {

/// One value of a detection item after its modifiers: what the rule's author asked of a field.
struct DetectionValue {
  enum class Kind : uint8_t {
    kString,      ///< `pattern`, `cased`.
    kNumber,      ///< `text`, as written.
    kBool,        ///< `text`: true or false.
    kNull,        ///< The field has no value.
    kRegex,       ///< `pattern` holds the expression; `relation` where it must match.
    kCidr,        ///< `pattern` holds the block.
    kComparison,  ///< `text` is a number, `relation` an ordering, or kEquals with a time part.
    kExists,      ///< `flag`.
    kFieldRef,    ///< `text` is the other field; `relation` and `cased` how to compare.
    kAnyOf,       ///< `alternatives`: forms of one written value; one of them suffices.
  };

  Kind kind = Kind::kString;
  Pattern pattern;
  std::string text;  ///< Of kString: as written in the rule.
  bool cased = false;
  bool flag = false;
  std::string regex_flags;          ///< Of kRegex: letters out of i, m and s.
  Test relation = Test::kEquals;    ///< Of kRegex: kContains (anywhere), kStartsWith, kEndsWith.
  TimePart part = TimePart::kNone;  ///< Of kComparison.
  std::vector<DetectionValue> alternatives;
};

/// One line of a selection: what the values of a field, or of any of several, must fulfil.
struct DetectionItem {
  /// The field's names: one in a rule; pipelines may map it to several, of which any may hold. A
  /// single empty name means keywords.
  std::vector<std::string> fields;
  std::vector<DetectionValue> values;
  bool all = false;      ///< Every value must be found, not just one.
  bool negated = false;  ///< `neq`.
  SourcePlace place;
  std::string key;                ///< As written: field and modifiers, for messages.
  std::set<std::string> applied;  ///< Ids of the processing items that changed it.

  [[nodiscard]] bool IsKeyword() const { return fields.size() == 1 && fields.front().empty(); }
};

/// A search identifier's content, as a tree of detection items.
struct Selection {
  enum class Kind : uint8_t { kItem, kAll, kAny };

  Kind kind = Kind::kAll;
  DetectionItem item;               ///< Of kItem.
  std::vector<Selection> children;  ///< Of kAll and kAny; empty once a pipeline dropped everything.
};

/// A search identifier: a selection under its name.
struct NamedSelection {
  std::string name;
  Selection selection;
  SourcePlace place;
};

/// A condition as written.
struct ConditionText {
  std::string text;
  SourcePlace place;
};

/// Returns a selection that is one item.
[[nodiscard]] Selection ItemSelection(DetectionItem item);

/// Calls `visit(DetectionItem&)` for every item below `selection`.
template <class Visitor>
void ForEachItem(Selection& selection, const Visitor& visit) {
  if (selection.kind == Selection::Kind::kItem) visit(selection.item);
  for (Selection& child : selection.children) ForEachItem(child, visit);
}
template <class Visitor>
void ForEachItem(const Selection& selection, const Visitor& visit) {
  if (selection.kind == Selection::Kind::kItem) visit(selection.item);
  for (const Selection& child : selection.children) ForEachItem(child, visit);
}

}  // namespace weir::sigma
