#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "operators/api/async_function.h"
#include "operators/async/async_inbox.h"
#include "operators/async/async_order.h"
#include "operators/process/stateful_operator.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/metrics/metric_group.h"
#include "runtime/record/typed_batch.h"

namespace weir::internal {

template <class Out>
struct AsyncWaitOptions {
  bool ordered = false;
  absl::Duration timeout = absl::InfiniteDuration();
  size_t capacity = 100;
  AsyncRetryStrategy<Out> retry;
};

/// Keeps up to `capacity` records with an AsyncFunction's requests under way, and emits the answers
/// in the order that AsyncOrder says.
///
/// Answers come to the inbox on any thread and wake the task. With `capacity` records in hand,
/// answered but not emitted ones among them, the operator is blocked until one leaves. A snapshot
/// holds the records in hand, and a restore asks for all of them again before it takes new ones. A
/// record's answer is emitted as a whole, so that no snapshot cuts it. Deadlines and delays are
/// looked through together when the earliest is due.
template <class Fn>
class AsyncWaitOperator final : public StreamOperator {
 public:
  using In = typename Fn::Input;
  using Out = typename Fn::OutputRecord;

  AsyncWaitOperator(Fn function, AsyncWaitOptions<Out> options)
      : function_(std::move(function)), options_(std::move(options)), order_(options_.ordered) {}

  absl::Status Open(OperatorContext& context, Output& output,
                    std::vector<OperatorSubtaskState> restored) override {
    if (options_.capacity == 0 || options_.timeout <= absl::ZeroDuration()) {
      return absl::InvalidArgumentError(
          StrCat("an asynchronous operator needs a capacity of 1 or more, and time for an answer; "
                 "give it both: capacity=",
                 options_.capacity, " timeout_ms=", absl::ToInt64Milliseconds(options_.timeout)));
    }
    context_ = &context;
    collector_.Bind(&output.port(0));
    inbox_ = std::make_shared<AsyncInbox<Out>>(context.handle());
    num_retries_ = context.metrics()->AddCounter("numAsyncRetries");
    num_timeouts_ = context.metrics()->AddCounter("numAsyncTimeouts");
    RETURN_IF_ERROR(state_.Open(std::move(restored)));
    ASSIGN_OR_RETURN(
        in_flight_, (state_.backend().template GetListState<Element>({"async-records-in-flight"})));
    for (const Element& element : in_flight_->Get()) waiting_.push_back(element);
    in_flight_->Clear();
    OpenContext open_context(&context, &state_.backend());
    RETURN_IF_ERROR(function_.Open(open_context));
    if (!waiting_.empty()) context.handle()->Wake();
    return absl::OkStatus();
  }

  absl::StatusOr<Progress> ProcessBatch(uint32_t, BatchCursor& cursor, Output& output) override {
    const auto& batch = static_cast<const TypedBatch<In>&>(*cursor.batch);
    const auto values = batch.values();
    RETURN_IF_ERROR(TakeAnswers());
    while (cursor.row < values.size()) {
      if (!EmitDone(output)) return Progress::kSuspended;
      BeginWaiting();
      if (!waiting_.empty() || num_used_ == options_.capacity) return Block(output);
      Begin(values[cursor.row], batch.event_time(cursor.row), cursor.row);
      ++cursor.row;
      // A function that answers at once needs no second thread.
      RETURN_IF_ERROR(TakeAnswers());
    }
    return EmitDone(output) ? Progress::kDone : Progress::kSuspended;
  }

  absl::StatusOr<Progress> ProcessWatermark(Watermark watermark, Output& output) override {
    return AddControl(watermark, output);
  }
  void ProcessWatermarkStatus(WatermarkStatus status, Output& output) override {
    if (!waiting_.empty()) {
      status_after_waiting_ = status;
      return;
    }
    order_.AddControl(status);
    EmitDone(output);
  }
  absl::StatusOr<Progress> ProcessCaughtUp(uint32_t, Output& output) override {
    return Drain(output);
  }
  absl::StatusOr<Progress> EndInput(uint32_t, Output& output) override { return Drain(output); }

  absl::StatusOr<Progress> OnWake(Output& output) override {
    RETURN_IF_ERROR(TakeAnswers());
    RETURN_IF_ERROR(HandleDue());
    do {
      if (!EmitDone(output)) return Progress::kSuspended;
    } while (BeginWaiting());
    return Progress::kDone;
  }

  absl::StatusOr<OperatorSnapshot> Snapshot(CheckpointId) override {
    std::vector<std::pair<uint64_t, const Request*>> requests;
    for (const Request& request : slots_) {
      if (request.state != State::kFree) requests.emplace_back(request.sequence, &request);
    }
    std::sort(requests.begin(), requests.end());
    std::vector<Element> elements;
    elements.reserve(requests.size() + waiting_.size());
    for (const auto& [sequence, request] : requests) elements.push_back(request->element);
    elements.insert(elements.end(), waiting_.begin(), waiting_.end());
    in_flight_->Update(std::move(elements));
    OperatorSnapshot snapshot = state_.Snapshot();
    in_flight_->Clear();
    return snapshot;
  }

  void Close() override {
    if (inbox_ != nullptr) inbox_->Close();
    function_.Close();
  }

 private:
  using Element = std::pair<In, EventTime>;
  enum class State : uint8_t { kFree, kAsked, kDelayed, kDone };

  /// A record in hand.
  struct Request {
    Element element;
    State state = State::kFree;
    bool timed_out = false;  // Was handed to Timeout.
    int attempts = 0;        // Calls for this record.
    uint64_t attempt = 0;    // The one that is waited for; see AsyncRequestId.
    uint64_t sequence = 0;   // Orders the records in hand.
    size_t row = 0;          // In the batch that it came in; for messages.
    AsyncOrder::SegmentId segment = 0;
    int64_t deadline_ms = kNever;
    int64_t retry_ms = kNever;  // When kDelayed.
    std::vector<Out> results;
  };
  static constexpr int64_t kNever = INT64_MAX;

  void Begin(Element element, size_t row) {
    uint32_t slot = 0;
    if (free_.empty()) {
      slot = static_cast<uint32_t>(slots_.size());
      slots_.emplace_back();
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    ++num_used_;
    Request& request = slots_[slot];
    request.element = std::move(element);
    request.timed_out = false;
    request.attempts = 0;
    request.sequence = next_sequence_++;
    request.row = row;
    request.segment = order_.AddRequest();
    request.deadline_ms = kNever;
    if (options_.timeout < absl::InfiniteDuration()) {
      request.deadline_ms = NowMs() + absl::ToInt64Milliseconds(options_.timeout);
      WakeBy(request.deadline_ms);
    }
    Ask(slot);
  }
  void Begin(const In& value, EventTime time, size_t row) { Begin(Element(value, time), row); }

  void Ask(uint32_t slot) {
    Request& request = slots_[slot];
    request.state = State::kAsked;
    request.retry_ms = kNever;
    ++request.attempts;
    ++request.attempt;
    // The deque keeps its elements where they are, whatever the function does.
    function_.Fn::AsyncInvoke(request.element.first,
                              ResultFuture<Out>(inbox_, {slot, request.attempt}));
  }

  /// Asks for restored records while there is room. Returns whether it asked for any.
  bool BeginWaiting() {
    bool began = false;
    while (!waiting_.empty() && num_used_ < options_.capacity) {
      Element element = std::move(waiting_.front());
      waiting_.pop_front();
      Begin(std::move(element), 0);
      began = true;
    }
    if (waiting_.empty() && status_after_waiting_.has_value()) {
      order_.AddControl(*std::exchange(status_after_waiting_, std::nullopt));
    }
    return began;
  }

  absl::Status TakeAnswers() {
    inbox_->TakeAll(&answers_);
    for (AsyncAnswer<Out>& answer : answers_) {
      Request& request = slots_[answer.request.slot];
      if (request.state != State::kAsked || request.attempt != answer.request.attempt) continue;
      if (!request.timed_out &&
          options_.retry.ShouldRetry(request.attempts, answer.results, answer.status)) {
        request.state = State::kDelayed;
        request.retry_ms =
            NowMs() + absl::ToInt64Milliseconds(options_.retry.DelayAfter(request.attempts));
        WakeBy(request.retry_ms);
        num_retries_->Add();
        continue;
      }
      if (!answer.status.ok()) return Failure(request, answer.status);
      request.results = std::move(answer.results);
      request.state = State::kDone;
      order_.SetDone(request.segment, answer.request.slot);
    }
    answers_.clear();
    return absl::OkStatus();
  }

  static absl::Status Failure(const Request& request, const absl::Status& status) {
    return {status.code(), ToAbsl(StrCat("asynchronous request failed: ", ToStd(status.message()),
                                         " (attempts=", request.attempts,
                                         " event_time_ms=", request.element.second.millis(),
                                         " record=", request.row, " of its batch, number ",
                                         request.sequence, " since the start)"))};
  }

  /// Times out and retries what is due.
  absl::Status HandleDue() {
    if (next_due_ms_ == kNever || NowMs() < next_due_ms_) return absl::OkStatus();
    const int64_t now_ms = NowMs();
    int64_t next_ms = kNever;
    for (uint32_t slot = 0; slot < slots_.size(); ++slot) {
      Request& request = slots_[slot];
      if (request.state != State::kAsked && request.state != State::kDelayed) continue;
      if (request.deadline_ms <= now_ms) {
        request.deadline_ms = kNever;
        request.timed_out = true;
        request.state = State::kAsked;
        ++request.attempt;
        num_timeouts_->Add();
        function_.Fn::Timeout(request.element.first,
                              ResultFuture<Out>(inbox_, {slot, request.attempt}));
      } else if (request.state == State::kDelayed && request.retry_ms <= now_ms) {
        Ask(slot);
      }
      next_ms = std::min(next_ms, request.deadline_ms);
      if (request.state == State::kDelayed) next_ms = std::min(next_ms, request.retry_ms);
    }
    next_due_ms_ = kNever;
    if (next_ms != kNever) WakeBy(next_ms);
    return TakeAnswers();
  }

  void WakeBy(int64_t time_ms) {
    if (time_ms >= next_due_ms_) return;
    next_due_ms_ = time_ms;
    context_->handle()->WakeAt(absl::FromUnixMillis(time_ms));
  }

  /// Returns false if the output is full before all that may leave has left.
  bool EmitDone(Output& output) {
    while (true) {
      const AsyncOrder::Next next = order_.PeekNext();
      if (next.slot.has_value()) {
        if (output.Full()) return false;
        Request& request = slots_[*next.slot];
        for (Out& result : request.results) {
          collector_.Collect(std::move(result), request.element.second);
        }
        request.results.clear();
        request.state = State::kFree;
        free_.push_back(*next.slot);
        --num_used_;
      } else if (next.control != nullptr) {
        output.EmitControl(*next.control);
      } else {
        return true;
      }
      order_.PopNext();
    }
  }

  Progress AddControl(StreamElement element, Output& output) {
    // It is behind the records that were restored.
    BeginWaiting();
    if (!waiting_.empty()) return Block(output);
    order_.AddControl(std::move(element));
    EmitDone(output);
    return Progress::kDone;
  }
  absl::StatusOr<Progress> Drain(Output& output) {
    RETURN_IF_ERROR(TakeAnswers());
    do {
      if (!EmitDone(output)) return Progress::kSuspended;
    } while (BeginWaiting());
    return num_used_ == 0 && waiting_.empty() ? Progress::kDone : Block(output);
  }
  // What was emitted does not wait for a fuller batch while the operator waits for an answer.
  static Progress Block(Output& output) {
    output.Flush();
    return Progress::kBlocked;
  }
  [[nodiscard]] int64_t NowMs() const { return absl::ToUnixMillis(context_->clock()->Now()); }

  Fn function_;
  const AsyncWaitOptions<Out> options_;
  OperatorContext* context_ = nullptr;
  Collector<Out> collector_;
  OperatorStateHolder state_;
  std::optional<OperatorListState<Element>> in_flight_;  // Filled for the moment of a snapshot.
  std::shared_ptr<AsyncInbox<Out>> inbox_;
  std::vector<AsyncAnswer<Out>> answers_;  // Being handled; keeps its capacity.
  Counter* num_retries_ = nullptr;
  Counter* num_timeouts_ = nullptr;

  std::deque<Request> slots_;  // At most `capacity`.
  std::vector<uint32_t> free_;
  size_t num_used_ = 0;
  std::deque<Element> waiting_;  // Restored, not asked for yet: before any new record.
  std::optional<WatermarkStatus> status_after_waiting_;  // The last that came meanwhile.
  AsyncOrder order_;
  uint64_t next_sequence_ = 0;
  int64_t next_due_ms_ = kNever;  // When HandleDue looks next.
};

}  // namespace weir::internal
