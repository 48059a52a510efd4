#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <thread>

namespace weir {

/// What the process of a job does when its TaskManager asks. Called on the link's thread.
struct OwnerLinkHandlers {
  /// It has so much memory from now on.
  std::function<void(int64_t)> memory;
  /// Returns its metrics in Prometheus' text format.
  std::function<std::string()> metrics;
  /// It is to end, or the TaskManager is gone. The last call.
  std::function<void()> end;
};

/// The job process's end of the socket to the TaskManager that started it.
///
/// The TaskManager writes lines: "memory BYTES", and "metrics N", which is answered by
/// "metrics N SIZE", a line's end and SIZE bytes. The end of the stream is the word to end.
/// Threads: one of its own. Lifecycle: the destructor ends it; `end` is not called any more then.
class OwnerLink {
 public:
  /// Owns `descriptor`, a connected stream socket.
  OwnerLink(int descriptor, OwnerLinkHandlers handlers);
  ~OwnerLink();
  OwnerLink(const OwnerLink&) = delete;
  OwnerLink& operator=(const OwnerLink&) = delete;

 private:
  void Run(const std::stop_token& stop);
  void Handle(const std::string& line);

  const int descriptor_;
  const OwnerLinkHandlers handlers_;
  std::jthread thread_;
};

}  // namespace weir
