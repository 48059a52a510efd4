#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "operators/api/source.h"

namespace weir {

/// What a SocketSource reads.
struct SocketSourceOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 0;
  char delimiter = '\n';
  /// True: connects again whenever the connection ends or cannot be made, and never ends. False:
  /// ends when the other side closes; fails if there is no connection.
  bool reconnect = false;
  /// Waits from the first to the second between attempts, twice as long each time.
  absl::Duration min_backoff = absl::Milliseconds(100);
  absl::Duration max_backoff = absl::Seconds(10);
  /// A longer record fails the job.
  size_t max_record_bytes = size_t{1} << 20;
  /// Read ahead at most this much; then the sender waits.
  size_t max_buffered_bytes = size_t{1} << 20;
};

/// Reads text from a TCP server, a record between two delimiters; for trying things out (nc -lk).
/// One reader, whatever the parallelism. Records have no event time; their position is their number
/// on the connections so far.
///
/// At most once: what was read and not in the newest checkpoint is lost with a failure, because a
/// socket cannot be read again. Errors: kUnavailable if there is no connection and `reconnect` is
/// false; kInvalidArgument for a record that is too long.
class SocketSource final : public Source<std::string> {
 public:
  explicit SocketSource(SocketSourceOptions options) : options_(std::move(options)) {}

  [[nodiscard]] std::unique_ptr<SplitEnumerator> CreateEnumerator() const override;
  [[nodiscard]] std::unique_ptr<SourceReader<std::string>> CreateReader() const override;

 private:
  const SocketSourceOptions options_;
};

}  // namespace weir
