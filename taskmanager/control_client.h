#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "taskmanager/timer_thread.h"

namespace weir {

namespace proto {
class CrashReport;
class JobManagerMessage;
class TaskManagerMessage;
}  // namespace proto

/// How a stream ended, or why it never came about.
struct StreamEnd {
  absl::Status reason = {};
  /// Of the JobManager it was to.
  std::string address = {};
  /// Nobody listened there: the JobManager's process, if there was one, is dead.
  bool refused = false;
};

/// Hears what comes from the JobManager. Called on the client's reading thread; must return soon.
class ControlListener {
 public:
  virtual ~ControlListener() = default;
  virtual void OnMessage(std::unique_ptr<proto::JobManagerMessage> message) = 0;
  /// The stream is over; nothing more comes until the next Open. Also called if it never came
  /// about.
  virtual void OnStreamEnded(const StreamEnd& end) = 0;
};

struct ControlClientOptions {
  /// "host:port", or several of them, separated by commas: those of all JobManagers, of which one
  /// leads. Each stream asks the next one.
  std::string address;
  absl::Duration initial_backoff = absl::Milliseconds(100);
  /// Half a second at most if there are several addresses.
  absl::Duration max_backoff = absl::Seconds(2);
  /// How long FetchBlob may take.
  absl::Duration fetch_timeout = absl::Minutes(5);
};

/// The TaskManager's end of the control plane: one ordered stream of messages each way, and blobs.
///
/// Threads: any. Messages are written in the order of Send, those that come together as one batch;
/// no call blocks.
/// Lifecycle: Open → (messages) → OnStreamEnded → Open again …; Stop before the listener ends.
class ControlClient {
 public:
  /// `listener` and `timers` are borrowed.
  ControlClient(ControlClientOptions options, ControlListener* listener, TimerThread* timers);
  /// Makes the process ready for the first client.
  static void WarmUp();
  /// Stops.
  ~ControlClient();
  ControlClient(const ControlClient&) = delete;
  ControlClient& operator=(const ControlClient&) = delete;

  /// Starts a stream that begins with `first`: the first one at once, later ones after a pause that
  /// grows with each until ResetBackoff. Not before the last one's OnStreamEnded.
  void Open(const proto::TaskManagerMessage& first);
  /// The same without a pause, for a caller that makes its own.
  void OpenAtOnce(const proto::TaskManagerMessage& first);
  /// Returns the addresses of all JobManagers, in the order in which they are asked.
  [[nodiscard]] std::vector<std::string> addresses() const;
  /// Returns the address of the newest stream.
  [[nodiscard]] std::string address() const;
  /// Says that the stream proved good, so that the next one follows after the shortest pause.
  void ResetBackoff();
  /// Queues a message. Without an open stream it is dropped: who it was for is gone.
  void Send(const proto::TaskManagerMessage& message);
  /// Tells the JobManager of a crash. Blocks, for `timeout` at most. Errors: gRPC's.
  [[nodiscard]] absl::Status ReportCrash(const proto::CrashReport& report, absl::Duration timeout);
  /// Ends the stream, without waiting for what is queued.
  void Close(const absl::Status& reason);

  /// Hands the blob of `hash` to `sink` piece by piece, as the JobManager has it: whether it is
  /// what its name says is for the caller to check. Blocks. Errors: the JobManager's or the sink's
  /// own; kUnavailable, kDeadlineExceeded.
  [[nodiscard]] absl::Status FetchBlob(const std::string& hash,
                                       const std::function<absl::Status(std::string_view)>& sink);

  /// Sends what is queued, ends the stream and waits until the listener has been told; FetchBlob
  /// fails from now on. May be called twice, not from the listener.
  void Stop();

 private:
  class Impl;
  const std::shared_ptr<Impl> impl_;
};

}  // namespace weir
