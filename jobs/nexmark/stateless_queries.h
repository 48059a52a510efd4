#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "jobs/nexmark/event.h"
#include "jobs/nexmark/rows.h"
#include "operators/api/data_stream.h"
#include "runtime/graph/job_args.h"

namespace weir::nexmark {

// Queries that look at one event at a time. docs/guides/nexmark.md says what each asks.

[[nodiscard]] DataStream<PassedBid> PassThrough(const DataStream<Event>& events);        // q0
[[nodiscard]] DataStream<EuroBid> ConvertCurrency(const DataStream<Event>& events);      // q1
[[nodiscard]] DataStream<AuctionPrice> SelectAuctions(const DataStream<Event>& events);  // q2
[[nodiscard]] DataStream<CalculatedBid> Calculate(const DataStream<Event>& events);      // q14
[[nodiscard]] DataStream<ChannelBid> AddChannelId(const DataStream<Event>& events);      // q21
[[nodiscard]] DataStream<DirectoryBid> SplitUrl(const DataStream<Event>& events);        // q22

/// A table of side input: lines `key,value`. Constant.
class SideInput;
/// Reads the file named by --side-input, or makes the benchmark's own table, i → "i" for i below
/// 10,000. Errors: kInvalidArgument naming the line that is not `key,value`.
[[nodiscard]] absl::StatusOr<std::shared_ptr<const SideInput>> ReadSideInput(const JobArgs& args);
[[nodiscard]] DataStream<EnrichedBid> JoinSideInput(
    const DataStream<Event>& events, std::shared_ptr<const SideInput> side_input);  // q13

}  // namespace weir::nexmark
