#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operators/state_processor/savepoint_contents.h"
#include "runtime/base/status_macros.h"

namespace weir {

/// Reads the state in a checkpoint or savepoint, typed, without running the job. Flink's
/// SavepointReader, as functions over the backends that operators use.
///
///     ASSIGN_OR_RETURN(SavepointReader reader, SavepointReader::Load("savepoints/sp-1"));
///     RETURN_IF_ERROR(reader.ReadKeyedState<std::string>(
///         "logins", [](KeyedStateBackend<std::string>& state) -> absl::Status {
///           ASSIGN_OR_RETURN(auto count, state.GetState(ValueStateDescriptor<int64_t>{"count"}));
///           return state.ForEachKey("count", state.options().range, [&](const std::string& user) {
///             std::printf("%s %ld\n", user.c_str(), *count.Get());
///           });
///         }));
///
/// Threads: one. All methods block. States follow their types, as in a job that is restored.
class SavepointReader {
 public:
  /// Errors: kDataLoss if there is none at `path`, or its metadata is damaged.
  [[nodiscard]] static absl::StatusOr<SavepointReader> Load(const std::string& path,
                                                            StateProcessorOptions options = {}) {
    SavepointReader reader(std::move(options));
    RETURN_IF_ERROR(reader.contents_->Load(path));
    return reader;
  }

  /// Returns the uids of all operators.
  [[nodiscard]] std::vector<std::string> Uids() const { return contents_->Uids(); }

  /// Calls `read` with the keyed state of an operator, all its keys. What it changes is forgotten.
  /// Errors: kNotFound, naming the operators there are; those of `read`; kDataLoss.
  template <class K>
  [[nodiscard]] absl::Status ReadKeyedState(
      std::string_view uid, const std::function<absl::Status(KeyedStateBackend<K>&)>& read) {
    RETURN_IF_ERROR(contents_->CheckHas(uid));
    KeyedStateBackend<K> backend(contents_->OptionsOf(uid));
    RETURN_IF_ERROR(contents_->Restore(uid, backend));
    return internal::CatchAll(uid, [&] { return read(backend); });
  }

  /// The same with list and broadcast state: that of all subtasks together.
  [[nodiscard]] absl::Status ReadOperatorState(
      std::string_view uid, const std::function<absl::Status(OperatorStateBackend&)>& read) {
    RETURN_IF_ERROR(contents_->CheckHas(uid));
    OperatorStateBackend backend;
    RETURN_IF_ERROR(contents_->Restore(uid, backend));
    return internal::CatchAll(uid, [&] { return read(backend); });
  }

 private:
  explicit SavepointReader(StateProcessorOptions options)
      : contents_(std::make_unique<internal::SavepointContents>(std::move(options))) {}

  std::unique_ptr<internal::SavepointContents> contents_;
};

}  // namespace weir
