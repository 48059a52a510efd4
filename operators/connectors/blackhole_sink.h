#pragma once

#include <memory>
#include <string>
#include <vector>

#include "operators/api/sink.h"

namespace weir {

/// Takes records and drops them. How many came is in the operator's metrics, as for every operator.
template <class T>
class BlackholeSink final : public Sink<T> {
 public:
  [[nodiscard]] absl::StatusOr<std::unique_ptr<SinkWriter<T>>> CreateWriter(
      SinkContext&) const override {
    return std::make_unique<Writer>();
  }

 private:
  class Writer final : public SinkWriter<T> {
   public:
    [[nodiscard]] bool Ready() const override { return true; }
    [[nodiscard]] absl::Status Write(const T&, EventTime) override { return absl::OkStatus(); }
    [[nodiscard]] absl::StatusOr<PrepareCommit> BeginCommit(CheckpointId) override {
      return PrepareCommit(
          [nothing = std::vector<std::string>()]() -> absl::StatusOr<std::vector<std::string>> {
            return nothing;
          });
    }
  };
};

}  // namespace weir
