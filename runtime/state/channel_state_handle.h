#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/state/state_file_store.h"
#include "runtime/state/state_handle.h"

namespace weir {

/// What an unaligned checkpoint holds of the channels into one subtask: the records that were on
/// their way. Plain data, written by Serde. It belongs to the operator at the head of the task.
///
/// The content is, for each channel in turn, `num_elements` times the length (32 bits) and the wire
/// form of an element. It lies in a file, or in `inline_bytes` if it is small.
struct ChannelStateHandle {
  static constexpr uint32_t kFormatVersion = 1;

  /// An edge into the subtask, found again by its ends.
  struct Edge {
    uint64_t source_high = 0;  ///< Of the source operator's id.
    uint64_t source_low = 0;
    uint32_t source_port = 0;
    uint32_t target_input = 0;
    uint32_t ordinal = 0;  ///< Among edges with the same ends.
    uint32_t num_producers = 0;
    Schema schema;  ///< Of the records.

    friend bool operator==(const Edge&, const Edge&) = default;
  };
  /// Those without content are left out.
  struct Channel {
    uint32_t edge = 0;  ///< Index into `edges`.
    uint32_t producer = 0;
    uint32_t num_elements = 0;

    friend bool operator==(const Channel&, const Channel&) = default;
  };

  uint32_t format_version = kFormatVersion;
  uint32_t subtask = 0;
  uint32_t parallelism = 0;
  std::vector<Edge> edges;
  std::vector<Channel> channels;
  /// With an empty path the content is inline; size and checksum hold in any case.
  StoredFile file;
  std::string inline_bytes;

  friend bool operator==(const ChannelStateHandle&, const ChannelStateHandle&) = default;
};

}  // namespace weir
