#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/btree_set.h"
#include "runtime/record/serde.h"
#include "runtime/state/namespace.h"

namespace weir::internal {

/// The user keys of one map. They are put in order when somebody first asks for the order or takes
/// one out, and kept so from then on: maps that only grow, and go as a whole, as those that count
/// what is distinct do, never pay for it. Threads: one at a time.
template <class UK>
class UserKeys {
 public:
  using Ordered = absl::btree_set<UK, KeyLess<UK>>;

  [[nodiscard]] size_t size() const {
    return std::visit([](const auto& keys) { return keys.size(); }, keys_);
  }
  [[nodiscard]] bool empty() const { return size() == 0; }
  /// A key that is there already counts twice until somebody asks for the order.
  void Insert(const UK& key) {
    if (auto* unordered = std::get_if<Unordered>(&keys_)) {
      unordered->push_back(key);
    } else {
      std::get<Ordered>(keys_).insert(key);
    }
  }
  void Erase(const UK& key) {
    constexpr size_t kFewToSearch = 16;
    auto* unordered = std::get_if<Unordered>(&keys_);
    if (unordered == nullptr || unordered->size() > kFewToSearch) {
      PutInOrder();
      std::get<Ordered>(keys_).erase(key);
    } else {
      std::erase_if(*unordered, [&](const UK& other) { return KeysEqual(other, key); });
    }
  }
  [[nodiscard]] const Ordered& InOrder() const {
    PutInOrder();
    return std::get<Ordered>(keys_);
  }
  /// Visits all in any order.
  template <class Visitor>
  void ForEach(Visitor&& visit) const {
    std::visit(
        [&](const auto& keys) {
          for (const UK& key : keys) visit(key);
        },
        keys_);
  }

 private:
  using Unordered = std::vector<UK>;

  friend size_t OwnedBytes(const UserKeys& keys) {
    size_t bytes = keys.size() * sizeof(UK);
    if constexpr (!std::is_arithmetic_v<UK>) {
      keys.ForEach([&](const UK& key) { bytes += weir::OwnedBytes(key); });
    }
    return bytes;
  }

  void PutInOrder() const {
    if (const auto* unordered = std::get_if<Unordered>(&keys_)) {
      keys_ = Ordered(unordered->begin(), unordered->end());
    }
  }

  mutable std::variant<Unordered, Ordered> keys_;  // Changed by a question for the order, too.
};

}  // namespace weir::internal
