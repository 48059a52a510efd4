#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace weir {

/// When a FileSink ends a file and begins the next one. A file that has ended is visible when the
/// next checkpoint has completed; one that has not goes on through checkpoints, hidden.
struct RollingPolicy {
  uint64_t max_part_bytes = uint64_t{128} << 20;          ///< One record may go beyond it.
  absl::Duration rollover_interval = absl::Minutes(1);    ///< Since the file was begun.
  absl::Duration inactivity_interval = absl::Minutes(1);  ///< Since its last record.
  /// Every file ends with its checkpoint: visible soonest, and many files.
  bool on_checkpoint = false;

  /// A file per checkpoint, however large.
  [[nodiscard]] static RollingPolicy OnCheckpoint() {
    return {.max_part_bytes = ~uint64_t{0},
            .rollover_interval = absl::InfiniteDuration(),
            .inactivity_interval = absl::InfiniteDuration(),
            .on_checkpoint = true};
  }
};

/// Where a FileSink writes.
struct FileSinkOptions {
  /// Made if it is not there. On a cluster, all TaskManagers must see it under this path.
  std::string folder{};
  /// Files are named part-<prefix>-<subtask>-<attempt>-<n><suffix>. Empty: the sink's uid.
  std::string prefix{};
  std::string suffix{};  ///< Empty: the encoder's.
  RollingPolicy rolling{};
  /// How much may wait to be written before the sink pushes back.
  size_t max_buffered_bytes = size_t{4} << 20;
  /// How many buckets of one subtask may have an open file; beyond, that of the bucket that was
  /// written to least recently ends.
  size_t max_open_files = 64;
};

}  // namespace weir
