#include "operators/formats/evtx/evtx_reader.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/operators/formats/evtx/evtx_writer.h"

namespace weir::evtx {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

struct Contents {
  std::vector<uint64_t> ids;
  std::vector<std::string> json;
  std::vector<std::string> flat;
  std::vector<std::string> damages;
};

Contents ReadAll(const std::string& log) {
  Contents contents;
  absl::StatusOr<EvtxReader> reader = EvtxReader::FromBytes(log);
  EXPECT_TRUE(reader.ok()) << reader.status();
  if (!reader.ok()) return contents;
  while (reader->Next()) {
    contents.ids.push_back(reader->record().id);
    EXPECT_TRUE(reader->AppendJson(&contents.json.emplace_back()).ok());
    EXPECT_TRUE(reader->AppendFlat(&contents.flat.emplace_back()).ok());
  }
  for (const EvtxDamage& damage : reader->damages()) contents.damages.push_back(damage.ToString());
  return contents;
}

// A log of one event `<E>%0</E>` with one value.
std::string JsonOfValue(uint8_t type, const std::string& bytes) {
  ChunkWriter chunk;
  chunk.Record(1, [&](XmlWriter& xml) {
    xml.Instance([](XmlWriter& t) { t.Open("E").CloseStart().Substitute(0, 0).End(); },
                 {{type, bytes}});
  });
  const Contents contents = ReadAll(LogOf({chunk.Finish()}));
  EXPECT_THAT(contents.damages, IsEmpty());
  return contents.json.empty() ? "nothing" : contents.json.front();
}

std::string Value(const std::string& json) { return "{\"E\":" + json + "}"; }

std::string Sid() {
  return std::string("\x01\x02\x00\x00\x00\x00\x00\x05", 8) + Little<uint32_t>(32) +
         Little<uint32_t>(544);
}

std::string Guid() {
  return Little<uint32_t>(0x5770385f) + Little<uint16_t>(0xc22a) + Little<uint16_t>(0x43e0) +
         "\xbf\x4c\x06\xf5\x69\x8f\xfb\xd9";
}

TEST(EvtxReaderTest, WritesValuesOfEveryType) {
  EXPECT_EQ(JsonOfValue(0x00, ""), Value("null"));
  EXPECT_EQ(JsonOfValue(0x01, Utf16("a\"b\\c\n")), Value(R"("a\"b\\c\n")"));
  EXPECT_EQ(JsonOfValue(0x01, Utf16("long enough for blocks: \"x\" and more")),
            Value(R"("long enough for blocks: \"x\" and more")"));
  EXPECT_EQ(JsonOfValue(0x01, Utf16("cut") + Little<uint16_t>(0) + Utf16("off")), Value("\"cut\""));
  EXPECT_EQ(JsonOfValue(0x01, std::string("\x3d\xd8\x00\xde", 4)), Value("\"\xF0\x9F\x98\x80\""));
  EXPECT_EQ(JsonOfValue(0x01, std::string("\x3d\xd8\x41\x00", 4)), Value("\"\xEF\xBF\xBD"
                                                                         "A\""));
  EXPECT_EQ(JsonOfValue(0x02, "caf\xe9 \x80"), Value("\"caf\xC3\xA9 \xE2\x82\xAC\""));
  EXPECT_EQ(JsonOfValue(0x03, "\xff"), Value("-1"));
  EXPECT_EQ(JsonOfValue(0x04, "\xff"), Value("255"));
  EXPECT_EQ(JsonOfValue(0x05, Little<int16_t>(-2)), Value("-2"));
  EXPECT_EQ(JsonOfValue(0x06, Little<uint16_t>(65534)), Value("65534"));
  EXPECT_EQ(JsonOfValue(0x07, Little<int32_t>(-3)), Value("-3"));
  EXPECT_EQ(JsonOfValue(0x08, Little<uint32_t>(4294967293)), Value("4294967293"));
  EXPECT_EQ(JsonOfValue(0x09, Little<int64_t>(-4)), Value("-4"));
  EXPECT_EQ(JsonOfValue(0x0a, Little<uint64_t>(18446744073709551612U)),
            Value("18446744073709551612"));
  EXPECT_EQ(JsonOfValue(0x0b, Little<float>(1.5F)), Value("\"1.5\""));
  EXPECT_EQ(JsonOfValue(0x0c, Little<double>(2)), Value("\"2.0\""));
  EXPECT_EQ(JsonOfValue(0x0d, Little<uint32_t>(1)), Value("true"));
  EXPECT_EQ(JsonOfValue(0x0d, Little<uint32_t>(0)), Value("false"));
  EXPECT_EQ(JsonOfValue(0x0e, "\x01\xab"), Value("\"01AB\""));
  EXPECT_EQ(JsonOfValue(0x0f, Guid()), Value("\"5770385F-C22A-43E0-BF4C-06F5698FFBD9\""));
  EXPECT_EQ(JsonOfValue(0x10, Little<uint32_t>(255)), Value("\"0xff\""));
  EXPECT_EQ(JsonOfValue(0x10, Little<uint64_t>(256)), Value("\"0x100\""));
  EXPECT_EQ(JsonOfValue(0x11, Little<uint64_t>(133'000'000'001'234'567)),
            Value("\"2022-06-18T04:26:40.123456Z\""));
  EXPECT_EQ(JsonOfValue(0x11, Little<uint64_t>(UINT64_MAX)), Value("\"0xffffffffffffffff\""));
  std::string time;
  for (const int part : {2024, 2, 4, 29, 23, 5, 7, 9}) time += Little(static_cast<uint16_t>(part));
  EXPECT_EQ(JsonOfValue(0x12, time), Value("\"2024-02-29T23:05:07.009000Z\""));
  EXPECT_EQ(JsonOfValue(0x13, Sid()), Value("\"S-1-5-32-544\""));
  EXPECT_EQ(JsonOfValue(0x14, Little<uint32_t>(0)), Value("\"0x0\""));
  EXPECT_EQ(JsonOfValue(0x15, Little<uint64_t>(0x8000000000000000U)),
            Value("\"0x8000000000000000\""));
}

TEST(EvtxReaderTest, WritesValuesThatAreTooShortAsTheirBytes) {
  EXPECT_EQ(JsonOfValue(0x08, "\x01\x02"), Value("\"0102\""));
  EXPECT_EQ(JsonOfValue(0x0f, "\x01"), Value("\"01\""));
  EXPECT_EQ(JsonOfValue(0x13, "\x01"), Value("\"01\""));
  EXPECT_EQ(JsonOfValue(0x08, ""), Value("null"));
}

// A log of one event whose EventData holds `%0` in one Data.
Contents ReadData(std::string_view name, uint8_t type, const std::string& bytes) {
  ChunkWriter chunk;
  chunk.Record(1, [&](XmlWriter& xml) {
    xml.Instance(
        [&](XmlWriter& t) {
          t.Open("Event").CloseStart().Open("EventData").CloseStart().Data(name, 0).End().End();
        },
        {{type, bytes}});
  });
  return ReadAll(LogOf({chunk.Finish()}));
}

TEST(EvtxReaderTest, RepeatsAnElementForEachItemOfAnArray) {
  const std::string strings =
      Utf16("a") + Little<uint16_t>(0) + Little<uint16_t>(0) + Utf16("c") + Little<uint16_t>(0);
  EXPECT_THAT(ReadData("", 0x81, strings).json,
              ElementsAre(R"({"Event":{"EventData":{"Data":{"#text":["a","","c"]}}}})"));
  EXPECT_THAT(ReadData("", 0x81, strings).flat, ElementsAre(R"({"Data":["a","","c"]})"));
  EXPECT_THAT(ReadData("N", 0x88, Little<uint32_t>(1) + Little<uint32_t>(2)).json,
              ElementsAre(R"({"Event":{"EventData":{"N":[1,2]}}})"));
  EXPECT_THAT(ReadData("N", 0x93, Sid() + Sid()).flat,
              ElementsAre(R"({"N":["S-1-5-32-544","S-1-5-32-544"]})"));
  EXPECT_THAT(ReadData("N", 0x8f, Guid()).flat,
              ElementsAre(R"({"N":"5770385F-C22A-43E0-BF4C-06F5698FFBD9"})"));
}

TEST(EvtxReaderTest, WritesTheShapeOfDumpsAndTheFlatOne) {
  ChunkWriter chunk;
  chunk.Record(7, [](XmlWriter& xml) {
    xml.Instance(
        [](XmlWriter& t) {
          t.Open("Event", true).Attribute("xmlns").Text("urn:x").CloseStart();
          t.Open("System").CloseStart();
          t.Open("Provider", true).Attribute("Name").Substitute(0, 1).CloseEmpty();
          t.Open("EventID", true).Attribute("Qualifiers").Substitute(9, 6).CloseStart();
          t.Substitute(1, 6).End();
          t.Open("Correlation", true).Attribute("ActivityID").Substitute(9, 15).CloseEmpty();
          t.Leaf("Channel", "Security").End();
          t.Open("EventData").CloseStart().Data("Threat Name", 2).Data("Image", 3).End();
          t.Open("UserData").CloseStart().Substitute(4, 0x21).End().End();
        },
        {{1, Utf16("P")}, {6, Little<uint16_t>(1116)}, {1, Utf16("T")}, {1, ""}, {0x21, ""}});
  });
  const Contents contents = ReadAll(LogOf({chunk.Finish()}));
  EXPECT_THAT(
      contents.json,
      ElementsAre(
          R"({"Event":{"#attributes":{"xmlns":"urn:x"},"System":{"Provider":{"#attributes":)"
          R"({"Name":"P"}},"EventID":1116,"Correlation":null,"Channel":"Security"},)"
          R"("EventData":{"Threat Name":"T","Image":""},"UserData":null}})"));
  EXPECT_THAT(contents.flat,
              ElementsAre(R"({"Provider_Name":"P","EventID":1116,"Channel":"Security",)"
                          R"("Threat Name":"T","Image":"","ThreatName":"T"})"));
  EXPECT_THAT(contents.damages, IsEmpty());
}

TEST(EvtxReaderTest, ReadsXmlInsideOfValues) {
  ChunkWriter chunk;
  chunk.Record(1, [](XmlWriter& xml) {
    const auto outer = [](XmlWriter& t) {
      t.Open("Event").CloseStart().Open("UserData").CloseStart().Substitute(0, 0x21).End().End();
    };
    // The value's place is known once everything ahead of it is: write it twice.
    XmlWriter draft(xml.position());
    draft.Instance(outer, {{0x21, ""}});
    XmlWriter inner(draft.position());
    inner.Header().Open("Info", true).Attribute("kind").Text("k").CloseStart();
    inner.Leaf("User", "u").Open("Empty").CloseEmpty().End().Eof();
    xml.Instance(outer, {{0x21, inner.bytes()}});
  });
  const Contents contents = ReadAll(LogOf({chunk.Finish()}));
  EXPECT_THAT(contents.damages, IsEmpty());
  EXPECT_THAT(contents.json,
              ElementsAre(R"({"Event":{"UserData":{"Info":{"#attributes":{"kind":"k"},)"
                          R"("User":"u","Empty":null}}}})"));
  EXPECT_THAT(contents.flat, ElementsAre(R"({"Info_kind":"k","User":"u","Empty":null})"));
}

TEST(EvtxReaderTest, ReadsATemplateAgainForLaterRecords) {
  ChunkWriter chunk;
  uint32_t offset = 0;
  chunk.Record(1, [&](XmlWriter& xml) {
    offset = xml.Instance([](XmlWriter& t) { t.Open("E").CloseStart().Substitute(0, 8).End(); },
                          {{8, Little<uint32_t>(10)}});
  });
  chunk.Record(2, [&](XmlWriter& xml) { xml.InstanceOf(offset, {{8, Little<uint32_t>(20)}}); });
  chunk.Record(3, [&](XmlWriter& xml) { xml.InstanceOf(offset, {}); });
  EXPECT_THAT(ReadAll(LogOf({chunk.Finish()})).json,
              ElementsAre(R"({"E":10})", R"({"E":20})", R"({"E":null})"));
}

TEST(EvtxReaderTest, TellsRepeatedElementsApart) {
  ChunkWriter chunk;
  chunk.Record(1, [](XmlWriter& xml) {
    xml.Open("Event").CloseStart().Open("Other").CloseStart();
    xml.Leaf("A", "1").Leaf("A", "2").Leaf("B", "3").End().End();
  });
  EXPECT_THAT(ReadAll(LogOf({chunk.Finish()})).json,
              ElementsAre(R"({"Event":{"Other":{"A":"1","A_1":"2","B":"3"}}})"));
}

TEST(EvtxReaderTest, GivesIdTimeAndPlaceOfRecords) {
  ChunkWriter chunk;
  chunk.Plain(42);
  const std::string log = LogOf({ChunkWriter().Finish(), chunk.Finish()});
  absl::StatusOr<EvtxReader> reader = EvtxReader::FromBytes(log);
  ASSERT_TRUE(reader.ok());
  ASSERT_TRUE(reader->Next());
  EXPECT_EQ(reader->record().id, 42u);
  EXPECT_EQ(absl::FormatTime(reader->record().written, absl::UTCTimeZone()),
            "2022-06-18T04:26:40+00:00");
  EXPECT_EQ(reader->record().chunk, 1u);
  EXPECT_EQ(reader->record().offset, 4096u + 65536u + 512u);
  EXPECT_FALSE(reader->Next());
}

TEST(EvtxReaderTest, RefusesOtherFiles) {
  EXPECT_EQ(EvtxReader::FromBytes("{}").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(EvtxReader::FromBytes("").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(EvtxReader::Open("/no/such/file").status().code(), absl::StatusCode::kNotFound);
}

class DamagedLogTest : public ::testing::Test {
 protected:
  DamagedLogTest() {
    first_.Plain(1).Plain(2).Plain(3);
    second_.Plain(4).Plain(5);
    log_ = LogOf({first_.Finish(), second_.Finish()});
  }

  static constexpr size_t kFirstChunk = 4096;

  // Where a record of the first chunk lies in the file.
  [[nodiscard]] size_t RecordAt(size_t index) const {
    return kFirstChunk + first_.positions()[index];
  }

  ChunkWriter first_;
  ChunkWriter second_;
  std::string log_;
};

TEST_F(DamagedLogTest, IsReadWholeWhenUndamaged) {
  const Contents contents = ReadAll(log_);
  EXPECT_THAT(contents.ids, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(contents.damages, IsEmpty());
}

TEST_F(DamagedLogTest, ReadsOnWhenAChecksumDoesNotFit) {
  log_[kFirstChunk + 52] ^= 1;
  const Contents contents = ReadAll(log_);
  EXPECT_THAT(contents.ids, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(
      contents.damages,
      ElementsAre(HasSubstr("checksum of the chunk's header does not fit (records were read "
                            "all the same): offset=4096 chunk=0"),
                  HasSubstr("checksum of the chunk's records does not fit")));
}

TEST_F(DamagedLogTest, SkipsARecordWithoutAHeader) {
  log_[RecordAt(1)] = 'x';
  const Contents contents = ReadAll(log_);
  EXPECT_THAT(contents.ids, ElementsAre(1, 3, 4, 5));
  EXPECT_THAT(contents.damages, ::testing::Contains(HasSubstr("no record can be read in")));
}

TEST_F(DamagedLogTest, SkipsARecordWithAWrongSize) {
  log_.replace(RecordAt(1) + 4, 4, Little<uint32_t>(0xffffff));
  EXPECT_THAT(ReadAll(log_).ids, ElementsAre(1, 3, 4, 5));
  log_.replace(RecordAt(1) + 4, 4, Little<uint32_t>(8));
  EXPECT_THAT(ReadAll(log_).ids, ElementsAre(1, 3, 4, 5));
}

TEST_F(DamagedLogTest, SkipsARecordWithBrokenXml) {
  log_[RecordAt(1) + 28] = '\x7f';
  const Contents contents = ReadAll(log_);
  EXPECT_THAT(contents.ids, ElementsAre(1, 3, 4, 5));
  EXPECT_THAT(contents.damages, ::testing::Contains(HasSubstr("record 2 cannot be read: unknown "
                                                              "token 127")));
}

TEST_F(DamagedLogTest, ReadsARecordWhoseSizeAtTheEndIsWrong) {
  log_[RecordAt(1) - 4] ^= 1;
  EXPECT_THAT(ReadAll(log_).ids, ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(DamagedLogTest, SearchesAChunkWithoutAHeader) {
  log_.replace(kFirstChunk, 512, std::string(512, '\xee'));
  const Contents contents = ReadAll(log_);
  EXPECT_THAT(contents.ids, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(contents.damages, ElementsAre(HasSubstr("no valid header")));
}

TEST_F(DamagedLogTest, PassesOverAChunkOfZeros) {
  log_.replace(kFirstChunk, 65536, std::string(65536, '\0'));
  const Contents contents = ReadAll(log_);
  EXPECT_THAT(contents.ids, ElementsAre(4, 5));
  EXPECT_THAT(contents.damages, IsEmpty());
}

TEST_F(DamagedLogTest, ReadsRecordsBehindTheStatedEndWhileTheirIdsGoOn) {
  log_.replace(kFirstChunk + 48, 4, Little(static_cast<uint32_t>(first_.positions()[1])));
  EXPECT_THAT(ReadAll(log_).ids, ElementsAre(1, 2, 3, 4, 5));
  log_.replace(RecordAt(2) + 8, 8, Little<uint64_t>(77));  // From before the log went round.
  EXPECT_THAT(ReadAll(log_).ids, ElementsAre(1, 2, 4, 5));
}

TEST_F(DamagedLogTest, ReadsWithADamagedFileHeader) {
  log_[3] ^= 1;
  EXPECT_THAT(ReadAll(log_).ids, ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(DamagedLogTest, GivesWhatIsWholeWhereverTheFileIsCutOff) {
  const size_t record_size = RecordAt(1) - RecordAt(0);
  for (size_t size = kFirstChunk; size <= log_.size(); size += 509) {
    const std::string cut = log_.substr(0, size);
    size_t whole = 0;
    for (size_t i = 0; i < 3; ++i) whole += RecordAt(i) + record_size <= size ? 1 : 0;
    const Contents contents = ReadAll(cut);
    EXPECT_GE(contents.ids.size(), whole) << size;
    for (size_t i = 0; i < contents.ids.size(); ++i) EXPECT_EQ(contents.ids[i], i + 1) << size;
  }
}

TEST_F(DamagedLogTest, SurvivesEveryByteBeingWrong) {
  for (size_t i = kFirstChunk; i < RecordAt(2); ++i) {
    std::string damaged = log_;
    damaged[i] = static_cast<char>(~damaged[i]);
    const Contents contents = ReadAll(damaged);
    EXPECT_GE(contents.ids.size(), 4u) << i;
  }
}

TEST(EvtxReaderTest, GivesUpOnARecordThatRepeatsItselfBeyondMeasure) {
  ChunkWriter chunk;
  chunk.Record(1, [](XmlWriter& xml) {
    // Six arrays in one element: a hundred items each make 10^12 elements.
    const std::string items(100, 'x');
    xml.Instance(
        [](XmlWriter& t) {
          t.Open("E").CloseStart();
          for (int i = 0; i < 6; ++i) t.Substitute(i, 0x84);
          t.End();
        },
        std::vector<TypedValue>(6, {0x84, items}));
  });
  chunk.Plain(2);
  const Contents contents = ReadAll(LogOf({chunk.Finish()}));
  EXPECT_THAT(contents.ids, ElementsAre(2));
  EXPECT_THAT(contents.damages, ElementsAre(HasSubstr("more parts than a record can have")));
}

TEST(EvtxReaderTest, GivesUpOnARecordThatWritesOneValueTooOften) {
  ChunkWriter chunk;
  chunk.Record(1, [](XmlWriter& xml) {
    xml.Instance(
        [](XmlWriter& t) {
          t.Open("E").CloseStart();
          for (int i = 0; i < 2000; ++i) t.Substitute(0, 1);
          t.End();
        },
        {{1, Utf16(std::string(20'000, 'v'))}});
  });
  const std::string log = LogOf({chunk.Finish()});
  absl::StatusOr<EvtxReader> reader = EvtxReader::FromBytes(log);
  ASSERT_TRUE(reader.ok());
  ASSERT_TRUE(reader->Next());
  std::string json = "before";
  EXPECT_EQ(reader->AppendJson(&json).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(json, "before");
  EXPECT_THAT(reader->damages(), SizeIs(1));
}

}  // namespace
}  // namespace weir::evtx
