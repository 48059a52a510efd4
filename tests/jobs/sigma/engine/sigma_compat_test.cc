// Runs SigmaHQ's own rules and regression events, which are not part of this project, if they lie
// beside it.

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "jobs/sigma/engine/compiled_rules.h"
#include "jobs/sigma/engine/matcher.h"
#include "jobs/sigma/engine/pipeline.h"
#include "jobs/sigma/engine/rule_files.h"
#include "nlohmann/json.hpp"
#include "tests/jobs/sigma/engine/naive_matcher.h"
#include "tests/jobs/sigma/engine/regression_counts.h"
#include "yaml-cpp/yaml.h"

namespace weir::sigma {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

const fs::path kData = WEIR_SIGMA_DATA;

// Reads the values of a file that holds one JSON value after the other, or lists of them.
std::vector<Json> ReadEvents(const fs::path& path) {
  std::vector<Json> events;
  std::ifstream stream(path, std::ios::binary);
  while (stream >> std::ws && !stream.eof()) {
    Json value;
    stream >> value;
    if (!value.is_array()) {
      events.push_back(std::move(value));
      continue;
    }
    for (Json& one : value) events.push_back(std::move(one));
  }
  return events;
}

struct Case {
  std::string name;
  std::string rule_id;
  size_t expected_matches = 1;
  bool exact = false;  // Whether the case states the count.
  std::vector<Json> events;
};

fs::path EventsOf(const fs::path& info, const YAML::Node& test) {
  if (test["path"].IsDefined()) {
    const fs::path path = (kData / test["path"].as<std::string>()).replace_extension(".json");
    if (fs::exists(path)) return path;
  }
  for (const auto& entry : fs::directory_iterator(info.parent_path())) {
    if (entry.path().extension() == ".json") return entry.path();
  }
  return {};
}

std::vector<Case> LoadCases() {
  std::vector<Case> cases;
  for (const auto& entry : fs::recursive_directory_iterator(kData / "regression_data")) {
    if (entry.path().filename() != "info.yml") continue;
    const YAML::Node info = YAML::LoadFile(entry.path().string());
    for (const YAML::Node& test : info["regression_tests_info"]) {
      const fs::path events = EventsOf(entry.path(), test);
      if (events.empty()) continue;
      for (const YAML::Node& rule : info["rule_metadata"]) {
        Case one;
        one.name = fs::relative(entry.path().parent_path(), kData).string();
        one.rule_id = rule["id"].as<std::string>();
        one.exact = test["match_count"].IsDefined();
        if (one.exact) one.expected_matches = test["match_count"].as<size_t>();
        const auto beyond = RegressionCountsBeyondStated().find(one.rule_id);
        if (beyond != RegressionCountsBeyondStated().end()) one.expected_matches = beyond->second;
        one.events = ReadEvents(events);
        cases.push_back(std::move(one));
      }
    }
  }
  return cases;
}

// Finds fields where EVTX dumps hold them, and routes events by their channel.
const Pipeline& WindowsPipeline() {
  static const auto kPipeline = *Pipeline::Load({"windows"});
  return *kPipeline;
}

CompileResult Compile(const LoadedRules& loaded) {
  return CompileRules(loaded.rules, nullptr, {&WindowsPipeline().event_mapping(), true});
}

// The rule folders, without the regression data beside them.
LoadedRules LoadAllRules() {
  LoadedRules all;
  for (const auto& entry : fs::directory_iterator(kData)) {
    if (!entry.path().filename().string().starts_with("rules")) continue;
    LoadedRules some = LoadRuleFiles(entry.path());
    all.file_count += some.file_count;
    std::move(some.rules.begin(), some.rules.end(), std::back_inserter(all.rules));
    std::move(some.errors.begin(), some.errors.end(), std::back_inserter(all.errors));
  }
  return all;
}

void CollectFields(const Expression& expression, std::set<std::string>& fields) {
  if (expression.kind == Expression::Kind::kTest && !expression.predicate->field.empty()) {
    fields.insert(expression.predicate->field);
    if (!expression.predicate->other_field.empty()) {
      fields.insert(expression.predicate->other_field);
    }
  }
  for (const Expression& child : expression.children) CollectFields(child, fields);
}

// The plain evaluation does not look for keys with their spaces taken out.
Json WithoutSpaces(const Json& value) {
  if (value.is_array()) {
    Json array = Json::array();
    for (const Json& item : value) array.push_back(WithoutSpaces(item));
    return array;
  }
  if (!value.is_object()) return value;
  Json object = Json::object();
  for (const auto& [key, child] : value.items()) {
    std::string name = key;
    std::erase(name, ' ');
    object[name] = WithoutSpaces(child);
  }
  return object;
}

class SigmaCompatTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(kData / "rules")) {
      GTEST_SKIP() << "SKIPPED: no SigmaHQ rules at " << kData
                   << "; put a copy there to run this test";
    }
  }
};

TEST_F(SigmaCompatTest, LoadsEveryRuleThatNeedsNoPlaceholders) {
  const LoadedRules loaded = LoadAllRules();
  std::printf("rule files %zu, loaded %zu, refused %zu\n", loaded.file_count, loaded.rules.size(),
              loaded.errors.size());
  for (const RuleError& error : loaded.errors) {
    const std::string message(error.status.message());
    std::printf("refused: %s: %s\n", fs::relative(error.source, kData).c_str(), message.c_str());
    EXPECT_NE(message.find("modifier=expand"), std::string::npos)
        << error.source << ": " << message;
  }
  const CompileResult compiled = CompileRules(loaded.rules);
  EXPECT_TRUE(compiled.errors.empty());
  EXPECT_EQ(compiled.rules->rule_count() + loaded.errors.size(), loaded.file_count);
}

TEST_F(SigmaCompatTest, LoadsEveryRuleOnceAPipelineFillsPlaceholders) {
  const auto pipeline = Pipeline::Parse("transformations: [{type: wildcard_placeholders}]\n", "p");
  ASSERT_TRUE(pipeline.ok()) << pipeline.status();
  RuleOptions options;
  options.pipeline = *pipeline;
  for (const auto& entry : fs::directory_iterator(kData)) {
    if (!entry.path().filename().string().starts_with("rules")) continue;
    const LoadedRules loaded = LoadRuleFiles(entry.path(), options);
    for (const RuleError& error : loaded.errors) {
      // A block of addresses is none once a wildcard stands for it.
      EXPECT_NE(std::string(error.status.message()).find("modifier=cidr"), std::string::npos)
          << error.source << ": " << error.status;
    }
  }
}

TEST_F(SigmaCompatTest, DetectsEveryRegressionCase) {
  Matcher matcher;
  const CompileResult compiled = Compile(LoadAllRules());
  ASSERT_TRUE(matcher.SetRules(compiled.rules).ok());
  const std::vector<Case> cases = LoadCases();
  size_t detected = 0;
  for (const Case& one : cases) {
    size_t hits = 0;
    for (const Json& event : one.events) {
      std::vector<const Rule*> matches;
      ASSERT_TRUE(matcher.Match(event.dump(), matches).ok()) << one.name;
      hits +=
          static_cast<size_t>(std::count_if(matches.begin(), matches.end(), [&](const Rule* rule) {
            return rule->id == one.rule_id;
          }));
    }
    detected += hits > 0 ? 1 : 0;
    const bool passes = one.exact ? hits == one.expected_matches : hits >= 1;
    EXPECT_TRUE(passes) << one.name << " rule=" << one.rule_id << " hits=" << hits
                        << " stated=" << one.expected_matches;
  }
  std::printf("regression cases detected: %zu of %zu\n", detected, cases.size());
  EXPECT_EQ(detected, cases.size());
  EXPECT_GE(cases.size(), 100u);
}

TEST_F(SigmaCompatTest, FindsOnRegressionEventsWhatEvaluatingEveryRuleFinds) {
  Matcher matcher;
  const CompileResult compiled = Compile(LoadAllRules());
  ASSERT_TRUE(matcher.SetRules(compiled.rules).ok());
  const std::vector<std::shared_ptr<const Rule>> rules = compiled.rules->rules();
  const EventMapping& mapping = WindowsPipeline().event_mapping();
  std::set<std::string> fields;
  for (const auto& rule : rules) CollectFields(rule->condition, fields);
  for (const LogSourceTest& test : mapping.log_sources) CollectFields(test.condition, fields);
  for (const Case& one : LoadCases()) {
    for (const Json& json : one.events) {
      const std::string event = WithoutSpaces(json).dump();
      const NaiveMatcher naive(event, mapping, fields);
      std::vector<const Rule*> expected;
      for (const auto& rule : rules) {
        if (naive.Holds(rule->condition) && naive.Meets(rule->log_source, mapping)) {
          expected.push_back(rule.get());
        }
      }
      std::vector<const Rule*> matches;
      ASSERT_TRUE(matcher.Match(event, matches).ok()) << one.name;
      EXPECT_EQ(matches, expected) << one.name;
    }
  }
}

}  // namespace
}  // namespace weir::sigma
