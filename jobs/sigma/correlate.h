#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "jobs/sigma/correlation/correlation_evaluator.h"
#include "jobs/sigma/correlation/correlation_group.h"
#include "jobs/sigma/correlation/correlation_input.h"
#include "jobs/sigma/correlation/correlation_set.h"
#include "jobs/sigma/correlation_update.h"
#include "jobs/sigma/custom_fields.h"
#include "jobs/sigma/match_events.h"
#include "operators/api/functions.h"

namespace weir::sigma {

/// How Correlate works.
struct CorrelateOptions {
  uint32_t level = 0;       ///< Correlations of which level it runs.
  uint32_t num_levels = 1;  ///< How many there are in the job.
  /// How long matches are kept beyond need for such as come late.
  absl::Duration lateness = absl::ZeroDuration();
  /// When event time has stood still for so long, it goes on with the clock for the groups that
  /// wait for it: a source that has gone silent does not hold an alert back. Zero: never.
  absl::Duration idle = absl::ZeroDuration();
};

/// Runs the correlations of one level: matches in, keyed by correlation and group, alerts out; what
/// higher levels read goes to the side output CorrelationTag.
///
/// Event time decides, so that the order in which matches come does not matter. Keyed state holds
/// what the evaluator keeps of a group; it goes when the group has expired, or its correlation has
/// changed or is gone. Broadcast state holds the texts of the correlations.
class Correlate final : public KeyedBroadcastProcessFunction<std::string, CorrelationInput,
                                                             CorrelationUpdate, TaggedEvent> {
 public:
  using Context = KeyedContext<std::string>;

  explicit Correlate(CorrelateOptions options) : options_(options) {}

  [[nodiscard]] absl::Status Open(KeyedOpenContext<std::string>& context) override;
  void ProcessElement(const CorrelationInput& input, Context& context,
                      Collector<TaggedEvent>& out) override;
  void ProcessBroadcastElement(const CorrelationUpdate& update, FunctionContext& context,
                               Collector<TaggedEvent>& out) override;
  void OnTimer(TimerKind kind, Context& context, Collector<TaggedEvent>& out) override;

 private:
  struct Running;

  void ReadSet();
  void ReadCustomFields();
  /// The correlation that a group belongs to, as it is now; null if it is gone or another.
  const Running* Find(const std::string& id, uint64_t definition);
  void Advance(int64_t now_ms, const Running& running, CorrelationGroup& group, Context& context,
               Collector<TaggedEvent>& out);
  void Fire(const Running& running, const CorrelationGroup& group, const CorrelationFiring& firing,
            Context& context, Collector<TaggedEvent>& out);
  void OnStandstill(const Running& running, CorrelationGroup& group, Context& context,
                    Collector<TaggedEvent>& out);
  void WatchStandstill(CorrelationGroup& group, Context& context);

  CorrelateOptions options_;
  BroadcastState<std::string, StoredCorrelations> texts_;
  BroadcastState<std::string, StoredCustomFields> stored_fields_;
  ValueState<CorrelationGroup> group_;
  // Made in Open: each subtask has its own.
  struct Subtask;
  std::shared_ptr<Subtask> subtask_;
};

}  // namespace weir::sigma
