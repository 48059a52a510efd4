#include "runtime/metrics/metric_report.h"

#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>

#include "runtime/base/check.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

bool IsNameCharacter(char character) {
  return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
         (character >= '0' && character <= '9') || character == '_' || character == ':';
}

void AppendFiltered(std::string_view text, std::string* out) {
  for (const char character : text) out->push_back(IsNameCharacter(character) ? character : '_');
}

std::string Joined(std::string_view prefix, std::string_view separator, std::string_view part) {
  if (prefix.empty()) return std::string(part);
  if (part.empty()) return std::string(prefix);
  return StrCat(prefix, separator, part);
}

std::string JoinedFamily(std::string_view prefix, std::string_view part) {
  std::string family(prefix);
  if (!family.empty() && !part.empty()) family += '_';
  AppendFiltered(part, &family);
  return family;
}

}  // namespace

std::string MetricValueText(double value) {
  constexpr double kTwoTo63 = 9223372036854775808.0;
  if (std::isnan(value)) return "NaN";
  if (value >= kTwoTo63) return StrCat(std::numeric_limits<int64_t>::max());
  if (value <= -kTwoTo63) return StrCat(std::numeric_limits<int64_t>::min());
  if (value == std::floor(value)) return StrCat(static_cast<int64_t>(value));
  std::array<char, 32> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  return std::string(digits.data(), end.ptr);
}

std::string MetricValueText(const MetricReport& report, size_t index) {
  for (const auto& [place, text] : report.texts) {
    if (place == index) return text;
  }
  return MetricValueText(report.values[index]);
}

std::string MetricScopeName(std::string_view name) {
  std::string text(name);
  for (char& character : text) {
    if (character == ' ' || character == '.' || character == ':' || character == ',') {
      character = '_';
    }
  }
  return text;
}

std::string PrometheusLabel(std::string_view key, std::string_view value) {
  std::string label;
  AppendFiltered(key, &label);
  label += "=\"";
  AppendFiltered(value, &label);
  label += '"';
  return label;
}

MetricReportBuilder::MetricReportBuilder(std::shared_ptr<const MetricLayout> layout,
                                         std::shared_ptr<const std::vector<std::string>> label_sets)
    : layout_(std::move(layout)), label_sets_(std::move(label_sets)) {
  report_.values.reserve(layout_->names.size());
}

MetricReportBuilder::MetricReportBuilder(std::string family_prefix, std::string labels) {
  new_label_sets_.push_back(std::move(labels));
  scopes_.push_back({"", std::move(family_prefix), 0});
}

void MetricReportBuilder::BeginScope(std::string_view name, std::string_view family,
                                     std::string_view labels) {
  if (!with_names()) return;
  Scope scope = scopes_.back();
  scope.name_prefix = Joined(scope.name_prefix, ".", name);
  scope.family_prefix = JoinedFamily(scope.family_prefix, family);
  if (!labels.empty()) {
    new_label_sets_.push_back(Joined(new_label_sets_[scope.label_set], ",", labels));
    scope.label_set = static_cast<uint32_t>(new_label_sets_.size() - 1);
  }
  scopes_.push_back(std::move(scope));
}

void MetricReportBuilder::EndScope() {
  if (with_names()) scopes_.pop_back();
}

void MetricReportBuilder::AddName(std::string_view name, bool is_histogram) {
  if (!with_names()) return;
  const Scope& scope = scopes_.back();
  MetricLayout::Entry& entry = new_layout_.entries.emplace_back();
  entry.family = JoinedFamily(scope.family_prefix, name);
  entry.label_set = scope.label_set;
  entry.first_value = static_cast<uint32_t>(report_.values.size());
  entry.is_histogram = is_histogram;
  const std::string full = Joined(scope.name_prefix, ".", name);
  if (!is_histogram) {
    new_layout_.names.push_back(full);
    return;
  }
  for (const std::string_view suffix : MetricLayout::kHistogramSuffixes) {
    new_layout_.names.push_back(StrCat(full, suffix));
  }
}

void MetricReportBuilder::Add(std::string_view name, double value) {
  AddName(name, false);
  report_.values.push_back(value);
}

void MetricReportBuilder::AddText(std::string_view name, std::string text) {
  report_.texts.emplace_back(static_cast<uint32_t>(report_.values.size()), std::move(text));
  Add(name, 0);
}

void MetricReportBuilder::AddHistogram(std::string_view name, const HistogramSnapshot& snapshot) {
  AddName(name, true);
  std::vector<double>& values = report_.values;
  values.push_back(static_cast<double>(snapshot.count));
  values.push_back(static_cast<double>(snapshot.min));
  values.push_back(static_cast<double>(snapshot.max));
  values.push_back(snapshot.mean);
  values.push_back(snapshot.standard_deviation);
  for (const double quantile : {0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.999}) {
    values.push_back(static_cast<double>(snapshot.Quantile(quantile)));
  }
}

void MetricReportBuilder::OnCounter(std::string_view name, uint64_t value) {
  Add(name, static_cast<double>(value));
}

void MetricReportBuilder::OnGauge(std::string_view name, double value) { Add(name, value); }

void MetricReportBuilder::OnHistogram(std::string_view name, const HistogramSnapshot& snapshot) {
  AddHistogram(name, snapshot);
}

void MetricReportBuilder::OnGroupBegin(std::string_view key, std::string_view value) {
  if (!with_names()) return;
  if (value.empty()) return BeginScope(MetricScopeName(key), key, "");
  BeginScope(StrCat(MetricScopeName(key), ".", MetricScopeName(value)), key,
             PrometheusLabel(key, value));
}

MetricReport MetricReportBuilder::Finish() {
  if (with_names()) {
    report_.layout = std::make_shared<const MetricLayout>(std::move(new_layout_));
    report_.label_sets =
        std::make_shared<const std::vector<std::string>>(std::move(new_label_sets_));
  } else {
    report_.layout = layout_;
    report_.label_sets = label_sets_;
  }
  CHECK(report_.values.size() == report_.layout->names.size())
      << "values=" << report_.values.size() << " names=" << report_.layout->names.size();
  return std::move(report_);
}

}  // namespace weir
