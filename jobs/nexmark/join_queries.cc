#include "jobs/nexmark/join_queries.h"

#include <optional>
#include <utility>
#include <vector>

#include "jobs/nexmark/stateless_queries.h"
#include "jobs/nexmark/streams.h"
#include "operators/api/connected_streams.h"
#include "operators/api/functions.h"
#include "operators/api/keyed_stream.h"
#include "runtime/base/status_macros.h"

namespace weir::nexmark {
namespace {

constexpr int64_t kCategory = 10;  // What q3 and q20 look for.

// ---- q3 ----

struct Seller {
  int64_t id = 0;
  Text name;
  Text city;
  Text state;
};
struct Item {
  int64_t id = 0;
  int64_t seller = 0;
};

/// Joins a person with what the person sells.
class JoinLocalItems final : public KeyedCoProcessFunction<int64_t, Seller, Item, LocalItem> {
 public:
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(seller_, context.GetState(ValueStateDescriptor<Seller>{"seller"}));
    ASSIGN_OR_RETURN(items_, context.GetState(ListStateDescriptor<int64_t>{"items"}));
    return absl::OkStatus();
  }
  void ProcessElement1(const Seller& seller, Context&, Collector<LocalItem>& out) override {
    seller_.Set(seller);
    items_.ForEach([&](int64_t item) { Emit(seller, item, out); });
    items_.Clear();
  }
  void ProcessElement2(const Item& item, Context&, Collector<LocalItem>& out) override {
    if (const Seller* seller = seller_.Get()) {
      Emit(*seller, item.id, out);
    } else {
      items_.Add(item.id);
    }
  }

 private:
  static void Emit(const Seller& seller, int64_t item, Collector<LocalItem>& out) {
    out.Collect({seller.name, seller.city, seller.state, item});
  }
  ValueState<Seller> seller_;
  ListState<int64_t> items_;  // That came before their seller.
};

// ---- q4 ----

struct AuctionTerm {
  int64_t id = 0;
  int64_t category = 0;
  EventTime date_time;
  EventTime expires;
};
struct Offer {
  int64_t auction = 0;
  int64_t price = 0;
  EventTime date_time;
};
/// What an auction adds to the sum and number of its category's final prices.
struct FinalPriceChange {
  int64_t category = 0;
  int64_t price = 0;
  int64_t count = 0;
};

/// Follows the highest price of each auction, of bids while it was open.
class FindFinalPrices final
    : public KeyedCoProcessFunction<int64_t, AuctionTerm, Offer, FinalPriceChange> {
 public:
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(auction_, context.GetState(ValueStateDescriptor<State>{"auction"}));
    return absl::OkStatus();
  }
  void ProcessElement1(const AuctionTerm& term, Context&,
                       Collector<FinalPriceChange>& out) override {
    State& state = auction_.Mutable();
    state.term = term;
    for (const Offer& offer : std::exchange(state.early, {})) Take(state, offer, out);
  }
  void ProcessElement2(const Offer& offer, Context&, Collector<FinalPriceChange>& out) override {
    const State* state = auction_.Get();
    if (state == nullptr || !state->term.has_value()) {
      auction_.Mutable().early.push_back(offer);
    } else if (IsHigher(*state, offer)) {
      Take(auction_.Mutable(), offer, out);
    }
  }

 private:
  struct State {
    std::optional<AuctionTerm> term;
    int64_t price = -1;        // The highest; -1 before the first.
    std::vector<Offer> early;  // That came before the auction.
  };

  static bool IsHigher(const State& state, const Offer& offer) {
    return offer.price > state.price && offer.date_time >= state.term->date_time &&
           offer.date_time <= state.term->expires;
  }
  static void Take(State& state, const Offer& offer, Collector<FinalPriceChange>& out) {
    if (!IsHigher(state, offer)) return;
    const bool first = state.price < 0;
    out.Collect({state.term->category, offer.price - (first ? 0 : state.price), first ? 1 : 0});
    state.price = offer.price;
  }

  ValueState<State> auction_;
};

/// Averages the final prices of each category; emits every average that differs from the last.
class AverageFinalPrices final
    : public KeyedProcessFunction<int64_t, FinalPriceChange, CategoryPrice> {
 public:
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(prices_, context.GetState(ValueStateDescriptor<Prices>{"prices"}));
    return absl::OkStatus();
  }
  void ProcessElement(const FinalPriceChange& change, Context& context,
                      Collector<CategoryPrice>& out) override {
    Prices& prices = prices_.Mutable();
    const int64_t before = prices.count == 0 ? -1 : prices.sum / prices.count;
    prices.sum += change.price;
    prices.count += change.count;
    const int64_t after = prices.sum / prices.count;
    if (after != before) out.Collect({context.current_key(), after});
  }

 private:
  struct Prices {
    int64_t sum = 0;
    int64_t count = 0;
  };
  ValueState<Prices> prices_;
};

// ---- q9 ----

/// Follows the winning bid of each auction: the highest, of equal ones the earliest.
class FollowWinningBid final
    : public KeyedCoProcessFunction<int64_t, Auction, PassedBid, WinningBid> {
 public:
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(auction_, context.GetState(ValueStateDescriptor<State>{"auction"}));
    return absl::OkStatus();
  }
  void ProcessElement1(const Auction& auction, Context&, Collector<WinningBid>& out) override {
    State& state = auction_.Mutable();
    state.auction = Shared<Auction>(auction.Detached());
    for (const PassedBid& bid : std::exchange(state.early, {})) {
      if (Wins(state, bid)) Take(state, bid, out);
    }
  }
  void ProcessElement2(const PassedBid& bid, Context&, Collector<WinningBid>& out) override {
    const State* state = auction_.Get();
    if (state == nullptr || !state->auction) {
      PassedBid kept = bid;
      kept.extra = kept.extra.Detached();
      auction_.Mutable().early.push_back(std::move(kept));
    } else if (Wins(*state, bid)) {
      Take(auction_.Mutable(), bid, out);
    }
  }

 private:
  // The winner's other columns were emitted and are not needed again.
  struct State {
    Shared<Auction> auction;
    int64_t price = -1;  // Of the winner; -1 before there is one.
    EventTime date_time;
    std::vector<PassedBid> early;  // That came before the auction.
  };

  static bool Wins(const State& state, const PassedBid& bid) {
    if (bid.date_time < state.auction->date_time || bid.date_time > state.auction->expires) {
      return false;
    }
    return bid.price > state.price || (bid.price == state.price && bid.date_time < state.date_time);
  }
  static void Take(State& state, const PassedBid& bid, Collector<WinningBid>& out) {
    state.price = bid.price;
    state.date_time = bid.date_time;
    const Auction& a = *state.auction;
    out.Collect({a.id, a.item_name, a.description, a.initial_bid, a.reserve, a.date_time, a.expires,
                 a.seller, a.category, a.extra, bid.auction, bid.bidder, bid.price, bid.date_time,
                 bid.extra});
  }

  ValueState<State> auction_;
};

// ---- q20 ----

/// Joins bids with their auctions, those of one category.
class JoinAuctions final : public KeyedProcessFunction<int64_t, Event, AuctionBid> {
 public:
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(auction_, context.GetState(ValueStateDescriptor<State>{"auction"}));
    return absl::OkStatus();
  }
  void ProcessElement(const Event& event, Context&, Collector<AuctionBid>& out) override {
    if (const Auction* auction = event.auction()) {
      State& state = auction_.Mutable();
      state.has_come = true;
      if (auction->category == kCategory) {
        state.auction = Shared<Auction>(auction->Detached());
        for (const Bid& bid : state.early) Emit(bid, *auction, out);
      }
      state.early = {};
    } else if (const Bid* bid = event.bid()) {
      const State* state = auction_.Get();
      if (state == nullptr || !state->has_come) {
        auction_.Mutable().early.push_back(bid->Detached());
      } else if (state->auction) {
        Emit(*bid, *state->auction, out);
      }
    }
  }

 private:
  struct State {
    bool has_come = false;
    Shared<Auction> auction;  // Null if it is of another category.
    std::vector<Bid> early;   // That came before the auction.
  };

  static void Emit(const Bid& b, const Auction& a, Collector<AuctionBid>& out) {
    out.Collect({b.auction, b.bidder, b.price, b.channel, b.url, b.date_time, b.extra, a.item_name,
                 a.description, a.initial_bid, a.reserve, a.date_time, a.expires, a.seller,
                 a.category, a.extra});
  }

  ValueState<State> auction_;
};

// ---- q23 ----

/// Joins the bids of a person with the person and all the person's auctions.
class JoinBidsOfSellers final : public KeyedProcessFunction<int64_t, Event, SellerBid> {
 public:
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(person_, context.GetState(ValueStateDescriptor<Shared<Person>>{"person"}));
    ASSIGN_OR_RETURN(auctions_, context.GetState(ListStateDescriptor<Auction>{"auctions"}));
    ASSIGN_OR_RETURN(bids_, context.GetState(ListStateDescriptor<Bid>{"bids"}));
    return absl::OkStatus();
  }
  void ProcessElement(const Event& event, Context&, Collector<SellerBid>& out) override {
    if (const Bid* bid = event.bid()) {
      if (const Shared<Person>* person = person_.Get()) EmitBid(*bid, **person, out);
      bids_.Add(bid->Detached());
    } else if (const Auction* auction = event.auction()) {
      if (const Shared<Person>* person = person_.Get()) {
        bids_.ForEach([&](const Bid& earlier) { Emit(earlier, **person, *auction, out); });
      }
      auctions_.Add(auction->Detached());
    } else {
      const Person& person = *event.person();
      person_.Set(Shared<Person>(person.Detached()));
      if (!auctions_.empty()) {
        bids_.ForEach([&](const Bid& earlier) { EmitBid(earlier, person, out); });
      }
    }
  }

 private:
  void EmitBid(const Bid& bid, const Person& person, Collector<SellerBid>& out) {
    auctions_.ForEach([&](const Auction& auction) { Emit(bid, person, auction, out); });
  }
  static void Emit(const Bid& b, const Person& p, const Auction& a, Collector<SellerBid>& out) {
    out.Collect({b.bidder,    b.price,         b.channel,     b.url,     b.extra,     p.id,
                 p.name,      p.email_address, p.credit_card, p.city,    p.state,     p.extra,
                 a.item_name, a.description,   a.initial_bid, a.reserve, a.date_time, a.expires,
                 a.seller,    a.category,      a.extra});
  }

  ValueState<Shared<Person>> person_;
  ListState<Auction> auctions_;
  ListState<Bid> bids_;
};

int64_t PersonIdOf(const Event& event) {
  if (const Bid* bid = event.bid()) return bid->bidder;
  if (const Auction* auction = event.auction()) return auction->seller;
  return event.person()->id;
}

int64_t AuctionIdOf(const Event& event) {
  const Bid* bid = event.bid();
  return bid != nullptr ? bid->auction : event.auction()->id;
}

}  // namespace

DataStream<LocalItem> FindLocalItems(const DataStream<Event>& events) {
  const auto sellers = events
                           .FlatMap<Seller>([](const Event& event, Collector<Seller>& out) {
                             const Person* person = event.person();
                             if (person == nullptr) return;
                             const std::string_view state = person->state;
                             if (state == "OR" || state == "ID" || state == "CA") {
                               out.Collect({person->id, person->name, person->city, person->state});
                             }
                           })
                           .Name("Local sellers")
                           .KeyBy([](const Seller& seller) { return seller.id; });
  const auto items = events
                         .FlatMap<Item>([](const Event& event, Collector<Item>& out) {
                           const Auction* auction = event.auction();
                           if (auction == nullptr || auction->category != kCategory) return;
                           out.Collect({auction->id, auction->seller});
                         })
                         .Name("Items")
                         .KeyBy([](const Item& item) { return item.seller; });
  return sellers.Connect(items).Process(JoinLocalItems()).Name("Local items");
}

DataStream<CategoryPrice> AveragePrices(const DataStream<Event>& events) {
  const auto terms =
      events
          .FlatMap<AuctionTerm>([](const Event& event, Collector<AuctionTerm>& out) {
            const Auction* auction = event.auction();
            if (auction == nullptr) return;
            out.Collect({auction->id, auction->category, auction->date_time, auction->expires});
          })
          .Name("Auctions")
          .KeyBy([](const AuctionTerm& term) { return term.id; });
  const auto offers = events
                          .FlatMap<Offer>([](const Event& event, Collector<Offer>& out) {
                            const Bid* bid = event.bid();
                            if (bid != nullptr) {
                              out.Collect({bid->auction, bid->price, bid->date_time});
                            }
                          })
                          .Name("Bids")
                          .KeyBy([](const Offer& offer) { return offer.auction; });
  return terms.Connect(offers)
      .Process(FindFinalPrices())
      .Name("Final prices")
      .Uid("final-prices")
      .KeyBy([](const FinalPriceChange& change) { return change.category; })
      .Process(AverageFinalPrices())
      .Name("Average prices");
}

DataStream<WinningBid> FindWinningBids(const DataStream<Event>& events) {
  return Auctions(events)
      .KeyBy([](const Auction& auction) { return auction.id; })
      .Connect(PassThrough(events).KeyBy([](const PassedBid& bid) { return bid.auction; }))
      .Process(FollowWinningBid())
      .Name("Winning bids");
}

DataStream<AuctionBid> ExpandBids(const DataStream<Event>& events) {
  return events.Filter([](const Event& event) { return event.person() == nullptr; })
      .KeyBy([](const Event& event) { return AuctionIdOf(event); })
      .Process(JoinAuctions())
      .Name("Bids with auctions");
}

DataStream<SellerBid> FindBidsOfSellers(const DataStream<Event>& events) {
  return events.KeyBy([](const Event& event) { return PersonIdOf(event); })
      .Process(JoinBidsOfSellers())
      .Name("Bids of sellers");
}

}  // namespace weir::nexmark
