#include "jobs/sigma/tools/event_reader.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temporary_folder.h"

namespace weir::sigma {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Flat(std::string_view json) {
  std::string out;
  return AppendFlatWindowsEvent(json, &out) ? out : "none";
}

TEST(EventReaderTest, MakesDumpsOfWindowsEventsFlat) {
  EXPECT_EQ(
      Flat(
          R"( {"Event":{"#attributes":{"xmlns":"x"},"System":{"Provider":{"#attributes":{"Name":"P"}},
        "EventID":{"#attributes":{"Qualifiers":1},"#text":7},"Level":4,"Correlation":null},
        "EventData":{"Data":{"#text":["a","b"]},"Threat Name":"T","Image":""}}})"),
      R"({"Provider_Name":"P","EventID_Qualifiers":1,"EventID":7,"Level":4,"Data":["a","b"],)"
      R"("Threat Name":"T","ThreatName":"T","Image":""})");
  EXPECT_EQ(Flat(R"({"Event":{"System":{"EventID":1},"UserData":{"Info":{"#attributes":{"k":"v"},
        "User":"u","Gone":null}},"RenderingInfo":{"Message":"m"}}})"),
            R"({"EventID":1,"Info_k":"v","User":"u","Gone":null,"RenderingInfo_Message":"m"})");
  EXPECT_EQ(Flat(R"({"Event":{"System":{"Level":1},"EventData":{"Level":"x"}}})"),
            R"({"Level":[1,"x"]})");
}

TEST(EventReaderTest, LeavesOtherEventsAlone) {
  EXPECT_EQ(Flat(R"({"EventID":1})"), "none");
  EXPECT_EQ(Flat(R"({"Event":"login"})"), "none");
  EXPECT_EQ(Flat(R"({"Event":{"Name":"login"}})"), "none");
  EXPECT_EQ(Flat(R"({"Event":{"System":)"), "none");
}

TEST(EventReaderTest, ReadsLinesThatAreLongerThanABlock) {
  TemporaryFolder folder;
  const std::string line = R"({"a":")" + std::string(3 << 20, 'x') + R"("})";
  folder.Write("e.ndjson", line + "\n" + line);
  absl::StatusOr<std::unique_ptr<EventReader>> reader =
      EventReader::Open(folder.PathOf("e.ndjson"), {});
  ASSERT_TRUE(reader.ok());
  Event event;
  for (uint64_t i = 0; i < 2; ++i) {
    ASSERT_TRUE(*(*reader)->Next(&event));
    EXPECT_EQ(event.json.size(), line.size());
    EXPECT_EQ(event.index, i);
    EXPECT_EQ(event.line, i + 1);
  }
  EXPECT_FALSE(*(*reader)->Next(&event));
}

TEST(EventReaderTest, RefusesAFileOfAnotherFormat) {
  TemporaryFolder folder;
  folder.Write("e.json", "{}");
  folder.Write("e.evtx", std::string("ElfFile\0", 8));
  const auto error = [&](std::string_view name, EventFormat format) {
    EventOptions options;
    options.format = format;
    return std::string(EventReader::Open(folder.PathOf(name), options).status().message());
  };
  EXPECT_THAT(error("e.json", EventFormat::kEvtx),
              HasSubstr("e.json: the file is no Windows event"));
  EXPECT_THAT(error("e.evtx", EventFormat::kJson), HasSubstr("is a Windows event log"));
  EXPECT_THAT(error("", EventFormat::kAuto), HasSubstr("is a folder"));
}

TEST(EventReaderTest, FindsEventFilesInFolders) {
  TemporaryFolder folder;
  folder.Write("b/x.evtx", "");
  folder.Write("a.ndjson", "");
  folder.Write("readme.md", "");
  const absl::StatusOr<std::vector<std::string>> files =
      FindEventFiles({folder.path(), folder.PathOf("readme.md")});
  ASSERT_TRUE(files.ok());
  EXPECT_THAT(*files, ElementsAre(folder.PathOf("a.ndjson"), folder.PathOf("b/x.evtx"),
                                  folder.PathOf("readme.md")));
}

}  // namespace
}  // namespace weir::sigma
