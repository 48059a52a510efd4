#include "runtime/metrics/prometheus_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <map>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace weir {
namespace {

struct Family {
  std::string_view name;
  bool is_histogram = false;
  // A sample each: its report and its entry there.
  std::vector<std::pair<const MetricReport*, const MetricLayout::Entry*>> samples;
};

void AppendNumber(double value, std::string* out) {
  if (std::isnan(value)) {
    out->append("NaN");
  } else if (std::isinf(value)) {
    out->append(value > 0 ? "+Inf" : "-Inf");
  } else {
    std::array<char, 32> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value);
    out->append(digits.data(), end.ptr);
  }
}

void AppendSample(std::string_view name, std::string_view suffix, std::string_view labels,
                  std::string_view more_labels, double value, std::string* out) {
  out->append(name).append(suffix);
  if (!labels.empty() || !more_labels.empty()) {
    out->push_back('{');
    out->append(labels);
    if (!labels.empty() && !more_labels.empty()) out->push_back(',');
    out->append(more_labels).push_back('}');
  }
  out->push_back(' ');
  AppendNumber(value, out);
  out->push_back('\n');
}

void AppendSummary(const Family& family, const double* values, std::string_view labels,
                   std::string* out) {
  // The places of the quantiles among the numbers of a histogram: MetricLayout::kHistogramSuffixes.
  constexpr std::pair<size_t, std::string_view> kQuantiles[] = {
      {5, R"(quantile="0.5")"},  {6, R"(quantile="0.75")"},  {8, R"(quantile="0.95")"},
      {9, R"(quantile="0.98")"}, {10, R"(quantile="0.99")"}, {11, R"(quantile="0.999")"}};
  for (const auto& [place, label] : kQuantiles) {
    AppendSample(family.name, "", labels, label, values[place], out);
  }
  AppendSample(family.name, "_sum", labels, "", values[0] * values[3], out);
  AppendSample(family.name, "_count", labels, "", values[0], out);
}

}  // namespace

std::string RenderPrometheus(std::span<const MetricReport* const> reports) {
  std::unordered_map<std::string_view, size_t> family_index;
  std::vector<Family> families;
  // Reports of one layout come one behind the other, mostly: their families are looked up once.
  const MetricLayout* known_layout = nullptr;
  std::vector<size_t> known_families;
  for (const MetricReport* const report : reports) {
    const MetricLayout& layout = *report->layout;
    if (&layout != known_layout) {
      known_layout = &layout;
      known_families.clear();
      for (const MetricLayout::Entry& entry : layout.entries) {
        const auto [found, added] = family_index.emplace(entry.family, families.size());
        if (added) families.push_back({entry.family, entry.is_histogram, {}});
        known_families.push_back(found->second);
      }
    }
    for (size_t i = 0; i < layout.entries.size(); ++i) {
      Family& family = families[known_families[i]];
      // One name is of one kind: a second kind would make the whole text invalid.
      if (family.is_histogram != layout.entries[i].is_histogram) continue;
      family.samples.emplace_back(report, &layout.entries[i]);
    }
  }
  std::sort(families.begin(), families.end(),
            [](const Family& a, const Family& b) { return a.name < b.name; });

  std::string out;
  for (const Family& family : families) {
    out.append("# TYPE ").append(family.name);
    out.append(family.is_histogram ? " summary\n" : " gauge\n");
    for (const auto& [report, entry] : family.samples) {
      const std::string_view labels = (*report->label_sets)[entry->label_set];
      const double* const values = &report->values[entry->first_value];
      if (family.is_histogram) {
        AppendSummary(family, values, labels, &out);
      } else {
        AppendSample(family.name, "", labels, "", *values, &out);
      }
    }
  }
  return out;
}

std::string MergePrometheusTexts(std::span<const std::string> texts) {
  if (texts.size() == 1) return texts[0];
  std::map<std::string_view, std::string> families;  // By the line that names them.
  for (const std::string_view text : texts) {
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find("\n# TYPE ", begin), text.size() - 1) + 1;
      const std::string_view family = text.substr(begin, end - begin);
      const size_t samples = std::min(family.find('\n'), family.size() - 1) + 1;
      families[family.substr(0, samples)].append(family.substr(samples));
      begin = end;
    }
  }
  std::string out;
  for (auto it = families.begin(); it != families.end(); ++it) {
    const auto name = [](std::string_view line) { return line.substr(0, line.rfind(' ')); };
    // One name is of one kind, as in RenderPrometheus.
    if (it != families.begin() && name(std::prev(it)->first) == name(it->first)) continue;
    out.append(it->first).append(it->second);
  }
  return out;
}

}  // namespace weir
