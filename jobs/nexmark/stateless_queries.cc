#include "jobs/nexmark/stateless_queries.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "jobs/nexmark/streams.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::nexmark {
namespace {

constexpr int64_t kEuroThousandths = 908;  // Of a dollar.

Decimal3 ToEuro(int64_t price) { return {price * kEuroThousandths}; }

// The hour of the day, UTC.
int64_t HourOf(EventTime time) {
  constexpr int64_t kHourMs = 3'600'000;
  const int64_t hour = (time.millis() / kHourMs - (time.millis() % kHourMs < 0 ? 1 : 0)) % 24;
  return hour < 0 ? hour + 24 : hour;
}

std::string_view TimeType(int64_t hour) {
  if (hour >= 8 && hour <= 18) return "dayTime";
  if (hour <= 6 || hour >= 20) return "nightTime";
  return "otherTime";
}

// Returns what (&|^)channel_id=([^&]*) finds; data() is null if it finds nothing.
std::string_view ChannelIdOf(std::string_view url) {
  constexpr std::string_view kKey = "channel_id=";
  for (size_t at = url.find(kKey); at != std::string_view::npos; at = url.find(kKey, at + 1)) {
    if (at > 0 && url[at - 1] != '&') continue;
    const std::string_view rest = url.substr(at + kKey.size());
    return rest.substr(0, rest.find('&'));
  }
  return {};
}

bool EqualsInLowerCase(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() &&
         std::equal(text.begin(), text.end(), lower.begin(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
         });
}

// The id of one of the four large channels; empty for another one.
std::string_view LargeChannelId(std::string_view channel) {
  if (EqualsInLowerCase(channel, "apple")) return "0";
  if (EqualsInLowerCase(channel, "google")) return "1";
  if (EqualsInLowerCase(channel, "facebook")) return "2";
  if (EqualsInLowerCase(channel, "baidu")) return "3";
  return {};
}

// Takes the next part of `*rest` up to a slash; empty behind the last one.
std::string_view TakePart(std::string_view* rest) {
  const size_t end = std::min(rest->find('/'), rest->size());
  const std::string_view part = rest->substr(0, end);
  rest->remove_prefix(std::min(end + 1, rest->size()));
  return part;
}

}  // namespace

DataStream<PassedBid> PassThrough(const DataStream<Event>& events) {
  return events.FlatMap<PassedBid>([](auto&& event, Collector<PassedBid>& out) {
    if (auto* bid = BidOf(event)) {
      out.Collect({bid->auction, bid->bidder, bid->price, bid->date_time, std::move(bid->extra)});
    }
  });
}

DataStream<EuroBid> ConvertCurrency(const DataStream<Event>& events) {
  return events.FlatMap<EuroBid>([](auto&& event, Collector<EuroBid>& out) {
    if (auto* bid = BidOf(event)) {
      out.Collect(
          {bid->auction, bid->bidder, ToEuro(bid->price), bid->date_time, std::move(bid->extra)});
    }
  });
}

DataStream<AuctionPrice> SelectAuctions(const DataStream<Event>& events) {
  return events.FlatMap<AuctionPrice>([](auto&& event, Collector<AuctionPrice>& out) {
    auto* bid = BidOf(event);
    if (bid != nullptr && bid->auction % 123 == 0) out.Collect({bid->auction, bid->price});
  });
}

DataStream<CalculatedBid> Calculate(const DataStream<Event>& events) {
  return events.FlatMap<CalculatedBid>([](auto&& event, Collector<CalculatedBid>& out) {
    auto* bid = BidOf(event);
    if (bid == nullptr) return;
    const Decimal3 price = ToEuro(bid->price);
    if (price <= Decimal3{1'000'000'000} || price >= Decimal3{50'000'000'000}) return;
    const std::string_view extra = bid->extra;
    const int64_t count = std::count(extra.begin(), extra.end(), 'c');
    out.Collect({bid->auction, bid->bidder, price, Text(TimeType(HourOf(bid->date_time))),
                 bid->date_time, std::move(bid->extra), count});
  });
}

DataStream<ChannelBid> AddChannelId(const DataStream<Event>& events) {
  return events.FlatMap<ChannelBid>([](auto&& event, Collector<ChannelBid>& out) {
    auto* bid = BidOf(event);
    if (bid == nullptr) return;
    std::string_view id = LargeChannelId(bid->channel);
    if (id.empty()) {
      id = ChannelIdOf(bid->url);
      if (id.data() == nullptr) return;
    }
    out.Collect({bid->auction, bid->bidder, bid->price, std::move(bid->channel), Text(id)});
  });
}

DataStream<DirectoryBid> SplitUrl(const DataStream<Event>& events) {
  return events.FlatMap<DirectoryBid>([](auto&& event, Collector<DirectoryBid>& out) {
    auto* bid = BidOf(event);
    if (bid == nullptr) return;
    std::string_view rest = bid->url;
    for (int i = 0; i < 3; ++i) TakePart(&rest);
    const std::string_view dir1 = TakePart(&rest);
    const std::string_view dir2 = TakePart(&rest);
    const std::string_view dir3 = TakePart(&rest);
    out.Collect({bid->auction, bid->bidder, bid->price, std::move(bid->channel), Text(dir1),
                 Text(dir2), Text(dir3)});
  });
}

class SideInput {
 public:
  void Add(int64_t key, std::string_view value) { values_[key].emplace_back(value); }
  /// Null if there is none.
  [[nodiscard]] const std::vector<Text>* Find(int64_t key) const {
    const auto found = values_.find(key);
    return found == values_.end() ? nullptr : &found->second;
  }

 private:
  absl::flat_hash_map<int64_t, std::vector<Text>> values_;
};

absl::StatusOr<std::shared_ptr<const SideInput>> ReadSideInput(const JobArgs& args) {
  auto table = std::make_shared<SideInput>();
  const std::optional<std::string> path = args.Find("side-input");
  if (!path.has_value()) {
    constexpr int64_t kRows = 10'000;
    for (int64_t i = 0; i < kRows; ++i) table->Add(i, std::to_string(i));
    return table;
  }
  ASSIGN_OR_RETURN(const std::string content, args.File(*path));
  std::string_view rest = content;
  for (int64_t number = 1; !rest.empty(); ++number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.empty()) continue;
    int64_t key = 0;
    const char* end = line.data() + line.size();
    const auto parsed = std::from_chars(line.data(), end, key);
    if (parsed.ec != std::errc() || parsed.ptr == end || *parsed.ptr != ',') {
      return absl::InvalidArgumentError(
          StrCat("a line of the side input must be key,value with a "
                 "number as key: file=",
                 *path, " line=", number));
    }
    table->Add(key, std::string_view(parsed.ptr + 1, end));
  }
  return table;
}

DataStream<EnrichedBid> JoinSideInput(const DataStream<Event>& events,
                                      std::shared_ptr<const SideInput> side_input) {
  return events.FlatMap<EnrichedBid>(
      [side_input = std::move(side_input)](auto&& event, Collector<EnrichedBid>& out) {
        auto* bid = BidOf(event);
        if (bid == nullptr) return;
        const std::vector<Text>* values = side_input->Find(bid->auction % 10'000);
        if (values == nullptr) return;
        for (const Text& value : *values) {
          out.Collect({bid->auction, bid->bidder, bid->price, bid->date_time, value});
        }
      });
}

}  // namespace weir::nexmark
