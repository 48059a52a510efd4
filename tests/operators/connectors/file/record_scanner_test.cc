#include "operators/connectors/file/internal/record_scanner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Scanned {
  std::vector<std::string> records;
  std::vector<uint64_t> offsets;  // After each record.
  absl::Status status;
  FileFormat format = FileFormat::kAuto;
};

Scanned Scan(std::string_view text, size_t chunk_bytes, FileFormat format = FileFormat::kAuto,
             uint64_t offset = 0, size_t max_record_bytes = 1000) {
  RecordScanner scanner(
      {.path = "file", .format = format, .offset = offset, .max_record_bytes = max_record_bytes});
  Scanned scanned;
  std::string record;
  text.remove_prefix(offset);
  while (!text.empty() && scanner.status().ok()) {
    const std::string chunk(text.substr(0, chunk_bytes));
    text.remove_prefix(chunk.size());
    scanner.Feed(chunk);
    while (scanner.Next(&record)) {
      scanned.records.push_back(record);
      scanned.offsets.push_back(scanner.offset());
    }
  }
  if (scanner.Finish(&record)) {
    scanned.records.push_back(record);
    scanned.offsets.push_back(scanner.offset());
  }
  scanned.status = scanner.status();
  scanned.format = scanner.format();
  return scanned;
}

TEST(RecordScannerTest, CutsLinesAndSkipsBlankOnesAtAnyChunkSize) {
  const std::string text = "{\"a\":1}\n\n{\"b\":2}\r\n  \t\r\n\r\nlast";
  for (size_t chunk = 1; chunk <= text.size(); ++chunk) {
    const Scanned scanned = Scan(text, chunk);
    EXPECT_THAT(scanned.records, ElementsAre("{\"a\":1}", "{\"b\":2}", "last")) << chunk;
    EXPECT_EQ(scanned.format, FileFormat::kLines);
    EXPECT_EQ(scanned.offsets.back(), text.size());
  }
}

TEST(RecordScannerTest, CutsArrayElementsWithNestedStringsAndEscapesAtAnyChunkSize) {
  const std::vector<std::string> elements = {R"({"a":[1,{"b":"]}"}],"c":"\"}\\"})",
                                             "[1, [2,3]]",
                                             R"("plain, ] \" text")",
                                             "-1.5e3",
                                             "null",
                                             R"({})"};
  const std::string text = StrCat("\n [", StrJoin(elements, " ,\n  "), "\n]\n");
  for (size_t chunk = 1; chunk <= text.size(); ++chunk) {
    const Scanned scanned = Scan(text, chunk);
    EXPECT_TRUE(scanned.status.ok()) << scanned.status;
    EXPECT_EQ(scanned.records, elements) << chunk;
    EXPECT_EQ(scanned.format, FileFormat::kArray);
  }
}

TEST(RecordScannerTest, GoesOnAfterAnyRecord) {
  for (const std::string text :
       {"{\"a\":1}\n\n 2\r\n[3]\n4", "[{\"a\":\"]\"}, 2 ,\"3\\\"\",[4]]"}) {
    const Scanned whole = Scan(text, 7);
    for (size_t i = 0; i < whole.records.size(); ++i) {
      const Scanned rest = Scan(text, 3, whole.format, whole.offsets[i]);
      EXPECT_EQ(rest.records,
                std::vector<std::string>(whole.records.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                                         whole.records.end()));
    }
  }
}

TEST(RecordScannerTest, ReadsBehindAByteOrderMark) {
  EXPECT_THAT(Scan("\xEF\xBB\xBF[1]", 1).records, ElementsAre("1"));
  EXPECT_THAT(Scan("\xEF\xBB\xBF{}\n", 1).records, ElementsAre("{}"));
}

TEST(RecordScannerTest, ReadsSeveralArraysAndEmptyOnes) {
  EXPECT_THAT(Scan("[] [1,2]\n[3]", 4).records, ElementsAre("1", "2", "3"));
  EXPECT_THAT(Scan("", 4).records, IsEmpty());
  EXPECT_THAT(Scan(" \n ", 4).records, IsEmpty());
}

TEST(RecordScannerTest, RefusesTextOutsideOfAnArrayAndSaysWhere) {
  const absl::Status status = Scan("[1] x", 2).status;
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("file=file offset=4"));
}

TEST(RecordScannerTest, RefusesAnArrayThatIsCutOff) {
  for (const std::string_view text : {"[1,{\"a\":1}", "[{\"a", "[\"x", "["}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Scan(text, 3).status)) << text;
  }
}

TEST(RecordScannerTest, RefusesARecordBeyondTheLimitAndSaysWhereItBegins) {
  for (const size_t chunk : {3U, 100U}) {
    const Scanned lines = Scan("ab\n0123456789\n", chunk, FileFormat::kAuto, 0, 8);
    EXPECT_THAT(lines.records, ElementsAre("ab"));
    EXPECT_THAT(std::string(lines.status.message()), HasSubstr("offset=3 max_record_bytes=8"));
    const Scanned array = Scan("[1, \"0123456789\"]", chunk, FileFormat::kAuto, 0, 8);
    EXPECT_THAT(array.records, ElementsAre("1"));
    EXPECT_THAT(std::string(array.status.message()), HasSubstr("offset=4 max_record_bytes=8"));
  }
}

}  // namespace
}  // namespace weir::internal
