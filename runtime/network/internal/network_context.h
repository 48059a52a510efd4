#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <thread>
#include <vector>

namespace weir::internal {

/// The io_context behind NetworkThreads, with the threads that run it. Shared by the connections,
/// so that one that is let go late, by a task, still finds it.
class NetworkContext {
 public:
  explicit NetworkContext(int num_threads);
  ~NetworkContext();
  NetworkContext(const NetworkContext&) = delete;
  NetworkContext& operator=(const NetworkContext&) = delete;

  /// Ends and joins the threads; may be called twice.
  void Stop();

  [[nodiscard]] boost::asio::io_context& io() { return io_; }

 private:
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::vector<std::jthread> threads_;
};

}  // namespace weir::internal
