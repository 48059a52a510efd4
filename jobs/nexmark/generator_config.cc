#include "jobs/nexmark/generator_config.h"

#include <algorithm>
#include <limits>
#include <string_view>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::nexmark {
namespace {

absl::Status AtLeast(std::string_view name, int64_t value, int64_t least) {
  if (value >= least) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat("--", name, " must be at least ", least, ": ", name, "=", value));
}

}  // namespace

absl::Status GeneratorOptions::Validate() const {
  RETURN_IF_ERROR(AtLeast("events", events, 0));
  if (!(rate > 0)) {
    return absl::InvalidArgumentError(StrCat("--rate must be above 0: rate=", rate));
  }
  RETURN_IF_ERROR(AtLeast("person-proportion", person_proportion, 1));
  RETURN_IF_ERROR(AtLeast("auction-proportion", auction_proportion, 1));
  RETURN_IF_ERROR(AtLeast("bid-proportion", bid_proportion, 0));
  RETURN_IF_ERROR(AtLeast("person-bytes", average_person_bytes, 0));
  RETURN_IF_ERROR(AtLeast("auction-bytes", average_auction_bytes, 0));
  RETURN_IF_ERROR(AtLeast("bid-bytes", average_bid_bytes, 0));
  RETURN_IF_ERROR(AtLeast("hot-auction-ratio", hot_auction_ratio, 1));
  RETURN_IF_ERROR(AtLeast("hot-bidders-ratio", hot_bidders_ratio, 1));
  RETURN_IF_ERROR(AtLeast("hot-sellers-ratio", hot_sellers_ratio, 1));
  RETURN_IF_ERROR(AtLeast("in-flight-auctions", in_flight_auctions, 1));
  RETURN_IF_ERROR(AtLeast("active-people", active_people, 1));
  RETURN_IF_ERROR(AtLeast("out-of-order-group-size", out_of_order_group_size, 1));
  RETURN_IF_ERROR(AtLeast("late-by-ms", late_by_ms, 0));
  constexpr int64_t kMaxBytes = 1 << 16;
  if (std::max({average_person_bytes, average_auction_bytes, average_bid_bytes}) > kMaxBytes) {
    return absl::InvalidArgumentError(
        StrCat("--person-bytes, --auction-bytes and --bid-bytes must be at most ", kMaxBytes));
  }
  if (!(late_probability >= 0 && late_probability <= 1)) {
    return absl::InvalidArgumentError(
        StrCat("--late-probability must be in 0..1: late-probability=", late_probability));
  }
  return absl::OkStatus();
}

std::vector<GeneratorRange> SplitEvents(const GeneratorOptions& options, int64_t generators) {
  // Enough for 200 years at a million a second, and ids stay far from overflow.
  constexpr int64_t kEndless = std::numeric_limits<int64_t>::max() >> 10;
  const int64_t events = options.events == 0 ? kEndless : options.events;
  const double delay = 1e6 / options.rate * static_cast<double>(generators);
  std::vector<GeneratorRange> ranges;
  int64_t first = 1;
  for (int64_t i = 0; i < generators; ++i) {
    // The last one takes what the division left.
    const int64_t share = events / generators;
    ranges.push_back(
        {first, i + 1 < generators ? share : events - share * (generators - 1), delay});
    first += share;
  }
  return ranges;
}

}  // namespace weir::nexmark
