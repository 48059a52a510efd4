#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "operators/api/source.h"
#include "runtime/base/strings.h"

namespace weir {

/// A source for benches that costs next to nothing: each subtask makes records
/// make(0), make(1), … make(count - 1), as fast as they are taken. `make` returns the record and
/// its event time and may keep state. Not for restoring: a new attempt starts again.
template <class Make>
class CountingSource final
    : public Source<typename std::invoke_result_t<Make&, int64_t>::first_type> {
 public:
  using Record = typename std::invoke_result_t<Make&, int64_t>::first_type;

  CountingSource(int64_t count, Make make) : count_(count), make_(std::move(make)) {}
  [[nodiscard]] std::unique_ptr<SplitEnumerator> CreateEnumerator() const override {
    return std::make_unique<Enumerator>();
  }
  [[nodiscard]] std::unique_ptr<SourceReader<Record>> CreateReader() const override {
    return std::make_unique<Reader>(count_, make_);
  }

 private:
  class Enumerator final : public SplitEnumerator {
   public:
    absl::Status Start(SplitEnumeratorContext& context, const std::string*) override {
      context_ = &context;
      return absl::OkStatus();
    }
    absl::Status AddReader(uint32_t subtask, const std::vector<std::string>&) override {
      context_->AssignSplits(subtask, {{StrCat("count-", subtask), ""}});
      context_->SignalInitialSplitsAssigned(subtask);
      context_->SignalNoMoreSplits(subtask);
      return absl::OkStatus();
    }
    absl::Status HandleSplitRequest(uint32_t) override { return absl::OkStatus(); }
    absl::StatusOr<std::string> Snapshot(CheckpointId) override { return std::string(); }

   private:
    SplitEnumeratorContext* context_ = nullptr;
  };

  class Reader final : public SourceReader<Record> {
   public:
    Reader(int64_t count, Make make) : count_(count), make_(std::move(make)) {}
    absl::Status Start(SourceReaderContext&) override { return absl::OkStatus(); }
    absl::Status AddSplits(std::vector<SourceSplit> splits) override {
      split_ = splits.front().id;
      return absl::OkStatus();
    }
    void NotifyNoMoreSplits() override { no_more_ = true; }
    absl::StatusOr<ReadStatus> Poll(SourceOutput<Record>& output) override {
      if (split_.empty()) return no_more_ ? ReadStatus::kEnd : ReadStatus::kNothing;
      for (int i = 0; i < 1024 && next_ < count_ && !output.Full(); ++i, ++next_) {
        auto [record, time] = make_(next_);
        output.Collect(std::move(record), time, split_);
      }
      return next_ < count_ ? ReadStatus::kMore : ReadStatus::kEnd;
    }
    std::vector<SourceSplit> Snapshot(CheckpointId) override { return {}; }
    [[nodiscard]] bool IsCaughtUp() const override { return true; }

   private:
    const int64_t count_;
    Make make_;
    int64_t next_ = 0;
    std::string split_;
    bool no_more_ = false;
  };

  int64_t count_;
  Make make_;
};

}  // namespace weir
