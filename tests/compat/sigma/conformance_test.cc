// Runs the cases beside this file: what rules, filters and pipelines mean, event by event.

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "jobs/sigma/engine/compiled_rules.h"
#include "jobs/sigma/engine/matcher.h"
#include "jobs/sigma/engine/pipeline.h"
#include "jobs/sigma/engine/rule_files.h"
#include "nlohmann/json.hpp"
#include "tests/jobs/sigma/engine/naive_matcher.h"
#include "yaml-cpp/yaml.h"

namespace weir::sigma {
namespace {

namespace fs = std::filesystem;

// One rule text, and one thing expected of it.
struct Case {
  std::string name;
  std::string rules;
  std::vector<std::string> pipelines;  // Texts, or names of ready ones.
  std::map<std::string, std::vector<std::string>> placeholders;
  bool ignore_log_source = false;
  std::string refused;                // Part of the error expected, or
  std::string event;                  // an event
  std::vector<std::string> expected;  // and the ids of the rules that it matches.
};

void PrintTo(const Case& one, std::ostream* stream) {
  *stream << one.name << "\n" << one.rules << "\n" << one.event;
}

// Turns a flow map of YAML, which JSON is, into JSON again.
nlohmann::ordered_json ToJson(const YAML::Node& node) {
  if (node.IsMap()) {
    nlohmann::ordered_json object = nlohmann::ordered_json::object();
    for (const auto& entry : node) object[entry.first.Scalar()] = ToJson(entry.second);
    return object;
  }
  if (node.IsSequence()) {
    nlohmann::ordered_json array = nlohmann::ordered_json::array();
    for (const YAML::Node& item : node) array.push_back(ToJson(item));
    return array;
  }
  if (node.IsNull()) return nullptr;
  const bool quoted = node.Tag() != "?" && !node.Tag().empty();
  if (quoted) return node.Scalar();
  const nlohmann::ordered_json parsed =
      nlohmann::ordered_json::parse(node.Scalar(), nullptr, /*allow_exceptions=*/false);
  return parsed.is_discarded() ? nlohmann::ordered_json(node.Scalar()) : parsed;
}

std::string Indent(const std::string& text, const std::string& blanks) {
  std::string indented;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    indented += blanks + text.substr(at, end - at) + "\n";
    at = end + 1;
  }
  return indented;
}

// The rule of a case: written in full, or only its detection, one selection, one line or keywords.
std::string RulesOf(const YAML::Node& node) {
  const auto wrap = [](const std::string& detection) {
    return "title: t\nid: r\nlogsource: {product: any}\ndetection:\n" + Indent(detection, "  ");
  };
  if (node["rules"]) return node["rules"].Scalar();
  if (node["detection"]) return wrap(node["detection"].Scalar());
  if (node["line"]) return wrap("s:\n" + Indent(node["line"].Scalar(), "  ") + "condition: s\n");
  if (node["selection"]) return wrap("s: " + node["selection"].Scalar() + "\ncondition: s\n");
  return wrap(
      "a: {a: 1}\nb: {b: 1}\nc: {c: 1}\n_p: {p: 1}\nsel_1: {s: 1}\nsel_2: {s: 2}\n"
      "sel: {s: 3}\nx-y.z: {x: 1}\ncondition: " +
      node["condition"].Scalar() + "\n");
}

class CaseReader {
 public:
  void ReadFile(const fs::path& path) {
    for (const YAML::Node& node : YAML::LoadFile(path.string())) {
      ReadNode(path.stem().string() + "_" + node["name"].Scalar(), node);
    }
  }

  std::vector<Case> Finish() { return std::move(cases_); }

 private:
  void ReadNode(const std::string& name, const YAML::Node& node) {
    Case one;
    one.rules = RulesOf(node);
    for (const YAML::Node& pipeline : node["pipelines"]) one.pipelines.push_back(pipeline.Scalar());
    for (const auto& entry : node["placeholders"]) {
      one.placeholders[entry.first.Scalar()] = entry.second.as<std::vector<std::string>>();
    }
    one.ignore_log_source = node["ignore_log_source"].IsDefined();
    if (node["refused"]) {
      one.name = name + "_refused";
      one.refused = node["refused"].Scalar();
      cases_.push_back(one);
      return;
    }
    AddEvents(one, name + "_match", node["matches"], {"r"});
    AddEvents(one, name + "_miss", node["misses"], {});
    for (const YAML::Node& hit : node["hits"]) {
      YAML::Node events(YAML::NodeType::Sequence);
      events.push_back(hit["event"]);
      AddEvents(one, name + "_hit" + std::to_string(cases_.size()), events,
                hit["rules"].as<std::vector<std::string>>());
    }
  }

  void AddEvents(Case one, const std::string& name, const YAML::Node& events,
                 std::vector<std::string> expected) {
    one.expected = std::move(expected);
    size_t number = 0;
    for (const YAML::Node& event : events) {
      one.name = name + std::to_string(++number);
      one.event = ToJson(event).dump();
      cases_.push_back(one);
    }
  }

  std::vector<Case> cases_;
};

std::vector<Case> ReadCases() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(WEIR_SIGMA_CASES)) {
    if (entry.path().extension() == ".yml") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  CaseReader reader;
  for (const fs::path& file : files) reader.ReadFile(file);
  return reader.Finish();
}

std::string NameOf(const ::testing::TestParamInfo<Case>& info) {
  std::string name;
  for (const char c : info.param.name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    name.push_back(plain ? c : '_');
  }
  return name;
}

class ConformanceTest : public ::testing::TestWithParam<Case> {
 protected:
  // Reads the pipelines of the case; adds to `errors` why that failed.
  std::shared_ptr<const Pipeline> ReadPipelines(std::string& errors) {
    std::vector<std::shared_ptr<const Pipeline>> pipelines;
    for (const std::string& text : GetParam().pipelines) {
      const bool ready =
          text.find('\n') == std::string::npos && text.find(':') == std::string::npos;
      absl::StatusOr<std::shared_ptr<const Pipeline>> pipeline =
          ready ? Pipeline::Load({text}) : Pipeline::Parse(text, "p.yml");
      if (pipeline.ok()) {
        pipelines.push_back(*pipeline);
      } else {
        errors += std::string(pipeline.status().message()) + "\n";
      }
    }
    return Pipeline::Merge(pipelines);
  }
};

TEST_P(ConformanceTest, Holds) {
  const Case& one = GetParam();
  std::string errors;
  const std::shared_ptr<const Pipeline> pipeline = ReadPipelines(errors);
  RuleOptions options;
  options.placeholders = one.placeholders;
  options.pipeline = pipeline;
  RuleCollector collector(options);
  collector.Add(one.rules, "case");
  const LoadedRules loaded = collector.Finish();
  for (const RuleError& error : loaded.errors) {
    errors += std::string(error.status.message()) + "\n";
  }
  if (!one.refused.empty()) {
    EXPECT_THAT(errors, ::testing::HasSubstr(one.refused)) << one.rules;
    return;
  }
  ASSERT_EQ(errors, "") << one.rules;
  const CompileOptions compile{&pipeline->event_mapping(), !one.ignore_log_source};
  Matcher matcher;
  ASSERT_TRUE(matcher.SetRules(CompileRules(loaded.rules, nullptr, compile).rules).ok());
  std::vector<const Rule*> matches;
  ASSERT_TRUE(matcher.Match(one.event, matches).ok()) << one.event;
  std::vector<std::string> ids;
  for (const Rule* rule : matches) ids.push_back(rule->id);
  EXPECT_EQ(ids, one.expected) << one.rules << "\n" << one.event;
  if (!one.pipelines.empty()) return;  // The plain evaluation knows no event mapping.
  const NaiveMatcher naive(one.event);
  std::vector<std::string> naive_ids;
  for (const auto& rule : loaded.rules) {
    if (naive.Holds(rule->condition)) naive_ids.push_back(rule->id);
  }
  std::sort(naive_ids.begin(), naive_ids.end());
  EXPECT_EQ(naive_ids, one.expected) << "by plain evaluation: " << one.event;
}

INSTANTIATE_TEST_SUITE_P(Sigma, ConformanceTest, ::testing::ValuesIn(ReadCases()), NameOf);

TEST(ConformanceSuiteTest, HoldsAtLeastFourHundredCases) {
  const size_t count = ReadCases().size();
  std::printf("conformance cases: %zu\n", count);
  EXPECT_GE(count, 400u);
}

}  // namespace
}  // namespace weir::sigma
