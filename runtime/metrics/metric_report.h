#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/metrics/metric_group.h"

namespace weir {

/// The names of a report: the same for all subtasks of a vertex, so made once and shared.
/// Immutable once shared.
struct MetricLayout {
  /// The numbers that stand for a histogram, by the endings of their names.
  static constexpr std::string_view kHistogramSuffixes[] = {"_count",  "_min",    "_max", "_mean",
                                                            "_stddev", "_median", "_p75", "_p90",
                                                            "_p95",    "_p98",    "_p99", "_p999"};

  /// One metric as Prometheus shows it.
  struct Entry {
    std::string family;
    uint32_t label_set = 0;  // Of the report's.
    uint32_t first_value = 0;
    bool is_histogram = false;

    friend bool operator==(const Entry&, const Entry&) = default;
  };

  /// By value, as REST shows it; a histogram has many.
  std::vector<std::string> names;
  /// In order of first_value; empty where the report came from another process.
  std::vector<Entry> entries;

  friend bool operator==(const MetricLayout&, const MetricLayout&) = default;
};

/// What one process, job, subtask or coordinator said of itself at one time.
struct MetricReport {
  std::shared_ptr<const MetricLayout> layout;
  std::vector<double> values;
  /// Values that are texts, by their place; to Prometheus they are 0.
  std::vector<std::pair<uint32_t, std::string>> texts;
  /// Labels as Prometheus writes them between the braces: `host="a",tm_id="b"`.
  std::shared_ptr<const std::vector<std::string>> label_sets;
};

/// Returns the text that REST gives for a number: without a fraction if it has none, saturated to
/// 64 bits as event times are.
[[nodiscard]] std::string MetricValueText(double value);
/// The same for value `index` of a report, which may be a text.
[[nodiscard]] std::string MetricValueText(const MetricReport& report, size_t index);

/// A part of a name as REST shows it: blanks, dots, colons and commas become underscores.
[[nodiscard]] std::string MetricScopeName(std::string_view name);
/// `key="value"` with what Flink's reporter lets stand in a value: letters, digits, colon and
/// underscore; everything else becomes an underscore.
[[nodiscard]] std::string PrometheusLabel(std::string_view key, std::string_view value);

/// Writes a report: the same calls once with names, then for later reports of the same scope, as
/// long as its metrics stay the same, without, which makes no strings at all.
///
/// Threads: one at a time.
class MetricReportBuilder final : private MetricGroup::Visitor {
 public:
  /// With `layout` null, makes the names; else takes them from there, and the calls must be those
  /// it was made by.
  MetricReportBuilder(std::shared_ptr<const MetricLayout> layout,
                      std::shared_ptr<const std::vector<std::string>> label_sets);
  /// Begins with names.
  MetricReportBuilder(std::string family_prefix, std::string labels);

  /// Whether names are being made; without, arguments that are only names may be empty.
  [[nodiscard]] bool with_names() const { return layout_ == nullptr; }

  /// What follows is of a scope within: its names begin with `name` and its families with `family`
  /// (either may be empty), and `labels`, if not empty, are added. Ended by EndScope.
  void BeginScope(std::string_view name, std::string_view family, std::string_view labels);
  void EndScope();

  void Add(std::string_view name, double value);
  void AddText(std::string_view name, std::string text);
  void AddHistogram(std::string_view name, const HistogramSnapshot& snapshot);
  void AddGroup(const MetricGroup& group) { group.Visit(*this); }

  /// Ends the report. Two with the same names may be given the same layout by the caller.
  [[nodiscard]] MetricReport Finish();

 private:
  struct Scope {
    std::string name_prefix;
    std::string family_prefix;
    uint32_t label_set = 0;
  };

  void OnCounter(std::string_view name, uint64_t value) override;
  void OnGauge(std::string_view name, double value) override;
  void OnHistogram(std::string_view name, const HistogramSnapshot& snapshot) override;
  void OnGroupBegin(std::string_view key, std::string_view value) override;
  void OnGroupEnd() override { EndScope(); }

  void AddName(std::string_view name, bool is_histogram);

  std::shared_ptr<const MetricLayout> layout_;  // Null while names are made.
  std::shared_ptr<const std::vector<std::string>> label_sets_;
  MetricReport report_;
  // While names are made.
  MetricLayout new_layout_;
  std::vector<std::string> new_label_sets_;
  std::vector<Scope> scopes_;
};

}  // namespace weir
