#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobs/sigma/engine/correlation_rule.h"
#include "jobs/sigma/engine/event_mapping.h"
#include "jobs/sigma/engine/rule_document.h"

namespace weir::sigma {

/// A processing pipeline: fits rules to the events that are there.
///
/// Written as for pySigma (`transformations` with rule, detection item and field name conditions,
/// `vars`, `priority`, `name`), and beyond it with `event_fields` and `event_log_sources`, which
/// tell where events hold the fields of rules and which log source an event is of.
///
/// Lifecycle: parsed, merged with others in order of priority, immutable, shared. Threads: Apply
/// may run in many at once.
class Pipeline {
 public:
  /// Reads the text of a pipeline file. `source` stands in messages.
  ///
  /// Errors: kInvalidArgument naming source, item, key and how to mend it, with the place;
  /// kUnimplemented for what makes sense only where queries are written (postprocessing,
  /// query_expression_placeholders, …).
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<const Pipeline>> Parse(
      std::string_view yaml, std::string_view source);

  /// Returns one pipeline that does what `pipelines` do, lowest priority number first and, among
  /// equals, in the order given. Variables of later ones win.
  [[nodiscard]] static std::shared_ptr<const Pipeline> Merge(
      std::vector<std::shared_ptr<const Pipeline>> pipelines);

  /// Reads and merges pipelines, each given as the path of a file or as the name of a ready one
  /// (see ready_pipelines.h). Errors: as of Parse; kNotFound. Blocks on file reads.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<const Pipeline>> Load(
      const std::vector<std::string>& names_or_paths);

  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  /// Changes `document`. Errors: kInvalidArgument when the pipeline refuses the rule (rule_failure
  /// and the like), naming item and pipeline.
  [[nodiscard]] absl::Status Apply(RuleDocument& document) const;

  /// Changes the fields of a correlation; `rules` are those it may name. Errors: as above.
  [[nodiscard]] absl::Status Apply(CorrelationRule& correlation,
                                   const std::vector<std::shared_ptr<const Rule>>& rules) const;

  [[nodiscard]] const std::string& name() const;
  [[nodiscard]] int priority() const;
  /// What the pipeline knows of events.
  [[nodiscard]] const EventMapping& event_mapping() const;

 private:
  struct Impl;
  explicit Pipeline(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::sigma
