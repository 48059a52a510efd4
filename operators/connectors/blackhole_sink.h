#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operators/api/sink.h"
#include "runtime/metrics/metric_group.h"

namespace weir {

/// Takes records and forgets them: for benchmarks, and for jobs whose output is not wanted yet.
/// num_records() counts them within the process, over all copies, which are the same sink.
template <class T>
class BlackholeSink final : public Sink<T> {
 public:
  BlackholeSink() : num_records_(std::make_shared<std::atomic<uint64_t>>(0)) {}

  /// Returns how many records all subtasks in this process have taken up to their last checkpoint,
  /// flush or end. Threads: any.
  [[nodiscard]] uint64_t num_records() const {
    return num_records_->load(std::memory_order_relaxed);
  }

  [[nodiscard]] absl::StatusOr<std::unique_ptr<SinkWriter<T>>> CreateWriter(
      SinkContext& /*context*/) const override {
    return std::make_unique<Writer>(num_records_);
  }

 private:
  class Writer final : public SinkWriter<T> {
   public:
    explicit Writer(std::shared_ptr<std::atomic<uint64_t>> total) : total_(std::move(total)) {}
    ~Writer() override { Publish(); }

    [[nodiscard]] bool Ready() const override { return true; }
    [[nodiscard]] absl::Status Write(const T& /*record*/, EventTime /*time*/) override {
      ++unpublished_;
      return absl::OkStatus();
    }
    [[nodiscard]] absl::Status Flush() override {
      Publish();
      return absl::OkStatus();
    }
    [[nodiscard]] absl::StatusOr<PrepareCommit> BeginCommit(CheckpointId /*checkpoint*/) override {
      Publish();
      return PrepareCommit([nothing = std::vector<Committable>()](StateFileStore&)
                               -> absl::StatusOr<std::vector<Committable>> { return nothing; });
    }
    void Close() override { Publish(); }

   private:
    // The counter is shared memory: not for each record.
    void Publish() {
      const uint64_t count = std::exchange(unpublished_, 0);
      if (count == 0) return;
      total_->fetch_add(count, std::memory_order_relaxed);
    }

    const std::shared_ptr<std::atomic<uint64_t>> total_;
    uint64_t unpublished_ = 0;
  };

  std::shared_ptr<std::atomic<uint64_t>> num_records_;
};

}  // namespace weir
