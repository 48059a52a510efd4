#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "operators/api/sink.h"
#include "operators/api/source.h"
#include "runtime/base/strings.h"
#include "runtime/record/serde.h"

namespace weir {

/// A bounded source of records given in the test, one split per `splits` consecutive shares. With
/// `rate_limited` it gives a poll's worth a millisecond, so that a test can take checkpoints on the
/// way.
template <class T>
class MemorySource final : public Source<T> {
 public:
  explicit MemorySource(std::vector<T> records, size_t records_per_poll = 64,
                        bool rate_limited = false, bool endless = false)
      : records_(std::make_shared<const std::vector<T>>(std::move(records))),
        records_per_poll_(records_per_poll),
        rate_limited_(rate_limited),
        endless_(endless) {}

  [[nodiscard]] std::unique_ptr<SplitEnumerator> CreateEnumerator() const override {
    return std::make_unique<Enumerator>();
  }
  [[nodiscard]] std::unique_ptr<SourceReader<T>> CreateReader() const override {
    return std::make_unique<Reader>(*this);
  }

 private:
  // One split, for the first reader that asks.
  class Enumerator final : public SplitEnumerator {
   public:
    absl::Status Start(SplitEnumeratorContext& context, const std::string* restored) override {
      context_ = &context;
      assigned_ = restored != nullptr && *restored == "assigned";
      return absl::OkStatus();
    }
    absl::Status AddReader(uint32_t subtask, const std::vector<std::string>&) override {
      if (!std::exchange(assigned_, true))
        context_->AssignSplits(subtask, {{"all", ToBytes(uint64_t{0})}});
      context_->SignalInitialSplitsAssigned(subtask);
      context_->SignalNoMoreSplits(subtask);
      return absl::OkStatus();
    }
    absl::Status HandleSplitRequest(uint32_t) override { return absl::OkStatus(); }
    absl::StatusOr<std::string> Snapshot(CheckpointId) override {
      return std::string(assigned_ ? "assigned" : "");
    }

   private:
    SplitEnumeratorContext* context_ = nullptr;
    bool assigned_ = false;
  };

  class Reader final : public SourceReader<T> {
   public:
    explicit Reader(const MemorySource& source) : source_(source) {}
    absl::Status Start(SourceReaderContext& context) override {
      context_ = &context;
      return absl::OkStatus();
    }
    absl::Status AddSplits(std::vector<SourceSplit> splits) override {
      has_split_ = true;
      if (!FromBytes(splits.front().bytes, next_)) return absl::DataLossError("bad split");
      context_->handle()->Wake();
      return absl::OkStatus();
    }
    void NotifyNoMoreSplits() override {
      no_more_ = true;
      context_->handle()->Wake();
    }
    absl::StatusOr<ReadStatus> Poll(SourceOutput<T>& output) override {
      const uint64_t size = source_.records_->size();
      if (!has_split_ || next_ == size) {
        return no_more_ && !source_.endless_ ? ReadStatus::kEnd : ReadStatus::kNothing;
      }
      if (source_.rate_limited_) {
        const absl::Time now = context_->clock()->Now();
        if (now < next_poll_) {
          context_->handle()->WakeAt(next_poll_);
          return ReadStatus::kNothing;
        }
        next_poll_ = now + absl::Milliseconds(1);
      }
      const uint64_t end = std::min(size, next_ + source_.records_per_poll_);
      while (next_ < end && !output.Full())
        output.Collect((*source_.records_)[next_++], EventTime::Min(), "all");
      return ReadStatus::kMore;
    }
    std::vector<SourceSplit> Snapshot(CheckpointId) override {
      if (!has_split_) return {};
      return {{"all", ToBytes(next_)}};
    }
    [[nodiscard]] bool IsCaughtUp() const override {
      return !has_split_ || next_ == source_.records_->size();
    }

   private:
    const MemorySource source_;
    SourceReaderContext* context_ = nullptr;
    bool has_split_ = false;
    bool no_more_ = false;
    uint64_t next_ = 0;
    absl::Time next_poll_ = absl::InfinitePast();
  };

  std::shared_ptr<const std::vector<T>> records_;
  size_t records_per_poll_;
  bool rate_limited_;
  bool endless_;
};

/// What MemorySinks have committed. Threads: any.
template <class T>
class MemorySinkContents {
 public:
  [[nodiscard]] std::multiset<T> Committed() const {
    std::lock_guard<std::mutex> lock(mutex_);
    std::multiset<T> all;
    for (const auto& [epoch, records] : epochs_) all.insert(records.begin(), records.end());
    return all;
  }
  void Commit(const std::string& epoch, std::vector<T> records) {
    std::lock_guard<std::mutex> lock(mutex_);
    epochs_[epoch] = std::move(records);
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::vector<T>>
      epochs_;  // By name, so that committing twice is as good as once.
};

/// An exactly-once sink into memory: records become visible when their checkpoint has completed.
template <class T>
class MemorySink final : public Sink<T> {
 public:
  explicit MemorySink(std::shared_ptr<MemorySinkContents<T>> contents, bool stalled = false)
      : contents_(std::move(contents)), stalled_(stalled) {}

  [[nodiscard]] absl::StatusOr<std::unique_ptr<SinkWriter<T>>> CreateWriter(
      SinkContext& context) const override {
    return std::make_unique<Writer>(context.place(), stalled_);
  }
  [[nodiscard]] std::unique_ptr<Committer> CreateCommitter(SinkContext&) const override {
    return std::make_unique<ContentsCommitter>(contents_);
  }

 private:
  using Epoch = std::pair<std::string, std::vector<T>>;

  class Writer final : public SinkWriter<T> {
   public:
    Writer(const OperatorContext::Place& place, bool stalled)
        : name_(StrCat(ToString(place.attempt), "-", place.subtask)), stalled_(stalled) {}
    [[nodiscard]] bool Ready() const override { return !stalled_; }
    absl::Status Write(const T& record, EventTime) override {
      records_.push_back(record);
      return absl::OkStatus();
    }
    absl::StatusOr<PrepareCommit> BeginCommit(CheckpointId checkpoint) override {
      return PrepareCommit(
          [epoch = Epoch(StrCat(name_, "-", checkpoint.value()), std::exchange(records_, {}))](
              StateFileStore&) -> absl::StatusOr<std::vector<Committable>> {
            if (epoch.second.empty()) return std::vector<Committable>();
            return std::vector<Committable>{{ToBytes(epoch), {}}};
          });
    }

   private:
    const std::string name_;
    const bool stalled_;
    std::vector<T> records_;
  };

  class ContentsCommitter final : public Committer {
   public:
    explicit ContentsCommitter(std::shared_ptr<MemorySinkContents<T>> contents)
        : contents_(std::move(contents)) {}
    absl::Status Commit(const std::vector<Committable>& committables) override {
      for (const auto& [bytes, files] : committables) {
        Epoch epoch;
        if (!FromBytes(bytes, epoch)) return absl::DataLossError("bad committable");
        contents_->Commit(epoch.first, std::move(epoch.second));
      }
      return absl::OkStatus();
    }

   private:
    std::shared_ptr<MemorySinkContents<T>> contents_;
  };

  std::shared_ptr<MemorySinkContents<T>> contents_;
  bool stalled_;
};

}  // namespace weir
