#pragma once

#include <cstdint>
#include <string>

namespace weir {

namespace proto {
class JobManagerMessage;
}

/// One connection to one TaskManager, or to the process that one has for a job, from its
/// registration on. A TaskManager that registers anew
/// has a new gateway, so a gateway also tells the incarnations of a TaskManager apart.
///
/// Threads: used on the main thread; Send may be called from any. Held by shared pointer, because
/// executions name it after it is gone.
class TaskManagerGateway {
 public:
  virtual ~TaskManagerGateway() = default;

  /// Queues `message`; messages arrive in order, or the connection closes. What is queued while the
  /// main thread has mail goes out together. On a closed connection it does nothing.
  virtual void Send(const proto::JobManagerMessage& message) = 0;

  /// Closes the connection; what was queued before is still sent where possible.
  virtual void Close() = 0;

  [[nodiscard]] virtual const std::string& id() const = 0;
  /// Where its peers reach its data plane.
  [[nodiscard]] virtual const std::string& host() const = 0;
  [[nodiscard]] virtual uint16_t data_port() const = 0;
  [[nodiscard]] virtual uint32_t num_slots() const = 0;
  /// The TaskManager whose slots it has: itself, or the one that has this process for one job.
  [[nodiscard]] virtual const std::string& owner_id() const { return id(); }
};

}  // namespace weir
