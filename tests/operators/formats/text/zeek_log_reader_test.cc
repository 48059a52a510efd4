#include "operators/formats/zeek/zeek_log_reader.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kHeader =
    "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n"
    "#open\t2024-01-01-00-00-00\n#fields\tts\tuid\tid.orig_p\tlocal\ttags\tports\tnote\n"
    "#types\ttime\tstring\tport\tbool\tset[string]\tvector[count]\tstring\n";

// Returns the records, and errors in their places.
std::vector<std::string> Read(std::string_view text) {
  ZeekLogReader reader;
  std::vector<std::string> results;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string json;
    const absl::StatusOr<bool> record = reader.ReadLine(text.substr(0, end), &json);
    if (!record.ok()) results.emplace_back(record.status().message());
    if (record.ok() && *record) results.push_back(json);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return results;
}

TEST(ZeekLogReaderTest, ReadsRecordsByTheirTypes) {
  EXPECT_THAT(
      Read(std::string(kHeader) + "1700000000.123456\tC1\t443\tT\ta,b\t1,2\tx\\x09y\"\n"
                                  "1.5\tC2\t-\tF\t(empty)\t-\t(empty)\n#close\t2024\n"),
      ElementsAre(
          R"({"_path":"conn","ts":1700000000.123456,"uid":"C1","id.orig_p":443,"local":true,)"
          R"("tags":["a","b"],"ports":[1,2],"note":"x\ty\""})",
          R"({"_path":"conn","ts":1.5,"uid":"C2","local":false,"tags":[],"note":""})"));
}

TEST(ZeekLogReaderTest, KeepsTextThatIsNoNumberOfItsColumn) {
  EXPECT_THAT(Read("#fields\ta\tb\n#types\tcount\tbool\n01\tmaybe\n"),
              ElementsAre(R"({"a":"01","b":"maybe"})"));
}

TEST(ZeekLogReaderTest, TakesAllAsTextWithoutTypes) {
  EXPECT_THAT(Read("#fields\ta\n7\n"), ElementsAre(R"({"a":"7"})"));
}

TEST(ZeekLogReaderTest, SaysWhatIsWrong) {
  EXPECT_THAT(Read("a\tb\n"), ElementsAre(HasSubstr("before the line #fields")));
  EXPECT_THAT(
      Read("#fields\ta\tb\n1\t2\n1\n3\t4\n"),
      ElementsAre(R"({"a":"1","b":"2"})", HasSubstr("columns=1 fields=2"), R"({"a":"3","b":"4"})"));
  EXPECT_THAT(Read("#fields\ta\n#types\tint\tint\n1\n"),
              ElementsAre(HasSubstr("types=2 fields=1"), R"({"a":"1"})"));
}

TEST(ZeekLogReaderTest, TellsItsLogsFromOthers) {
  EXPECT_TRUE(ZeekLogReader::IsZeekLog(kHeader));
  EXPECT_TRUE(ZeekLogReader::IsZeekLog("#fields\ta"));
  EXPECT_FALSE(ZeekLogReader::IsZeekLog("{\"a\":1}"));
}

}  // namespace
}  // namespace weir
