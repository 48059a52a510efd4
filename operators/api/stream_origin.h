#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

#include "operators/api/functions.h"
#include "runtime/graph/stream_graph.h"
#include "runtime/record/key_codec.h"
#include "runtime/record/typed_batch.h"

namespace weir {

/// Where in the job's source an operator is declared: what the methods that add one take by
/// default, and messages name.
using CallSite = std::source_location;

}  // namespace weir

namespace weir::internal {

/// Where a stream comes from: ports of one or more operators (more after a union).
struct StreamOrigin {
  struct Port {
    StreamNodeIndex node = 0;
    uint32_t port = 0;
    /// Of the edge to the next operator. Streams that are united keep their own.
    Partitioning partitioning = {};
  };
  StreamGraph* graph = nullptr;
  std::vector<Port> ports;
  /// Of the operator that made the stream; null after a union.
  std::shared_ptr<SideOutputs> side_outputs;
  /// Of the operator that is about to read the stream.
  CallSite next_at = {};

  void ConnectTo(StreamNodeIndex target, uint32_t input) const;

  /// Returns the same stream with its records sent so.
  [[nodiscard]] StreamOrigin With(const Partitioning& partitioning) const;
  /// Returns the same stream, to be read by an operator that is declared at `at`.
  [[nodiscard]] StreamOrigin ReadAt(CallSite at) const;
};

template <class T>
std::shared_ptr<const BatchType> BatchTypeOf() {
  static_assert(Serializable<T>,
                "this type cannot be the record of a stream, because it has no Serde: make it an "
                "aggregate, list its fields with WEIR_FIELDS, or specialise weir::Serde for it");
  return std::make_shared<TypedBatchType<T>>();
}

/// Throws std::out_of_range: a custom partitioner chose a channel that there is not.
[[noreturn]] void ThrowBadPartition(int64_t returned, uint32_t num_channels);

/// Asks partition(key, number of channels) for each record's channel, key = key_of(record).
template <class T, class PartitionFn, class KeyFn>
class TypedPartitioner final : public Partitioner {
 public:
  TypedPartitioner(PartitionFn partition, KeyFn key_of)
      : partition_(std::move(partition)), key_of_(std::move(key_of)) {}
  void Partition(const Batch& batch, uint32_t num_channels,
                 std::vector<uint32_t>* channels) const override {
    const auto values = BatchValues<T>(batch);
    channels->clear();
    for (const T& value : values) {
      const auto channel = partition_(key_of_(value), num_channels);
      if (std::cmp_less(channel, 0) || std::cmp_greater_equal(channel, num_channels)) {
        ThrowBadPartition(static_cast<int64_t>(channel), num_channels);
      }
      channels->push_back(static_cast<uint32_t>(channel));
    }
  }

 private:
  PartitionFn partition_;
  KeyFn key_of_;
};

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
  return origin.With(
      {.strategy = ShipStrategy::kHash,
       .key_hasher = std::make_shared<TypedKeyHasher<T, K, KeyFn>>(std::move(key_of))});
}

/// What AddOperator does that does not depend on the type of the records, `type`.
[[nodiscard]] StreamOrigin AddOperatorOf(const StreamOrigin& origin, std::string name,
                                         std::shared_ptr<const BatchType> type,
                                         std::shared_ptr<const OperatorFactory> factory,
                                         std::shared_ptr<SideOutputs> side_outputs);
[[nodiscard]] StreamOrigin AddTwoInputOperatorOf(const StreamOrigin& first,
                                                 const StreamOrigin& second, bool start_after,
                                                 std::string name,
                                                 std::shared_ptr<const BatchType> type,
                                                 std::shared_ptr<const OperatorFactory> factory,
                                                 std::shared_ptr<SideOutputs> side_outputs);

/// Adds an operator that reads `origin` and returns its main output. `side_outputs` is what the
/// factory's operators share with GetSideOutput; null if they have none.
template <class Out>
StreamOrigin AddOperator(const StreamOrigin& origin, std::string name,
                         std::shared_ptr<const OperatorFactory> factory,
                         std::shared_ptr<SideOutputs> side_outputs = nullptr) {
  return AddOperatorOf(origin, std::move(name), BatchTypeOf<Out>(), std::move(factory),
                       std::move(side_outputs));
}

/// Adds an operator whose input 0 is `first` and input 1 is `second`. With `start_after`, input 0
/// is not read before input 1 has caught up.
template <class Out>
StreamOrigin AddTwoInputOperator(const StreamOrigin& first, const StreamOrigin& second,
                                 bool start_after, std::string name,
                                 std::shared_ptr<const OperatorFactory> factory,
                                 std::shared_ptr<SideOutputs> side_outputs = nullptr) {
  return AddTwoInputOperatorOf(first, second, start_after, std::move(name), BatchTypeOf<Out>(),
                               std::move(factory), std::move(side_outputs));
}

/// Adds a source's operator and returns its output.
[[nodiscard]] StreamOrigin AddSource(StreamGraph* graph, CallSite at, std::string name,
                                     std::shared_ptr<const BatchType> type,
                                     std::shared_ptr<const CoordinatorFactory> coordinator,
                                     std::shared_ptr<const OperatorFactory> factory,
                                     std::shared_ptr<SideOutputs> side_outputs);

/// Adds a sink's operator that reads `origin`.
StreamNodeIndex AddSink(const StreamOrigin& origin, std::string name,
                        std::shared_ptr<const OperatorFactory> factory);

/// Throws std::invalid_argument if a strategy that is not a source's has an alignment group.
void CheckNotAligned(const std::string& alignment_group);

/// Returns the side output `tag` of the operator that `origin` comes from, whose records are of
/// `type`. Throws std::invalid_argument if it can have none.
[[nodiscard]] StreamOrigin SideOutputOf(const StreamOrigin& origin, const std::string& tag,
                                        std::unique_ptr<SideCollectorBase> (*make)(),
                                        std::shared_ptr<const BatchType> (*type)());

}  // namespace weir::internal
