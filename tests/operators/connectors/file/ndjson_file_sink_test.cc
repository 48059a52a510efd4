#include "operators/connectors/file/ndjson_file_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/base/strings.h"
#include "tests/support/connector_contexts.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class NdjsonFileSinkTest : public ::testing::Test {
 protected:
  using Writer = std::unique_ptr<SinkWriter<std::string>>;

  Writer NewWriter(FakeSinkContext& context) {
    auto writer = Sink().CreateWriter(context);
    EXPECT_TRUE(writer.ok()) << writer.status();
    return *std::move(writer);
  }
  NdjsonFileSink<std::string> Sink() const {
    return NdjsonFileSink<std::string>(NdjsonFileSinkOptions{.folder = folder_.path()});
  }
  FakeSinkContext NewAttempt(uint32_t subtask = 0) {
    return FakeSinkContext(&pool_, subtask, job_);
  }

  static std::vector<Committable> Prepare(SinkWriter<std::string>& writer) {
    auto prepare = writer.BeginCommit(CheckpointId(1));
    EXPECT_TRUE(prepare.ok()) << prepare.status();
    NoStateStore store;
    auto committables = (*prepare)(store);
    EXPECT_TRUE(committables.ok()) << committables.status();
    return *committables;
  }
  absl::Status Commit(const std::vector<Committable>& committables) {
    FakeSinkContext context = NewAttempt();
    return Sink().CreateCommitter(context)->Commit(committables);
  }
  std::vector<std::string> Files(bool hidden) const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with('.') == hidden) names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  std::vector<std::string> CommittedLines() const {
    std::vector<std::string> lines;
    for (const std::string& name : Files(/*hidden=*/false)) {
      const std::string text = folder_.Read(name);
      EXPECT_THAT(text, EndsWith("\n"));
      for (const std::string_view line : StrSplit(text, '\n')) {
        if (!line.empty()) lines.emplace_back(line);
      }
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  }

  TemporaryFolder folder_;
  const JobId job_ = RandomId<JobId>();
  IoPool pool_{"test-io", 1};
};

TEST_F(NdjsonFileSinkTest, ShowsAnEpochWhenItIsCommittedAndNotBefore) {
  FakeSinkContext context = NewAttempt();
  const Writer writer = NewWriter(context);
  ASSERT_TRUE(writer->Write("1", EventTime()).ok());
  ASSERT_TRUE(writer->Write("{\n2}", EventTime()).ok());
  const std::vector<Committable> committables = Prepare(*writer);
  ASSERT_TRUE(writer->Write("3", EventTime()).ok());
  EXPECT_THAT(Files(/*hidden=*/false), IsEmpty());
  ASSERT_TRUE(Commit(committables).ok());
  EXPECT_THAT(CommittedLines(), ElementsAre("1", "{ 2}"));
  EXPECT_THAT(Files(/*hidden=*/false), ElementsAre(::testing::StartsWith("part-alerts-0-")));
}

TEST_F(NdjsonFileSinkTest, MakesNoFileForAnEmptyEpoch) {
  FakeSinkContext context = NewAttempt();
  const Writer writer = NewWriter(context);
  EXPECT_THAT(Prepare(*writer), IsEmpty());
  EXPECT_THAT(Files(/*hidden=*/true), IsEmpty());
}

TEST_F(NdjsonFileSinkTest, FormatsRecordsOfAnyType) {
  const NdjsonFileSink<int> sink(
      {.folder = folder_.PathOf("deeper/out"), .prefix = "numbers"},
      [](const int& number, std::string* line) { StrAppend(line, "{\"n\":", number, "}"); });
  FakeSinkContext context = NewAttempt(3);
  const auto writer = *sink.CreateWriter(context);
  ASSERT_TRUE(writer->Write(7, EventTime()).ok());
  const auto committables = context.Prepare(*writer);
  ASSERT_TRUE(sink.CreateCommitter(context)->Commit(*committables).ok());
  const auto file = *std::filesystem::directory_iterator(folder_.PathOf("deeper/out"));
  EXPECT_THAT(file.path().filename().string(), ::testing::StartsWith("part-numbers-3-"));
  EXPECT_EQ(folder_.Read(StrCat("deeper/out/", file.path().filename().string())), "{\"n\":7}\n");
}

TEST_F(NdjsonFileSinkTest, CommittingTwiceIsAsGoodAsOnce) {
  FakeSinkContext context = NewAttempt();
  const Writer writer = NewWriter(context);
  ASSERT_TRUE(writer->Write("1", EventTime()).ok());
  const std::vector<Committable> committables = Prepare(*writer);
  ASSERT_TRUE(Commit(committables).ok());
  ASSERT_TRUE(Commit(committables).ok());
  EXPECT_THAT(CommittedLines(), ElementsAre("1"));
}

TEST_F(NdjsonFileSinkTest, NamesAPreparedFileThatIsGone) {
  FakeSinkContext context = NewAttempt();
  const Writer writer = NewWriter(context);
  ASSERT_TRUE(writer->Write("1", EventTime()).ok());
  const std::vector<Committable> committables = Prepare(*writer);
  const std::vector<std::string> hidden = Files(/*hidden=*/true);
  ASSERT_THAT(hidden, SizeIs(1));
  std::filesystem::remove(folder_.PathOf(hidden[0]));
  const absl::Status status = Commit(committables);
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(hidden[0]));
}

TEST_F(NdjsonFileSinkTest, ARestoredCommitSurvivesTheCrashOfItsAttempt) {
  std::vector<Committable> committables;
  {
    FakeSinkContext context = NewAttempt();
    const Writer writer = NewWriter(context);
    ASSERT_TRUE(writer->Write("1", EventTime()).ok());
    committables = Prepare(*writer);  // The checkpoint completes, and then the process dies.
    ASSERT_TRUE(writer->Write("lost", EventTime()).ok());
  }
  // Another subtask may restore the commit, after this subtask's new attempt has begun to write.
  FakeSinkContext context = NewAttempt();
  const Writer writer = NewWriter(context);
  ASSERT_TRUE(writer->Write("2", EventTime()).ok());
  ASSERT_TRUE(Commit(committables).ok());
  ASSERT_TRUE(Commit(Prepare(*writer)).ok());
  EXPECT_THAT(CommittedLines(), ElementsAre("1", "2"));
}

TEST_F(NdjsonFileSinkTest, RemovesOnlyWhatEarlierAttemptsAtTheSameSubtaskLeftInProgress) {
  const std::string job = ToString(job_).substr(0, 16);
  const std::string other_job = ToString(RandomId<JobId>()).substr(0, 16);
  const std::vector<std::string> kept = {
      StrCat(".part-alerts-0-0123-1.ndjson.", job, ".pending"),
      StrCat(".part-alerts-0-0123-2.ndjson.", other_job, ".inprogress"),
      StrCat(".part-alerts-1-0123-2.ndjson.", job, ".inprogress"),
  };
  for (const std::string& name : kept) folder_.Write(name, "x");
  folder_.Write(StrCat(".part-alerts-0-0123-2.ndjson.", job, ".inprogress"), "x");
  FakeSinkContext context = NewAttempt();
  const Writer writer = NewWriter(context);
  EXPECT_THAT(Files(/*hidden=*/true), ::testing::UnorderedElementsAreArray(kept));
}

TEST_F(NdjsonFileSinkTest, PushesBackWhileTheDiskIsSlowAndWakesTheTaskAfterwards) {
  FakeSinkContext context = NewAttempt();
  const Writer writer = NewWriter(context);
  // The only thread of the pool is busy.
  Mutex mutex;
  mutex.Lock();
  pool_.Post([&mutex] { const MutexLock lock(&mutex); });
  const std::string record(100'000, 'x');
  size_t written = 0;
  for (; writer->Ready() && written < 100; ++written) {
    EXPECT_TRUE(writer->Write(record, EventTime()).ok());
  }
  EXPECT_GE(written, 40U);
  EXPECT_LT(written, 100U);
  mutex.Unlock();
  while (!writer->Ready()) context.task().AwaitWake();
  ASSERT_TRUE(Commit(Prepare(*writer)).ok());
  EXPECT_THAT(CommittedLines(), SizeIs(written));
}

TEST_F(NdjsonFileSinkTest, AnEpochIsPreparedOnAPoolWhoseOnlyThreadPreparesIt) {
  FakeSinkContext context = NewAttempt();
  const Writer writer = NewWriter(context);
  ASSERT_TRUE(writer->Write("1", EventTime()).ok());
  auto prepare = writer->BeginCommit(CheckpointId(1));
  ASSERT_TRUE(prepare.ok());
  absl::Status status;
  {
    IoPool pool("one", 1);
    pool.Post([&] { status = (*prepare)(*context.state_store()).status(); });
  }
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(NdjsonFileSinkTest, AFolderThatVanishesFailsTheTaskAndNamesTheFile) {
  FakeSinkContext context = NewAttempt();
  const Writer writer = NewWriter(context);
  std::filesystem::remove_all(folder_.path());
  ASSERT_TRUE(writer->Write("1", EventTime()).ok());
  // The error is there by now, or is found when the epoch is prepared.
  auto prepare = writer->BeginCommit(CheckpointId(1));
  const absl::Status status =
      prepare.ok() ? (*prepare)(*context.state_store()).status() : prepare.status();
  EXPECT_THAT(std::string(status.message()), HasSubstr(folder_.path()));
  EXPECT_EQ(context.task().failure(), status);
  EXPECT_EQ(writer->BeginCommit(CheckpointId(2)).status(), status);
}

TEST_F(NdjsonFileSinkTest, SaysThatItsFolderCannotBeMade) {
  folder_.Write("file", "");
  FakeSinkContext context = NewAttempt();
  const auto writer =
      NdjsonFileSink<std::string>(NdjsonFileSinkOptions{.folder = folder_.PathOf("file/out")})
          .CreateWriter(context);
  EXPECT_TRUE(absl::IsFailedPrecondition(writer.status())) << writer.status();
  EXPECT_THAT(std::string(writer.status().message()), HasSubstr("file/out"));
}

}  // namespace
}  // namespace weir
