#include "operators/connectors/socket/internal/socket_connection.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <string_view>
#include <thread>
#include <utility>

#include "absl/time/time.h"
#include "runtime/base/mutex.h"
#include "runtime/base/strings.h"

namespace weir::internal {

namespace asio = boost::asio;
using asio::ip::tcp;

/// Everything but the mutex's fields belongs to the thread that runs io_.
class SocketConnection::Impl {
 public:
  Impl(SocketSourceOptions options, std::function<void()> wake)
      : options_(std::move(options)),
        wake_(std::move(wake)),
        work_(asio::make_work_guard(io_)),
        resolver_(io_),
        socket_(io_),
        timer_(io_),
        backoff_(options_.min_backoff) {
    asio::post(io_, [this] { Connect(); });
    thread_ = std::jthread([this] {
      ::pthread_setname_np(::pthread_self(), "socket-source");
      io_.run();
    });
  }

  void Stop() {
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }

  absl::StatusOr<bool> Take(std::vector<std::string>* records) {
    const MutexLock lock(&mutex_);
    const bool was_full = buffered_bytes_ >= options_.max_buffered_bytes;
    std::move(records_.begin(), records_.end(), std::back_inserter(*records));
    records_.clear();
    buffered_bytes_ = 0;
    if (was_full) asio::post(io_, [this] { Read(); });
    if (!records->empty() || !ended_) return true;
    if (!failure_.ok()) return failure_;
    return false;
  }

 private:
  void Connect() {
    resolver_.async_resolve(
        options_.host, StrCat(options_.port),
        [this](const boost::system::error_code& error, const tcp::resolver::results_type& found) {
          if (error) return OnLost(error, /*connected=*/false);
          asio::async_connect(
              socket_, found,
              [this](const boost::system::error_code& connect_error, const tcp::endpoint&) {
                if (connect_error) return OnLost(connect_error, /*connected=*/false);
                backoff_ = options_.min_backoff;
                Read();
              });
        });
  }

  void Read() {
    if (!socket_.is_open() || reading_) return;
    reading_ = true;
    socket_.async_read_some(asio::buffer(chunk_),
                            [this](const boost::system::error_code& error, size_t size) {
                              reading_ = false;
                              OnBytes({chunk_.data(), size});
                              if (error) return OnLost(error, /*connected=*/true);
                              if (!stopped_ && HasRoom()) Read();
                            });
  }

  bool HasRoom() {
    const MutexLock lock(&mutex_);
    return buffered_bytes_ < options_.max_buffered_bytes;
  }

  void OnBytes(std::string_view bytes) {
    std::vector<std::string> whole;
    while (!bytes.empty()) {
      const size_t end = bytes.find(options_.delimiter);
      partial_.append(bytes.substr(0, end));
      if (partial_.size() > options_.max_record_bytes) {
        Add(std::move(whole));
        return End(absl::InvalidArgumentError(
            StrCat("a record is longer than max_record_bytes allows: host=", options_.host,
                   " port=", options_.port, " max_record_bytes=", options_.max_record_bytes)));
      }
      if (end == std::string_view::npos) break;
      bytes.remove_prefix(end + 1);
      whole.push_back(TakePartial());
    }
    Add(std::move(whole));
  }

  std::string TakePartial() {
    if (options_.delimiter == '\n' && partial_.ends_with('\r')) partial_.pop_back();
    return std::exchange(partial_, {});
  }

  void Add(std::vector<std::string> records) {
    if (records.empty()) return;
    {
      const MutexLock lock(&mutex_);
      for (std::string& record : records) {
        buffered_bytes_ += record.size() + sizeof(std::string);
        records_.push_back(std::move(record));
      }
    }
    wake_();
  }

  // The connection has ended or could not be made. What came last is a record of its own.
  void OnLost(const boost::system::error_code& error, bool connected) {
    if (stopped_) return;
    boost::system::error_code ignored;
    socket_.close(ignored);
    if (!partial_.empty()) Add({TakePartial()});
    if (!options_.reconnect) {
      const bool closed = connected && error == asio::error::eof;
      return End(closed ? absl::OkStatus()
                        : absl::UnavailableError(StrCat(
                              "socket source has no connection; start the server first, or set "
                              "reconnect: host=",
                              options_.host, " port=", options_.port, " error=", error.message())));
    }
    timer_.expires_after(absl::ToChronoNanoseconds(backoff_));
    backoff_ = std::min(2 * backoff_, options_.max_backoff);
    timer_.async_wait([this](const boost::system::error_code& cancelled) {
      if (!cancelled) Connect();
    });
  }

  void End(absl::Status failure) {
    stopped_ = true;
    boost::system::error_code ignored;
    socket_.close(ignored);
    {
      const MutexLock lock(&mutex_);
      ended_ = true;
      failure_ = std::move(failure);
    }
    wake_();
  }

  const SocketSourceOptions options_;
  const std::function<void()> wake_;
  asio::io_context io_;
  // While too much waits, nothing is read, and the thread must not end for want of work.
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  tcp::resolver resolver_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  absl::Duration backoff_;
  std::array<char, 64 << 10> chunk_;
  std::string partial_;  // The beginning of a record that goes on in the next chunk.
  bool reading_ = false;
  bool stopped_ = false;

  Mutex mutex_;
  std::vector<std::string> records_ ABSL_GUARDED_BY(mutex_);
  size_t buffered_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::jthread thread_;
};

SocketConnection::SocketConnection(SocketSourceOptions options, std::function<void()> wake)
    : impl_(std::make_shared<Impl>(std::move(options), std::move(wake))) {}

SocketConnection::~SocketConnection() { impl_->Stop(); }

absl::StatusOr<bool> SocketConnection::Take(std::vector<std::string>* records) {
  return impl_->Take(records);
}

}  // namespace weir::internal
