#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

#include "jobs/nexmark/text.h"
#include "runtime/record/event_time.h"
#include "runtime/record/serde.h"

namespace weir::nexmark {

/// Somebody who has registered: may sell and bid. Ids are unique.
struct Person {
  int64_t id = 0;
  Text name;
  Text email_address;
  Text credit_card;
  Text city;
  Text state;
  EventTime date_time;
  Text extra;

  /// As Bid::Detached.
  [[nodiscard]] Person Detached() const {
    Person detached = *this;
    detached.extra = extra.Detached();
    return detached;
  }

  friend bool operator==(const Person&, const Person&) = default;
};

/// An item up for sale. Ids are unique.
struct Auction {
  int64_t id = 0;
  Text item_name;
  Text description;
  int64_t initial_bid = 0;
  int64_t reserve = 0;
  EventTime date_time;
  EventTime expires;
  int64_t seller = 0;
  int64_t category = 0;
  Text extra;

  /// As Bid::Detached.
  [[nodiscard]] Auction Detached() const {
    Auction detached = *this;
    detached.extra = extra.Detached();
    return detached;
  }

  friend bool operator==(const Auction&, const Auction&) = default;
};

/// A bid for an item.
struct Bid {
  int64_t auction = 0;
  int64_t bidder = 0;
  int64_t price = 0;
  Text channel;
  Text url;
  EventTime date_time;
  Text extra;

  /// Returns the same bid with characters of its own: for what goes into state.
  [[nodiscard]] Bid Detached() const {
    return {auction, bidder, price, channel, url.Detached(), date_time, extra.Detached()};
  }

  friend bool operator==(const Bid&, const Bid&) = default;
};

/// An immutable T on the heap that copies share; null when default-made or moved from.
/// Threads: as shared_ptr, in a third of its bytes.
template <class T>
class Shared {
 public:
  Shared() = default;
  explicit Shared(T value) : block_(new Block{{1}, std::move(value)}) {}
  Shared(const Shared& other) : block_(other.block_) {
    if (block_ != nullptr) block_->count.fetch_add(1, std::memory_order_relaxed);
  }
  Shared(Shared&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  Shared& operator=(Shared other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~Shared() {
    if (block_ != nullptr && block_->count.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      delete block_;
    }
  }

  explicit operator bool() const { return block_ != nullptr; }
  const T& operator*() const { return block_->value; }
  const T* operator->() const { return &block_->value; }

 private:
  struct Block {
    std::atomic<int64_t> count;
    T value;
  };
  Block* block_ = nullptr;
};

/// One event of the benchmark: mostly a bid, which lies inside; persons and auctions, which are
/// rare, lie outside and are shared by copies.
class Event {
 public:
  Event() = default;
  explicit Event(Bid bid) : bid_(std::move(bid)) {}
  explicit Event(Person person) : other_(Other(std::move(person))) {}
  explicit Event(Auction auction) : other_(Other(std::move(auction))) {}

  // Null unless the event is of that kind.
  [[nodiscard]] const Bid* bid() const { return other_ ? nullptr : &bid_; }
  [[nodiscard]] Bid* mutable_bid() { return other_ ? nullptr : &bid_; }
  [[nodiscard]] const Person* person() const {
    return other_ ? std::get_if<Person>(&*other_) : nullptr;
  }
  [[nodiscard]] const Auction* auction() const {
    return other_ ? std::get_if<Auction>(&*other_) : nullptr;
  }

  [[nodiscard]] EventTime date_time() const {
    if (const Bid* b = bid()) return b->date_time;
    if (const Person* p = person()) return p->date_time;
    return auction()->date_time;
  }

 private:
  using Other = std::variant<Person, Auction>;
  Bid bid_;
  Shared<Other> other_;
};

[[nodiscard]] inline size_t OwnedBytes(const Bid& bid) {
  return OwnedBytes(bid.extra) + OwnedBytes(bid.channel);
}
[[nodiscard]] inline size_t OwnedBytes(const Event& event) {
  if (const Bid* bid = event.bid()) return OwnedBytes(*bid);
  return event.person() != nullptr ? 200 : 500;
}

/// Appends the event as the benchmark's JSON: event_type 0 (person), 1 (auction) or 2 (bid), and
/// the object of that kind, the two others null. Times are "yyyy-MM-dd HH:mm:ss.SSS", UTC.
void AppendJson(const Event& event, std::string* out);

/// Appends `time` as "yyyy-MM-dd HH:mm:ss.SSS", UTC.
void AppendTimestamp(EventTime time, std::string* out);

}  // namespace weir::nexmark

template <class T>
struct weir::Serde<weir::nexmark::Shared<T>> {
  static void Write(ByteWriter& writer, const nexmark::Shared<T>& value) {
    writer.WriteFixed(static_cast<bool>(value));
    if (value) Serde<T>::Write(writer, *value);
  }
  static bool Read(ByteReader& reader, nexmark::Shared<T>& value) {
    bool present = false;
    if (!reader.ReadFixed(&present)) return false;
    value = {};
    if (!present) return true;
    T read{};
    if (!Serde<T>::Read(reader, read)) return false;
    value = nexmark::Shared<T>(std::move(read));
    return true;
  }
  static Schema GetSchema() { return Serde<std::optional<T>>::GetSchema(); }
};

template <>
struct weir::Serde<weir::nexmark::Event> {
  static void Write(ByteWriter& writer, const nexmark::Event& value);
  static bool Read(ByteReader& reader, nexmark::Event& value);
  static Schema GetSchema();
};
