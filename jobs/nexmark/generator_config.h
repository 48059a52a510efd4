#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "runtime/record/event_time.h"

namespace weir::nexmark {

/// What the generator makes: the public benchmark's settings, with its defaults.
struct GeneratorOptions {
  /// How many events in all; 0 is without end.
  int64_t events = 0;
  /// Events a second of event time, over all generators.
  double rate = 10'000;
  /// Other seeds give other events; the same seed, settings and number of generators give the same.
  uint64_t seed = 1;
  /// Event time of the first event: 2015-07-15 00:00 UTC.
  EventTime base_time = EventTime::FromMillis(1'436'918'400'000);

  int64_t person_proportion = 1;
  int64_t auction_proportion = 3;
  int64_t bid_proportion = 46;

  // Sizes that `extra` pads records to on average, in bytes.
  int64_t average_person_bytes = 200;
  int64_t average_auction_bytes = 500;
  int64_t average_bid_bytes = 100;

  /// Of this many bids, all but one are for the hot auction; one of 100 auctions is hot.
  int64_t hot_auction_ratio = 2;
  /// Of this many bids, all but one are by the hot bidder; one of 100 persons is hot.
  int64_t hot_bidders_ratio = 4;
  /// Of this many auctions, all but one are the hot seller's; one of 100 persons is hot.
  int64_t hot_sellers_ratio = 4;

  /// How many auctions are open at a time, per generator: bids go to the latest of them.
  int64_t in_flight_auctions = 100;
  /// How many persons, the latest ones, bid and sell.
  int64_t active_people = 1000;

  /// The events of groups of this size come in a scattered order. 1: in order.
  int64_t out_of_order_group_size = 1;
  /// Of bids, the share that come late: their time lies `late_by_ms` back.
  double late_probability = 0;
  int64_t late_by_ms = 3'000;

  /// Errors: kInvalidArgument, naming the setting and what it may be.
  [[nodiscard]] absl::Status Validate() const;
  [[nodiscard]] int64_t total_proportion() const {
    return person_proportion + auction_proportion + bid_proportion;
  }
};

/// What one of several generators makes: a range of event ids of its own, on the same time line as
/// the others.
struct GeneratorRange {
  /// The first event's id; ids, which say what an event is, are unique over all generators.
  int64_t first_event_id = 0;
  int64_t events = 0;
  /// Of event time, between two events of this generator.
  double delay_microseconds = 0;
};

/// Cuts the events for `generators` generators, at least one.
[[nodiscard]] std::vector<GeneratorRange> SplitEvents(const GeneratorOptions& options,
                                                      int64_t generators);

}  // namespace weir::nexmark
