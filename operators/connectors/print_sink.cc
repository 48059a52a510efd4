#include "operators/connectors/print_sink.h"

#include <cstdio>

#include "runtime/base/mutex.h"

namespace weir::internal {

absl::Status WriteToStdout(const std::string& lines) {
  static Mutex mutex;
  const MutexLock lock(&mutex);
  if (std::fwrite(lines.data(), 1, lines.size(), stdout) != lines.size() ||
      std::fflush(stdout) != 0) {
    return absl::UnavailableError("cannot print to stdout; is its reader gone?");
  }
  return absl::OkStatus();
}

}  // namespace weir::internal
