#include "runtime/network/network_threads.h"

#include <pthread.h>

#include <algorithm>
#include <string>

#include "runtime/base/strings.h"
#include "runtime/network/internal/network_context.h"

namespace weir {
namespace internal {

NetworkContext::NetworkContext(int num_threads)
    : io_(std::max(num_threads, 1)), work_(boost::asio::make_work_guard(io_)) {
  for (int i = 0; i < std::max(num_threads, 1); ++i) {
    threads_.emplace_back([this, i] {
      pthread_setname_np(pthread_self(), StrCat("network-", i).c_str());
      io_.run();
    });
  }
}

NetworkContext::~NetworkContext() { Stop(); }

void NetworkContext::Stop() {
  work_.reset();
  io_.stop();
  threads_.clear();
  // Handlers of closed connections own them, and so this: they must not stay queued.
  io_.restart();
  io_.poll();
}

}  // namespace internal

NetworkThreads::NetworkThreads(int num_threads)
    : context_(std::make_shared<internal::NetworkContext>(num_threads)) {}

NetworkThreads::~NetworkThreads() { Stop(); }

void NetworkThreads::Stop() { context_->Stop(); }

}  // namespace weir
