#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "proto/control_plane.pb.h"

namespace weir {

/// The other end of the control plane for tests of TaskManagers: answers registrations, keeps what
/// it hears, says what the test tells it to. Threads: any.
class FakeJobManager {
 public:
  struct Options {
    uint64_t leader_epoch = 1;
    absl::Duration heartbeat_interval = absl::Milliseconds(20);
    absl::Duration heartbeat_timeout = absl::Seconds(60);
    std::string refuse_reason{};  // Not empty: no TaskManager is good enough.
    int port = 0;                 // 0: any free one.
    bool mute = false;            // Takes streams, and never says anything of its own.
  };
  struct Heard {
    std::string task_manager_id;
    proto::TaskManagerMessage message;
  };
  using Messages = std::vector<Heard>;

  explicit FakeJobManager(Options options);
  FakeJobManager() : FakeJobManager(Options()) {}
  ~FakeJobManager();
  FakeJobManager(const FakeJobManager&) = delete;
  FakeJobManager& operator=(const FakeJobManager&) = delete;

  [[nodiscard]] std::string address() const;
  [[nodiscard]] int port() const;

  /// Keeps a blob and returns its hash.
  std::string PutBlob(std::string content);
  /// Answers requests for `hash` with `content`, whatever it is.
  void PutBlobAs(const std::string& hash, std::string content);
  [[nodiscard]] int num_fetches() const;
  /// Batches that came; their messages count as if they had come one by one.
  [[nodiscard]] int num_batches() const;

  /// Sends a message to the newest stream of a TaskManager; returns false if it has none.
  bool Send(const std::string& task_manager_id, const proto::JobManagerMessage& message);
  /// Ends all streams.
  void DropStreams();
  /// Goes on with the streams but says nothing on its own any more.
  void StopHeartbeats();
  /// What following registrations are told.
  void SetLeaderEpoch(uint64_t epoch);

  /// Waits until `condition` holds of all messages so far; returns false if it does not within 30
  /// seconds.
  [[nodiscard]] bool WaitUntil(const std::function<bool(const Messages&)>& condition);
  [[nodiscard]] Messages messages() const;

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace weir
