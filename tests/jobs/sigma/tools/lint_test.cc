#include "jobs/sigma/tools/lint.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace weir::sigma {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::string_view kHead =
    "title: Shell Started By Office\n"
    "id: 3f1c3a52-9d53-4b5e-8c3f-2d1f6d6f3a10\n"
    "status: test\n"
    "description: An office program starts a command line, as macros do.\n"
    "references:\n    - https://example.org/a\n"
    "author: somebody\n"
    "date: 2024-02-03\n"
    "tags:\n    - attack.execution\n    - attack.t1059.003\n"
    "logsource:\n    category: process_creation\n    product: windows\n";
constexpr std::string_view kTail = "falsepositives:\n    - Unknown\nlevel: high\n";
constexpr std::string_view kDetection =
    "detection:\n    selection:\n        Image|endswith: '\\cmd.exe'\n    condition: selection\n";

std::string Good() { return std::string(kHead) + std::string(kDetection) + std::string(kTail); }

std::string WithDetection(std::string_view detection) {
  return std::string(kHead) + "detection:\n" + std::string(detection) + std::string(kTail);
}

std::string Replaced(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  return text.replace(at, from.size(), to);
}

// Findings as "line: severity: check: message".
std::vector<std::string> Lint(const std::vector<std::string>& texts,
                              std::string_view file = "proc_creation_win_shell.yml",
                              const std::vector<std::string>& disabled = {}) {
  absl::StatusOr<Linter> linter = Linter::Create(disabled);
  EXPECT_TRUE(linter.ok());
  for (const std::string& text : texts) linter->AddFile(std::string(file), text);
  std::vector<std::string> lines;
  for (const Finding& finding : linter->Finish().findings) {
    lines.push_back(std::to_string(finding.line) + ": " + std::string(ToString(finding.severity)) +
                    ": " + finding.check + ": " + finding.message);
  }
  return lines;
}

TEST(LintTest, FindsNothingInAGoodRule) { EXPECT_THAT(Lint({Good()}), IsEmpty()); }

TEST(LintTest, PointsAtTextThatIsNoRule) {
  EXPECT_THAT(Lint({"title: [\n"}), ElementsAre(HasSubstr("error: rule: ")));
  EXPECT_THAT(Lint({Replaced(Good(), "|endswith", "|endswit")}),
              ElementsAre(HasSubstr("did you mean `endswith`")));
}

TEST(LintTest, ChecksWhatARuleSaysAboutItself) {
  const std::string good = Good();
  const auto lint = [&](std::string_view from, std::string_view to) {
    return Lint({Replaced(good, from, to)});
  };
  EXPECT_THAT(lint("id: 3f1c3a52-9d53-4b5e-8c3f-2d1f6d6f3a10", "id: 17"),
              ElementsAre("2: warning: id: the id is no UUID: 17"));
  EXPECT_THAT(lint("-4b5e-", "-1b5e-"), ElementsAre(HasSubstr("2: info: id: ")));
  EXPECT_THAT(lint("status: test", "status: done"),
              ElementsAre(HasSubstr("3: warning: status: `status` must be one of stable, test")));
  EXPECT_THAT(lint("level: high", "level: severe"), ElementsAre(HasSubstr("warning: level: ")));
  EXPECT_THAT(lint("level: high\n", ""), ElementsAre(HasSubstr("info: level: the rule has no")));
  EXPECT_THAT(lint("2024-02-03", "2024/02/03"), ElementsAre(HasSubstr("warning: date: ")));
  EXPECT_THAT(lint("date: 2024-02-03", "date: 2024-02-03\nmodified: 2024-01-01"),
              ElementsAre(HasSubstr("9: info: date: `modified` lies before")));
  EXPECT_THAT(lint("author: somebody\n", ""), ElementsAre(HasSubstr("info: author: ")));
  EXPECT_THAT(lint("title: Shell", "title: Detects Shell"), ElementsAre(HasSubstr("info: title:")));
  EXPECT_THAT(lint("title: Shell", "title: " + std::string(300, 'x')),
              ElementsAre(HasSubstr("warning: title: ")));
  EXPECT_THAT(lint("- Unknown", "- None"), ElementsAre(HasSubstr("info: false-positives: ")));
  EXPECT_THAT(lint("product: windows", "produkt: windows"),
              ElementsAre("14: warning: log-source: `logsource` has no such key: produkt"));
  EXPECT_THAT(lint("falsepositives:", "falsepositive:"),
              ElementsAre(HasSubstr("info: false-positives: "),
                          HasSubstr("warning: unknown-key: rules have no `falsepositive`; did you "
                                    "mean `falsepositives`?")));
  EXPECT_THAT(lint("author:", "related:\n    - id: x\n      type: similiar\nauthor:"),
              ElementsAre(HasSubstr("warning: related: ")));
}

TEST(LintTest, ChecksTags) {
  const auto lint = [](std::string_view tag) {
    return Lint({Replaced(Good(), "attack.t1059.003", tag)});
  };
  for (const std::string_view tag :
       {"attack.t1059", "attack.g0007", "attack.s0002", "cve.2024-12345", "car.2016-04-005",
        "detection.dfir", "tlp.amber", "attack.credential-access"}) {
    EXPECT_THAT(lint(tag), IsEmpty()) << tag;
  }
  for (const std::string_view tag :
       {"attack.T1059", "attack", "attack.t105", "attack.credential_access", "cve.2024",
        "mitre.t1059", "tlp.purple", "detection.other"}) {
    EXPECT_THAT(lint(tag), ElementsAre(HasSubstr("11: warning: tags: "))) << tag;
  }
  EXPECT_THAT(lint("attack.execution"), ElementsAre(HasSubstr("the tag stands twice")));
}

TEST(LintTest, ChecksFileNames) {
  EXPECT_THAT(Lint({Good()}, "a/b/Shell.yaml"), ElementsAre(HasSubstr("1: info: file-name")));
  EXPECT_THAT(Lint({Good()}, "a/b/proc_creation_win_x.yml"), IsEmpty());
}

TEST(LintTest, FindsSelectionsThatAreNotUsed) {
  EXPECT_THAT(
      Lint({WithDetection("    a:\n        F: x\n    b:\n        F: y\n    condition: a\n")}),
      ElementsAre("18: warning: unused-selection: the condition does not use the selection: "
                  "b"));
  EXPECT_THAT(Lint({WithDetection("    sel_a:\n        F: x\n    sel_b:\n        F: y\n"
                                  "    condition: 1 of sel_*\n")}),
              IsEmpty());
}

TEST(LintTest, FindsConditionsThatCanNeverHold) {
  const auto never = Contains(HasSubstr("error: never: the rule never matches"));
  EXPECT_THAT(Lint({WithDetection("    a:\n        F: x\n    condition: a and not a\n")}), never);
  EXPECT_THAT(Lint({WithDetection("    a:\n        F: abc\n    b:\n        F|contains: b\n"
                                  "    condition: a and not b\n")}),
              never);
  EXPECT_THAT(
      Lint({WithDetection("    a:\n        F|startswith: abc\n    b:\n        F|exists: true\n"
                          "    condition: a and not b\n")}),
      never);
  EXPECT_THAT(Lint({WithDetection("    a:\n        F: [x, y]\n    b:\n        F: [x, y, z]\n"
                                  "    condition: a and not b\n")}),
              never);
  EXPECT_THAT(Lint({WithDetection("    a:\n        F: x\n    b:\n        G: [x, y]\n"
                                  "    condition: a and not (a or b)\n")}),
              never);
  EXPECT_THAT(Lint({WithDetection("    a:\n        F|contains: b\n    b:\n        F: abc\n"
                                  "    condition: a and not b\n")}),
              IsEmpty());
}

TEST(LintTest, FindsTestsThatNoSingleValuePasses) {
  const auto found = ElementsAre(HasSubstr("warning: contradiction: "));
  EXPECT_THAT(Lint({WithDetection("    a:\n        F|all: [x, y]\n    condition: a\n")}), found);
  EXPECT_THAT(Lint({WithDetection("    a:\n        F: x\n    b:\n        F: y\n"
                                  "    condition: a and b\n")}),
              found);
  EXPECT_THAT(Lint({WithDetection("    a:\n        F: abc\n    b:\n        F|endswith: d\n"
                                  "    condition: a and b\n")}),
              found);
  EXPECT_THAT(Lint({WithDetection("    a:\n        F|contains|all: [x, y]\n    condition: a\n")}),
              IsEmpty());
}

TEST(LintTest, FindsConditionsThatOnlyExclude) {
  EXPECT_THAT(Lint({WithDetection("    a:\n        F: x\n    condition: not a\n")}),
              ElementsAre(HasSubstr("warning: always: "), HasSubstr("warning: slow: ")));
}

TEST(LintTest, FindsSlowTests) {
  EXPECT_THAT(Lint({WithDetection("    a:\n        F|re: '^[0-9]{5}$'\n    condition: a\n")}),
              ElementsAre(HasSubstr("info: slow: the expression has no text")));
  EXPECT_THAT(Lint({WithDetection("    a:\n        F|re: 'cmd[0-9]'\n    condition: a\n")}),
              IsEmpty());
  EXPECT_THAT(Lint({WithDetection("    a:\n        F: '?*?'\n        G: x\n    condition: a\n")}),
              ElementsAre(HasSubstr("info: slow: the pattern has no text")));
}

TEST(LintTest, FindsValuesThatSayNothingNew) {
  EXPECT_THAT(
      Lint({WithDetection("    a:\n        F|contains: ['*x', y, y]\n        G|contains|all: z\n"
                          "    condition: a\n")}),
      ElementsAre(HasSubstr("info: redundant-wildcard: "), HasSubstr("duplicate-value: "),
                  HasSubstr("18: info: all-of-one: ")));
}

TEST(LintTest, ComparesRulesWithEachOther) {
  EXPECT_THAT(Lint({Good(), Good()}),
              ElementsAre(HasSubstr("error: duplicate-id: "), HasSubstr("info: duplicate-title: "),
                          HasSubstr("warning: duplicate-detection: ")));
  const std::string other = Replaced(Replaced(Good(), "3f1c", "3f1d"), "Shell", "Another Shell");
  EXPECT_THAT(Lint({Good(), Replaced(other, "cmd.exe", "sh.exe")}), IsEmpty());
}

TEST(LintTest, ChecksEveryDocumentOfAFile) {
  const std::string second =
      Replaced(Replaced(Replaced(Good(), "3f1c", "3f1d"), "Shell", "Other"), "cmd.exe", "sh.exe");
  EXPECT_THAT(Lint({Good() + "---\n" + Replaced(second, "status: test", "status: x")}),
              ElementsAre(HasSubstr("25: warning: status: ")));
}

TEST(LintTest, LeavesOutChecksThatAreDisabled) {
  EXPECT_THAT(
      Lint({Replaced(Good(), "author: somebody\n", "")}, "proc_creation_win_shell.yml", {"author"}),
      IsEmpty());
  const absl::StatusOr<Linter> linter = Linter::Create({"authr"});
  EXPECT_THAT(std::string(linter.status().message()), HasSubstr("did you mean \"author\"?"));
}

TEST(LintTest, SurvivesRulesOfAnyShape) {
  for (const std::string_view text :
       {"", "[]", "a", "{}",
        "title: {a: b}\ntags: {a: b}\nlogsource: 1\nrelated: 1\nreferences: 1\n", "detection: 1",
        "tags: [[1], {a: b}, null]\ndetection: {a: {b: {c: d}}, condition: a}", "- title: x\n",
        "? [a]\n: b\n", "---\n---\n"}) {
    EXPECT_THAT(Lint({std::string(text)}), Contains(HasSubstr("error: rule: "))) << text;
  }
}

}  // namespace
}  // namespace weir::sigma
