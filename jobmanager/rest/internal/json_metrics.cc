#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "jobmanager/rest/internal/json_fields.h"
#include "jobmanager/rest/internal/json_rendering.h"
#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

/// Finds one name in many reports; those with the same names cost one search.
class NameFinder {
 public:
  explicit NameFinder(std::string_view name) : name_(name) {}

  std::optional<size_t> Find(const MetricReport& report) {
    if (report.layout.get() != layout_) {
      layout_ = report.layout.get();
      const auto found = std::find(layout_->names.begin(), layout_->names.end(), name_);
      place_.reset();
      if (found != layout_->names.end()) {
        place_ = static_cast<size_t>(found - layout_->names.begin());
      }
    }
    return place_;
  }

 private:
  const std::string_view name_;
  const MetricLayout* layout_ = nullptr;
  std::optional<size_t> place_;
};

bool IsText(const MetricReport& report, size_t place) {
  return std::any_of(report.texts.begin(), report.texts.end(),
                     [place](const auto& text) { return text.first == place; });
}

// Splits "<index>.<name>".
std::optional<uint32_t> TakeIndex(std::string_view* name) {
  const size_t dot = name->find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  uint32_t index = 0;
  const auto [end, error] = std::from_chars(name->data(), name->data() + dot, index);
  if (error != std::errc() || end != name->data() + dot) return std::nullopt;
  name->remove_prefix(dot + 1);
  return index;
}

// The values of one metric over all that have it; nothing if one of them is a text.
std::optional<std::vector<double>> Collect(const std::vector<ScopeMetrics>& metrics,
                                           std::string_view name) {
  NameFinder finder(name);
  std::vector<double> values;
  for (const ScopeMetrics& scope : metrics) {
    const std::optional<size_t> place = finder.Find(scope.report);
    if (!place.has_value()) continue;
    if (IsText(scope.report, *place)) return std::nullopt;
    values.push_back(scope.report.values[*place]);
  }
  return values;
}

// The mean distance from the mean, in per cent of the mean.
double SkewOf(const std::vector<double>& values, double mean) {
  if (mean == 0) return 0;
  double distance = 0;
  for (const double value : values) distance += std::abs(value - mean);
  return distance / static_cast<double>(values.size()) / mean * 100;
}

Json Aggregate(std::string_view name, const std::vector<double>& values,
               const MetricAggregation& aggregation) {
  double sum = 0;
  for (const double value : values) sum += value;
  const double mean = sum / static_cast<double>(values.size());
  Json json = {{"id", name}};
  if (aggregation.min) json["min"] = *std::min_element(values.begin(), values.end());
  if (aggregation.max) json["max"] = *std::max_element(values.begin(), values.end());
  if (aggregation.avg) json["avg"] = mean;
  if (aggregation.sum) json["sum"] = sum;
  if (aggregation.skew) json["skew"] = SkewOf(values, mean);
  return json;
}

}  // namespace

std::string RenderMetricNames(const std::vector<ScopeMetrics>& metrics, bool by_index) {
  Json list = Json::array();
  std::unordered_set<std::string_view> seen;
  const MetricLayout* last = nullptr;
  for (const ScopeMetrics& scope : metrics) {
    if (!by_index && scope.report.layout.get() == last) continue;
    last = scope.report.layout.get();
    for (const std::string& name : last->names) {
      if (by_index) {
        list.push_back({{"id", StrCat(scope.index, ".", name)}});
      } else if (seen.insert(name).second) {
        list.push_back({{"id", name}});
      }
    }
  }
  return Dump(list);
}

std::string RenderMetricValues(const std::vector<ScopeMetrics>& metrics,
                               const std::vector<std::string>& names, bool by_index) {
  Json list = Json::array();
  for (const std::string& asked : names) {
    std::string_view name = asked;
    const std::optional<uint32_t> index = by_index ? TakeIndex(&name) : std::nullopt;
    if (by_index && !index.has_value()) continue;
    NameFinder finder(name);
    for (const ScopeMetrics& scope : metrics) {
      if (by_index && scope.index != *index) continue;
      const std::optional<size_t> place = finder.Find(scope.report);
      if (!place.has_value()) continue;
      list.push_back({{"id", asked}, {"value", MetricValueText(scope.report, *place)}});
      break;
    }
  }
  return Dump(list);
}

std::string RenderAggregatedMetrics(const std::vector<ScopeMetrics>& metrics,
                                    const std::vector<std::string>& names,
                                    const MetricAggregation& aggregation) {
  Json list = Json::array();
  for (const std::string& name : names) {
    const std::optional<std::vector<double>> values = Collect(metrics, name);
    if (!values.has_value() || values->empty()) return "[]";
    list.push_back(Aggregate(name, *values, aggregation));
  }
  return Dump(list);
}

}  // namespace weir::internal
