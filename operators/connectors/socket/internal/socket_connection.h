#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operators/connectors/socket/socket_source.h"

namespace weir::internal {

/// Receives the records of a socket source on a thread of its own, and connects again where the
/// options want it. Bounded: it stops reading from the socket while too much waits.
/// Threads: the task's; `wake` is called on the connection's.
class SocketConnection {
 public:
  SocketConnection(SocketSourceOptions options, std::function<void()> wake);
  /// Closes the connection and joins the thread.
  ~SocketConnection();
  SocketConnection(const SocketConnection&) = delete;
  SocketConnection& operator=(const SocketConnection&) = delete;

  /// Moves what has come to the end of `*records`. Returns whether more may come. Errors: why the
  /// connection failed for good, once all records before it were taken.
  [[nodiscard]] absl::StatusOr<bool> Take(std::vector<std::string>* records);

 private:
  class Impl;
  const std::shared_ptr<Impl> impl_;
};

}  // namespace weir::internal
