#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace weir {

/// Which of the matches that overlap a found one are still looked for. Flink's strategies of the
/// same names.
///
/// With any of them but NoSkip a match waits until no match that began earlier can be completed any
/// more; of matches that are found together the one that began first, then the one of the earlier
/// events, comes first.
class AfterMatchSkipStrategy {
 public:
  enum class Kind : uint8_t { kNoSkip, kSkipToNext, kSkipPastLastEvent, kSkipToFirst, kSkipToLast };

  /// Every match is emitted.
  static AfterMatchSkipStrategy NoSkip() { return AfterMatchSkipStrategy(Kind::kNoSkip, ""); }
  /// Forgets what began with the match's first event.
  static AfterMatchSkipStrategy SkipToNext() {
    return AfterMatchSkipStrategy(Kind::kSkipToNext, "");
  }
  /// Forgets what began at or before the match's last event.
  static AfterMatchSkipStrategy SkipPastLastEvent() {
    return AfterMatchSkipStrategy(Kind::kSkipPastLastEvent, "");
  }
  /// Forgets what began before the first event of `stage`; nothing if the match has none of it.
  static AfterMatchSkipStrategy SkipToFirst(std::string stage) {
    return AfterMatchSkipStrategy(Kind::kSkipToFirst, std::move(stage));
  }
  /// The same with its last event.
  static AfterMatchSkipStrategy SkipToLast(std::string stage) {
    return AfterMatchSkipStrategy(Kind::kSkipToLast, std::move(stage));
  }

  AfterMatchSkipStrategy() = default;
  [[nodiscard]] Kind kind() const { return kind_; }
  /// Empty where the strategy names no stage.
  [[nodiscard]] const std::string& stage() const { return stage_; }

 private:
  AfterMatchSkipStrategy(Kind kind, std::string stage) : kind_(kind), stage_(std::move(stage)) {}

  Kind kind_ = Kind::kNoSkip;
  std::string stage_;
};

}  // namespace weir
