// What the source and sink interfaces promise to those who implement them, on whole jobs: splits
// are read once whatever the parallelism of each attempt; committers get every committable; bounded
// input ends the job with everything fired and committed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "operators/api/stream_environment.h"
#include "operators/connectors/deserializing_source.h"
#include "operators/connectors/file/file_source.h"
#include "operators/connectors/file/ndjson_file_sink.h"
#include "operators/testing/collect_sink.h"
#include "operators/testing/mini_cluster.h"
#include "runtime/base/mutex.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "tests/support/memory_connectors.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

using ::testing::SizeIs;

// A hundred ranges of numbers, given out one by one to readers that ask.
class RangesSource final : public Source<int64_t> {
 public:
  static constexpr int64_t kNumSplits = 100;
  static constexpr int64_t kSplitSize = 40;

  [[nodiscard]] std::unique_ptr<SplitEnumerator> CreateEnumerator() const override {
    return std::make_unique<Enumerator>();
  }
  [[nodiscard]] std::unique_ptr<SourceReader<int64_t>> CreateReader() const override {
    return std::make_unique<Reader>();
  }

 private:
  class Enumerator final : public SplitEnumerator {
   public:
    absl::Status Start(SplitEnumeratorContext& context, const std::string* restored) override {
      context_ = &context;
      if (restored == nullptr) {
        for (int64_t split = 0; split < kNumSplits; ++split) unassigned_.push_back(split);
      } else if (!FromBytes(*restored, unassigned_)) {
        return absl::DataLossError("damaged");
      }
      return absl::OkStatus();
    }
    absl::Status AddReader(uint32_t subtask, const std::vector<std::string>&) override {
      return HandleSplitRequest(subtask);
    }
    absl::Status HandleSplitRequest(uint32_t subtask) override {
      if (unassigned_.empty()) {
        context_->SignalNoMoreSplits(subtask);
        return absl::OkStatus();
      }
      const int64_t split = unassigned_.front();
      unassigned_.pop_front();
      context_->AssignSplits(subtask, {{StrCat(split), ToBytes(split * kSplitSize)}});
      return absl::OkStatus();
    }
    absl::StatusOr<std::string> Snapshot(CheckpointId) override { return ToBytes(unassigned_); }

   private:
    SplitEnumeratorContext* context_ = nullptr;
    std::deque<int64_t> unassigned_;
  };

  class Reader final : public SourceReader<int64_t> {
   public:
    absl::Status Start(SourceReaderContext& context) override {
      context_ = &context;
      return absl::OkStatus();
    }
    absl::Status AddSplits(std::vector<SourceSplit> splits) override {
      for (const SourceSplit& split : splits) {
        int64_t next = 0;
        if (!FromBytes(split.bytes, next)) return absl::DataLossError("damaged");
        splits_.emplace_back(split.id, next);
      }
      asked_ = false;
      context_->handle()->Wake();
      return absl::OkStatus();
    }
    void NotifyNoMoreSplits() override {
      no_more_ = true;
      context_->handle()->Wake();
    }
    absl::StatusOr<ReadStatus> Poll(SourceOutput<int64_t>& output) override {
      if (splits_.empty()) {
        if (no_more_) return ReadStatus::kEnd;
        if (!std::exchange(asked_, true)) context_->RequestSplit();
        return ReadStatus::kNothing;
      }
      // A few records a millisecond, so that checkpoints come in between.
      const absl::Time now = context_->clock()->Now();
      if (now < next_poll_) {
        context_->handle()->WakeAt(next_poll_);
        return ReadStatus::kNothing;
      }
      next_poll_ = now + absl::Milliseconds(1);
      auto& [id, next] = splits_.front();
      for (int i = 0; i < 15; ++i) {
        output.Collect(next, EventTime::Min(), id);
        if (++next % kSplitSize == 0) {
          output.SplitFinished(id);
          splits_.pop_front();
          break;
        }
      }
      return ReadStatus::kMore;
    }
    std::vector<SourceSplit> Snapshot(CheckpointId) override {
      std::vector<SourceSplit> splits;
      for (const auto& [id, next] : splits_) splits.push_back({id, ToBytes(next)});
      return splits;
    }
    [[nodiscard]] bool IsCaughtUp() const override { return splits_.empty(); }

   private:
    SourceReaderContext* context_ = nullptr;
    std::deque<std::pair<std::string, int64_t>> splits_;  // Id and next number.
    bool asked_ = true;                                   // Registering counts as asking.
    bool no_more_ = false;
    absl::Time next_poll_ = absl::InfinitePast();
  };
};

TEST(SourceSinkContractTest, EachSplitIsReadOnceWhileReadersComeAndGo) {
  const CollectSink<int64_t> sink;
  const auto build = [&](StreamEnvironment& environment) {
    environment.FromSource(RangesSource(), WatermarkStrategy<int64_t>::NoWatermarks(), "ranges")
        .Uid("ranges")
        .SinkTo(sink)
        .Uid("sink");
    return absl::OkStatus();
  };
  std::vector<std::unique_ptr<MiniCluster>> clusters;  // Checkpoints lie in their folders.
  std::optional<LocalCheckpoint> checkpoint;
  for (const uint32_t parallelism : {3U, 1U, 5U, 2U}) {
    MiniClusterOptions options;
    options.parallelism = parallelism;
    clusters.push_back(std::make_unique<MiniCluster>(options));
    auto job = clusters.back()->Submit(build, checkpoint.has_value() ? &*checkpoint : nullptr);
    ASSERT_EQ(job.status(), absl::OkStatus());
    if (clusters.size() == 4) {
      ASSERT_EQ((*job)->WaitUntilFinished(), absl::OkStatus());
      break;
    }
    // Two checkpoints, of which the second is not told of: its records must be committed later.
    ASSERT_EQ((*job)->TriggerCheckpoint().status(), absl::OkStatus());
    auto last = (*job)->TriggerCheckpoint(/*notify=*/clusters.size() % 2 == 0);
    ASSERT_EQ(last.status(), absl::OkStatus());
    checkpoint = *std::move(last);
    (*job)->Kill();
  }
  std::vector<int64_t> numbers = sink.Values();
  std::sort(numbers.begin(), numbers.end());
  ASSERT_THAT(numbers, SizeIs(RangesSource::kNumSplits * RangesSource::kSplitSize));
  for (size_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(numbers[i], static_cast<int64_t>(i));
}

// Prepares one committable an epoch, the numbers of it, and notes what is committed how often.
class NotingSink final : public Sink<int64_t> {
 public:
  struct Notes {
    Mutex mutex;
    std::map<std::string, int> commits ABSL_GUARDED_BY(mutex);
  };
  explicit NotingSink(std::shared_ptr<Notes> notes) : notes_(std::move(notes)) {}

  [[nodiscard]] absl::StatusOr<std::unique_ptr<SinkWriter<int64_t>>> CreateWriter(
      SinkContext&) const override {
    return std::make_unique<Writer>();
  }
  [[nodiscard]] std::unique_ptr<Committer> CreateCommitter(SinkContext&) const override {
    return std::make_unique<NotingCommitter>(notes_);
  }

 private:
  class Writer final : public SinkWriter<int64_t> {
   public:
    [[nodiscard]] bool Ready() const override { return true; }
    absl::Status Write(const int64_t& number, EventTime) override {
      StrAppend(&numbers_, number, " ");
      return absl::OkStatus();
    }
    absl::StatusOr<PrepareCommit> BeginCommit(CheckpointId) override {
      return PrepareCommit([numbers = std::exchange(numbers_, {})](
                               StateFileStore&) -> absl::StatusOr<std::vector<Committable>> {
        if (numbers.empty()) return std::vector<Committable>();
        return std::vector<Committable>{{numbers, {}}};
      });
    }

   private:
    std::string numbers_;
  };
  class NotingCommitter final : public Committer {
   public:
    explicit NotingCommitter(std::shared_ptr<Notes> notes) : notes_(std::move(notes)) {}
    absl::Status Commit(const std::vector<Committable>& committables) override {
      const MutexLock lock(&notes_->mutex);
      for (const Committable& committable : committables) ++notes_->commits[committable.bytes];
      return absl::OkStatus();
    }

   private:
    const std::shared_ptr<Notes> notes_;
  };

  std::shared_ptr<Notes> notes_;
};

TEST(SourceSinkContractTest, ACommitterSeesEachCommittableOnceAlsoAfterACrashBeforeTheCommit) {
  std::vector<int64_t> numbers;
  for (int64_t n = 0; n < 3000; ++n) numbers.push_back(n);
  const auto notes = std::make_shared<NotingSink::Notes>();
  const auto build = [&](StreamEnvironment& environment) {
    environment
        .FromSource(MemorySource<int64_t>(numbers, 50, /*rate_limited=*/true),
                    WatermarkStrategy<int64_t>::NoWatermarks(), "numbers")
        .SinkTo(NotingSink(notes));
    return absl::OkStatus();
  };
  MiniCluster cluster({.parallelism = 1});
  auto job = cluster.Submit(build);
  ASSERT_EQ(job.status(), absl::OkStatus());
  // Prepared, in the checkpoints, and then the job dies before anyone is told that they are
  // complete.
  ASSERT_EQ((*job)->TriggerCheckpoint(/*notify=*/false).status(), absl::OkStatus());
  const auto prepared = (*job)->TriggerCheckpoint(/*notify=*/false);
  ASSERT_EQ(prepared.status(), absl::OkStatus());
  (*job)->Kill();
  auto again = cluster.Submit(build, &*prepared);
  ASSERT_EQ(again.status(), absl::OkStatus());
  ASSERT_EQ((*again)->TriggerCheckpoint().status(), absl::OkStatus());
  ASSERT_EQ((*again)->TriggerCheckpoint().status(), absl::OkStatus());
  ASSERT_EQ((*again)->WaitUntilFinished(), absl::OkStatus());

  std::multiset<std::string> committed;
  const MutexLock lock(&notes->mutex);
  for (const auto& [committable, times] : notes->commits) {
    EXPECT_EQ(times, 1) << committable;
    for (const std::string_view number : StrSplit(committable, ' ')) {
      if (!number.empty()) committed.insert(std::string(number));
    }
  }
  EXPECT_EQ(committed.size(), 3000u);
  for (const int64_t n : numbers) EXPECT_EQ(committed.count(StrCat(n)), 1u) << n;
}

// Prepares a file an epoch, in the checkpoint's store.
class StoringSink final : public Sink<int64_t> {
 public:
  struct Notes {
    Mutex mutex;
    std::vector<std::string> predecessors ABSL_GUARDED_BY(mutex);
    std::multiset<int64_t> committed ABSL_GUARDED_BY(mutex);
    std::vector<std::string> problems ABSL_GUARDED_BY(mutex);
  };
  explicit StoringSink(std::shared_ptr<Notes> notes) : notes_(std::move(notes)) {}

  [[nodiscard]] absl::StatusOr<std::unique_ptr<SinkWriter<int64_t>>> CreateWriter(
      SinkContext& context) const override {
    return std::make_unique<Writer>(context.place());
  }
  [[nodiscard]] std::unique_ptr<Committer> CreateCommitter(SinkContext& context) const override {
    return std::make_unique<FetchingCommitter>(notes_, context);
  }

 private:
  using Epoch = std::pair<uint64_t, std::vector<int64_t>>;  // Checkpoint and numbers.

  class Writer final : public SinkWriter<int64_t> {
   public:
    explicit Writer(const OperatorContext::Place& place) : place_(place) {}
    [[nodiscard]] bool Ready() const override { return true; }
    absl::Status Write(const int64_t& number, EventTime) override {
      numbers_.push_back(number);
      return absl::OkStatus();
    }
    absl::StatusOr<PrepareCommit> BeginCommit(CheckpointId checkpoint) override {
      return PrepareCommit([path = StrCat(place_.local_dir, "/epoch-", checkpoint.value()),
                            subtask = place_.subtask,
                            epoch = Epoch(checkpoint.value(), std::exchange(numbers_, {}))](
                               StateFileStore& store) -> absl::StatusOr<std::vector<Committable>> {
        std::filesystem::create_directories(std::filesystem::path(path).parent_path());
        std::ofstream(path, std::ios::binary) << ToBytes(epoch);
        ASSIGN_OR_RETURN(StoredFile file, store.Store(path, "epoch"));
        std::filesystem::remove(path);
        return std::vector<Committable>{{StrCat(subtask, " ", epoch.first), {std::move(file)}}};
      });
    }

   private:
    const OperatorContext::Place place_;
    std::vector<int64_t> numbers_;
  };
  class FetchingCommitter final : public Committer {
   public:
    FetchingCommitter(std::shared_ptr<Notes> notes, SinkContext& context)
        : notes_(std::move(notes)), place_(context.place()), store_(context.state_store()) {}
    [[nodiscard]] std::string Identity() const override { return StrCat(place_.subtask); }
    absl::Status Open(bool, const std::vector<std::string>& predecessors) override {
      const MutexLock lock(&notes_->mutex);
      notes_->predecessors.insert(notes_->predecessors.end(), predecessors.begin(),
                                  predecessors.end());
      return absl::OkStatus();
    }
    absl::Status Commit(const std::vector<Committable>& committables) override {
      for (const Committable& committable : committables) {
        const std::string path = StrCat(place_.local_dir, "/fetched");
        std::filesystem::create_directories(place_.local_dir);
        RETURN_IF_ERROR(store_->Fetch(committable.files.at(0), path));
        std::ifstream file(path, std::ios::binary);
        const std::string bytes(std::istreambuf_iterator<char>(file), {});
        std::filesystem::remove(path);
        Epoch epoch;
        if (!FromBytes(bytes, epoch)) return absl::DataLossError("damaged");
        const MutexLock lock(&notes_->mutex);
        uint64_t& last = last_checkpoint_[committable.bytes.substr(0, 1)];
        if (epoch.first <= last) notes_->problems.push_back(committable.bytes);
        last = epoch.first;
        notes_->committed.insert(epoch.second.begin(), epoch.second.end());
      }
      return absl::OkStatus();
    }

   private:
    const std::shared_ptr<Notes> notes_;
    const OperatorContext::Place place_;
    const std::shared_ptr<StateFileStore> store_;
    std::map<std::string, uint64_t> last_checkpoint_;  // By the subtask that prepared.
  };

  std::shared_ptr<Notes> notes_;
};

TEST(SourceSinkContractTest, FilesOfCommittablesAreInTheCheckpointAndReachTheCommitterOfAnyJob) {
  std::vector<int64_t> numbers;
  for (int64_t n = 0; n < 3000; ++n) numbers.push_back(n);
  const auto notes = std::make_shared<StoringSink::Notes>();
  const auto build = [&](StreamEnvironment& environment) {
    environment
        .FromSource(MemorySource<int64_t>(numbers, 50, /*rate_limited=*/true),
                    WatermarkStrategy<int64_t>::NoWatermarks(), "numbers")
        .Rebalance()
        .SinkTo(StoringSink(notes))
        .Uid("stored");
    return absl::OkStatus();
  };
  MiniCluster three({.parallelism = 3});
  auto job = three.Submit(build);
  ASSERT_EQ(job.status(), absl::OkStatus());
  ASSERT_EQ((*job)->TriggerCheckpoint(/*notify=*/false).status(), absl::OkStatus());
  const auto prepared = (*job)->TriggerCheckpoint(/*notify=*/false);
  ASSERT_EQ(prepared.status(), absl::OkStatus());
  (*job)->Kill();
  size_t num_files = 0;
  for (const auto& [place, state] : prepared->states) {
    for (const StoredFile& file : state.files) {
      EXPECT_TRUE(std::filesystem::exists(file.path)) << file.path;
      ++num_files;
    }
  }
  EXPECT_EQ(num_files, 6u);  // Two epochs of three subtasks.

  // With two subtasks, both epochs of each old one go to one committer, in order.
  MiniCluster two({.parallelism = 2});
  auto again = two.Submit(build, &*prepared);
  ASSERT_EQ(again.status(), absl::OkStatus());
  ASSERT_EQ((*again)->WaitUntilFinished(), absl::OkStatus());
  const MutexLock lock(&notes->mutex);
  EXPECT_THAT(notes->predecessors, ::testing::UnorderedElementsAre("0", "1", "2"));
  EXPECT_THAT(notes->problems, ::testing::IsEmpty());
  EXPECT_EQ(notes->committed, std::multiset<int64_t>(numbers.begin(), numbers.end()));
}

struct Reading {
  EventTime time;
  int64_t value = 0;
};

absl::StatusOr<Reading> ParseReading(const std::string& line) {
  const size_t space = line.find(' ');
  return Reading{EventTime::FromMillis(std::stoll(line)), std::stoll(line.substr(space + 1))};
}

// The sum of each second, emitted when event time has passed it.
struct SecondSums final : KeyedProcessFunction<int64_t, Reading, std::string> {
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(sum, context.GetState(ValueStateDescriptor<int64_t>("sum")));
    return absl::OkStatus();
  }
  void ProcessElement(const Reading& reading, Context& context, Collector<std::string>&) override {
    sum.Set((sum.Get() == nullptr ? 0 : *sum.Get()) + reading.value);
    context.timer_service().RegisterEventTimeTimer(
        EventTime::FromMillis(context.current_key() * 1000 + 999));
  }
  void OnTimer(TimerKind, Context& context, Collector<std::string>& out) override {
    out.Collect(StrCat(context.current_key(), ":", *sum.Get()));
    sum.Clear();
  }
  ValueState<int64_t> sum;
};

TEST(SourceSinkContractTest, BoundedInputEndsTheJobWithAllTimersFiredAndTheLastPartCommitted) {
  TemporaryFolder folder;
  std::mt19937 random(4);
  std::map<int64_t, int64_t> sums;
  for (int file = 0; file < 10; ++file) {
    std::string text;
    for (int i = 0; i < 500; ++i) {
      const int64_t millis = static_cast<int64_t>(random() % 60'000);
      const auto value = static_cast<int64_t>(random() % 100);
      StrAppend(&text, millis, " ", value, "\n");
      sums[millis / 1000] += value;
    }
    folder.Write(StrCat("in/readings-", file, ".log"), text);
  }
  MiniCluster cluster({.parallelism = 2});
  ASSERT_EQ(cluster.Execute([&](StreamEnvironment& environment) {
    environment
        .FromSource(DeserializingSource(FileSource({.path = folder.PathOf("in")}), ParseReading,
                                        OnMalformed::kFail),
                    WatermarkStrategy<Reading>::BoundedOutOfOrderness(absl::Minutes(1))
                        .WithTimestamps([](const Reading& reading) { return reading.time; }),
                    "readings")
        .KeyBy([](const Reading& reading) { return reading.time.millis() / 1000; })
        .Process(SecondSums{})
        .SinkTo(NdjsonFileSink<std::string>({.folder = folder.PathOf("out")}));
    return absl::OkStatus();
  }),
            absl::OkStatus());
  std::set<std::string> expected;
  for (const auto& [second, sum] : sums) expected.insert(StrCat(second, ":", sum));
  std::multiset<std::string> lines;
  for (const auto& entry : std::filesystem::directory_iterator(folder.PathOf("out"))) {
    if (entry.path().filename().string().starts_with('.')) continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) lines.insert(line);
  }
  EXPECT_EQ(lines, std::multiset<std::string>(expected.begin(), expected.end()));
}

}  // namespace
}  // namespace weir
