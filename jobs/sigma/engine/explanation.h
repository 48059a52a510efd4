#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "jobs/sigma/engine/event_fields.h"
#include "jobs/sigma/engine/rule.h"

namespace weir::sigma {

/// Why a part of a rule's condition holds for an event or not: the condition as a tree, with the
/// outcome and the reason at each node.
struct Explanation {
  Expression::Kind kind = Expression::Kind::kTest;
  bool holds = false;
  std::string selection;  ///< Name of the selection that the node stands for, if it is one.
  uint32_t count = 0;     ///< Of kAtLeast: how many children must hold.
  std::vector<Explanation> children;

  std::shared_ptr<const Predicate> predicate;  ///< Of kTest.
  /// Of kTest: the field's values, or for keywords the one that was found; at most kMaxValues, each
  /// cut at kMaxValueSize bytes.
  std::vector<std::string> values;
  std::string hit;        ///< Of kTest that holds: the first value that passed; may be empty.
  std::string hit_field;  ///< Of kTest that holds: the field of `hit`, for keywords too.
  std::string reason;     ///< Of kTest: one clause, such as `Image ends with "\cmd.exe"`.

  static constexpr size_t kMaxValues = 16;
  static constexpr size_t kMaxValueSize = 1024;
};

/// Evaluates all of `rule`'s condition on `event`, without the shortcuts of the Matcher, with which
/// it agrees.
[[nodiscard]] Explanation Explain(const Rule& rule, const EventFields& event);

/// Returns the log sources that `event` shows by the tests of `mapping`.
[[nodiscard]] std::vector<LogSource> ShownLogSources(const EventFields& event,
                                                     const EventMapping& mapping);

/// Returns whether a rule of `log_source` is tried on an event that shows `shown`, as
/// CompileOptions says: no if it shows some but none of the rule's, and `mapping` knows that of the
/// rule.
[[nodiscard]] bool IsRouted(const LogSource& log_source, const std::vector<LogSource>& shown,
                            const EventMapping& mapping);

/// Returns what a test asks, as a clause: `Image ends with "\cmd.exe"`.
[[nodiscard]] std::string DescribeTest(const Predicate& predicate);

/// A test of a positive part of a condition that held.
struct MatchedField {
  std::string selection;  ///< Empty if the test belongs to none.
  std::string field;
  std::string value;
};

/// Returns which tests made the condition hold, in the condition's order and each once; what holds
/// because something is absent (`not`) is left out.
[[nodiscard]] std::vector<MatchedField> MatchedFields(const Explanation& explanation);

/// Returns the names of the selections that hold and that the condition does not negate, each once.
[[nodiscard]] std::vector<std::string> MatchedSelections(const Explanation& explanation);

}  // namespace weir::sigma
