#include "operators/connectors/file/file_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operators/testing/manual_clock.h"
#include "runtime/base/strings.h"
#include "tests/support/connector_contexts.h"
#include "tests/support/seeds.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class FileSinkTest : public ::testing::Test {
 protected:
  using Writer = std::unique_ptr<SinkWriter<std::string>>;

  FileSinkOptions Options(RollingPolicy rolling = {}) const {
    return {.folder = folder_.path(), .prefix = "out", .suffix = {}, .rolling = rolling};
  }
  static FileSink<std::string> Sink(FileSinkOptions options,
                                    BucketAssigner<std::string> buckets = nullptr) {
    return FileSink<std::string>(std::move(options), LineEncoder(), std::move(buckets));
  }
  // A bucket for each first letter.
  static std::string FirstLetter(const std::string& record, EventTime, absl::Time) {
    return StrCat("letter=", record.substr(0, 1));
  }
  std::unique_ptr<FakeSinkContext> NewAttempt(uint32_t subtask = 0) {
    auto context = std::make_unique<FakeSinkContext>(&pool_, subtask, job_);
    context->set_clock(&clock_);
    return context;
  }
  static void Write(SinkWriter<std::string>& writer, const std::vector<std::string>& records) {
    for (const std::string& record : records) {
      const absl::Status status = writer.Write(record, EventTime::Min());
      ASSERT_TRUE(status.ok()) << status;
    }
  }
  static std::vector<Committable> Prepare(FakeSinkContext& context,
                                          SinkWriter<std::string>& writer) {
    auto committables = context.Prepare(writer);
    EXPECT_TRUE(committables.ok()) << committables.status();
    return *std::move(committables);
  }
  static void Commit(FakeSinkContext& context, const std::vector<Committable>& committables) {
    const absl::Status status = Sink({}).CreateCommitter(context)->Commit(committables);
    ASSERT_TRUE(status.ok()) << status;
  }
  // The visible files of each bucket.
  std::map<std::string, std::vector<std::string>> Visible() const {
    std::map<std::string, std::vector<std::string>> contents;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) {
      const std::string name = std::filesystem::relative(entry.path(), folder_.path()).string();
      if (!entry.is_regular_file() || name.starts_with('.')) continue;
      const std::string bucket = std::filesystem::path(name).parent_path().string();
      contents[bucket].push_back(folder_.Read(name));
    }
    for (auto& [bucket, files] : contents) std::sort(files.begin(), files.end());
    return contents;
  }
  size_t NumHidden(std::string_view ending) const {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      const std::string name = entry.path().filename().string();
      count += name.starts_with('.') && name.ends_with(ending) ? 1 : 0;
    }
    return count;
  }

  TemporaryFolder folder_;
  ManualClock clock_;
  IoPool pool_{"test-io", 2};
  const JobId job_ = RandomId<JobId>();
};

TEST_F(FileSinkTest, EndsAFileAtItsSizeAndShowsItAfterTheCheckpoint) {
  const auto context = NewAttempt();
  const Writer writer = *Sink(Options({.max_part_bytes = 6})).CreateWriter(*context);
  Write(*writer, {"one", "two", "three", "four"});
  const auto committables = Prepare(*context, *writer);
  EXPECT_THAT(Visible(), IsEmpty());
  Commit(*context, committables);
  EXPECT_THAT(Visible(), ElementsAre(Pair("", UnorderedElementsAre("one\ntwo\n", "three\n"))));
  EXPECT_EQ(NumHidden(".pending"), 1U);  // "four\n" goes on.
}

TEST_F(FileSinkTest, GoesOnWithAFileThroughCheckpointsUntilItIsInactive) {
  const auto context = NewAttempt();
  const Writer writer =
      *Sink(Options({.rollover_interval = absl::Hours(1), .inactivity_interval = absl::Minutes(1)}))
           .CreateWriter(*context);
  Write(*writer, {"1"});
  Commit(*context, Prepare(*context, *writer));
  clock_.Advance(absl::Seconds(59));
  Write(*writer, {"2"});
  Commit(*context, Prepare(*context, *writer));
  EXPECT_THAT(Visible(), IsEmpty());
  clock_.Advance(absl::Minutes(1));
  Commit(*context, Prepare(*context, *writer));
  EXPECT_THAT(Visible(), ElementsAre(Pair("", ElementsAre("1\n2\n"))));
  EXPECT_EQ(NumHidden(""), 0U);
}

TEST_F(FileSinkTest, EndsAFileThatIsOldEnoughHoweverActive) {
  const auto context = NewAttempt();
  const Writer writer =
      *Sink(Options({.rollover_interval = absl::Minutes(10)})).CreateWriter(*context);
  for (int i = 0; i < 25; ++i) {
    Write(*writer, {StrCat(i)});
    clock_.Advance(absl::Seconds(30));
  }
  Commit(*context, Prepare(*context, *writer));
  EXPECT_THAT(Visible()[""], ElementsAre(HasSubstr("0\n1\n")));
  clock_.Advance(absl::Minutes(10));
  Commit(*context, Prepare(*context, *writer));
  EXPECT_THAT(Visible()[""], UnorderedElementsAre(HasSubstr("19\n"), "20\n21\n22\n23\n24\n"));
}

TEST_F(FileSinkTest, AFileThatWentOnAfterTheRestoredCheckpointIsCutToIt) {
  std::vector<Committable> checkpoint;
  {
    const auto context = NewAttempt();
    const Writer writer = *Sink(Options()).CreateWriter(*context);
    Write(*writer, {"1", "2"});
    checkpoint = Prepare(*context, *writer);
    Commit(*context, checkpoint);
    Write(*writer, {"3"});
    (void)Prepare(*context, *writer);  // On the disk, but the checkpoint does not complete.
  }
  const auto context = NewAttempt();
  Commit(*context, checkpoint);
  EXPECT_THAT(Visible(), ElementsAre(Pair("", ElementsAre("1\n2\n"))));
  Commit(*context, checkpoint);  // The restore was itself cut off.
  EXPECT_THAT(Visible(), ElementsAre(Pair("", ElementsAre("1\n2\n"))));
}

TEST_F(FileSinkTest, OfAFileThatSeveralCheckpointsKnowTheNewestCounts) {
  const auto context = NewAttempt();
  const Writer writer = *Sink(Options({.max_part_bytes = 6})).CreateWriter(*context);
  Write(*writer, {"1"});
  std::vector<Committable> committables = Prepare(*context, *writer);
  for (const std::string record : {"2", "3", "4"}) {
    Write(*writer, {record});
    for (Committable& committable : Prepare(*context, *writer)) {
      committables.push_back(std::move(committable));
    }
  }
  const auto restarted = NewAttempt();
  Commit(*restarted, committables);
  EXPECT_THAT(Visible(), ElementsAre(Pair("", UnorderedElementsAre("1\n2\n3\n", "4\n"))));
}

TEST_F(FileSinkTest, EndsAllFilesWithItsInput) {
  const auto context = NewAttempt();
  const Writer writer = *Sink(Options(), FirstLetter).CreateWriter(*context);
  Write(*writer, {"a1", "b1", "a2"});
  Commit(*context, Prepare(*context, *writer));
  EXPECT_THAT(Visible(), IsEmpty());
  ASSERT_TRUE(writer->EndInput().ok());
  Commit(*context, Prepare(*context, *writer));
  EXPECT_THAT(Visible(), ElementsAre(Pair("letter=a", ElementsAre("a1\na2\n")),
                                     Pair("letter=b", ElementsAre("b1\n"))));
}

TEST_F(FileSinkTest, KeepsFewFilesOpenHoweverManyBucketsThereAre) {
  FileSinkOptions options = Options();
  options.max_open_files = 3;
  const auto context = NewAttempt();
  const Writer writer = *Sink(options, [](const std::string& record, EventTime, absl::Time) {
                           return record;
                         }).CreateWriter(*context);
  for (int i = 0; i < 10; ++i) {
    clock_.Advance(absl::Seconds(1));
    Write(*writer, {StrCat("bucket", i)});
  }
  Commit(*context, Prepare(*context, *writer));
  EXPECT_THAT(Visible(), SizeIs(7));
  EXPECT_EQ(Visible().count("bucket9"), 0U);
}

TEST_F(FileSinkTest, RefusesABucketOutsideOfItsFolderOrHidden) {
  std::string bucket;
  const auto context = NewAttempt();
  const Writer writer = *Sink(Options(), [&](const std::string&, EventTime, absl::Time) {
                           return bucket;
                         }).CreateWriter(*context);
  for (const std::string wrong : {"../x", "/x", "a//b", ".hidden", "a/.b", "a/", "a/../b"}) {
    bucket = wrong;
    const absl::Status status = writer->Write("1", EventTime::Min());
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << wrong << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(StrCat("bucket=", wrong)));
  }
}

TEST_F(FileSinkTest, BucketsByDateAndTimeOfTheClockOrOfTheEvent) {
  DateTimeBucketAssigner processing;
  DateTimeBucketAssigner event("dt=%Y-%m-%d", absl::UTCTimeZone(), BucketTime::kEventTime);
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);  // 2023-11-14 22:13:20 UTC.
  const EventTime time = EventTime::FromMillis(1'600'000'000'000);
  EXPECT_EQ(processing(0, time, now), "2023-11-14--22");
  EXPECT_EQ(processing(0, time, now + absl::Hours(2)), "2023-11-15--00");
  EXPECT_EQ(event(0, time, now), "dt=2020-09-13");
  EXPECT_EQ(event(0, EventTime::Min(), now), "dt=2023-11-14");
  DateTimeBucketAssigner elsewhere("%H", absl::FixedTimeZone(3600));
  EXPECT_EQ(elsewhere(0, time, now), "23");
}

TEST_F(FileSinkTest, WritesCsvWithAHeaderInEachFileAndQuotesWhereTheyAreNeeded) {
  using Row = std::vector<std::string>;
  const FileSink<Row> sink(
      Options({.max_part_bytes = 20}),
      CsvEncoder<Row>({"name", "a,b"}, [](const Row& row, Row* fields) { *fields = row; }));
  const auto context = NewAttempt();
  const auto writer = *sink.CreateWriter(*context);
  for (const Row& row : {Row{"x", "1"}, Row{"say \"hi\"", "two\nlines"}, Row{"", "3"}}) {
    ASSERT_TRUE(writer->Write(row, EventTime::Min()).ok());
  }
  ASSERT_TRUE(writer->EndInput().ok());
  const auto committables = context->Prepare(*writer);
  ASSERT_TRUE(committables.ok());
  Commit(*context, *committables);
  EXPECT_THAT(Visible()[""],
              UnorderedElementsAre("name,\"a,b\"\nx,1\n\"say \"\"hi\"\"\",\"two\nlines\"\n",
                                   "name,\"a,b\"\n,3\n"));
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    EXPECT_EQ(entry.path().extension(), ".csv");
  }
}

TEST_F(FileSinkTest, NamesFilesWithPrefixSubtaskAndSuffix) {
  FileSinkOptions options = Options(RollingPolicy::OnCheckpoint());
  options.suffix = ".log";
  const auto context = NewAttempt(5);
  const Writer writer = *Sink(options).CreateWriter(*context);
  Write(*writer, {"1"});
  Commit(*context, Prepare(*context, *writer));
  const auto file = *std::filesystem::directory_iterator(folder_.path());
  EXPECT_THAT(file.path().filename().string(),
              AllOf(::testing::StartsWith("part-out-5-"), ::testing::EndsWith("-0.log")));
}

TEST_F(FileSinkTest, RemovesWhatItsOwnEarlierAttemptsLeftInNoCheckpointAndNothingElse) {
  {
    const auto context = NewAttempt();
    const Writer writer = *Sink(Options()).CreateWriter(*context);
    Write(*writer, {"1"});
    (void)Prepare(*context, *writer);  // A checkpoint may refer to it.
  }
  const auto hidden = [&](uint32_t subtask, JobId job) {
    const std::string name = StrCat(".part-out-", subtask, "-0123456789abcdef-7.txt.",
                                    ToString(job).substr(0, 16), ".inprogress");
    folder_.Write(name, "half a li");
    return folder_.PathOf(name);
  };
  const std::string own = hidden(0, job_);
  const std::string anothers = hidden(1, job_);
  const std::string another_jobs = hidden(0, RandomId<JobId>());
  const auto context = NewAttempt();
  (void)*Sink(Options()).CreateWriter(*context);
  EXPECT_FALSE(std::filesystem::exists(own));
  EXPECT_TRUE(std::filesystem::exists(anothers));
  EXPECT_TRUE(std::filesystem::exists(another_jobs));
  EXPECT_EQ(NumHidden(".pending"), 1U);
}

// Checkpoints that fail, crashes at any moment, restores by another subtask: what can be seen is
// what completed checkpoints hold, in whole lines, and in the end all of it.
TEST_F(FileSinkTest, ShowsWhatCompletedCheckpointsHoldWhateverHappens) {
  for (unsigned seed = 0; seed < NumSeeds(15); ++seed) {
    SCOPED_TRACE(StrCat("seed ", seed));
    std::mt19937_64 random(seed);
    const auto chance = [&](uint64_t percent) { return random() % 100 < percent; };
    const TemporaryFolder folder;
    RollingPolicy rolling{.max_part_bytes = 1 + random() % 200,
                          .rollover_interval = absl::Seconds(20 + random() % 100),
                          .inactivity_interval = absl::Seconds(10 + random() % 100),
                          .on_checkpoint = chance(20)};
    FileSinkOptions options = Options(rolling);
    options.folder = folder.path();
    options.max_open_files = 1 + random() % 4;
    const FileSink<std::string> sink = Sink(options, FirstLetter);
    const auto visible = [&] {
      std::multiset<std::string> lines;
      for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
        const std::string name = std::filesystem::relative(entry.path(), folder.path()).string();
        if (!entry.is_regular_file() || name.starts_with('.')) continue;
        const std::string text = folder.Read(name);
        EXPECT_TRUE(text.ends_with('\n')) << name;
        for (const std::string_view line :
             StrSplit(std::string_view(text).substr(0, text.size() - 1), '\n')) {
          lines.emplace(line);
        }
      }
      return lines;
    };
    std::multiset<std::string> expected;
    std::vector<Committable> restored;
    int next = 0;
    for (int attempt = 0; attempt < 5; ++attempt) {
      const auto context = NewAttempt(static_cast<uint32_t>(random() % 2));
      const auto committer = sink.CreateCommitter(*context);
      if (!restored.empty()) {
        const absl::Status status = committer->Commit(restored);
        ASSERT_TRUE(status.ok()) << status;
        ASSERT_EQ(visible(), expected);
      }
      const Writer writer = *sink.CreateWriter(*context);
      std::vector<Committable> pending;
      std::multiset<std::string> unconfirmed;
      for (uint64_t rounds = random() % 6; rounds > 0; --rounds) {
        for (uint64_t n = random() % 20; n > 0; --n) {
          const std::string record = StrCat(std::string(1, "abc"[random() % 3]), next++);
          ASSERT_TRUE(writer->Write(record, EventTime::Min()).ok());
          unconfirmed.insert(record);
          clock_.Advance(absl::Seconds(random() % 3));
        }
        for (Committable& committable : Prepare(*context, *writer)) {
          pending.push_back(std::move(committable));
        }
        if (chance(25)) continue;  // The checkpoint fails; the next one carries it.
        restored = pending;
        expected.merge(unconfirmed);
        if (chance(25)) continue;  // Nobody tells.
        const absl::Status status = committer->Commit(pending);
        ASSERT_TRUE(status.ok()) << status;
        pending.clear();
        for (const std::string& line : visible()) ASSERT_TRUE(expected.contains(line)) << line;
      }
    }
    const auto context = NewAttempt();
    const absl::Status status = sink.CreateCommitter(*context)->Commit(restored);
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_EQ(visible(), expected);
  }
}

}  // namespace
}  // namespace weir
