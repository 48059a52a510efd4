#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operators/api/sink.h"
#include "runtime/base/mutex.h"
#include "runtime/base/strings.h"
#include "runtime/record/serde.h"

namespace weir {

/// A sink into the memory of the test, exactly once: records show when their checkpoint has
/// completed, which the end of a bounded job does. Copies are the same sink. Threads: any may ask.
template <class T>
class CollectSink final : public Sink<T> {
 public:
  CollectSink() : contents_(std::make_shared<Contents>()) {}

  /// Returns everything committed: of each subtask in order, the subtasks one after another.
  [[nodiscard]] std::vector<T> Values() const {
    std::vector<T> values;
    MutexLock lock(&contents_->mutex);
    for (const auto& [place, epoch] : contents_->epochs) {
      values.insert(values.end(), epoch.begin(), epoch.end());
    }
    return values;
  }

  [[nodiscard]] absl::StatusOr<std::unique_ptr<SinkWriter<T>>> CreateWriter(
      SinkContext& context) const override {
    return std::make_unique<Writer>(context.place());
  }
  [[nodiscard]] std::unique_ptr<Committer> CreateCommitter(SinkContext&) const override {
    return std::make_unique<ContentsCommitter>(contents_);
  }

 private:
  struct Place {
    uint32_t subtask = 0;
    uint64_t checkpoint = 0;
    std::string attempt{};  // The last checkpoint of jobs that take none has one number.
    friend auto operator<=>(const Place&, const Place&) = default;
  };
  using Epoch = std::pair<Place, std::vector<T>>;
  struct Contents {
    Mutex mutex;
    // By place, so that committing twice is as good as once.
    std::map<Place, std::vector<T>> epochs ABSL_GUARDED_BY(mutex);
  };

  class Writer final : public SinkWriter<T> {
   public:
    explicit Writer(const OperatorContext::Place& place)
        : place_{place.subtask, 0, ToString(place.attempt)} {}
    [[nodiscard]] bool Ready() const override { return true; }
    [[nodiscard]] absl::Status Write(const T& record, EventTime) override {
      values_.push_back(record);
      return absl::OkStatus();
    }
    [[nodiscard]] absl::StatusOr<PrepareCommit> BeginCommit(CheckpointId checkpoint) override {
      place_.checkpoint = checkpoint.value();
      return PrepareCommit([epoch = Epoch(place_, std::exchange(values_, {}))](
                               StateFileStore&) -> absl::StatusOr<std::vector<Committable>> {
        if (epoch.second.empty()) return std::vector<Committable>();
        return std::vector<Committable>{{ToBytes(epoch), {}}};
      });
    }

   private:
    Place place_;
    std::vector<T> values_;
  };

  class ContentsCommitter final : public Committer {
   public:
    explicit ContentsCommitter(std::shared_ptr<Contents> contents)
        : contents_(std::move(contents)) {}
    [[nodiscard]] absl::Status Commit(const std::vector<Committable>& committables) override {
      for (const auto& [bytes, files] : committables) {
        Epoch epoch;
        if (!FromBytes(bytes, epoch)) {
          return absl::DataLossError("a committable of a collect sink is damaged");
        }
        MutexLock lock(&contents_->mutex);
        contents_->epochs[epoch.first] = std::move(epoch.second);
      }
      return absl::OkStatus();
    }

   private:
    const std::shared_ptr<Contents> contents_;
  };

  std::shared_ptr<Contents> contents_;
};

}  // namespace weir
