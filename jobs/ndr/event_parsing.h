#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "jobs/ndr/network_event.h"
#include "operators/api/functions.h"
#include "operators/connectors/kafka/kafka_record.h"
#include "runtime/base/logging.h"
#include "runtime/base/strings.h"

namespace weir::ndr {

/// A record that is no network event, and why.
struct RejectedRecord {
  std::string reason;
  std::string record;
};

/// Side output of ParseEvents.
[[nodiscard]] inline OutputTag<RejectedRecord> RejectedTag() {
  return OutputTag<RejectedRecord>("rejected");
}

[[nodiscard]] inline std::string_view TextOf(const std::string& record) { return record; }
[[nodiscard]] inline std::string_view TextOf(const KafkaRecord& record) { return record.value; }

/// Reads each record (a JSON text, or a Kafka record with one) as a network event with its own
/// time. What cannot be read goes to the side output, and never fails the job; it is counted, and
/// logged at every doubling of the count.
template <class Record>
class ParseEvents final : public ProcessFunction<Record, NetworkEvent> {
 public:
  using Context = FunctionContext;

  void ProcessElement(const Record& record, Context& context,
                      Collector<NetworkEvent>& out) override {
    const absl::Status parsed = parser_.Parse(TextOf(record), &event_);
    if (parsed.ok()) {
      const EventTime time = event_.time;
      out.Collect(std::move(event_), time);
      return;
    }
    const std::string reason(parsed.message().data(), parsed.message().size());
    if (std::has_single_bit(++num_rejected_)) {
      LogWarning("ndr", StrCat("rejected a record: ", reason, " rejected_so_far=", num_rejected_));
    }
    context.Output(RejectedTag(), RejectedRecord{reason, std::string(TextOf(record))});
  }

 private:
  NetworkEventParser parser_;
  NetworkEvent event_;
  uint64_t num_rejected_ = 0;
};

}  // namespace weir::ndr
