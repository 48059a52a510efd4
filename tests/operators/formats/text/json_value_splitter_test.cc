#include "operators/formats/json/json_value_splitter.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

using Values = std::vector<std::pair<std::string, uint64_t>>;

// Appends the text in blocks of `block` bytes.
Values Split(std::string_view text, size_t block = std::string::npos) {
  JsonValueSplitter splitter;
  Values values;
  const auto take = [&] {
    while (const auto value = splitter.Next()) values.emplace_back(value->text, value->line);
  };
  for (size_t i = 0; i < text.size(); i += std::min(block, text.size())) {
    splitter.Append(text.substr(i, block));
    take();
  }
  splitter.Finish();
  take();
  return values;
}

TEST(JsonValueSplitterTest, SplitsLines) {
  EXPECT_THAT(Split("{\"a\":1}\n\n {\"b\":\"}\"} \r\n{\"c\":2}"),
              ElementsAre(Pair("{\"a\":1}", 1), Pair("{\"b\":\"}\"}", 3), Pair("{\"c\":2}", 4)));
}

TEST(JsonValueSplitterTest, SplitsPrettyPrintedValues) {
  EXPECT_THAT(
      Split("{\n  \"a\": {\"x\": [1, 2]}\n}\n{\n  \"b\": \"\\\"}{\"\n}\n"),
      ElementsAre(Pair("{\n  \"a\": {\"x\": [1, 2]}\n}", 1), Pair("{\n  \"b\": \"\\\"}{\"\n}", 4)));
}

TEST(JsonValueSplitterTest, SplitsAnArrayAroundAll) {
  EXPECT_THAT(
      Split(" [ {\"a\":[1]},\n {\"b\":2} , 3, \"x\" ]\n"),
      ElementsAre(Pair("{\"a\":[1]}", 1), Pair("{\"b\":2}", 2), Pair("3", 2), Pair("\"x\"", 2)));
  EXPECT_THAT(Split("[]"), IsEmpty());
}

TEST(JsonValueSplitterTest, SplitsValuesOnOneLine) {
  EXPECT_THAT(Split("{\"a\":1}{\"b\":2} {\"c\":3}\n{\"d\":4}"),
              ElementsAre(Pair("{\"a\":1}", 1), Pair("{\"b\":2}", 1), Pair("{\"c\":3}", 1),
                          Pair("{\"d\":4}", 2)));
}

TEST(JsonValueSplitterTest, PassesOverAByteOrderMark) {
  EXPECT_THAT(Split("\xEF\xBB\xBF{\"a\":1}\n", 2), ElementsAre(Pair("{\"a\":1}", 1)));
}

TEST(JsonValueSplitterTest, KeepsABrokenLineToItself) {
  EXPECT_THAT(Split("{\"a\":1}\n{\"b\":\"open\n{\"c\":3}\n"),
              ElementsAre(Pair("{\"a\":1}", 1), Pair("{\"b\":\"open", 2), Pair("{\"c\":3}", 3)));
  EXPECT_THAT(Split("{\"a\":\n{\"b\":2}\n{\"c\":3}\n"),
              ElementsAre(Pair("{\"a\":", 1), Pair("{\"b\":2}", 2), Pair("{\"c\":3}", 3)));
  EXPECT_THAT(Split("{\"a\":\"open\n{\"b\":2}\n"),
              ElementsAre(Pair("{\"a\":\"open", 1), Pair("{\"b\":2}", 2)));
}

TEST(JsonValueSplitterTest, GivesWhatIsLeftAtTheEnd) {
  EXPECT_THAT(Split("{\"a\":1}\n{\"b\":"), ElementsAre(Pair("{\"a\":1}", 1), Pair("{\"b\":", 2)));
  EXPECT_THAT(Split(""), IsEmpty());
  EXPECT_THAT(Split(" \n\n"), IsEmpty());
}

TEST(JsonValueSplitterTest, GivesTheSameWhereverBlocksEnd) {
  for (const std::string_view text : {"{\"a\":1}\n{\"b\":\"x\\\\\"}\n{\"c\":\"\\\"\"}\n",
                                      "{\n \"a\": \"}\\\\\"\n}\n{\n\"b\": [\"]\"]\n}\n",
                                      "[{\"a\":\"\\\"\"},\n{\"b\":2}]", "{\"a\":\n{\"b\":2}\n"}) {
    const Values whole = Split(text);
    for (size_t block = 1; block < 9; ++block)
      EXPECT_EQ(Split(text, block), whole) << block << text;
  }
}

}  // namespace
}  // namespace weir
