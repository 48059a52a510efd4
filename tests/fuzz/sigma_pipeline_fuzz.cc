// Processing pipelines: their text, what they do to rules and correlations, and where they find the
// fields of events. The input is a pipeline.

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/sigma/engine/compiled_rules.h"
#include "jobs/sigma/engine/event_fields.h"
#include "jobs/sigma/engine/explanation.h"
#include "jobs/sigma/engine/matcher.h"
#include "jobs/sigma/engine/pipeline.h"
#include "jobs/sigma/engine/ready_pipelines.h"
#include "jobs/sigma/engine/rule_files.h"
#include "tests/fuzz/fuzzer.h"

namespace weir {
namespace {

using namespace sigma;  // NOLINT: a program of its own.

constexpr const char* kRules = R"(
title: t
id: r
name: n
level: high
tags: [attack.t1059]
logsource: {product: windows, category: process_creation}
detection:
  s:
    Image|endswith: ['\cmd.exe', '\a*b?.exe']
    CommandLine|contains|all: [x, '%p%']
    User: null
    Hashes|contains: 'MD5=0123'
    N|gte: 5
    R|re: '^a.*'
    E|expand: '%p%'
  k: [one, two]
  condition: s or k or not 1 of s*
---
title: c
id: c
correlation: {type: value_count, rules: [n], group-by: [User], timespan: 5m, condition: {field: Image, gte: 2}}
)";

constexpr const char* kEvents[] = {
    R"({"Image":"C:\\cmd.exe","CommandLine":"x y","User":"bob","N":7,"process":{"executable":"a.exe"}})",
    R"({"Event":{"System":{"Channel":"Security","EventID":{"#text":4688}},"EventData":{"Data":[{"@Name":"Image","#text":"one"}]}}})",
    R"({"winlog":{"event_data":{"Image":["a",null,"\\cmd.exe"]},"channel":"Security","event_id":1}})"};

}  // namespace

std::vector<std::string> FuzzSeeds() {
  std::vector<std::string> seeds = {
      "name: p\npriority: 20\nvars:\n  p: [root, 'adm_*']\ntransformations:\n"
      "  - id: fields\n    type: field_name_mapping\n    mapping: {CommandLine: "
      "process.command_line, "
      "Image: [process.executable, process.path]}\n    rule_conditions:\n      - {type: logsource, "
      "category: process_creation}\n  - type: value_placeholders\n",
      "transformations:\n  - {type: field_name_prefix, prefix: 'win.'}\n  - {type: add_condition, "
      "conditions: "
      "{Channel: Security}, negated: true}\n  - {type: replace_string, regex: 'a(.)', replacement: "
      "'b\\1'}\n"
      "  - {type: drop_detection_item, field_name_conditions: [{type: include_fields, fields: "
      "[User], mode: re}]}\n"
      "  - {type: case, method: lower}\n  - {type: hashes_fields, valid_hash_algos: [MD5], "
      "field_prefix: h}\n"
      "  - {type: map_string, mapping: {one: [uno, eins]}}\n  - {type: set_state, key: k, val: v}\n"
      "  - {type: wildcard_placeholders}\n  - {type: change_logsource, product: linux}\n",
      "event_fields:\n  below: [winlog.event_data, 'Event.*.X']\n  names:\n    EventID: "
      "[winlog.event_id]\n"
      "    a.*: ['b.*']\n  lists:\n    - {path: Event.EventData.Data, name: '@Name', value: "
      "'#text'}\n"
      "event_log_sources:\n  - logsource: {product: windows, category: process_creation}\n    "
      "when: "
      "{Channel: Security, EventID: [1, 4688]}\n"};
  for (const ReadyPipeline& pipeline : ReadyPipelines()) seeds.emplace_back(pipeline.yaml);
  return seeds;
}

void RunPipeline(std::string_view text) {
  const absl::StatusOr<std::shared_ptr<const Pipeline>> pipeline = Pipeline::Parse(text, "fuzz");
  if (!pipeline.ok()) return;
  RuleOptions options;
  options.pipeline = *pipeline;
  RuleCollector collector(options);
  collector.Add(kRules, "rules");
  const LoadedRules loaded = collector.Finish();
  const EventMapping& mapping = (*pipeline)->event_mapping();
  // What explanations look at knows no routing.
  const CompileResult compiled = CompileRules(loaded.rules, nullptr, {&mapping, false});
  Matcher matcher;
  if (!matcher.SetRules(compiled.rules).ok()) return;
  for (const char* const event : kEvents) {
    std::vector<const Rule*> matches;
    const absl::StatusOr<EventFields> fields = EventFields::Parse(event, &mapping);
    if (!matcher.Match(event, matches).ok() || !fields.ok()) std::abort();
    for (const auto& rule : compiled.rules->rules()) {
      if (Explain(*rule, *fields).holds != !matches.empty()) std::abort();
    }
  }
}

}  // namespace weir

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  weir::RunPipeline(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
