#include "jobs/nexmark/window_queries.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "operators/api/functions.h"
#include "operators/api/keyed_stream.h"
#include "runtime/base/status_macros.h"

namespace weir::nexmark {
namespace {

constexpr int64_t kWindowMs = 10'000;

// The start of the ten seconds that `millis` lies in.
int64_t WindowStart(int64_t millis) {
  const int64_t within = millis % kWindowMs;
  return millis - within - (within < 0 ? kWindowMs : 0);
}

// ---- q5 ----

struct CountBids {
  using Accumulator = int64_t;
  using Result = int64_t;
  void Add(const int64_t&, int64_t& count) const { ++count; }
  void Merge(const int64_t& from, int64_t& into) const { into += from; }
  int64_t GetResult(const int64_t& count) const { return count; }
};

struct WindowCount {
  int64_t window_end = 0;
  int64_t auction = 0;
  int64_t num = 0;
};

/// Keeps the auctions of a window with the most bids until all its counts have come.
class KeepHotItems final : public KeyedProcessFunction<int64_t, WindowCount, HotItem> {
 public:
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(hottest_, context.GetState(ValueStateDescriptor<Hottest>{"hottest"}));
    return absl::OkStatus();
  }
  void ProcessElement(const WindowCount& count, Context& context, Collector<HotItem>&) override {
    if (const Hottest* hottest = hottest_.Get()) {
      if (count.num < hottest->num) return;
    } else {
      context.timer_service().RegisterEventTimeTimer(EventTime::FromMillis(count.window_end - 1));
    }
    Hottest& hottest = hottest_.Mutable();
    if (count.num > hottest.num) hottest.auctions.clear();
    hottest.num = count.num;
    hottest.auctions.push_back(count.auction);
  }
  void OnTimer(TimerKind, Context&, Collector<HotItem>& out) override {
    const Hottest& hottest = *hottest_.Get();
    for (const int64_t auction : hottest.auctions) out.Collect({auction, hottest.num});
    hottest_.Clear();
  }

 private:
  struct Hottest {
    int64_t num = 0;
    std::vector<int64_t> auctions;
  };
  ValueState<Hottest> hottest_;
};

// ---- q7 ----

/// A bid that may be the highest of the window that ends at `window_end`; it may also lie just at
/// that end, where a bid of the window's highest price counts though it is in the next window.
struct Candidate {
  int64_t window_end = 0;
  HighestBid bid;
};

/// Lets through only bids as high as any of their window seen here so far. It keeps no state: what
/// it forgets in a failure makes it let through more, and the next operator finds the highest.
class DropLowerBids {
 public:
  template <class BidType>
  void operator()(BidType& bid, Collector<Candidate>& out) {
    const int64_t millis = bid.date_time.millis();
    const int64_t start = WindowStart(millis);
    if (millis == start && bid.price >= HighestOf(start - kWindowMs)) Emit(start, bid, out);
    int64_t& highest = HighestOf(start);
    if (bid.price < highest) return;
    highest = bid.price;
    Emit(start + kWindowMs, bid, out);
  }

 private:
  struct Window {
    int64_t start = 0;
    int64_t highest = -1;
  };

  int64_t& HighestOf(int64_t start) {
    Window& window = windows_[static_cast<size_t>(start / kWindowMs) % windows_.size()];
    if (window.start != start) window = {start, -1};
    return window.highest;
  }
  static void Emit(int64_t window_end, const Bid& bid, Collector<Candidate>& out) {
    out.Collect({window_end, {bid.auction, bid.price, bid.bidder, bid.date_time, bid.extra}});
  }

  std::array<Window, 8> windows_;  // The latest.
};

/// Finds the highest bids of a window among the candidates.
class KeepHighestBidsOfWindow final : public KeyedProcessFunction<int64_t, Candidate, HighestBid> {
 public:
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(window_, context.GetState(ValueStateDescriptor<Window>{"window"}));
    return absl::OkStatus();
  }
  void ProcessElement(const Candidate& candidate, Context& context,
                      Collector<HighestBid>&) override {
    // All bids up to the end itself count, so that is when the window is complete.
    const EventTime end = EventTime::FromMillis(candidate.window_end);
    if (end <= context.current_watermark()) return;
    const Window* known = window_.Get();
    if (known == nullptr) {
      context.timer_service().RegisterEventTimeTimer(end);
    } else if (candidate.bid.price < known->highest) {
      return;
    }
    Window& window = window_.Mutable();
    HighestBid bid = candidate.bid;
    bid.extra = bid.extra.Detached();
    if (bid.date_time == end) {
      window.at_end.push_back(std::move(bid));
      return;
    }
    if (bid.price > window.highest) window.bids.clear();
    window.highest = bid.price;
    window.bids.push_back(std::move(bid));
  }
  void OnTimer(TimerKind, Context&, Collector<HighestBid>& out) override {
    const Window& window = *window_.Get();
    for (const HighestBid& bid : window.bids) out.Collect(bid);
    for (const HighestBid& bid : window.at_end) {
      if (bid.price == window.highest) out.Collect(bid);
    }
    window_.Clear();
  }

 private:
  struct Window {
    int64_t highest = -1;
    std::vector<HighestBid> bids;    // Of the highest price.
    std::vector<HighestBid> at_end;  // At the window's end, as high or higher.
  };
  ValueState<Window> window_;
};

// ---- q8 ----

/// A person who came, or one who opened an auction.
struct Arrival {
  int64_t id = 0;
  bool opens_auction = false;
  Text name;
};

struct MeetInWindow {
  struct Accumulator {
    bool came = false;
    bool opened_auction = false;
    Text name;
  };
  using Result = Accumulator;
  void Add(const Arrival& arrival, Accumulator& seen) const {
    (arrival.opens_auction ? seen.opened_auction : seen.came) = true;
    if (!arrival.opens_auction) seen.name = arrival.name;
  }
  void Merge(const Accumulator& from, Accumulator& into) const {
    into.came |= from.came;
    into.opened_auction |= from.opened_auction;
    if (from.came) into.name = from.name;
  }
  Accumulator GetResult(const Accumulator& seen) const { return seen; }
};

// ---- q11 ----

/// Counts the bids of each session of a bidder: bids with less than ten seconds, or just so much,
/// between them.
class CountSessionBids final : public KeyedProcessFunction<int64_t, int64_t, BidCount> {
 public:
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(sessions_,
                     context.GetState(ValueStateDescriptor<std::vector<Session>>{"sessions"}));
    return absl::OkStatus();
  }
  void ProcessElement(const int64_t&, Context& context, Collector<BidCount>&) override {
    const int64_t millis = context.timestamp().millis();
    const Session added{millis, millis + kWindowMs, 1};
    std::vector<Session>& sessions = sessions_.Mutable();
    if (sessions.size() == 1 && Touch(sessions.front(), added) && added.end >= sessions.front().end)
        [[likely]] {
      // Its timer finds the later end.
      sessions.front().end = added.end;
      ++sessions.front().count;
      return;
    }
    Insert(added, context, sessions);
    if (sessions.empty()) sessions_.Clear();
  }
  void OnTimer(TimerKind, Context& context, Collector<BidCount>& out) override {
    std::vector<Session>& sessions = sessions_.Mutable();
    std::erase_if(sessions, [&](const Session& session) {
      if (session.LastInstant() > context.timestamp()) return false;
      out.Collect({context.current_key(), session.count, EventTime::FromMillis(session.start),
                   EventTime::FromMillis(session.end)});
      return true;
    });
    for (const Session& session : sessions) {
      context.timer_service().RegisterEventTimeTimer(session.LastInstant());
    }
    if (sessions.empty()) sessions_.Clear();
  }

 private:
  struct Session {
    int64_t start = 0;
    int64_t end = 0;
    int64_t count = 0;
    [[nodiscard]] EventTime LastInstant() const { return EventTime::FromMillis(end - 1); }
  };

  static bool Touch(const Session& a, const Session& b) {
    return a.start <= b.end && b.start <= a.end;
  }
  // Merges `added` with all that it touches; it is late, and left out, if even so it lies behind
  // time.
  static void Insert(Session added, Context& context, std::vector<Session>& sessions) {
    std::erase_if(sessions, [&](const Session& session) {
      if (!Touch(session, added)) return false;
      added = {std::min(added.start, session.start), std::max(added.end, session.end),
               added.count + session.count};
      return true;
    });
    if (added.LastInstant() <= context.current_watermark()) return;
    sessions.push_back(added);
    context.timer_service().RegisterEventTimeTimer(added.LastInstant());
  }

  ValueState<std::vector<Session>> sessions_;
};

// ---- q12 ----

/// Counts the bids of a bidder in each ten seconds of processing time.
class CountBidsNow final : public KeyedProcessFunction<int64_t, int64_t, BidCount> {
 public:
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(window_, context.GetState(ValueStateDescriptor<Window>{"window"}));
    return absl::OkStatus();
  }
  void ProcessElement(const int64_t&, Context& context, Collector<BidCount>& out) override {
    const int64_t start = WindowStart(absl::ToUnixMillis(context.current_processing_time()));
    Window& window = window_.Mutable();
    if (window.start != start) {
      Emit(window, context, out);  // Its timer comes late.
      window = {start, 0};
      context.timer_service().RegisterProcessingTimeTimer(absl::FromUnixMillis(start + kWindowMs));
      context.timer_service().RegisterEventTimeTimer(EventTime::Max());
    }
    ++window.count;
  }
  void OnTimer(TimerKind kind, Context& context, Collector<BidCount>& out) override {
    const Window* window = window_.Get();
    if (window == nullptr) return;
    const bool is_over =
        kind == TimerKind::kEventTime || context.timestamp().millis() >= window->start + kWindowMs;
    if (!is_over) return;
    Emit(*window, context, out);
    window_.Clear();
    context.timer_service().DeleteEventTimeTimer(EventTime::Max());
  }

 private:
  struct Window {
    int64_t start = 0;
    int64_t count = 0;
  };

  static void Emit(const Window& window, Context& context, Collector<BidCount>& out) {
    if (window.count == 0) return;
    out.Collect({context.current_key(), window.count, EventTime::FromMillis(window.start),
                 EventTime::FromMillis(window.start + kWindowMs)});
  }

  ValueState<Window> window_;
};

}  // namespace

DataStream<HotItem> FindHotItems(const DataStream<Event>& events) {
  return events
      .FlatMap<int64_t>([](const Event& event, Collector<int64_t>& out) {
        if (const Bid* bid = event.bid()) out.Collect(bid->auction);
      })
      .Name("Auctions of bids")
      .KeyBy([](const int64_t& auction) { return auction; })
      .Window(SlidingEventTimeWindows::Of(absl::Seconds(10), absl::Seconds(2)))
      .Aggregate<WindowCount>(
          CountBids(),
          [](const int64_t& auction, const TimeWindow& window, int64_t num,
             Collector<WindowCount>& out) { out.Collect({window.end.millis(), auction, num}); })
      .Name("Counts")
      .Uid("counts")
      .KeyBy([](const WindowCount& count) { return count.window_end; })
      .Process(KeepHotItems())
      .Name("Hot items");
}

DataStream<HighestBid> FindHighestBids(const DataStream<Event>& events) {
  return events
      .FlatMap<Candidate>(
          [filter = DropLowerBids()](const Event& event, Collector<Candidate>& out) mutable {
            if (const Bid* bid = event.bid()) filter(*bid, out);
          })
      .Name("High bids")
      .KeyBy([](const Candidate& candidate) { return candidate.window_end; })
      .Process(KeepHighestBidsOfWindow())
      .Name("Highest bids");
}

DataStream<NewUser> FindNewUsers(const DataStream<Event>& events) {
  return events
      .FlatMap<Arrival>([](const Event& event, Collector<Arrival>& out) {
        if (const Person* person = event.person()) out.Collect({person->id, false, person->name});
        if (const Auction* auction = event.auction()) out.Collect({auction->seller, true, Text()});
      })
      .Name("Arrivals")
      .KeyBy([](const Arrival& arrival) { return arrival.id; })
      .Window(TumblingEventTimeWindows::Of(absl::Seconds(10)))
      .Aggregate<NewUser>(MeetInWindow(),
                          [](const int64_t& id, const TimeWindow& window,
                             MeetInWindow::Accumulator seen, Collector<NewUser>& out) {
                            if (!seen.came || !seen.opened_auction) return;
                            out.Collect({id, std::move(seen.name), window.start});
                          })
      .Name("New users");
}

DataStream<BidCount> CountSessions(const DataStream<Event>& events) {
  return events
      .FlatMap<int64_t>([](const Event& event, Collector<int64_t>& out) {
        if (const Bid* bid = event.bid()) out.Collect(bid->bidder);
      })
      .Name("Bidders")
      .KeyBy([](const int64_t& bidder) { return bidder; })
      .Process(CountSessionBids())
      .Name("Sessions");
}

DataStream<BidCount> CountByProcessingTime(const DataStream<Event>& events) {
  return events
      .FlatMap<int64_t>([](const Event& event, Collector<int64_t>& out) {
        if (const Bid* bid = event.bid()) out.Collect(bid->bidder);
      })
      .Name("Bidders")
      .KeyBy([](const int64_t& bidder) { return bidder; })
      .Process(CountBidsNow())
      .Name("Counts");
}

}  // namespace weir::nexmark
