#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "jobs/sigma/engine/compiled_rules.h"
#include "jobs/sigma/engine/matcher.h"
#include "jobs/sigma/engine/rule.h"

namespace weir::sigma {

/// Wraps the `detection` part of a rule, indented by two blanks, into a whole rule.
inline std::string RuleText(std::string_view detection, std::string_view id = "r") {
  return "title: t\nid: " + std::string(id) + "\nlogsource: {product: windows}\ndetection:\n" +
         std::string(detection);
}

/// Parses a rule that must be good.
inline std::shared_ptr<const Rule> MustParse(std::string_view yaml) {
  absl::StatusOr<Rule> rule = ParseRule(yaml);
  EXPECT_TRUE(rule.ok()) << rule.status().message() << "\n" << yaml;
  return rule.ok() ? std::make_shared<const Rule>(*std::move(rule)) : nullptr;
}

/// Returns whether `event` matches the rule with `detection`.
inline bool Detects(std::string_view detection, std::string_view event) {
  const std::shared_ptr<const Rule> rule = MustParse(RuleText(detection));
  if (rule == nullptr) return false;
  Matcher matcher;
  EXPECT_TRUE(matcher.SetRules(CompileRules({rule}).rules).ok());
  std::vector<const Rule*> matches;
  const absl::Status status = matcher.Match(event, matches);
  EXPECT_TRUE(status.ok()) << status.message() << "\n" << event;
  return !matches.empty();
}

/// Returns whether `event` matches a selection of one line, such as `CommandLine|contains: x`.
inline bool SelectionDetects(std::string_view line, std::string_view event) {
  return Detects("  s:\n    " + std::string(line) + "\n  condition: s\n", event);
}

/// Returns whether `event` matches the keywords, written as a YAML flow list.
inline bool KeywordsDetect(std::string_view list, std::string_view event) {
  return Detects("  s: " + std::string(list) + "\n  condition: s\n", event);
}

}  // namespace weir::sigma
