#pragma once

#include <functional>
#include <string>

#include "runtime/record/serde.h"
#include "runtime/state/state_ttl.h"

namespace weir {

// A descriptor names a state of an operator and gives its types. Names are unique in an operator;
// the same name with the same types is the same state. EnableTimeToLive makes the descriptor of a
// state whose values expire. Plain data.

/// One T per key.
template <Serializable T>
struct ValueStateDescriptor {
  std::string name;

  [[nodiscard]] auto EnableTimeToLive(const StateTtlConfig& ttl) const {
    return TtlStateDescriptor<ValueStateDescriptor>{*this, ttl};
  }
};

/// A list of T per key.
template <Serializable T>
struct ListStateDescriptor {
  std::string name;

  [[nodiscard]] auto EnableTimeToLive(const StateTtlConfig& ttl) const {
    return TtlStateDescriptor<ListStateDescriptor>{*this, ttl};
  }
};

/// A map from UK, which needs a KeyCodec, to UV per key.
template <Serializable UK, Serializable UV>
struct MapStateDescriptor {
  std::string name;

  [[nodiscard]] auto EnableTimeToLive(const StateTtlConfig& ttl) const {
    return TtlStateDescriptor<MapStateDescriptor>{*this, ttl};
  }
};

/// The reduction of all T added per key. `reduce` folds an element into the value so far.
template <Serializable T>
struct ReducingStateDescriptor {
  std::string name;
  std::function<void(T& accumulated, const T& element)> reduce;

  [[nodiscard]] auto EnableTimeToLive(const StateTtlConfig& ttl) const {
    return TtlStateDescriptor<ReducingStateDescriptor>{*this, ttl};
  }
};

/// The aggregate of all In added per key, kept as an Acc that starts default-made.
template <class In, Serializable Acc, class Out>
struct AggregatingStateDescriptor {
  std::string name;
  std::function<void(Acc& accumulator, const In& element)> add;
  std::function<Out(const Acc& accumulator)> result;

  [[nodiscard]] auto EnableTimeToLive(const StateTtlConfig& ttl) const {
    return TtlStateDescriptor<AggregatingStateDescriptor>{*this, ttl};
  }
};

/// One V per key and namespace, for operators that use the typed table.
template <class N, Serializable V>
struct TableDescriptor {
  std::string name;
};

/// A list of T per key and namespace.
template <class N, Serializable T>
struct ListTableDescriptor {
  std::string name;
};

/// A map from UK to UV per key and namespace.
template <class N, Serializable UK, Serializable UV>
struct MapTableDescriptor {
  std::string name;
};

}  // namespace weir
