// Runs `weir sigma` on SigmaHQ's rules and regression cases, from the event logs and from the JSON
// beside them. They are not part of this project.

#include <algorithm>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "jobs/sigma/engine/explanation.h"
#include "jobs/sigma/engine/matcher.h"
#include "jobs/sigma/tools/commands.h"
#include "jobs/sigma/tools/event_reader.h"
#include "jobs/sigma/tools/rule_set_loader.h"
#include "nlohmann/json.hpp"
#include "tests/jobs/sigma/engine/regression_counts.h"
#include "tests/jobs/sigma/tools/captured_output.h"
#include "yaml-cpp/yaml.h"

namespace weir::sigma {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const fs::path kData = WEIR_SIGMA_DATA;

struct Case {
  std::string rule_id;
  fs::path log;
  size_t count = 1;
  bool exact = false;  // Whether the case states the count.
};

std::vector<Case> LoadCases() {
  std::vector<Case> cases;
  for (const auto& entry : fs::recursive_directory_iterator(kData / "regression_data")) {
    if (entry.path().filename() != "info.yml") continue;
    const YAML::Node info = YAML::LoadFile(entry.path().string());
    for (const YAML::Node& test : info["regression_tests_info"]) {
      if (!test["path"].IsDefined()) continue;
      Case one;
      one.log = kData / test["path"].as<std::string>();
      one.exact = test["match_count"].IsDefined();
      if (one.exact) one.count = test["match_count"].as<size_t>();
      if (!fs::exists(one.log)) continue;
      for (const YAML::Node& rule : info["rule_metadata"]) {
        one.rule_id = rule["id"].as<std::string>();
        const auto beyond = RegressionCountsBeyondStated().find(one.rule_id);
        if (beyond != RegressionCountsBeyondStated().end()) one.count = beyond->second;
        cases.push_back(one);
      }
    }
  }
  return cases;
}

std::vector<std::string> RuleFolders() {
  std::vector<std::string> folders;
  for (const auto& entry : fs::directory_iterator(kData)) {
    if (entry.path().filename().string().starts_with("rules")) folders.push_back(entry.path());
  }
  return folders;
}

class RegressionCompatTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(kData / "regression_data")) {
      GTEST_SKIP() << "SKIPPED: no SigmaHQ regression data at " << kData
                   << "; put a copy there to run this test";
    }
  }

  // Runs `match` with all rules on all files of the cases; returns how often each rule matched in
  // each file.
  static std::map<std::pair<std::string, std::string>, size_t> MatchAll(
      const std::vector<std::string>& files) {
    MatchCommand match;
    match.rules = RuleFolders();
    match.events = files;
    CapturedOutput written;
    EXPECT_TRUE(Match(match, written.output()).ok());
    std::map<std::pair<std::string, std::string>, size_t> counts;
    std::istringstream stream(written.out);
    for (std::string line; std::getline(stream, line);) {
      const Json json = Json::parse(line);
      // A rule that only excludes has nothing to show; those of the cases have.
      if (!json["selections"].empty()) ++counts[{json["rule_id"], json["file"]}];
    }
    std::printf("%s",
                written.err.substr(written.err.rfind('\n', written.err.size() - 2) + 1).c_str());
    return counts;
  }

  static void ExpectEveryCase(const std::string& extension) {
    const std::vector<Case> cases = LoadCases();
    std::vector<std::string> files;
    for (const Case& one : cases) {
      files.push_back(fs::path(one.log).replace_extension(extension).string());
    }
    const auto counts = MatchAll(files);
    size_t passed = 0;
    for (size_t i = 0; i < cases.size(); ++i) {
      const auto found = counts.find({cases[i].rule_id, files[i]});
      const size_t count = found == counts.end() ? 0 : found->second;
      // A case that states no count says only that the rule matches.
      const bool passes = cases[i].exact ? count == cases[i].count : count >= 1;
      EXPECT_TRUE(passes) << files[i] << ": rule " << cases[i].rule_id << " matches " << count
                          << " times, not " << cases[i].count;
      passed += passes ? 1 : 0;
    }
    std::printf("regression cases from %s: %zu of %zu\n", extension.c_str(), passed, cases.size());
    EXPECT_GE(cases.size(), 100u);
  }
};

TEST_F(RegressionCompatTest, FindsEveryCaseInTheEventLogs) { ExpectEveryCase(".evtx"); }

TEST_F(RegressionCompatTest, FindsEveryCaseInTheJson) { ExpectEveryCase(".json"); }

TEST_F(RegressionCompatTest, ExplanationsAgreeWithTheMatcher) {
  EventOptions options;
  options.ignore_log_source = true;  // Explanations are of conditions alone.
  const absl::StatusOr<LoadedRuleSet> rules = LoadRuleSet(RuleFolders(), options);
  ASSERT_TRUE(rules.ok());
  sigma::Matcher matcher;
  ASSERT_TRUE(matcher.SetRules(rules->rules).ok());
  const std::vector<std::shared_ptr<const Rule>> all = rules->rules->rules();
  size_t compared = 0;
  const std::vector<Case> cases = LoadCases();
  for (size_t i = 0; i < cases.size(); i += 25) {
    absl::StatusOr<std::unique_ptr<EventReader>> reader =
        EventReader::Open(cases[i].log.string(), options);
    ASSERT_TRUE(reader.ok());
    Event event;
    ASSERT_TRUE(*(*reader)->Next(&event));
    std::vector<const Rule*> matches;
    ASSERT_TRUE(matcher.Match(event.json, matches).ok());
    const absl::StatusOr<EventFields> fields =
        EventFields::Parse(event.json, &rules->pipeline->event_mapping());
    ASSERT_TRUE(fields.ok());
    for (const auto& rule : all) {
      const bool matched = std::find(matches.begin(), matches.end(), rule.get()) != matches.end();
      EXPECT_EQ(Explain(*rule, *fields).holds, matched) << rule->id << " " << event.json;
      ++compared;
    }
  }
  EXPECT_GE(compared, 10'000u);
}

TEST_F(RegressionCompatTest, CheckFindsNoErrorInRulesThatAreInUse) {
  CheckCommand check;
  check.rules = RuleFolders();
  check.level = Severity::kError;
  CapturedOutput written;
  const absl::StatusOr<int> code = Check(check, written.output());
  ASSERT_TRUE(code.ok());
  std::printf("%s", written.err.c_str());
  std::istringstream stream(written.out);
  for (std::string line; std::getline(stream, line);) {
    // The values of placeholders are for their users to give.
    EXPECT_NE(line.find("expand"), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace weir::sigma
