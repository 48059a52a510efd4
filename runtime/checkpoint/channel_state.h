#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/graph/stream_graph.h"
#include "runtime/record/batch.h"
#include "runtime/record/stream_element.h"
#include "runtime/state/channel_state_handle.h"
#include "runtime/state/state_file_store.h"

namespace weir {

/// An edge into a subtask, as its channels' state knows it.
struct ChannelEdge {
  OperatorId source;
  uint32_t source_port = 0;
  uint32_t target_input = 0;
  /// Among edges with the same ends.
  uint32_t ordinal = 0;
  uint32_t num_producers = 0;
  Partitioning partitioning = {};
  std::shared_ptr<const BatchType> type;
};

/// Whether barriers may overtake the records of an edge. Not where only certain subtasks may get
/// certain records for a reason that no record tells (kForward, kRescale, kBroadcast): what was on
/// its way there could not be divided anew. A task waits for such channels' barriers.
[[nodiscard]] bool SupportsChannelState(ShipStrategy strategy);

/// Which subtask of an operator holds or gets channel state.
struct ChannelStateOwner {
  uint32_t subtask = 0;
  uint32_t parallelism = 1;
  uint32_t max_parallelism = 128;
  /// For messages.
  std::string operator_name;
};

/// What one channel held, oldest first: batches, watermarks and watermark statuses.
struct ChannelContent {
  size_t edge = 0;  ///< Index into the edges.
  uint32_t producer = 0;
  std::vector<StreamElement> elements;
};

/// Writes the content of channels: inline if it is small, else by way of `local_path`, which must
/// not exist, into `store`. Blocks; on the I/O pool. Errors: those of the store and the local disk;
/// kInternal if a Serde throws.
[[nodiscard]] absl::StatusOr<ChannelStateHandle> WriteChannelState(
    const std::vector<ChannelEdge>& edges, const std::vector<ChannelContent>& channels,
    const ChannelStateOwner& owner, StateFileStore& store, const std::string& local_path);

/// Reads what subtask `owner` has to process ahead of new input: its own channels if the
/// parallelism is the one of the checkpoint, else its share of what `handle` has. Then kHash edges
/// are divided by key group, kCustom ones by their partitioner, others batch by batch; watermarks
/// are left out, as those of one channel say nothing of the others'. `edges` are those of the new
/// job. Blocks; on the I/O pool. Errors: kDataLoss if the state is damaged, which it names;
/// kFailedPrecondition if the edge is gone, has another type, or cannot be divided anew.
[[nodiscard]] absl::StatusOr<std::vector<ChannelContent>> ReadChannelState(
    const ChannelStateHandle& handle, const std::vector<ChannelEdge>& edges,
    const ChannelStateOwner& owner, StateFileStore& store, const std::string& local_path);

/// Whether subtask `subtask` of `parallelism` has to read `handle`: its own, or with another
/// parallelism any, of which it takes its share.
[[nodiscard]] bool ReadsChannelState(const ChannelStateHandle& handle, uint32_t subtask,
                                     uint32_t parallelism);

}  // namespace weir
