#pragma once

// The bodies of KeyedStateBackend's templates, included by its header only.

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/state/keyed_state_backend.h"

namespace weir {

namespace internal {

template <class K, class N, class V>
StateSchema MakeStateSchema(std::string_view name, StateKind kind) {
  return {std::string(name), kind, SchemaOf<K>(), SchemaOf<N>(), SchemaOf<V>()};
}

}  // namespace internal

template <class K>
template <class Visitor>
absl::Status KeyedStateBackend<K>::ForEachKey(std::string_view state_name, KeyGroupRange groups,
                                              Visitor&& visit) {
  const auto* table = static_cast<const internal::KeyedStateTable<K>*>(FindTable(state_name));
  if (table == nullptr) {
    return absl::NotFoundError(StrCat("no such state is registered: state=", state_name));
  }
  std::vector<internal::CurrentKey<K>> keys;
  table->ForEachKey(groups, options().max_parallelism,
                    [&](uint64_t hash, const K& key) { keys.push_back({key, hash}); });
  std::sort(keys.begin(), keys.end(), [](const auto& a, const auto& b) {
    return a.hash != b.hash ? a.hash < b.hash : internal::KeyLess<K>{}(a.key, b.key);
  });
  const internal::CurrentKey<K> current = current_;
  for (size_t i = 0; i < keys.size(); ++i) {  // A map or list has an entry for each element.
    if (i > 0 && keys[i].hash == keys[i - 1].hash &&
        internal::KeysEqual(keys[i].key, keys[i - 1].key)) {
      continue;
    }
    current_ = keys[i];
    visit(keys[i].key);
  }
  current_ = current;
  return absl::OkStatus();
}

template <class K>
template <class T>
absl::StatusOr<ValueState<T>> KeyedStateBackend<K>::GetState(
    const ValueStateDescriptor<T>& descriptor) {
  using State = internal::SampledValueState<internal::KeyedValueState<K, T>, T>;
  ASSIGN_OR_RETURN(
      State* const state,
      (Register<State, VoidNamespace, T>(
          internal::MakeStateSchema<K, VoidNamespace, T>(descriptor.name, StateKind::kValue),
          [&](auto* table) -> MadeState {
            return std::make_unique<Registered<State>>(
                Sampler(descriptor.name), typename State::MetricNames{}, table, &current_);
          })));
  return ValueState<T>(state);
}

template <class K>
template <class T>
absl::StatusOr<ListState<T>> KeyedStateBackend<K>::GetState(
    const ListStateDescriptor<T>& descriptor) {
  using Access = internal::KeyedListState<K, T>;
  using State = internal::SampledListState<Access, T>;
  using Namespace = typename Access::Lists::NamespaceAndIndex;
  ASSIGN_OR_RETURN(
      State* const state,
      (Register<State, Namespace, T>(
          internal::MakeStateSchema<K, VoidNamespace, T>(descriptor.name, StateKind::kList),
          [&](auto* table) -> MadeState {
            auto made = std::make_unique<Registered<State>>(Sampler(descriptor.name), table,
                                                            options().memory_budget, &current_);
            RETURN_IF_ERROR(made->state.Adopt());
            return made;
          })));
  return ListState<T>(state);
}

template <class K>
template <class UK, class UV>
absl::StatusOr<MapState<UK, UV>> KeyedStateBackend<K>::GetState(
    const MapStateDescriptor<UK, UV>& descriptor) {
  using Access = internal::KeyedMapState<K, UK, UV>;
  using State = internal::SampledMapState<Access, UK, UV>;
  using Namespace = typename Access::Maps::NamespaceAndUserKey;
  ASSIGN_OR_RETURN(State* const state,
                   (Register<State, Namespace, UV>(
                       internal::MakeStateSchema<K, UK, UV>(descriptor.name, StateKind::kMap),
                       [&](auto* table) -> MadeState {
                         auto made = std::make_unique<Registered<State>>(
                             Sampler(descriptor.name), table, options().memory_budget, &current_);
                         RETURN_IF_ERROR(made->state.Adopt());
                         return made;
                       })));
  return MapState<UK, UV>(state);
}

template <class K>
template <class T>
absl::StatusOr<ReducingState<T>> KeyedStateBackend<K>::GetState(
    const ReducingStateDescriptor<T>& descriptor) {
  using State = internal::SampledReducingState<internal::KeyedValueState<K, T>, T>;
  ASSIGN_OR_RETURN(
      State* const state,
      (Register<State, VoidNamespace, T>(
          internal::MakeStateSchema<K, VoidNamespace, T>(descriptor.name, StateKind::kReducing),
          [&](auto* table) -> MadeState {
            return std::make_unique<Registered<State>>(Sampler(descriptor.name), descriptor.reduce,
                                                       table, &current_);
          })));
  return state->Handle();
}

template <class K>
template <class In, class Acc, class Out>
absl::StatusOr<AggregatingState<In, Out>> KeyedStateBackend<K>::GetState(
    const AggregatingStateDescriptor<In, Acc, Out>& descriptor) {
  using State =
      internal::SampledAggregatingState<internal::KeyedAggregatingState<K, In, Acc, Out>, In, Out>;
  ASSIGN_OR_RETURN(State* const state, (Register<State, VoidNamespace, Acc>(
                                           internal::MakeStateSchema<K, VoidNamespace, Acc>(
                                               descriptor.name, StateKind::kAggregating),
                                           [&](auto* table) -> MadeState {
                                             return std::make_unique<Registered<State>>(
                                                 Sampler(descriptor.name), table, &current_,
                                                 descriptor);
                                           })));
  return AggregatingState<In, Out>(state);
}

template <class K>
template <class State, class N, class V, class Make>
absl::StatusOr<State*> KeyedStateBackend<K>::RegisterExpiring(const StateSchema& schema,
                                                              const StateTtlConfig& ttl,
                                                              Make&& make) {
  ASSIGN_OR_RETURN(std::shared_ptr<const internal::StateExpiry> expiry,
                   MakeExpiry(schema.name, ttl));
  bool is_new = false;
  ASSIGN_OR_RETURN(State* const state, (Register<State, N, V>(schema, [&](auto* table) {
                     is_new = true;
                     return make(table, expiry);
                   })));
  if (is_new) AddExpiry(schema.name, std::move(expiry), state->ttl());
  return state;
}

template <class K>
template <class T>
absl::StatusOr<ValueState<T>> KeyedStateBackend<K>::GetState(
    const TtlStateDescriptor<ValueStateDescriptor<T>>& descriptor) {
  using State = internal::SampledValueState<internal::TtlValueState<K, T>, T>;
  using Stored = internal::TtlValue<T>;
  ASSIGN_OR_RETURN(State* const state,
                   (RegisterExpiring<State, VoidNamespace, Stored>(
                       internal::MakeStateSchema<K, VoidNamespace, Stored>(
                           descriptor.descriptor.name, StateKind::kValue),
                       descriptor.ttl, [&](auto* table, auto expiry) -> MadeState {
                         return std::make_unique<Registered<State>>(
                             Sampler(descriptor.descriptor.name), typename State::MetricNames{},
                             table, &current_, std::move(expiry));
                       })));
  return ValueState<T>(state);
}

template <class K>
template <class T>
absl::StatusOr<ListState<T>> KeyedStateBackend<K>::GetState(
    const TtlStateDescriptor<ListStateDescriptor<T>>& descriptor) {
  using Access = internal::TtlListState<K, T>;
  using State = internal::SampledListState<Access, T>;
  using Stored = internal::TtlValue<T>;
  ASSIGN_OR_RETURN(State* const state,
                   (RegisterExpiring<State, typename Access::Maps::NamespaceAndUserKey, Stored>(
                       internal::MakeStateSchema<K, VoidNamespace, Stored>(
                           descriptor.descriptor.name, StateKind::kList),
                       descriptor.ttl, [&](auto* table, auto expiry) -> MadeState {
                         auto made = std::make_unique<Registered<State>>(
                             Sampler(descriptor.descriptor.name), table, options().memory_budget,
                             &current_, std::move(expiry));
                         RETURN_IF_ERROR(made->state.Adopt());
                         return made;
                       })));
  return ListState<T>(state);
}

template <class K>
template <class UK, class UV>
absl::StatusOr<MapState<UK, UV>> KeyedStateBackend<K>::GetState(
    const TtlStateDescriptor<MapStateDescriptor<UK, UV>>& descriptor) {
  using Access = internal::TtlMapState<K, UK, UV>;
  using State = internal::SampledMapState<Access, UK, UV>;
  using Stored = internal::TtlValue<UV>;
  ASSIGN_OR_RETURN(
      State* const state,
      (RegisterExpiring<State, typename Access::Maps::NamespaceAndUserKey, Stored>(
          internal::MakeStateSchema<K, UK, Stored>(descriptor.descriptor.name, StateKind::kMap),
          descriptor.ttl, [&](auto* table, auto expiry) -> MadeState {
            auto made = std::make_unique<Registered<State>>(Sampler(descriptor.descriptor.name),
                                                            table, options().memory_budget,
                                                            &current_, std::move(expiry));
            RETURN_IF_ERROR(made->state.Adopt());
            return made;
          })));
  return MapState<UK, UV>(state);
}

template <class K>
template <class T>
absl::StatusOr<ReducingState<T>> KeyedStateBackend<K>::GetState(
    const TtlStateDescriptor<ReducingStateDescriptor<T>>& descriptor) {
  using State = internal::SampledReducingState<internal::TtlValueState<K, T>, T>;
  using Stored = internal::TtlValue<T>;
  ASSIGN_OR_RETURN(State* const state,
                   (RegisterExpiring<State, VoidNamespace, Stored>(
                       internal::MakeStateSchema<K, VoidNamespace, Stored>(
                           descriptor.descriptor.name, StateKind::kReducing),
                       descriptor.ttl, [&](auto* table, auto expiry) -> MadeState {
                         return std::make_unique<Registered<State>>(
                             Sampler(descriptor.descriptor.name), descriptor.descriptor.reduce,
                             table, &current_, std::move(expiry));
                       })));
  return state->Handle();
}

template <class K>
template <class In, class Acc, class Out>
absl::StatusOr<AggregatingState<In, Out>> KeyedStateBackend<K>::GetState(
    const TtlStateDescriptor<AggregatingStateDescriptor<In, Acc, Out>>& descriptor) {
  using State =
      internal::SampledAggregatingState<internal::TtlAggregatingState<K, In, Acc, Out>, In, Out>;
  using Stored = internal::TtlValue<Acc>;
  ASSIGN_OR_RETURN(State* const state,
                   (RegisterExpiring<State, VoidNamespace, Stored>(
                       internal::MakeStateSchema<K, VoidNamespace, Stored>(
                           descriptor.descriptor.name, StateKind::kAggregating),
                       descriptor.ttl, [&](auto* table, auto expiry) -> MadeState {
                         return std::make_unique<Registered<State>>(
                             Sampler(descriptor.descriptor.name), table, &current_,
                             std::move(expiry), descriptor.descriptor);
                       })));
  return AggregatingState<In, Out>(state);
}

template <class K>
template <class N, class V>
absl::StatusOr<ObjectTable<K, N, V>*> KeyedStateBackend<K>::Table(
    const TableDescriptor<N, V>& descriptor) {
  using State = ObjectTable<K, N, V>*;
  ASSIGN_OR_RETURN(
      State* const state,
      (Register<State, N, V>(
          internal::MakeStateSchema<K, N, V>(descriptor.name, StateKind::kTable),
          [&](auto* table) -> MadeState { return std::make_unique<Registered<State>>(table); })));
  return *state;
}

template <class K>
template <class N, class T>
absl::StatusOr<ListTable<K, N, T>*> KeyedStateBackend<K>::Lists(
    const ListTableDescriptor<N, T>& descriptor) {
  using State = ListTable<K, N, T>;
  return Register<State, typename State::NamespaceAndIndex, T>(
      internal::MakeStateSchema<K, N, T>(descriptor.name, StateKind::kList),
      [&](auto* table) -> MadeState {
        auto made = std::make_unique<Registered<State>>(table, options().memory_budget);
        RETURN_IF_ERROR(made->state.Adopt());
        return made;
      });
}

template <class K>
template <class N, class UK, class UV>
absl::StatusOr<MapTable<K, N, UK, UV>*> KeyedStateBackend<K>::Maps(
    const MapTableDescriptor<N, UK, UV>& descriptor) {
  using State = MapTable<K, N, UK, UV>;
  return Register<State, typename State::NamespaceAndUserKey, UV>(
      internal::MakeStateSchema<K, typename State::NamespaceAndUserKey, UV>(descriptor.name,
                                                                            StateKind::kMap),
      [&](auto* table) -> MadeState {
        auto made = std::make_unique<Registered<State>>(table, options().memory_budget);
        RETURN_IF_ERROR(made->state.Adopt());
        return made;
      });
}

template <class K>
template <class N>
absl::StatusOr<TimerQueue<K, N>*> KeyedStateBackend<K>::Timers(std::string_view name,
                                                               TimeDomain domain) {
  using State = TimerQueue<K, N>;
  const std::string_view suffix =
      domain == TimeDomain::kEventTime ? "/event-time" : "/processing-time";
  return Register<State, typename State::Place, VoidNamespace>(
      internal::MakeStateSchema<K, N, VoidNamespace>(StrCat(name, suffix), StateKind::kTimers),
      [&](auto* table) -> MadeState {
        return std::make_unique<Registered<State>>(table, options().memory_budget);
      });
}

}  // namespace weir
