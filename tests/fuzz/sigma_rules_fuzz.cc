// Sigma rules, correlations and filters in YAML, and events that meet them. The input is a rule
// text, a zero byte, and an event.

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/sigma/engine/compiled_rules.h"
#include "jobs/sigma/engine/event_fields.h"
#include "jobs/sigma/engine/explanation.h"
#include "jobs/sigma/engine/matcher.h"
#include "jobs/sigma/engine/rule_files.h"
#include "tests/fuzz/fuzzer.h"

namespace weir {
namespace {

using namespace sigma;  // NOLINT: a program of its own.

LoadedRules Read(std::string_view text) {
  // Placeholders have values, so that rules with `expand` are looked into as well.
  RuleOptions options;
  options.placeholders = {{"p", {"one", "t*o"}}, {"q", {}}};
  RuleCollector collector(options);
  collector.Add(text, "fuzz");
  return collector.Finish();
}

// The matcher and the explanation of each rule must agree.
void Compare(const std::vector<std::shared_ptr<const Rule>>& rules, std::string_view event) {
  const CompileResult compiled = CompileRules(rules);
  Matcher matcher;
  if (!matcher.SetRules(compiled.rules).ok()) return;
  std::vector<const Rule*> matches;
  const bool readable = matcher.Match(event, matches).ok();
  const absl::StatusOr<EventFields> fields = EventFields::Parse(event);
  if (readable != fields.ok()) std::abort();
  if (!readable) return;
  size_t next = 0;
  for (const auto& rule : compiled.rules->rules()) {
    const bool matched = next < matches.size() && matches[next] == rule.get();
    if (matched) ++next;
    const Explanation explanation = Explain(*rule, *fields);
    if (explanation.holds != matched) std::abort();
    (void)MatchedFields(explanation);
    (void)MatchedSelections(explanation);
  }
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  const std::string zero(1, '\0');
  return {
      "title: t\nid: r\nlogsource: {product: windows}\ndetection:\n  s:\n    Image|endswith:\n"
      "      - '\\cmd.exe'\n      - '*\\p?.exe'\n    User|cased: Bob\n  n: {A|exists: false}\n"
      "  condition: s and not 1 of n*\nlevel: high\ntags: [attack.t1059.001]\n" +
          zero + R"({"Image":"C:\\cmd.exe","User":"Bob"})",
      "title: t\nid: r\ndetection:\n  k: [one, 't*o']\n  r: {a.b|re|i: '^x.*y$', c|cidr: "
      "10.0.0.0/8}\n"
      "  e: {f|base64offset|contains: http, g|wide|base64: x, h|windash: '-a'}\n"
      "  t: {w|hour|gte: 8, x|lt: 5, y|fieldref|startswith: z, v|expand: '%p%'}\n"
      "  condition: all of them or k\n" +
          zero + R"({"a":{"b":"XaY"},"c":["10.1.2.3"],"m":"say one","x":"4"})",
      "action: global\ntitle: g\nlogsource: {category: x}\n---\nid: r\ndetection: {s: {a: null, b: "
      "''}, "
      "condition: s}\n---\nid: r2\nname: n\ndetection: {s: {a|contains|all: [x, y]}, condition: "
      "s}\n" +
          zero + R"({"a":["xy",null],"b":""})",
      "id: r\ntitle: t\ndetection: {s: {a: 1}, condition: s}\n---\nid: c\ntitle: c\ncorrelation:\n "
      " type: "
      "value_percentile\n  rules: [r]\n  group-by: [u]\n  timespan: 5m\n  condition: {field: f, "
      "percentile: 95, gte: 3}\n---\nid: o\ncorrelation: {type: temporal, rules: [r, c], timespan: "
      "1h, "
      "condition: r and not c, aliases: {x: {r: a, c: u}}}\n" +
          zero + R"({"a":1})",
      "id: r\ntitle: t\ndetection: {s: {a: 1}, condition: s}\n---\nid: f\ntitle: f\nlogsource: "
      "{}\nfilter: "
      "{rules: [r], selection: {b: 2}, condition: not selection}\n" +
          zero + R"({"a":1.0,"b":2})"};
}

}  // namespace weir

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t zero = input.find('\0');
  const weir::sigma::LoadedRules loaded = weir::Read(input.substr(0, zero));
  weir::Compare(loaded.rules, zero == std::string_view::npos ? "{}" : input.substr(zero + 1));
  return 0;
}
