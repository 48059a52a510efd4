#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "jobs/nexmark/generator.h"
#include "jobs/nexmark/nexmark_source.h"
#include "jobs/nexmark/row_json.h"
#include "operators/api/sink.h"
#include "operators/api/stream_environment.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/record/key_codec.h"  // XXH3
#include "runtime/record/serde.h"
#include "tests/support/local_job.h"
#include "tests/support/temporary_folder.h"

namespace weir::nexmark {

/// How many events the queries are checked on: a million, fewer where the build is slow.
#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
inline constexpr int64_t kTestEvents = 1'000'000;
#else
inline constexpr int64_t kTestEvents = 100'000;
#endif

/// What stands for a row where only its equality matters: saves keeping millions of them.
inline uint64_t HashOf(uint64_t hash) { return hash; }
template <class Row>
uint64_t HashOf(const Row& row) {
  const std::string bytes = ToBytes(row);
  return XXH3_64bits(bytes.data(), bytes.size());
}

/// Rows in the order in which they were committed. Rows of one subtask keep their order. Threads:
/// any.
template <class Row>
class RowLog {
 public:
  void Commit(const std::string& epoch, const std::vector<Row>& rows) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!epochs_.insert(epoch).second) return;  // Committing twice must be as good as once.
    rows_.insert(rows_.end(), rows.begin(), rows.end());
  }
  [[nodiscard]] std::vector<Row> Take() {
    std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(rows_, {});
  }

 private:
  std::mutex mutex_;
  std::set<std::string> epochs_;
  std::vector<Row> rows_;
};

/// An exactly-once sink into a RowLog. Keeps rows, or hashes of them (Kept = uint64_t).
template <class Row, class Kept>
class RowLogSink final : public Sink<Row> {
 public:
  explicit RowLogSink(std::shared_ptr<RowLog<Kept>> log) : log_(std::move(log)) {}

  absl::StatusOr<std::unique_ptr<SinkWriter<Row>>> CreateWriter(
      SinkContext& context) const override {
    return std::make_unique<Writer>(context.place());
  }
  [[nodiscard]] std::unique_ptr<Committer> CreateCommitter(SinkContext&) const override {
    return std::make_unique<LogCommitter>(log_);
  }

 private:
  using Epoch = std::pair<std::string, std::vector<Kept>>;

  class Writer final : public SinkWriter<Row> {
   public:
    explicit Writer(const OperatorContext::Place& place)
        : name_(StrCat(ToString(place.attempt), "-", place.subtask)) {}
    [[nodiscard]] bool Ready() const override { return true; }
    absl::Status Write(const Row& row, EventTime) override {
      if constexpr (std::is_same_v<Row, Kept>) {
        rows_.push_back(row);
      } else {
        rows_.push_back(HashOf(row));
      }
      return absl::OkStatus();
    }
    absl::StatusOr<PrepareCommit> BeginCommit(CheckpointId checkpoint) override {
      return PrepareCommit(
          [epoch = Epoch(StrCat(name_, "-", checkpoint.value()), std::exchange(rows_, {}))](
              StateFileStore&) -> absl::StatusOr<std::vector<Committable>> {
            if (epoch.second.empty()) return std::vector<Committable>();
            return std::vector<Committable>{{ToBytes(epoch), {}}};
          });
    }

   private:
    const std::string name_;
    std::vector<Kept> rows_;
  };

  class LogCommitter final : public Committer {
   public:
    explicit LogCommitter(std::shared_ptr<RowLog<Kept>> log) : log_(std::move(log)) {}
    absl::Status Commit(const std::vector<Committable>& committables) override {
      for (const auto& [bytes, files] : committables) {
        Epoch epoch;
        if (!FromBytes(bytes, epoch)) return absl::DataLossError("bad committable");
        log_->Commit(epoch.first, epoch.second);
      }
      return absl::OkStatus();
    }

   private:
    std::shared_ptr<RowLog<Kept>> log_;
  };

  std::shared_ptr<RowLog<Kept>> log_;
};

/// What a query is checked on: two generators, at a rate at which ten-second windows matter.
inline NexmarkSourceOptions TestSource(double rate = 10'000, int64_t events = kTestEvents) {
  NexmarkSourceOptions options;
  options.generator.events = events;
  options.generator.rate = rate;
  options.generators = 2;
  return options;
}

/// The same events, in the order of each generator.
inline std::vector<Event> EventsOf(const NexmarkSourceOptions& options) {
  std::vector<Event> events;
  for (const GeneratorRange& range : SplitEvents(options.generator, options.generators)) {
    Generator generator(options.generator, range);
    while (!generator.AtEnd()) {
      EventTime time;
      events.push_back(generator.Next(&time));
    }
  }
  return events;
}

/// Runs a query at parallelism 2 and returns its rows. With `interrupt`, the job is killed after a
/// checkpoint in its middle and goes on from there, at parallelism 3.
template <class Row, class Kept = Row>
std::vector<Kept> RunQuery(const std::function<DataStream<Row>(const DataStream<Event>&)>& query,
                           NexmarkSourceOptions source, bool interrupt = false) {
  auto log = std::make_shared<RowLog<Kept>>();
  const auto graph = [&] {
    auto built = BuildTestGraph(
        [&](StreamGraph& stream_graph, const JobArgs&) {
          StreamEnvironment environment(&stream_graph);
          query(environment.FromSource(NexmarkSource(source), NexmarkWatermarks(), "Nexmark")
                    .Uid("nexmark-source"))
              .Uid("query")
              .SinkTo(RowLogSink<Row, Kept>(log))
              .Uid("rows");
          return absl::OkStatus();
        },
        {});
    EXPECT_TRUE(built.ok()) << built.status();
    return *std::move(built);
  };
  const TemporaryFolder checkpoints;
  LocalJobOptions options;
  options.parallelism = 2;
  options.directory = checkpoints.path();
  if (!interrupt) {
    LocalJob job(graph(), options);
    EXPECT_TRUE(job.Start().ok());
    const absl::Status finished = job.WaitUntilFinished();
    EXPECT_TRUE(finished.ok()) << finished;
    return log->Take();
  }
  LocalCheckpoint checkpoint;
  {
    LocalJob job(graph(), options);
    EXPECT_TRUE(job.Start().ok());
    EXPECT_TRUE(job.WaitUntilRunning().ok());
    for (int i = 0; i < 3; ++i) {
      auto taken = job.TriggerCheckpoint();
      EXPECT_TRUE(taken.ok()) << taken.status();
      checkpoint = *std::move(taken);
    }
    job.Kill();
  }
  options.parallelism = 3;
  LocalJob job(graph(), options);
  EXPECT_TRUE(job.Start(&checkpoint).ok());
  const absl::Status finished = job.WaitUntilFinished();
  EXPECT_TRUE(finished.ok()) << finished;
  return log->Take();
}

/// Runs a query whose rows replace earlier ones of their key; returns the last of each key.
template <class Row, class KeyFn>
std::vector<Row> RunUpsertQuery(
    const std::function<DataStream<Row>(const DataStream<Event>&)>& query,
    const NexmarkSourceOptions& source, KeyFn key_of, bool interrupt = false) {
  std::map<decltype(key_of(Row())), Row> last;
  for (Row& row : RunQuery<Row>(query, source, interrupt)) {
    auto key = key_of(row);
    last.insert_or_assign(std::move(key), std::move(row));
  }
  std::vector<Row> rows;
  for (auto& [key, row] : last) rows.push_back(std::move(row));
  return rows;
}

/// Says how two lists of rows differ, whatever their order; "" if they do not. `Actual` is Row or
/// its hash.
template <class Actual, class Row>
std::string Difference(const std::vector<Actual>& actual, const std::vector<Row>& expected) {
  using Hashed = std::pair<uint64_t, size_t>;  // And the row's index.
  const auto sorted = [](const auto& rows) {
    std::vector<Hashed> hashed;
    hashed.reserve(rows.size());
    for (size_t i = 0; i < rows.size(); ++i) hashed.emplace_back(HashOf(rows[i]), i);
    std::sort(hashed.begin(), hashed.end());
    return hashed;
  };
  const std::vector<Hashed> a = sorted(actual);
  const std::vector<Hashed> b = sorted(expected);
  const auto by_hash = [](const Hashed& x, const Hashed& y) { return x.first < y.first; };
  std::vector<Hashed> wrong;
  std::vector<Hashed> missing;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(wrong), by_hash);
  std::set_difference(b.begin(), b.end(), a.begin(), a.end(), std::back_inserter(missing), by_hash);
  if (wrong.empty() && missing.empty()) return "";
  std::string text = StrCat("rows=", a.size(), " expected=", b.size(), " wrong=", wrong.size(),
                            " missing=", missing.size());
  constexpr size_t kShown = 5;
  if constexpr (std::is_same_v<Actual, Row>) {
    for (size_t i = 0; i < std::min(wrong.size(), kShown); ++i) {
      AppendRowJson(actual[wrong[i].second], &text.append("\nwrong: "));
    }
  }
  for (size_t i = 0; i < std::min(missing.size(), kShown); ++i) {
    AppendRowJson(expected[missing[i].second], &text.append("\nmissing: "));
  }
  return text;
}

}  // namespace weir::nexmark
