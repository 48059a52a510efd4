#pragma once

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "runtime/state/internal/latency_sampler.h"
#include "runtime/state/internal/state_access.h"
#include "runtime/state/internal/ttl_state_access.h"

// What handles call: the states by key, with or without time to live, and now and then the time
// that a call takes. Metrics have the names of Flink's latency tracking.

namespace weir::internal {

/// `Access` is a ValueStateAccess<T> made of the arguments.
template <class Access, class T>
class SampledValueState final : public ValueStateAccess<T> {
 public:
  struct MetricNames {
    const char* get = "valueStateGetLatency";
    const char* update = "valueStateUpdateLatency";
  };

  template <class... Arguments>
  SampledValueState(LatencySampler sampler, MetricNames names, Arguments&&... arguments)
      : sampler_(std::move(sampler)),
        access_(std::forward<Arguments>(arguments)...),
        names_(names) {}

  const T* Get() const override {
    return sampler_.Run(names_.get, [this] { return access_.Get(); });
  }
  T& Mutable() override {
    return sampler_.Run(names_.update, [this]() -> T& { return access_.Mutable(); });
  }
  T* FindMutable() override {
    return sampler_.Run(names_.update, [this] { return access_.FindMutable(); });
  }
  void Clear() override {
    sampler_.Run("stateClearLatency", [this] { access_.Clear(); });
  }
  [[nodiscard]] TtlStateBase* ttl() { return access_.ttl(); }

 private:
  mutable LatencySampler sampler_;
  Access access_;
  const MetricNames names_;
};

/// `Access` is a ValueStateAccess<T> made of the arguments.
template <class Access, class T>
class SampledReducingState {
 public:
  using Reduce = std::function<void(T&, const T&)>;

  template <class... Arguments>
  SampledReducingState(LatencySampler sampler, Reduce reduce, Arguments&&... arguments)
      : access_(std::move(sampler), {"reducingStateGetLatency", "reducingStateAddLatency"},
                std::forward<Arguments>(arguments)...),
        reduce_(std::move(reduce)) {}

  [[nodiscard]] ReducingState<T> Handle() { return ReducingState<T>(&access_, &reduce_); }
  [[nodiscard]] TtlStateBase* ttl() { return access_.ttl(); }

 private:
  SampledValueState<Access, T> access_;
  const Reduce reduce_;
};

/// `Access` is an AggregatingStateAccess<In, Out> made of the arguments.
template <class Access, class In, class Out>
class SampledAggregatingState final : public AggregatingStateAccess<In, Out> {
 public:
  template <class... Arguments>
  explicit SampledAggregatingState(LatencySampler sampler, Arguments&&... arguments)
      : sampler_(std::move(sampler)), access_(std::forward<Arguments>(arguments)...) {}

  void Add(const In& element) override {
    sampler_.Run("aggregatingStateAddLatency", [&] { access_.Add(element); });
  }
  Out Get() const override {
    return sampler_.Run("aggregatingStateGetLatency", [this] { return access_.Get(); });
  }
  bool IsEmpty() const override { return access_.IsEmpty(); }
  void Clear() override {
    sampler_.Run("stateClearLatency", [this] { access_.Clear(); });
  }
  [[nodiscard]] TtlStateBase* ttl() { return access_.ttl(); }

 private:
  mutable LatencySampler sampler_;
  Access access_;
};

/// `Access` is a ListStateAccess<T> made of the arguments. Get is measured an element at a time.
template <class Access, class T>
class SampledListState final : public ListStateAccess<T> {
 public:
  template <class... Arguments>
  explicit SampledListState(LatencySampler sampler, Arguments&&... arguments)
      : sampler_(std::move(sampler)), access_(std::forward<Arguments>(arguments)...) {}
  [[nodiscard]] absl::Status Adopt() { return access_.Adopt(); }

  void Add(T value) override {
    sampler_.Run("listStateAddLatency", [&] { access_.Add(std::move(value)); });
  }
  size_t size() const override { return access_.size(); }
  const T& At(size_t index) const override {
    return sampler_.Run("listStateGetLatency", [&]() -> const T& { return access_.At(index); });
  }
  void Update(std::vector<T> values) override {
    sampler_.Run("listStateUpdateLatency", [&] { access_.Update(std::move(values)); });
  }
  void Clear() override {
    sampler_.Run("stateClearLatency", [this] { access_.Clear(); });
  }
  [[nodiscard]] TtlStateBase* ttl() { return access_.ttl(); }

 private:
  mutable LatencySampler sampler_;
  Access access_;
};

/// `Access` is a MapStateAccess<UK, UV> made of the arguments.
template <class Access, class UK, class UV>
class SampledMapState final : public MapStateAccess<UK, UV> {
 public:
  template <class... Arguments>
  explicit SampledMapState(LatencySampler sampler, Arguments&&... arguments)
      : sampler_(std::move(sampler)), access_(std::forward<Arguments>(arguments)...) {}
  [[nodiscard]] absl::Status Adopt() { return access_.Adopt(); }

  const UV* Get(const UK& user_key) const override {
    return sampler_.Run("mapStateGetLatency", [&] { return access_.Get(user_key); });
  }
  UV& Mutable(const UK& user_key) override {
    return sampler_.Run("mapStatePutLatency", [&]() -> UV& { return access_.Mutable(user_key); });
  }
  bool Remove(const UK& user_key) override {
    return sampler_.Run("mapStateRemoveLatency", [&] { return access_.Remove(user_key); });
  }
  size_t size() const override { return access_.size(); }
  void ForEach(const std::function<void(const UK&, const UV&)>& visit) const override {
    access_.ForEach(visit);
  }
  void Clear() override {
    sampler_.Run("stateClearLatency", [this] { access_.Clear(); });
  }
  [[nodiscard]] TtlStateBase* ttl() { return access_.ttl(); }

 private:
  mutable LatencySampler sampler_;
  Access access_;
};

}  // namespace weir::internal
