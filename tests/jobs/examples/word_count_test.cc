#include "jobs/examples/word_count.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "tests/jobs/job_runs.h"

namespace weir::examples {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Words(std::string_view line) {
  std::vector<std::string> words;
  ForEachWord(line, [&](std::string word) { words.push_back(std::move(word)); });
  return words;
}

std::map<std::string, int> Counts(const std::string& folder) {
  std::map<std::string, int> counts;
  for (const std::string& line : CommittedLines(folder, "words")) {
    const auto record = nlohmann::json::parse(line);
    EXPECT_TRUE(counts.emplace(record["word"], record["count"]).second) << line;
  }
  return counts;
}

TEST(WordCountTest, SplitsLinesIntoWords) {
  EXPECT_THAT(Words("To be, or NOT to be!"), ElementsAre("to", "be", "or", "not", "to", "be"));
  EXPECT_THAT(Words("caf\xc3\xa9 4you--2"), ElementsAre("caf\xc3\xa9", "4you", "2"));
  EXPECT_THAT(Words(" .,; "), IsEmpty());
}

TEST(WordCountTest, CountsTheWordsOfAFile) {
  const TemporaryFolder folder;
  folder.Write("text.txt", "one two\n\nTwo three, three\nthree");
  const absl::Status run = RunJob(
      BuildWordCount, {"--input", folder.PathOf("text.txt"), "--out", folder.PathOf("out")}, 2);
  ASSERT_TRUE(run.ok()) << run;
  EXPECT_EQ(Counts(folder.PathOf("out")),
            (std::map<std::string, int>{{"one", 1}, {"two", 2}, {"three", 3}}));
}

TEST(WordCountTest, HasATextOfItsOwn) {
  const TemporaryFolder folder;
  const absl::Status run = RunJob(BuildWordCount, {"--out", folder.PathOf("out")}, 2);
  ASSERT_TRUE(run.ok()) << run;
  const auto counts = Counts(folder.PathOf("out"));
  EXPECT_EQ(counts.at("stream"), 3);
  EXPECT_EQ(counts.at("a"), 5);
}

}  // namespace
}  // namespace weir::examples
