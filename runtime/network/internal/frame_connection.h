#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/network/internal/frame.h"
#include "runtime/network/internal/network_context.h"
#include "runtime/network/network_counters.h"

namespace weir::internal {

using Strand = boost::asio::strand<boost::asio::io_context::executor_type>;
using StrandSocket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, Strand>;

/// One TCP connection that reads and writes frames: what both sides have in common.
///
/// Reads go into one buffer that grows only as a large frame arrives; frames are parsed in place.
/// Writes go out of one buffer while the next is filled, and a new one is asked for (FillOutput)
/// only when the last has been handed to the system: so what a connection holds is bounded.
/// Threads: everything runs on the connection's strand but Post and what says otherwise. Lifecycle:
/// kept alive by its own pending reads; Close ends them.
///
///     (connecting) --StartReading--> open --CloseAfterFlush--> finishing --> draining --> closed
///                                      \____________________Close_______________________/
class FrameConnection : public std::enable_shared_from_this<FrameConnection> {
 public:
  struct Limits {
    size_t max_payload_bytes = kMaxPayloadBytes;
    size_t read_buffer_bytes = size_t{256} << 10;
    size_t write_buffer_bytes = size_t{256} << 10;
  };

  FrameConnection(std::shared_ptr<NetworkContext> context, StrandSocket socket,
                  const Limits& limits, std::shared_ptr<NetworkCounters> counters);
  virtual ~FrameConnection();
  FrameConnection(const FrameConnection&) = delete;
  FrameConnection& operator=(const FrameConnection&) = delete;

  /// Runs `work` on the strand, if the connection still exists then. Any thread.
  void Post(std::function<void()> work);

  /// Ends the connection at once. Does nothing the second time.
  void Close(const absl::Status& reason);

 protected:
  /// Handles one frame; `payload` is valid during the call. An error gives the connection up, after
  /// telling the peer.
  virtual absl::Status OnFrame(const FrameHeader& header, std::string_view payload) = 0;
  /// Appends frames while `out` is smaller than the limits' write buffer.
  virtual void FillOutput(std::string* out) = 0;
  /// Called once, as soon as no more frames are exchanged.
  virtual void OnEnd(const absl::Status& reason) = 0;
  /// Called once, last, after OnEnd.
  virtual void OnClosed() = 0;

  /// Sets the socket's options and begins to read; it is connected now.
  void StartReading();
  /// Where to append frames at any time; Flush sends them.
  [[nodiscard]] std::string* output() { return &filling_; }
  void Flush();
  /// Ends the exchange with `reason`, sends what is in output(), gives the peer a moment to read it
  /// and closes.
  void CloseAfterFlush(const absl::Status& reason);

  /// Closes with `reason` unless the deadline is cleared within `timeout`.
  void SetDeadline(absl::Duration timeout, absl::Status reason);
  void ClearDeadline();

  /// Whether OnEnd has been called.
  [[nodiscard]] bool ended() const { return closed_ || finishing_; }
  /// Whether frames are exchanged.
  [[nodiscard]] bool open() const { return connected_ && !ended(); }
  [[nodiscard]] StrandSocket& socket() { return socket_; }
  [[nodiscard]] const Limits& limits() const { return limits_; }

 private:
  void Read();
  void OnRead(const boost::system::error_code& error, size_t bytes);
  absl::Status ParseFrames();
  void MakeRoom();
  void Write();
  void OnWritten(const boost::system::error_code& error, size_t bytes);
  void FinishWriting();

  const std::shared_ptr<NetworkContext> context_;
  StrandSocket socket_;
  boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                    boost::asio::wait_traits<std::chrono::steady_clock>, Strand>
      deadline_;
  const Limits limits_;
  const std::shared_ptr<NetworkCounters> counters_;

  bool connected_ = false;
  bool finishing_ = false;  // Nothing more is parsed or filled; what is written goes out.
  bool writing_now_ = false;
  bool closed_ = false;

  std::unique_ptr<char[]> read_buffer_;  // Frames not yet parsed: [0, read_size_) of capacity.
  size_t read_capacity_ = 0;
  size_t read_size_ = 0;
  std::string filling_;
  std::string writing_;
};

}  // namespace weir::internal
