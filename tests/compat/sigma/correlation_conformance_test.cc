// Runs the cases in correlation_cases: when correlations fire, by way of `weir sigma match`.

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "jobs/sigma/tools/commands.h"
#include "nlohmann/json.hpp"
#include "tests/support/temporary_folder.h"
#include "yaml-cpp/yaml.h"

namespace weir::sigma {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;  // Groups keep the order of their fields.

constexpr const char* kBaseRules = R"(
{title: a, id: a, detection: {s: {r: a}, condition: s}}
---
{title: b, id: b, detection: {s: {r: b}, condition: s}}
---
{title: c, id: c, detection: {s: {r: c}, condition: s}}
)";

/// A firing: second, group values, value.
using Firing = std::tuple<double, std::vector<std::string>, double>;

json ToJson(const YAML::Node& node) {
  if (node.IsMap()) {
    json object = json::object();
    for (const auto& entry : node) object[entry.first.Scalar()] = ToJson(entry.second);
    return object;
  }
  if (node.IsSequence()) {
    json array = json::array();
    for (const YAML::Node& item : node) array.push_back(ToJson(item));
    return array;
  }
  if (node.IsNull()) return nullptr;
  if (node.Tag() == "!") return node.Scalar();  // It was quoted.
  const json parsed = json::parse(node.Scalar(), nullptr, /*allow_exceptions=*/false);
  return parsed.is_discarded() ? json(node.Scalar()) : parsed;
}

std::string TimeText(double second) {
  return absl::FormatTime(absl::RFC3339_full,
                          absl::FromUnixSeconds(1'700'000'000) + absl::Seconds(second),
                          absl::UTCTimeZone());
}

double SecondOf(const json& text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, text.get<std::string>(), &time, &error)) << error;
  return absl::ToDoubleSeconds(time - absl::FromUnixSeconds(1'700'000'000));
}

std::vector<Firing> ReadFirings(const YAML::Node& node) {
  std::vector<Firing> firings;
  for (const YAML::Node& one : node) {
    firings.emplace_back(one[0].as<double>(), one[1].as<std::vector<std::string>>(),
                         one[2].as<double>());
  }
  return firings;
}

std::string RulesOf(const YAML::Node& node) {
  std::string text = kBaseRules;
  text += "---\n";
  if (node["rules"]) return text + node["rules"].Scalar();
  YAML::Node rule;
  rule["id"] = "x";
  rule["title"] = "x";
  rule["correlation"] = node["correlation"];
  return text + YAML::Dump(rule) + "\n";
}

std::vector<YAML::Node> ReadCases() {
  std::vector<YAML::Node> cases;
  for (const auto& entry : fs::directory_iterator(WEIR_SIGMA_CORRELATION_CASES)) {
    for (const YAML::Node& node : YAML::LoadFile(entry.path().string())) cases.push_back(node);
  }
  return cases;
}

class CorrelationConformanceTest : public ::testing::TestWithParam<YAML::Node> {
 protected:
  /// Runs `weir sigma match` and returns the lines of its output.
  std::vector<json> Match() {
    folder_.Write("rules.yml", RulesOf(GetParam()));
    std::string events;
    for (const YAML::Node& event : GetParam()["events"]) {
      json object = ToJson(event);
      object["@timestamp"] = TimeText(event["t"].as<double>());
      events += object.dump() + "\n";
    }
    folder_.Write("events.ndjson", events);
    MatchCommand command;
    command.rules = {folder_.PathOf("rules.yml")};
    command.events = {folder_.PathOf("events.ndjson")};
    std::string out;
    std::string err;
    const absl::StatusOr<int> code =
        weir::sigma::Match(command, {[&](std::string_view text) { out.append(text); },
                                     [&](std::string_view text) { err.append(text); }});
    EXPECT_TRUE(code.ok() && *code == kExitDone) << code.status() << err;
    EXPECT_EQ(err.find("rule not used"), std::string::npos) << err;
    std::vector<json> lines;
    for (size_t at = 0; at < out.size();) {
      const size_t end = out.find('\n', at);
      lines.push_back(json::parse(out.substr(at, end - at)));
      at = end + 1;
    }
    return lines;
  }

  TemporaryFolder folder_;
};

TEST_P(CorrelationConformanceTest, Fires) {
  std::vector<Firing> firings;
  std::vector<Firing> others;
  std::vector<std::string> matches;
  for (const json& line : Match()) {
    if (!line.contains("correlation")) {
      matches.push_back(line["rule_id"]);
      continue;
    }
    const json& found = line["correlation"];
    std::vector<std::string> group;
    for (const auto& [name, value] : found["group"].items()) group.push_back(value);
    (line["rule_id"] == "x" ? firings : others)
        .emplace_back(SecondOf(found["time"]), group,
                      std::round(found["value"].get<double>() * 1e6) / 1e6);
  }
  EXPECT_EQ(firings, ReadFirings(GetParam()["firings"]));
  EXPECT_EQ(others, ReadFirings(GetParam()["others"]));
  if (GetParam()["matches"]) {
    EXPECT_EQ(matches, GetParam()["matches"].as<std::vector<std::string>>());
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, CorrelationConformanceTest, ::testing::ValuesIn(ReadCases()),
                         [](const auto& one) { return one.param["name"].Scalar(); });

}  // namespace
}  // namespace weir::sigma
