#pragma once

#include <memory>

namespace weir {

namespace internal {
class NetworkContext;
}

/// The threads on which all data connections of a TaskManager read, decode, encode and write.
///
/// Lifecycle: made by the process's main before DataServer and DataClient, which borrow it and must
/// be stopped before it. Each connection's work is serial, whichever thread runs it.
class NetworkThreads {
 public:
  /// Starts `num_threads` (at least one) threads.
  explicit NetworkThreads(int num_threads = 1);
  ~NetworkThreads();
  NetworkThreads(const NetworkThreads&) = delete;
  NetworkThreads& operator=(const NetworkThreads&) = delete;

  /// Ends and joins the threads. Blocks. May be called twice, not from one of the threads.
  void Stop();

  /// For the classes of this folder.
  [[nodiscard]] const std::shared_ptr<internal::NetworkContext>& context() const {
    return context_;
  }

 private:
  const std::shared_ptr<internal::NetworkContext> context_;
};

}  // namespace weir
