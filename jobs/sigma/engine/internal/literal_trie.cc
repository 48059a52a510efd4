#include "jobs/sigma/engine/internal/literal_trie.h"

#include <algorithm>

namespace weir::sigma {

LiteralTrie::LiteralTrie(Side side, std::vector<std::pair<std::string, uint32_t>> literals)
    : side_(side) {
  if (literals.empty()) return;
  if (side == Side::kEnd) {
    for (auto& [literal, id] : literals) std::reverse(literal.begin(), literal.end());
  }
  std::sort(literals.begin(), literals.end());

  struct Span {  // The literals that share the path to a node.
    size_t begin;
    size_t end;
    size_t depth;
  };
  std::vector<Span> spans = {{0, literals.size(), 0}};
  nodes_.emplace_back();
  labels_.push_back('\0');
  for (size_t node = 0; node < nodes_.size(); ++node) {
    auto [begin, end, depth] = spans[node];
    if (literals[begin].first.size() == depth) nodes_[node].id = literals[begin++].second;
    nodes_[node].first_child = static_cast<uint32_t>(nodes_.size());
    while (begin < end) {
      const char label = literals[begin].first[depth];
      const size_t first = begin;
      while (begin < end && literals[begin].first[depth] == label) ++begin;
      nodes_.emplace_back();
      labels_.push_back(label);
      spans.push_back({first, begin, depth + 1});
      ++nodes_[node].child_count;
    }
  }
}

}  // namespace weir::sigma
