#include "runtime/graph/stream_graph.h"

#include <set>
#include <string_view>

#include "absl/status/status.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "xxhash.h"

namespace weir {

OperatorId OperatorIdOfUid(std::string_view uid) {
  const XXH128_hash_t hash = XXH3_128bits(uid.data(), uid.size());
  return {hash.high64, hash.low64};
}

std::string_view ToString(ShipStrategy strategy) {
  switch (strategy) {
    case ShipStrategy::kForward:
      return "FORWARD";
    case ShipStrategy::kHash:
      return "HASH";
    case ShipStrategy::kRebalance:
      return "REBALANCE";
    case ShipStrategy::kBroadcast:
      return "BROADCAST";
    case ShipStrategy::kRescale:
      return "RESCALE";
    case ShipStrategy::kShuffle:
      return "SHUFFLE";
    case ShipStrategy::kGlobal:
      return "GLOBAL";
    case ShipStrategy::kCustom:
      return "CUSTOM";
  }
  return "UNKNOWN";
}

std::string DeclaredAt(const StreamNode& node) {
  return node.declared_at.empty() ? std::string() : StrCat(", declared at ", node.declared_at);
}

StreamNodeIndex StreamGraph::AddNode(StreamNode node) {
  nodes_.push_back(std::move(node));
  return static_cast<StreamNodeIndex>(nodes_.size() - 1);
}

void StreamGraph::AddEdge(StreamEdge edge) { edges_.push_back(std::move(edge)); }

std::string StreamGraph::DerivedUid(StreamNodeIndex node) const {
  std::string uid = nodes_[node].name;
  for (const StreamEdge& edge : edges_) {
    if (edge.target != node) continue;
    StrAppend(&uid, "|", edge.target_input, ":", nodes_[edge.source].uid, ":", edge.source_port);
  }
  return HexEncode(StrCat(XXH3_64bits(uid.data(), uid.size())));
}

absl::Status StreamGraph::Finish() {
  RETURN_IF_ERROR(error_);
  if (nodes_.empty())
    return absl::InvalidArgumentError("the job has no operators; add a source and a sink");
  std::set<std::string> uids;
  ids_.clear();
  for (StreamNodeIndex i = 0; i < nodes_.size(); ++i) {
    StreamNode& node = nodes_[i];
    std::vector<bool> connected(node.num_inputs);
    for (const StreamEdge& edge : edges_) {
      if (edge.target == i) connected[edge.target_input] = true;
    }
    for (uint32_t input = 0; input < node.num_inputs; ++input) {
      if (!connected[input]) {
        return absl::InvalidArgumentError(
            StrCat("operator has an input that nothing is connected to: operator=", node.name,
                   " input=", input, DeclaredAt(node)));
      }
    }
    if (node.uid.empty()) {
      const std::string base = DerivedUid(i);
      node.uid = base;
      for (int copy = 2; uids.contains(node.uid); ++copy) node.uid = StrCat(base, "-", copy);
    }
    if (!uids.insert(node.uid).second) {
      return absl::InvalidArgumentError(
          StrCat("two operators have the same uid; give each its own: uid=", node.uid,
                 " operator=", node.name, DeclaredAt(node)));
    }
    ids_.push_back(OperatorIdOfUid(node.uid));
  }
  return absl::OkStatus();
}

std::optional<StreamNodeIndex> StreamGraph::FindNode(OperatorId id) const {
  for (StreamNodeIndex i = 0; i < ids_.size(); ++i) {
    if (ids_[i] == id) return i;
  }
  return std::nullopt;
}

uint64_t StreamGraph::Fingerprint() const {
  std::string text;
  for (const StreamNode& node : nodes_) {
    StrAppend(&text, "node ", node.uid, " ", node.name, " ", node.num_inputs, " ",
              node.coordinator != nullptr, "\n");
    for (const StreamNode::Output& output : node.outputs) {
      StrAppend(&text, " out ", output.tag, " ", output.type->GetSchema().ToString(), "\n");
    }
    for (const auto& [input, other] : node.start_after)
      StrAppend(&text, " after ", input, " ", other, "\n");
  }
  for (const StreamEdge& edge : edges_) {
    StrAppend(&text, "edge ", edge.source, ".", edge.source_port, " ", edge.target, ".",
              edge.target_input, " ", ToString(edge.partitioning.strategy), "\n");
  }
  return XXH3_64bits(text.data(), text.size());
}

}  // namespace weir
