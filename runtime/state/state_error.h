#pragma once

#include <stdexcept>
#include <string>

#include "absl/status/status.h"

namespace weir {

/// Says that state could not be read from or written to the local disk.
///
/// Thrown by look-ups of keyed state, which return a pointer and can say it in no other way; caught
/// where user code's exceptions are, so that it fails the task, and never the process.
class StateError final : public std::runtime_error {
 public:
  explicit StateError(absl::Status status)
      : std::runtime_error(std::string(status.message())), status_(std::move(status)) {}
  [[nodiscard]] const absl::Status& status() const { return status_; }

 private:
  absl::Status status_;
};

}  // namespace weir
