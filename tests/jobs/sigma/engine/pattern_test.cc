#include "jobs/sigma/engine/pattern.h"

#include <random>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace weir::sigma {
namespace {

using ::testing::ElementsAre;

bool Matches(std::string_view notation, std::string_view text) {
  return Pattern::Parse(notation).Matches(text);
}

TEST(PatternTest, KeepsOrdinaryBackslashes) {
  EXPECT_EQ(Pattern::Parse(R"(C:\Windows\cmd.exe)").LiteralText(), R"(C:\Windows\cmd.exe)");
  EXPECT_EQ(Pattern::Parse(R"(\Temp\)").LiteralText(), R"(\Temp\)");
}

TEST(PatternTest, ReadsTwoBackslashesAsOne) {
  EXPECT_EQ(Pattern::Parse(R"(a\\b)").LiteralText(), R"(a\b)");
  EXPECT_EQ(Pattern::Parse(R"(\\\\host\share)").LiteralText(), R"(\\host\share)");
}

TEST(PatternTest, ReadsEscapedWildcardsAsCharacters) {
  EXPECT_TRUE(Matches(R"(a\*c)", "a*c"));
  EXPECT_FALSE(Matches(R"(a\*c)", "abc"));
  EXPECT_TRUE(Matches(R"(a\?)", "a?"));
  EXPECT_FALSE(Matches(R"(a\?)", "ab"));
}

TEST(PatternTest, ReadsAWildcardBehindAnEscapedBackslash) {
  EXPECT_TRUE(Matches(R"(a\\*)", R"(a\bc)"));
  EXPECT_FALSE(Matches(R"(a\\*)", "abc"));
  EXPECT_TRUE(Matches(R"(a\\\*)", R"(a\*)"));
}

TEST(PatternTest, KeepsTheBackslashBeforeAName) {
  EXPECT_TRUE(Matches(R"(*\cmd.exe)", R"(C:\x\cmd.exe)"));
  EXPECT_FALSE(Matches(R"(*\cmd.exe)", R"(C:\x\notcmd.exe)"));
}

TEST(PatternTest, CrossesLineEnds) {
  EXPECT_TRUE(Matches("a*c", "a\nb\r\nc"));
  EXPECT_TRUE(Matches("a?c", "a\nc"));
}

TEST(PatternTest, TakesOneCharacterForAQuestionMark) {
  EXPECT_TRUE(Matches("a?c",
                      "a\xc3\xa4"
                      "c"));
  EXPECT_TRUE(Matches("a?c", "a日c"));
  EXPECT_FALSE(Matches("a?c", "ac"));
  EXPECT_FALSE(Matches("a??c", "a日c"));
}

TEST(PatternTest, MatchesTheWholeText) {
  EXPECT_TRUE(Matches("", ""));
  EXPECT_FALSE(Matches("", "a"));
  EXPECT_TRUE(Matches("*", ""));
  EXPECT_FALSE(Matches("?", ""));
  EXPECT_TRUE(Matches("*ab*ab", "abxabab"));
  EXPECT_FALSE(Matches("ab", "abc"));
}

TEST(PatternTest, GivesItsLiteralRuns) {
  EXPECT_THAT(Pattern::Parse(R"(ab*c?\*d*)").LiteralRuns(), ElementsAre("ab", "c", "*d"));
  EXPECT_THAT(Pattern::Parse("*?*").LiteralRuns(), ElementsAre());
}

TEST(PatternTest, ReadsBackWhatItWrites) {
  for (const char* notation : {R"(a\\\*b*?)", R"(\\\\x)", "*", "", R"(a\?)"}) {
    EXPECT_EQ(Pattern::Parse(notation).ToString(), notation);
  }
}

// The obvious way, exponential.
bool PlainMatches(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') {
    return PlainMatches(pattern.substr(1), text) ||
           (!text.empty() && PlainMatches(pattern, text.substr(1)));
  }
  return !text.empty() && (pattern[0] == '?' || pattern[0] == text[0]) &&
         PlainMatches(pattern.substr(1), text.substr(1));
}

TEST(PatternTest, AgreesWithAPlainMatcher) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const auto draw = [&](std::string_view alphabet, size_t most) {
    std::string text;
    for (size_t n = random() % (most + 1); n > 0; --n)
      text.push_back(alphabet[random() % alphabet.size()]);
    return text;
  };
  for (int i = 0; i < 20000; ++i) {
    const std::string pattern = draw("aab*?", 7);
    const std::string text = draw("ab", 9);
    ASSERT_EQ(Matches(pattern, text), PlainMatches(pattern, text)) << pattern << " " << text;
  }
}

}  // namespace
}  // namespace weir::sigma
