#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operators/api/functions.h"
#include "operators/window/time_window.h"
#include "runtime/base/status_macros.h"
#include "runtime/state/keyed_state_backend.h"

namespace weir {

namespace internal {

/// The key and window that per-window state acts on, and how to clear all that state.
template <class K, class W>
struct WindowStates {
  const K* key = nullptr;
  uint64_t hash = 0;
  W window{};
  std::vector<std::function<void()>> clear;  // One per registered state: of the current window.
};

template <class K, class W, class V>
class WindowValueState final : public ValueStateAccess<V> {
 public:
  using Table = ObjectTable<K, W, V>;
  WindowValueState(Table* table, const WindowStates<K, W>* current)
      : table_(table), current_(current) {}
  const V* Get() const override {
    return table_->Find(current_->hash, *current_->key, current_->window);
  }
  V& Mutable() override {
    return table_->Mutable(current_->hash, *current_->key, current_->window);
  }
  V* FindMutable() override {
    return table_->FindMutable(current_->hash, *current_->key, current_->window);
  }
  void Clear() override { table_->Erase(current_->hash, *current_->key, current_->window); }

 private:
  Table* const table_;
  const WindowStates<K, W>* const current_;
};

}  // namespace internal

/// What a ProcessWindowFunction may ask. Valid for the call it is passed to.
template <class K, class W>
class WindowContext : public FunctionContext {
 public:
  WindowContext(const OperatorContext* operator_context, internal::SideCollectors* side_outputs,
                const internal::WindowStates<K, W>* current)
      : FunctionContext(operator_context, side_outputs), current_(current) {}

  [[nodiscard]] const W& window() const { return current_->window; }
  [[nodiscard]] const K& current_key() const { return *current_->key; }

 private:
  const internal::WindowStates<K, W>* current_;
};

/// Where a ProcessWindowFunction registers its state, before the first record. GetState, from the
/// base, is global state: one per key, for all its windows.
template <class K, class W>
class WindowOpenContext : public KeyedOpenContext<K> {
 public:
  WindowOpenContext(const OperatorContext* operator_context, KeyedStateBackend<K>* backend,
                    OperatorStateBackend* operator_state, internal::WindowStates<K, W>* current,
                    std::vector<std::shared_ptr<void>>* owned)
      : KeyedOpenContext<K>(operator_context, backend, operator_state),
        backend_(backend),
        current_(current),
        owned_(owned) {}

  /// Returns the handle of a state per key and window. It is cleared with its window.
  template <class V>
  [[nodiscard]] absl::StatusOr<ValueState<V>> GetWindowState(
      const ValueStateDescriptor<V>& descriptor) {
    using State = internal::WindowValueState<K, W, V>;
    typename State::Table* table = nullptr;
    ASSIGN_OR_RETURN(table, (backend_->template Table<W, V>({"window-state/" + descriptor.name})));
    auto state = std::make_shared<State>(table, current_);
    current_->clear.push_back([state = state.get()] { state->Clear(); });
    owned_->push_back(state);
    return ValueState<V>(state.get());
  }

 private:
  KeyedStateBackend<K>* backend_;
  internal::WindowStates<K, W>* current_;
  std::vector<std::shared_ptr<void>>* owned_;
};

/// A function of one window of one key. `elements` are the window's records in the order they came
/// (those of an earlier slice first, where sliding windows share slices), or the one result of an
/// aggregate or reduce function before it. Called at each firing of the window's trigger. User
/// functions derive from it, are copied into every subtask, and may throw: that fails the task.
template <class In, class Out, class K, class W = TimeWindow>
class ProcessWindowFunction {
 public:
  using Input = In;
  using OutputRecord = Out;
  using Key = K;
  using Window = W;
  using Context = WindowContext<K, W>;
  using FunctionBase = ProcessWindowFunction;
  virtual ~ProcessWindowFunction() = default;
  [[nodiscard]] virtual absl::Status Open(WindowOpenContext<K, W>&) { return absl::OkStatus(); }
  virtual void Process(const K& key, Context& context, std::span<const In> elements,
                       Collector<Out>& out) = 0;
  /// The window is over, its allowed lateness included: what the function keeps for it in global
  /// state may go. Per-window state is cleared after this call.
  virtual void Clear(Context&) {}
  virtual void Close() {}
};

/// The key of streams without one.
using NoKey = uint8_t;

/// The same for a window over all records of a stream.
template <class In, class Out, class W = TimeWindow>
class ProcessAllWindowFunction {
 public:
  using Input = In;
  using OutputRecord = Out;
  using Key = NoKey;
  using Window = W;
  using Context = WindowContext<NoKey, W>;
  using FunctionBase = ProcessAllWindowFunction;
  virtual ~ProcessAllWindowFunction() = default;
  [[nodiscard]] virtual absl::Status Open(WindowOpenContext<NoKey, W>&) { return absl::OkStatus(); }
  virtual void Process(Context& context, std::span<const In> elements, Collector<Out>& out) = 0;
  virtual void Clear(Context&) {}
  virtual void Close() {}
};

namespace internal {

/// Hands a window's result or elements to what the user gave: nothing (the result is emitted),
/// fn(key, window, result or elements, out), or a ProcessWindowFunction.
struct EmitResult {};

template <class K, class W, class Fn>
class WindowFunctionRunner {
 public:
  static constexpr bool kIsClass = requires { typename Fn::OutputRecord; };

  explicit WindowFunctionRunner(Fn function) : function_(std::move(function)) {}

  absl::Status Open(OperatorContext& context, KeyedStateBackend<K>& backend,
                    OperatorStateBackend& operator_state, SideCollectors& side_outputs) {
    if constexpr (kIsClass) {
      backend_ = &backend;
      context_.emplace(&context, &side_outputs, &current_);
      WindowOpenContext<K, W> open_context(&context, &backend, &operator_state, &current_, &owned_);
      return function_.Open(open_context);
    }
    return absl::OkStatus();
  }
  void Close() {
    if constexpr (kIsClass) function_.Close();
  }
  void set_watermark(EventTime watermark) {
    if constexpr (kIsClass) context_->set_watermark(watermark);
  }

  template <class Result, class Out>
  void OnResult(uint64_t hash, const K& key, const W& window, Result&& result,
                Collector<Out>& out) {
    if constexpr (std::is_same_v<Fn, EmitResult>) {
      out.Collect(std::forward<Result>(result));
    } else if constexpr (kIsClass) {
      SetCurrent(hash, key, window);
      const typename Fn::Input element(std::forward<Result>(result));
      Process(key, std::span<const typename Fn::Input>(&element, 1), out);
    } else {
      function_(key, window, std::forward<Result>(result), out);
    }
  }
  template <class In, class Out>
  void OnElements(uint64_t hash, const K& key, const W& window, const std::vector<In>& elements,
                  Collector<Out>& out) {
    if constexpr (kIsClass) {
      SetCurrent(hash, key, window);
      Process(key, std::span<const In>(elements), out);
    } else {
      function_(key, window, elements, out);
    }
  }
  /// Whether Clear does anything: then it must be called for every window of every key.
  [[nodiscard]] bool needs_clear() const {
    if constexpr (kIsClass) {
      constexpr bool kOverrides =
          !std::is_same_v<decltype(&Fn::Clear), void (Fn::FunctionBase::*)(typename Fn::Context&)>;
      return kOverrides || !current_.clear.empty();
    }
    return false;
  }
  [[nodiscard]] bool has_window_state() const { return !current_.clear.empty(); }
  void Clear(uint64_t hash, const K& key, const W& window) {
    if constexpr (kIsClass) {
      SetCurrent(hash, key, window);
      function_.Fn::Clear(*context_);
      for (const auto& clear : current_.clear) clear();
    }
  }

 private:
  template <class In, class Out>
  void Process(const K& key, std::span<const In> elements, Collector<Out>& out) {
    if constexpr (requires { function_.Fn::Process(*context_, elements, out); }) {
      function_.Fn::Process(*context_, elements, out);
    } else {
      function_.Fn::Process(key, *context_, elements, out);
    }
  }
  void SetCurrent(uint64_t hash, const K& key, const W& window) {
    backend_->SetCurrentKey(key, hash);
    current_.key = &key;
    current_.hash = hash;
    current_.window = window;
    context_->set_timestamp(window.MaxTimestamp());
  }

  Fn function_;
  KeyedStateBackend<K>* backend_ = nullptr;
  WindowStates<K, W> current_;
  std::vector<std::shared_ptr<void>> owned_;
  std::optional<WindowContext<K, W>> context_;
};

}  // namespace internal

}  // namespace weir
