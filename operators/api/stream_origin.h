#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "operators/api/functions.h"
#include "runtime/graph/stream_graph.h"
#include "runtime/record/key_codec.h"
#include "runtime/record/typed_batch.h"

namespace weir::internal {

/// Where a stream comes from: ports of one or more operators (more after a union).
struct StreamOrigin {
  struct Port {
    StreamNodeIndex node = 0;
    uint32_t port = 0;
  };
  StreamGraph* graph = nullptr;
  std::vector<Port> ports;
  ShipStrategy strategy = ShipStrategy::kForward;
  std::shared_ptr<const KeyHasher> key_hasher;
  /// Of the operator that made the stream; null after a union.
  std::shared_ptr<SideOutputs> side_outputs;

  void ConnectTo(StreamNodeIndex target, uint32_t input) const {
    for (const Port& port : ports) {
      graph->AddEdge({port.node, port.port, target, input, strategy, key_hasher});
    }
  }
};

template <class T>
std::shared_ptr<const BatchType> BatchTypeOf() {
  static_assert(Serializable<T>,
                "this type cannot be the record of a stream, because it has no Serde: make it an "
                "aggregate, list its fields with WEIR_FIELDS, or specialise weir::Serde for it");
  return std::make_shared<TypedBatchType<T>>();
}

template <class T, class K, class KeyFn>
class TypedKeyHasher final : public KeyHasher {
 public:
  explicit TypedKeyHasher(KeyFn key_of) : key_of_(std::move(key_of)) {}
  void HashKeys(const Batch& batch, std::vector<uint64_t>* hashes) const override {
    const auto values = BatchValues<T>(batch);
    hashes->resize(values.size());
    for (size_t i = 0; i < values.size(); ++i) (*hashes)[i] = KeyHash<K>(key_of_(values[i]));
  }

 private:
  KeyFn key_of_;
};

/// Returns `origin` with its records sent by the hash of key_of(const T&) -> K.
template <class T, class K, class KeyFn>
StreamOrigin Keyed(StreamOrigin origin, KeyFn key_of) {
  origin.strategy = ShipStrategy::kHash;
  origin.key_hasher = std::make_shared<TypedKeyHasher<T, K, KeyFn>>(std::move(key_of));
  return origin;
}

/// Adds an operator that reads `origin` and returns its main output. `side_outputs` is what the
/// factory's operators share with GetSideOutput; null if they have none.
template <class Out>
StreamOrigin AddOperator(const StreamOrigin& origin, std::string name,
                         std::shared_ptr<const OperatorFactory> factory,
                         std::shared_ptr<SideOutputs> side_outputs = nullptr) {
  StreamNode node;
  node.name = std::move(name);
  node.factory = std::move(factory);
  node.outputs.push_back({"", BatchTypeOf<Out>()});
  StreamOrigin out;
  out.graph = origin.graph;
  out.side_outputs = std::move(side_outputs);
  out.ports = {{origin.graph->AddNode(std::move(node)), 0}};
  origin.ConnectTo(out.ports.front().node, 0);
  return out;
}

/// Adds an operator whose input 0 is `first` and input 1 is `second`. With `start_after`, input 0
/// is not read before input 1 has caught up.
template <class Out>
StreamOrigin AddTwoInputOperator(const StreamOrigin& first, const StreamOrigin& second,
                                 bool start_after, std::string name,
                                 std::shared_ptr<const OperatorFactory> factory,
                                 std::shared_ptr<SideOutputs> side_outputs = nullptr) {
  StreamNode node;
  node.name = std::move(name);
  node.factory = std::move(factory);
  node.num_inputs = 2;
  node.outputs.push_back({"", BatchTypeOf<Out>()});
  if (start_after) node.start_after.emplace_back(0, 1);
  StreamOrigin out;
  out.graph = first.graph;
  out.side_outputs = std::move(side_outputs);
  out.ports = {{first.graph->AddNode(std::move(node)), 0}};
  first.ConnectTo(out.ports.front().node, 0);
  second.ConnectTo(out.ports.front().node, 1);
  return out;
}

}  // namespace weir::internal
