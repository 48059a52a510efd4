#include "jobs/nexmark/generator.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

namespace weir::nexmark {
namespace {

using internal::Random;

// Ids begin there, so that queries find what they look for in few events already.
constexpr int64_t kFirstAuctionId = 1000;
constexpr int64_t kFirstPersonId = 1000;
constexpr int64_t kFirstCategoryId = 10;
constexpr int64_t kCategories = 5;
// How far ahead of what exists an id may be.
constexpr int64_t kAuctionIdLead = 10;
constexpr int64_t kPersonIdLead = 10;
// One of so many auctions and persons is hot.
constexpr int64_t kHotAuction = 100;
constexpr int64_t kHotBidder = 100;
constexpr int64_t kHotSeller = 100;

constexpr std::array<std::string_view, 6> kStates = {"AZ", "CA", "ID", "OR", "WA", "WY"};
constexpr std::array<std::string_view, 10> kCities = {
    "Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland",
    "Bend",    "Redmond",     "Seattle",       "Kent",  "Cheyenne"};
constexpr std::array<std::string_view, 11> kFirstNames = {
    "Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"};
constexpr std::array<std::string_view, 9> kLastNames = {
    "Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"};

template <size_t kSize>
std::string_view OneOf(const std::array<std::string_view, kSize>& words, Random& random) {
  return words[static_cast<size_t>(random.Below(int64_t{kSize}))];
}

std::string NextName(Random& random) {
  return std::string(OneOf(kFirstNames, random)).append(" ").append(OneOf(kLastNames, random));
}

std::string NextEmail(Random& random) {
  std::string email;
  internal::AppendRandomString(random, 7, ' ', &email);
  email.push_back('@');
  internal::AppendRandomString(random, 5, ' ', &email);
  return email.append(".com");
}

std::string NextCreditCard(Random& random) {
  std::string card;
  for (int i = 0; i < 4; ++i) {
    if (i > 0) card.push_back(' ');
    card.append(std::to_string(10'000 + random.Below(int64_t{10'000})), 1);
  }
  return card;
}

}  // namespace

Generator::Generator(const GeneratorOptions& options, const GeneratorRange& range, int64_t next)
    : options_(options),
      range_(range),
      total_proportion_(options.total_proportion()),
      vocabulary_(internal::Vocabulary::Get()),
      bid_extra_(4 * sizeof(int64_t), options.average_bid_bytes),
      next_(next) {}

int64_t Generator::AdjustedEventNumber() const {
  const int64_t number = next_ + kFirstEventNumber;
  const int64_t group = options_.out_of_order_group_size;
  if (group == 1) return number;
  return number / group * group + number * 953 % group;
}

Event Generator::Next(EventTime* time) {
  const int64_t number = AdjustedEventNumber();
  const int64_t id = range_.first_event_id + number;
  const int64_t epoch = id / total_proportion_;
  const int64_t offset = id % total_proportion_;
  random_ = Random(options_.seed, static_cast<uint64_t>(id));
  ++next_;
  *time = TimeOf(number);
  const int64_t persons = options_.person_proportion;
  const int64_t auctions = options_.auction_proportion;
  last_person_ = epoch * persons + std::min(offset, persons - 1);
  Event event;
  if (offset >= persons + auctions) [[likely]] {
    last_auction_ = epoch * auctions + auctions - 1;
    if (options_.late_probability > 0 && random_.Fraction() < options_.late_probability) {
      *time = *time - options_.late_by_ms;
    }
    NextBid(*time, event.mutable_bid());
  } else if (offset >= persons) {
    last_auction_ = epoch * auctions + offset - persons;
    event = Event(NextAuction(*time, number));
  } else {
    last_auction_ = epoch * auctions - 1;
    event = Event(NextPerson(*time));
  }
  return event;
}

int64_t Generator::NextPersonId() {
  const int64_t persons = last_person_ + 1;
  const int64_t active = std::min(persons, options_.active_people);
  return persons - active + random_.Below(active + kPersonIdLead);
}

int64_t Generator::NextAuctionId() {
  const int64_t first = std::max<int64_t>(last_auction_ - options_.in_flight_auctions, 0);
  return first + random_.Below(last_auction_ - first + 1 + kAuctionIdLead);
}

Person Generator::NextPerson(EventTime time) {
  Person person;
  person.id = last_person_ + kFirstPersonId;
  person.name = Text(NextName(random_));
  person.email_address = Text(NextEmail(random_));
  person.credit_card = Text(NextCreditCard(random_));
  person.city = Text(OneOf(kCities, random_));
  person.state = Text(OneOf(kStates, random_));
  person.date_time = time;
  const size_t size = sizeof(int64_t) + person.name.size() + person.email_address.size() +
                      person.credit_card.size() + person.city.size() + person.state.size();
  const internal::ExtraLength extra(static_cast<int64_t>(size), options_.average_person_bytes);
  person.extra = Text::OfStatic(vocabulary_.Letters(random_, extra.Next(random_)));
  return person;
}

Auction Generator::NextAuction(EventTime time, int64_t event_number) {
  Auction auction;
  auction.id = last_auction_ + kFirstAuctionId;
  auction.seller = random_.Below(options_.hot_sellers_ratio) > 0
                       ? last_person_ / kHotSeller * kHotSeller
                       : NextPersonId();
  auction.seller += kFirstPersonId;
  auction.category = kFirstCategoryId + random_.Below(kCategories);
  auction.initial_bid = internal::NextPrice(random_);
  auction.date_time = time;
  // On average, as long as it takes until as many auctions as may be open have begun.
  const int64_t events_ahead =
      options_.in_flight_auctions * total_proportion_ / options_.auction_proportion;
  const int64_t horizon = TimeOf(event_number + events_ahead).millis() - time.millis();
  auction.expires = time + 1 + random_.Below(std::max<int64_t>(horizon * 2, 1));
  std::string text;
  internal::AppendRandomString(random_, 20, ' ', &text);
  auction.item_name = Text(text);
  text.clear();
  internal::AppendRandomString(random_, 100, ' ', &text);
  auction.description = Text(text);
  auction.reserve = auction.initial_bid + internal::NextPrice(random_);
  const size_t size = 6 * sizeof(int64_t) + auction.item_name.size() + auction.description.size();
  const internal::ExtraLength extra(static_cast<int64_t>(size), options_.average_auction_bytes);
  auction.extra = Text::OfStatic(vocabulary_.Letters(random_, extra.Next(random_)));
  return auction;
}

void Generator::NextBid(EventTime time, Bid* bid) {
  bid->auction = random_.Below(options_.hot_auction_ratio) > 0
                     ? last_auction_ / kHotAuction * kHotAuction
                     : NextAuctionId();
  bid->auction += kFirstAuctionId;
  // The second person of a hundred, because the first is the hot seller.
  bid->bidder = random_.Below(options_.hot_bidders_ratio) > 0
                    ? last_person_ / kHotBidder * kHotBidder + 1
                    : NextPersonId();
  bid->bidder += 2 * kFirstPersonId;
  bid->price = internal::NextPrice(random_);
  const bool hot = random_.Below(int64_t{2}) > 0;
  const internal::Vocabulary::Channel& channel =
      hot ? vocabulary_.hot_channel(random_.Below(internal::Vocabulary::kHotChannels))
          : vocabulary_.channel(random_.Below(internal::Vocabulary::kChannels));
  bid->channel = channel.name;
  bid->url = channel.url;
  bid->date_time = time;
  bid->extra = Text::OfStatic(vocabulary_.Letters(random_, bid_extra_.Next(random_)));
}

}  // namespace weir::nexmark
