#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "jobs/sigma/engine/compiled_rules.h"
#include "jobs/sigma/engine/layered_rules.h"
#include "jobs/sigma/engine/rule.h"

namespace weir::sigma {

/// How to match one event.
struct MatchOptions {
  /// The log sources the event belongs to, where the caller knows; only rules whose own log source
  /// accepts one of them are tried. Empty: what the event itself shows, see CompileOptions.
  std::span<const LogSource> log_sources;
};

/// Matches JSON events against a set of rules.
///
/// Place: one per thread or subtask; it owns the JSON parser and all working memory, which it
/// reuses, so that an event costs no allocation once the buffers have grown. Threads: one at a
/// time. The rules are shared.
class Matcher {
 public:
  Matcher();
  ~Matcher();
  Matcher(Matcher&&) noexcept;
  Matcher& operator=(Matcher&&) noexcept;

  /// Uses `rules` from the next event on. Errors: kResourceExhausted when there is no memory to
  /// scan with; the rules used before then stay in force.
  [[nodiscard]] absl::Status SetRules(std::shared_ptr<const CompiledRules> rules);
  /// The same for rules in two layers. What it knows of a set's fields and values it keeps where
  /// that is the same set as before.
  [[nodiscard]] absl::Status SetRules(RuleLayers layers);

  /// Replaces `matches` by the rules that `json_event` matches, in order of their ids. They live as
  /// long as the set.
  ///
  /// Errors: kInvalidArgument if the bytes are no JSON, no object, or nest more than 256 levels
  /// deep; `matches` is then empty, and the next call is not affected. Without rules nothing
  /// matches, but the event is still checked.
  [[nodiscard]] absl::Status Match(std::string_view json_event, std::vector<const Rule*>& matches,
                                   const MatchOptions& options = {});

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::sigma
