#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::sigma {

/// Finds which of many literals a text begins (or ends) with, in one walk that stops at the first
/// byte that fits none.
///
/// Threads: immutable after construction, may be shared.
class LiteralTrie {
 public:
  enum class Side { kStart, kEnd };

  LiteralTrie() = default;

  /// Builds from (literal, id) pairs; literals are distinct and not empty.
  LiteralTrie(Side side, std::vector<std::pair<std::string, uint32_t>> literals);

  [[nodiscard]] bool empty() const { return nodes_.empty(); }

  /// Calls `found(id)` for each literal at this trie's side of `text`, shortest first. Inline: the
  /// hot loop of matching.
  template <class Found>
  void Find(std::string_view text, const Found& found) const {
    if (nodes_.empty()) return;
    const size_t size = text.size();
    uint32_t node = 0;
    for (size_t depth = 0; depth < size; ++depth) {
      const char byte = side_ == Side::kStart ? text[depth] : text[size - 1 - depth];
      node = Child(nodes_[node], byte);
      if (node == kNone) return;
      if (nodes_[node].id != kNone) found(nodes_[node].id);
    }
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Node {
    uint32_t first_child = 0;  // Children are consecutive; their bytes are in labels_.
    uint32_t child_count = 0;
    uint32_t id = kNone;
  };

  uint32_t Child(const Node& node, char byte) const {
    const char* const labels = labels_.data() + node.first_child;
    for (uint32_t i = 0; i < node.child_count; ++i) {
      if (labels[i] == byte) return node.first_child + i;
    }
    return kNone;
  }

  Side side_ = Side::kStart;
  std::vector<Node> nodes_;  // Breadth first; the root is node 0.
  std::string labels_;       // Indexed by node: the byte that leads to it.
};

}  // namespace weir::sigma
