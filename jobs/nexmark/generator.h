#pragma once

#include <cstdint>

#include "jobs/nexmark/event.h"
#include "jobs/nexmark/generator_config.h"
#include "jobs/nexmark/internal/random.h"
#include "jobs/nexmark/internal/vocabulary.h"
#include "jobs/nexmark/text.h"

namespace weir::nexmark {

/// Makes the events of one range in order. An event depends on the options, its id and its number
/// in the range alone, so a generator may start anywhere. Threads: one at a time.
///
/// Follows the public benchmark (github.com/nexmark/nexmark): what kind an event is, ids, hot keys
/// and their drift, prices, auction lengths, times. Its bidders are 1,000 ahead of persons, because
/// the benchmark adds the first person's id to a bidder twice; so do we.
class Generator {
 public:
  /// `next` events of the range were made already.
  Generator(const GeneratorOptions& options, const GeneratorRange& range, int64_t next = 0);

  [[nodiscard]] bool AtEnd() const { return next_ == range_.events; }
  /// How many events of the range were made.
  [[nodiscard]] int64_t position() const { return next_; }
  /// When, on the time line of the events, the next event is due.
  [[nodiscard]] EventTime NextDue() const { return TimeOf(next_ + kFirstEventNumber); }
  /// Makes the next event. `*time` is its event time. Its `extra`, channel and URL refer to letters
  /// that were made once for all events and stay.
  [[nodiscard]] Event Next(EventTime* time);

 private:
  // As the benchmark's source begins.
  static constexpr int64_t kFirstEventNumber = 1;

  [[nodiscard]] EventTime TimeOf(int64_t event_number) const {
    const auto microseconds =
        static_cast<int64_t>(static_cast<double>(event_number) * range_.delay_microseconds);
    return options_.base_time + microseconds / 1000;
  }
  [[nodiscard]] int64_t AdjustedEventNumber() const;
  [[nodiscard]] int64_t NextPersonId();
  [[nodiscard]] int64_t NextAuctionId();
  [[nodiscard]] Person NextPerson(EventTime time);
  [[nodiscard]] Auction NextAuction(EventTime time, int64_t event_number);
  void NextBid(EventTime time, Bid* bid);

  const GeneratorOptions options_;
  const GeneratorRange range_;
  const int64_t total_proportion_;
  const internal::Vocabulary& vocabulary_;
  const internal::ExtraLength bid_extra_;
  int64_t next_;
  internal::Random random_;
  // Of the event being made, counted from 0.
  int64_t last_person_ = 0;
  int64_t last_auction_ = 0;
};

}  // namespace weir::nexmark
