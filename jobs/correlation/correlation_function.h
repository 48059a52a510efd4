#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "jobs/correlation/correlation_rule.h"
#include "jobs/correlation/detection.h"
#include "jobs/correlation/signal.h"
#include "operators/api/functions.h"

namespace weir::correlation {

/// Turns the signals of an entity into detections: the second layer behind any signal queries.
///
/// Signals are evaluated in order of their times, whatever order they came in, each as soon as the
/// watermark has passed it; so the result depends on the signals alone. A rule detects when every
/// type it requires has a signal within its window. It then stays quiet for this entity until the
/// window has passed without a required signal: that is the end of the incident, and the next
/// signal may begin another. A signal behind the watermark is evaluated at once, with what is
/// known then.
///
/// State per entity: signals that wait for the watermark, and per rule the latest signal of each
/// required type. A timer removes a rule's state when its incident has ended.
class CorrelationFunction final : public KeyedProcessFunction<std::string, Signal, Detection> {
 public:
  explicit CorrelationFunction(std::vector<CorrelationRule> rules);

  [[nodiscard]] absl::Status Open(KeyedOpenContext<std::string>& context) override;
  void ProcessElement(const Signal& signal, Context& context, Collector<Detection>& out) override;
  void OnTimer(TimerKind kind, Context& context, Collector<Detection>& out) override;

 private:
  /// How far a rule has come with an entity.
  struct Progress {
    std::map<std::string, Signal> latest;  // By type; empty once detected.
    EventTime last_required = EventTime::Min();
    EventTime timer = EventTime::Min();  // The one that is set, or Min.
    bool detected = false;
  };

  void Evaluate(const std::vector<Signal>& signals, Context& context, Collector<Detection>& out);
  void EvaluateRule(const CorrelationRule& rule, const std::vector<const Signal*>& signals,
                    Context& context, Collector<Detection>& out);
  void RemoveEndedIncidents(Context& context);

  std::shared_ptr<const std::vector<CorrelationRule>> rules_;
  MapState<int64_t, std::vector<Signal>> waiting_;  // By time in ms, until the watermark is there.
  MapState<std::string, Progress> progress_;        // By rule id.
};

}  // namespace weir::correlation
