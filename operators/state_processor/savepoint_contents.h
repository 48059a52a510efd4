#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/config.h"
#include "runtime/state/keyed_state_backend.h"
#include "runtime/state/operator_state.h"
#include "runtime/state/state_handle.h"

namespace weir {

struct StateProcessorOptions {
  /// Of operators that a savepoint does not have yet: the number of their key groups.
  uint32_t max_parallelism = kDefaultMaxParallelism;
  /// State beyond it is on disk meanwhile.
  int64_t memory_bytes = int64_t{1} << 30;
  /// Where that, and new files until Write, lie in a folder of their own; empty: the system's place
  /// for temporary files.
  std::string scratch_folder = {};
  /// Says where s3:// paths lead (s3.endpoint and so on); the environment's AWS variables do too.
  Configuration configuration = {};
};

namespace internal {

/// The state in a savepoint by operator: what SavepointReader and SavepointWriter share. Threads:
/// one at a time; all methods block.
class SavepointContents {
 public:
  /// An empty one.
  explicit SavepointContents(StateProcessorOptions options);
  ~SavepointContents();
  SavepointContents(const SavepointContents&) = delete;
  SavepointContents& operator=(const SavepointContents&) = delete;

  [[nodiscard]] absl::Status Load(const std::string& path);
  [[nodiscard]] std::vector<std::string> Uids() const;
  /// Returns what a backend needs for all keys of an operator.
  [[nodiscard]] KeyedStateBackendOptions OptionsOf(std::string_view uid);
  [[nodiscard]] absl::Status Restore(std::string_view uid, KeyedStateBackendBase& backend);
  [[nodiscard]] absl::Status Restore(std::string_view uid, OperatorStateBackend& backend);
  /// Makes what the backend holds the state of the operator.
  [[nodiscard]] absl::Status Replace(std::string_view uid, KeyedStateBackendBase& backend);
  [[nodiscard]] absl::Status Replace(std::string_view uid, const OperatorStateBackend& backend);
  [[nodiscard]] absl::Status CheckHas(std::string_view uid) const;
  void Remove(std::string_view uid);
  [[nodiscard]] absl::StatusOr<std::string> Write(const std::string& path);

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

/// Runs what user code may throw out of, a StateError too.
[[nodiscard]] absl::Status CatchAll(std::string_view uid,
                                    const std::function<absl::Status()>& body);

}  // namespace internal

}  // namespace weir
