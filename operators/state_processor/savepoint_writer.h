#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operators/state_processor/savepoint_contents.h"
#include "runtime/base/status_macros.h"

namespace weir {

/// Makes savepoints without running a job: from records, so that a job starts with state
/// (bootstrap), or from another savepoint, with some of it changed. Flink's SavepointWriter, as
/// functions over the backends that operators use.
///
///     SavepointWriter writer = SavepointWriter::NewSavepoint();
///     RETURN_IF_ERROR(writer.WithKeyedState<std::string>(
///         "logins", [&](KeyedStateBackend<std::string>& state) -> absl::Status {
///           ASSIGN_OR_RETURN(auto count, state.GetState(ValueStateDescriptor<int64_t>{"count"}));
///           for (const Login& login : logins) {
///             state.SetCurrentKey(login.user, KeyHash(login.user));
///             ++count.Mutable();
///           }
///           return absl::OkStatus();
///         }));
///     RETURN_IF_ERROR(writer.Write("savepoints/first"));
///
/// A job restores it at any parallelism; its max parallelism must be that of the options. The
/// operator's uid, the key's type and the states' names are what the job declares.
/// Threads: one. All methods block.
class SavepointWriter {
 public:
  [[nodiscard]] static SavepointWriter NewSavepoint(StateProcessorOptions options = {}) {
    return SavepointWriter(std::move(options));
  }
  /// Begins with all that is in a checkpoint or savepoint, which is not changed.
  /// Errors: kDataLoss if there is none at `path`, or its metadata is damaged.
  [[nodiscard]] static absl::StatusOr<SavepointWriter> FromExistingSavepoint(
      const std::string& path, StateProcessorOptions options = {}) {
    SavepointWriter writer(std::move(options));
    RETURN_IF_ERROR(writer.contents_->Load(path));
    return writer;
  }

  /// Calls `write` with the keyed state of an operator, all its keys: what it leaves is the new
  /// one. States that it does not ask for stay. Errors: those of `write`; kDataLoss.
  template <class K>
  [[nodiscard]] absl::Status WithKeyedState(
      std::string_view uid, const std::function<absl::Status(KeyedStateBackend<K>&)>& write) {
    KeyedStateBackend<K> backend(contents_->OptionsOf(uid));
    RETURN_IF_ERROR(contents_->Restore(uid, backend));
    RETURN_IF_ERROR(internal::CatchAll(uid, [&] { return write(backend); }));
    return contents_->Replace(uid, backend);
  }

  /// The same with list and broadcast state: that of all subtasks together.
  [[nodiscard]] absl::Status WithOperatorState(
      std::string_view uid, const std::function<absl::Status(OperatorStateBackend&)>& write) {
    OperatorStateBackend backend;
    RETURN_IF_ERROR(contents_->Restore(uid, backend));
    RETURN_IF_ERROR(internal::CatchAll(uid, [&] { return write(backend); }));
    return contents_->Replace(uid, backend);
  }

  /// Leaves an operator's state out. No error if there is none.
  void RemoveOperator(std::string_view uid) { contents_->Remove(uid); }

  /// Writes the savepoint into the folder `path`, which must not exist, with files of its own; the
  /// one it began with may be deleted then. May be called again with another folder. Returns the
  /// absolute path. Errors: kAlreadyExists, kDataLoss naming a file, kUnavailable,
  /// kResourceExhausted.
  absl::StatusOr<std::string> Write(const std::string& path) { return contents_->Write(path); }

 private:
  explicit SavepointWriter(StateProcessorOptions options)
      : contents_(std::make_unique<internal::SavepointContents>(std::move(options))) {}

  std::unique_ptr<internal::SavepointContents> contents_;
};

}  // namespace weir
