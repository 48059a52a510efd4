#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "runtime/task/operator_chain.h"
#include "runtime/task/record_writer.h"
#include "tests/support/fake_operator_context.h"

namespace weir {
namespace {

/// Passes records on, and takes `delay` for each batch.
class SlowOperator final : public StreamOperator {
 public:
  SlowOperator(ManualClock* clock, absl::Duration delay) : clock_(clock), delay_(delay) {}
  absl::Status Open(OperatorContext&, Output&, std::vector<OperatorSubtaskState>) override {
    return absl::OkStatus();
  }
  absl::StatusOr<Progress> ProcessBatch(uint32_t, BatchCursor& cursor, Output& output) override {
    clock_->Advance(delay_);
    cursor.row = cursor.batch->size();
    output.port(0).EmitBatch(cursor.batch);
    return Progress::kDone;
  }

 private:
  ManualClock* const clock_;
  const absl::Duration delay_;
};

/// Reads one histogram of a metric group.
class HistogramReader final : public MetricGroup::Visitor {
 public:
  explicit HistogramReader(std::string name) : name_(std::move(name)) {}
  void OnCounter(std::string_view, uint64_t) override {}
  void OnGauge(std::string_view, double) override {}
  void OnHistogram(std::string_view name, const HistogramSnapshot& snapshot) override {
    if (name == name_) found = snapshot;
  }
  HistogramSnapshot found;

 private:
  const std::string name_;
};

// Row B10 of the features: 100 ms in operator 3 show at 3 and later only. Two tasks of two
// operators each, with a channel between them.
TEST(LatencyMarkerTest, ADelayShowsAtTheOperatorThatCausesItAndBehindIt) {
  ManualClock clock;
  std::vector<FakeOperatorContext*> contexts;
  const auto make_chain = [&](std::vector<absl::Duration> delays) {
    std::vector<OperatorChain::Link> links;
    for (const absl::Duration delay : delays) {
      OperatorChain::Link& link = links.emplace_back();
      link.op = std::make_unique<SlowOperator>(&clock, delay);
      auto context = std::make_unique<FakeOperatorContext>(&clock);
      contexts.push_back(context.get());
      link.context = std::move(context);
    }
    auto chain = std::make_unique<OperatorChain>(std::move(links), OperatorChain::Events{});
    chain->Join(0, 0, 1);
    EXPECT_TRUE(chain->Open({{}, {}}).ok());
    return chain;
  };
  const auto first = make_chain({absl::ZeroDuration(), absl::ZeroDuration()});
  const auto second = make_chain({absl::Milliseconds(100), absl::ZeroDuration()});
  const auto channel = std::make_shared<ChannelQueue>(1 << 20, nullptr);
  RecordWriter writer({}, {channel});
  first->AddTarget(1, 0, &writer);

  const OperatorId source(7, 7);
  const auto run = [](OperatorChain& chain) {
    EXPECT_TRUE(chain.Run(std::numeric_limits<int64_t>::max()).ok());
  };
  for (int i = 0; i < 20; ++i) {
    TypedBatchBuilder<int64_t> builder;
    builder.Add(i, EventTime::Min());
    first->Feed(0, builder.Finish());
    first->Feed(0, LatencyMarker{absl::ToUnixMillis(clock.Now()), source, 0});
    run(*first);
    while (auto popped = channel->Pop()) {
      second->Feed(0, std::move(popped->element));
      run(*second);
    }
  }
  std::vector<int64_t> medians;
  for (FakeOperatorContext* const context : contexts) {
    HistogramReader reader(StrCat("source_id.", ToString(source), ".latency"));
    context->metrics()->Visit(reader);
    EXPECT_EQ(reader.found.count, 20U);
    medians.push_back(reader.found.Quantile(0.5));
  }
  EXPECT_EQ(medians[0], 0);
  EXPECT_EQ(medians[1], 0);
  EXPECT_NEAR(static_cast<double>(medians[2]), 100, 7);
  EXPECT_NEAR(static_cast<double>(medians[3]), 100, 7);
}

}  // namespace
}  // namespace weir
