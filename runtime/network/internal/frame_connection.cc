#include "runtime/network/internal/frame_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <cstring>
#include <utility>

#include "runtime/base/strings.h"
#include "runtime/network/connection_loss.h"

namespace weir::internal {
namespace {

// How long a peer may take to read why it is refused.
constexpr absl::Duration kDrainTimeout = absl::Seconds(2);

void SetOption(int socket, int level, int name, int value) {
  // A system without the option keeps its default, which only notices a dead peer later.
  (void)setsockopt(socket, level, name, &value, sizeof(value));
}

// A peer that vanished without a word is noticed after 25 seconds, or 60 with data under way.
void SetSocketOptions(int socket) {
  SetOption(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  SetOption(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(socket, IPPROTO_TCP, TCP_KEEPIDLE, 10);
  SetOption(socket, IPPROTO_TCP, TCP_KEEPINTVL, 5);
  SetOption(socket, IPPROTO_TCP, TCP_KEEPCNT, 3);
  SetOption(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, 60'000);
}

uint64_t CountFrames(std::string_view bytes) {
  uint64_t count = 0;
  while (bytes.size() >= kFrameHeaderBytes) {
    bytes.remove_prefix(kFrameHeaderBytes + ReadFrameHeader(bytes.data()).payload_bytes);
    ++count;
  }
  return count;
}

}  // namespace

FrameConnection::FrameConnection(std::shared_ptr<NetworkContext> context, StrandSocket socket,
                                 const Limits& limits, std::shared_ptr<NetworkCounters> counters)
    : context_(std::move(context)),
      socket_(std::move(socket)),
      deadline_(socket_.get_executor()),
      limits_(limits),
      counters_(std::move(counters)) {}

FrameConnection::~FrameConnection() = default;

void FrameConnection::Post(std::function<void()> work) {
  boost::asio::post(socket_.get_executor(), [weak = weak_from_this(), work = std::move(work)] {
    if (const auto self = weak.lock()) work();
  });
}

void FrameConnection::StartReading() {
  connected_ = true;
  SetSocketOptions(socket_.native_handle());
  Read();
}

void FrameConnection::Close(const absl::Status& reason) {
  if (std::exchange(closed_, true)) return;
  boost::system::error_code ignored;
  socket_.close(ignored);
  ClearDeadline();
  if (!finishing_) OnEnd(reason);
  OnClosed();
}

void FrameConnection::CloseAfterFlush(const absl::Status& reason) {
  if (closed_ || finishing_) return;
  finishing_ = true;
  SetDeadline(kDrainTimeout, reason);
  OnEnd(reason);
  Flush();
}

void FrameConnection::SetDeadline(absl::Duration timeout, absl::Status reason) {
  deadline_.expires_after(absl::ToChronoNanoseconds(timeout));
  deadline_.async_wait([weak = weak_from_this(),
                        reason = std::move(reason)](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (!error && self != nullptr) self->Close(reason);
  });
}

void FrameConnection::ClearDeadline() { deadline_.cancel(); }

void FrameConnection::Read() {
  MakeRoom();
  socket_.async_read_some(
      boost::asio::buffer(read_buffer_.get() + read_size_, read_capacity_ - read_size_),
      [self = shared_from_this()](const boost::system::error_code& error, size_t bytes) {
        self->OnRead(error, bytes);
      });
}

// The buffer doubles only when what arrived fills it: a damaged size cannot make it large.
void FrameConnection::MakeRoom() {
  size_t capacity = read_capacity_;
  if (read_size_ == 0) {
    capacity = limits_.read_buffer_bytes;
  } else if (read_size_ == read_capacity_) {
    capacity = read_capacity_ * 2;
  }
  if (capacity == read_capacity_) return;
  auto larger = std::make_unique_for_overwrite<char[]>(capacity);
  if (read_size_ > 0) std::memcpy(larger.get(), read_buffer_.get(), read_size_);
  read_buffer_ = std::move(larger);
  read_capacity_ = capacity;
}

void FrameConnection::OnRead(const boost::system::error_code& error, size_t bytes) {
  if (closed_) return;
  if (error) {
    Close(DataConnectionLostError(StrCat("the data connection was lost: error=", error.message())));
    return;
  }
  counters_->bytes_received.fetch_add(bytes, std::memory_order_relaxed);
  read_size_ += bytes;
  if (finishing_) {
    read_size_ = 0;
  } else if (const absl::Status parsed = ParseFrames(); !parsed.ok()) {
    AppendStatus(FrameType::kError, 0, parsed, output());
    CloseAfterFlush(parsed);
  }
  Flush();
  if (!closed_) Read();
}

absl::Status FrameConnection::ParseFrames() {
  size_t begin = 0;
  uint64_t num_frames = 0;
  absl::Status status;
  while (status.ok() && !closed_ && !finishing_ && read_size_ - begin >= kFrameHeaderBytes) {
    const FrameHeader header = ReadFrameHeader(read_buffer_.get() + begin);
    if (header.payload_bytes > limits_.max_payload_bytes) {
      status = absl::DataLossError(
          StrCat("a frame of the data connection is too large: bytes=", header.payload_bytes));
      break;
    }
    const size_t frame_bytes = kFrameHeaderBytes + header.payload_bytes;
    if (read_size_ - begin < frame_bytes) break;
    status = OnFrame(header, std::string_view(read_buffer_.get() + begin + kFrameHeaderBytes,
                                              header.payload_bytes));
    begin += frame_bytes;
    ++num_frames;
  }
  read_size_ -= begin;
  if (begin > 0) std::memmove(read_buffer_.get(), read_buffer_.get() + begin, read_size_);
  counters_->frames_received.fetch_add(num_frames, std::memory_order_relaxed);
  return status;
}

void FrameConnection::Flush() {
  if (!connected_ || closed_ || writing_now_) return;
  if (!finishing_) FillOutput(&filling_);
  if (!filling_.empty()) {
    Write();
  } else if (finishing_) {
    FinishWriting();
  }
}

void FrameConnection::Write() {
  writing_now_ = true;
  std::swap(writing_, filling_);
  counters_->frames_sent.fetch_add(CountFrames(writing_), std::memory_order_relaxed);
  boost::asio::async_write(
      socket_, boost::asio::buffer(writing_),
      [self = shared_from_this()](const boost::system::error_code& error, size_t bytes) {
        self->OnWritten(error, bytes);
      });
}

void FrameConnection::OnWritten(const boost::system::error_code& error, size_t bytes) {
  writing_now_ = false;
  if (closed_) return;
  counters_->bytes_sent.fetch_add(bytes, std::memory_order_relaxed);
  if (error) {
    Close(DataConnectionLostError(StrCat("the data connection was lost: error=", error.message())));
    return;
  }
  writing_.clear();
  // One large element does not make the buffer large for ever.
  if (writing_.capacity() > 4 * limits_.write_buffer_bytes) writing_.shrink_to_fit();
  Flush();
}

// The peer reads the end and closes; until then what it still sends is thrown away by OnRead, since
// closing on unread input would reset the connection and lose the last frame.
void FrameConnection::FinishWriting() {
  boost::system::error_code ignored;
  socket_.shutdown(boost::asio::socket_base::shutdown_send, ignored);
}

}  // namespace weir::internal
