#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "runtime/base/strong_id.h"

namespace weir {

/// 128 random bits, printed as 32 lower-case hexadecimal digits as Flink prints its ids.
/// The tag keeps a job id from being used as a vertex id.
template <class Tag>
class HexId {
 public:
  constexpr HexId() = default;
  constexpr HexId(uint64_t high, uint64_t low) : high_(high), low_(low) {}

  [[nodiscard]] uint64_t high() const { return high_; }
  [[nodiscard]] uint64_t low() const { return low_; }
  [[nodiscard]] bool IsNull() const { return high_ == 0 && low_ == 0; }

  friend constexpr auto operator<=>(const HexId&, const HexId&) = default;

  template <class H>
  friend H AbslHashValue(H state, const HexId& id) {
    return H::combine(std::move(state), id.high_, id.low_);
  }

 private:
  uint64_t high_ = 0;
  uint64_t low_ = 0;
};

using JobId = HexId<struct JobIdTag>;
/// Names a vertex of a JobGraph. Derived from its operators' uids, so it is the same in every run
/// of the job.
using JobVertexId = HexId<struct JobVertexIdTag>;
/// One try at running one subtask.
using ExecutionAttemptId = HexId<struct ExecutionAttemptIdTag>;

/// Checkpoints of a job count from 1.
using CheckpointId = StrongId<struct CheckpointIdTag>;
/// Grows with each JobManager that takes the lead; requests of an older one are refused.
using LeaderEpoch = StrongId<struct LeaderEpochTag>;
/// Index of an input channel within one subtask's gate, or of a subpartition within a result
/// partition.
using ChannelIndex = StrongId<struct ChannelIndexTag, uint32_t>;

namespace internal {
std::string FormatHexId(uint64_t high, uint64_t low);
absl::StatusOr<std::array<uint64_t, 2>> ParseHexId(std::string_view text);
std::array<uint64_t, 2> RandomHexId();
}  // namespace internal

template <class Tag>
[[nodiscard]] std::string ToString(const HexId<Tag>& id) {
  return internal::FormatHexId(id.high(), id.low());
}

/// Parses 32 hexadecimal digits. Errors: kInvalidArgument.
template <class Id>
[[nodiscard]] absl::StatusOr<Id> ParseId(std::string_view text) {
  const auto parts = internal::ParseHexId(text);
  if (!parts.ok()) return parts.status();
  return Id((*parts)[0], (*parts)[1]);
}

/// Returns a fresh random id (from the operating system's generator).
template <class Id>
[[nodiscard]] Id RandomId() {
  const auto parts = internal::RandomHexId();
  return Id(parts[0], parts[1]);
}

}  // namespace weir
