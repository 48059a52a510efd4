#include "jobs/nexmark/aggregate_queries.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "jobs/nexmark/streams.h"
#include "operators/api/functions.h"
#include "operators/api/keyed_stream.h"
#include "runtime/base/status_macros.h"

namespace weir::nexmark {
namespace {

// ---- q15, q16, q17: price ranges ----

// 0, 1 or 2: below 10,000, below 1,000,000, above.
size_t RankOf(int64_t price) { return price < 10'000 ? 0 : price < 1'000'000 ? 1 : 2; }

/// How many, in all and by price range.
struct Counts {
  int64_t total = 0;
  std::array<int64_t, 3> ranks = {0, 0, 0};
  void Add(size_t rank) {
    ++total;
    ++ranks[rank];
  }
};

/// What q15 and q16 count of a group.
struct Totals {
  Counts bids;
  Counts bidders;
  Counts auctions;
  int64_t last_minute = -1;  // Of the day; q16.
};

/// The bidders, or auctions, of a group: to each the price ranges it was seen in, a bit each.
class DistinctIds {
 public:
  template <class K>
  absl::Status Open(KeyedOpenContext<K>& context, const char* name) {
    ASSIGN_OR_RETURN(seen_, context.GetState(MapStateDescriptor<int64_t, uint8_t>{name}));
    return absl::OkStatus();
  }
  /// Counts `id` where it was not seen before.
  void Add(int64_t id, size_t rank, Counts* counts) {
    const auto bit = static_cast<uint8_t>(1U << rank);
    const uint8_t* found = seen_.Get(id);
    const uint8_t before = found == nullptr ? uint8_t{0} : *found;
    if ((before & bit) != 0) return;
    if (before == 0) ++counts->total;
    ++counts->ranks[rank];
    seen_.Mutable(id) = static_cast<uint8_t>(before | bit);
  }

 private:
  MapState<int64_t, uint8_t> seen_;
};

/// A bid as q15 needs it.
struct DayBid {
  int64_t auction = 0;
  int64_t bidder = 0;
  int64_t price = 0;
  int32_t day = 0;
};

class CountDay final : public KeyedProcessFunction<int32_t, DayBid, DayReport> {
 public:
  absl::Status Open(KeyedOpenContext<int32_t>& context) override {
    ASSIGN_OR_RETURN(totals_, context.GetState(ValueStateDescriptor<Totals>{"totals"}));
    RETURN_IF_ERROR(bidders_.Open(context, "bidders"));
    return auctions_.Open(context, "auctions");
  }
  void ProcessElement(const DayBid& bid, Context&, Collector<DayReport>& out) override {
    Totals& t = totals_.Mutable();
    const size_t rank = RankOf(bid.price);
    t.bids.Add(rank);
    bidders_.Add(bid.bidder, rank, &t.bidders);
    auctions_.Add(bid.auction, rank, &t.auctions);
    out.Collect({day_text_.Of(bid.day), t.bids.total, t.bids.ranks[0], t.bids.ranks[1],
                 t.bids.ranks[2], t.bidders.total, t.bidders.ranks[0], t.bidders.ranks[1],
                 t.bidders.ranks[2], t.auctions.total, t.auctions.ranks[0], t.auctions.ranks[1],
                 t.auctions.ranks[2]});
  }

 private:
  ValueState<Totals> totals_;
  DistinctIds bidders_;
  DistinctIds auctions_;
  DayText day_text_;
};

struct ChannelDay {
  Text channel;
  int32_t day = 0;
  friend bool operator==(const ChannelDay&, const ChannelDay&) = default;
};

/// A bid as q16 needs it.
struct ChannelBidOfDay {
  ChannelDay group;
  int32_t minute = 0;  // Of the day.
  int64_t auction = 0;
  int64_t bidder = 0;
  int64_t price = 0;
};

Text MinuteText(int64_t minute) {
  return Text(absl::StrFormat("%02d:%02d", minute / 60, minute % 60));
}

class CountChannel final : public KeyedProcessFunction<ChannelDay, ChannelBidOfDay, ChannelReport> {
 public:
  absl::Status Open(KeyedOpenContext<ChannelDay>& context) override {
    ASSIGN_OR_RETURN(totals_, context.GetState(ValueStateDescriptor<Totals>{"totals"}));
    RETURN_IF_ERROR(bidders_.Open(context, "bidders"));
    return auctions_.Open(context, "auctions");
  }
  void ProcessElement(const ChannelBidOfDay& bid, Context&,
                      Collector<ChannelReport>& out) override {
    Totals& t = totals_.Mutable();
    const size_t rank = RankOf(bid.price);
    t.last_minute = std::max<int64_t>(t.last_minute, bid.minute);
    t.bids.Add(rank);
    bidders_.Add(bid.bidder, rank, &t.bidders);
    auctions_.Add(bid.auction, rank, &t.auctions);
    if (t.last_minute != minute_) {
      minute_ = t.last_minute;
      minute_text_ = MinuteText(minute_);
    }
    out.Collect({bid.group.channel, day_text_.Of(bid.group.day), minute_text_, t.bids.total,
                 t.bids.ranks[0], t.bids.ranks[1], t.bids.ranks[2], t.bidders.total,
                 t.bidders.ranks[0], t.bidders.ranks[1], t.bidders.ranks[2], t.auctions.total,
                 t.auctions.ranks[0], t.auctions.ranks[1], t.auctions.ranks[2]});
  }

 private:
  ValueState<Totals> totals_;
  DistinctIds bidders_;
  DistinctIds auctions_;
  DayText day_text_;
  int64_t minute_ = -1;  // What minute_text_ says.
  Text minute_text_;
};

struct AuctionDay {
  int64_t auction = 0;
  int32_t day = 0;
  friend bool operator==(const AuctionDay&, const AuctionDay&) = default;
};

/// A bid as q17 needs it.
struct AuctionBidOfDay {
  AuctionDay group;
  int64_t price = 0;
};

class CountAuction final : public KeyedProcessFunction<AuctionDay, AuctionBidOfDay, AuctionReport> {
 public:
  absl::Status Open(KeyedOpenContext<AuctionDay>& context) override {
    ASSIGN_OR_RETURN(prices_, context.GetState(ValueStateDescriptor<Prices>{"prices"}));
    return absl::OkStatus();
  }
  void ProcessElement(const AuctionBidOfDay& bid, Context&,
                      Collector<AuctionReport>& out) override {
    Prices& p = prices_.Mutable();
    p.min = p.bids.total == 0 ? bid.price : std::min(p.min, bid.price);
    p.max = std::max(p.max, bid.price);
    p.sum += bid.price;
    p.bids.Add(RankOf(bid.price));
    out.Collect({bid.group.auction, day_text_.Of(bid.group.day), p.bids.total, p.bids.ranks[0],
                 p.bids.ranks[1], p.bids.ranks[2], p.min, p.max, p.sum / p.bids.total, p.sum});
  }

 private:
  struct Prices {
    Counts bids;
    int64_t min = 0;
    int64_t max = 0;
    int64_t sum = 0;
  };
  ValueState<Prices> prices_;
  DayText day_text_;
};

// ---- q18 ----

struct BidderAuction {
  int64_t bidder = 0;
  int64_t auction = 0;
  friend bool operator==(const BidderAuction&, const BidderAuction&) = default;
};

/// Lets through each bid that is not older than the last one. Of that the time is enough: the row
/// that it replaces need not be known.
class KeepLastBid final : public KeyedProcessFunction<BidderAuction, Bid, Bid> {
 public:
  absl::Status Open(KeyedOpenContext<BidderAuction>& context) override {
    ASSIGN_OR_RETURN(last_, context.GetState(ValueStateDescriptor<EventTime>{"last"}));
    return absl::OkStatus();
  }
  void ProcessElement(const Bid& bid, Context&, Collector<Bid>& out) override {
    const EventTime* last = last_.Get();
    if (last != nullptr && bid.date_time < *last) return;
    last_.Set(bid.date_time);
    out.Collect(bid);
  }

 private:
  ValueState<EventTime> last_;
};

// ---- q19 ----

/// Keeps the ten highest bids of an auction, of equal ones the first; emits every rank that
/// changed.
class KeepHighestBids final : public KeyedProcessFunction<int64_t, Bid, RankedBid> {
 public:
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(highest_, context.GetState(ValueStateDescriptor<std::vector<Bid>>{"highest"}));
    return absl::OkStatus();
  }
  void ProcessElement(const Bid& bid, Context&, Collector<RankedBid>& out) override {
    if (const std::vector<Bid>* highest = highest_.Get();
        highest != nullptr && highest->size() == kRanks && highest->back().price >= bid.price) {
      return;
    }
    std::vector<Bid>& highest = highest_.Mutable();
    const auto at = std::find_if(highest.begin(), highest.end(),
                                 [&](const Bid& other) { return other.price < bid.price; });
    size_t rank = static_cast<size_t>(at - highest.begin());
    if (highest.size() == kRanks) {
      std::move_backward(at, highest.end() - 1, highest.end());
      *at = bid.Detached();
    } else {
      highest.insert(at, bid.Detached());
    }
    for (; rank < highest.size(); ++rank) {
      const Bid& b = highest[rank];
      out.Collect({b.auction, b.bidder, b.price, b.channel, b.url, b.date_time, b.extra,
                   static_cast<int64_t>(rank + 1)});
    }
  }

 private:
  static constexpr size_t kRanks = 10;
  ValueState<std::vector<Bid>> highest_;
};

}  // namespace

DataStream<DayReport> ReportDays(const DataStream<Event>& events) {
  return events
      .FlatMap<DayBid>([](const Event& event, Collector<DayBid>& out) {
        const Bid* bid = event.bid();
        if (bid == nullptr) return;
        out.Collect({bid->auction, bid->bidder, bid->price, DayOf(bid->date_time)});
      })
      .Name("Bids")
      .KeyBy([](const DayBid& bid) { return bid.day; })
      .Process(CountDay())
      .Name("Days");
}

DataStream<ChannelReport> ReportChannels(const DataStream<Event>& events) {
  return events
      .FlatMap<ChannelBidOfDay>([](auto&& event, Collector<ChannelBidOfDay>& out) {
        auto* bid = BidOf(event);
        if (bid == nullptr) return;
        const int32_t day = DayOf(bid->date_time);
        const auto minute =
            static_cast<int32_t>(bid->date_time.millis() / 60'000 - int64_t{day} * 1440);
        out.Collect(
            {{std::move(bid->channel), day}, minute, bid->auction, bid->bidder, bid->price});
      })
      .Name("Bids")
      .KeyBy([](const ChannelBidOfDay& bid) -> const ChannelDay& { return bid.group; })
      .Process(CountChannel())
      .Name("Channels");
}

DataStream<AuctionReport> ReportAuctions(const DataStream<Event>& events) {
  return events
      .FlatMap<AuctionBidOfDay>([](const Event& event, Collector<AuctionBidOfDay>& out) {
        const Bid* bid = event.bid();
        if (bid == nullptr) return;
        out.Collect({{bid->auction, DayOf(bid->date_time)}, bid->price});
      })
      .Name("Bids")
      .KeyBy([](const AuctionBidOfDay& bid) { return bid.group; })
      .Process(CountAuction())
      .Name("Auctions");
}

DataStream<Bid> FindLastBids(const DataStream<Event>& events) {
  return Bids(events)
      .KeyBy([](const Bid& bid) { return BidderAuction{bid.bidder, bid.auction}; })
      .Process(KeepLastBid())
      .Name("Last bids");
}

DataStream<RankedBid> RankBids(const DataStream<Event>& events) {
  return Bids(events)
      .KeyBy([](const Bid& bid) { return bid.auction; })
      .Process(KeepHighestBids())
      .Name("Highest bids");
}

}  // namespace weir::nexmark
