#include <charconv>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "operators/api/keyed_stream.h"
#include "operators/connectors/kafka/kafka_sink.h"
#include "operators/connectors/kafka/kafka_source.h"
#include "tests/chaos/jobs/functions.h"
#include "tests/chaos/jobs/pipelines.h"

namespace weir::chaos {
namespace {

/// Makes a Reading of a record whose value is a number, at the pace of the run.
class ParseNumber final : public ProcessFunction<KafkaRecord, Reading> {
 public:
  ParseNumber(double rate, int64_t keys) : pace_(rate), keys_(keys) {}

  absl::Status Open(OpenContext& context) override {
    pace_.Open(context.place().parallelism);
    return absl::OkStatus();
  }
  void ProcessElement(const KafkaRecord& record, Context&, Collector<Reading>& out) override {
    pace_.Hold();
    int64_t number = 0;
    const char* const end = record.value.data() + record.value.size();
    const auto [last, error] = std::from_chars(record.value.data(), end, number);
    if (error != std::errc() || last != end) {
      throw std::runtime_error("not a number: " + record.value);
    }
    out.Collect({number % keys_, number, 0});
  }

 private:
  Pace pace_;
  int64_t keys_;
};

template <class T, class ToOutcome>
KafkaSink<T> LinesTo(const Settings& settings, const std::string& name, ToOutcome outcome_of) {
  KafkaSinkOptions options;
  options.brokers = settings.kafka.brokers;
  options.topic = settings.kafka.to;
  options.delivery_guarantee = DeliveryGuarantee::kExactlyOnce;
  return KafkaSink<T>(options, [name, outcome_of](const T& record, KafkaMessage* message) {
    AppendLine(name, outcome_of(record), &message->value);
  });
}

}  // namespace

void Kafka(StreamEnvironment& environment, const Settings& settings) {
  KafkaSourceOptions from;
  from.brokers = settings.kafka.brokers;
  from.topics = {settings.kafka.from};
  from.bounded = true;
  auto readings = environment
                      .FromSource(KafkaSource(from), WatermarkStrategy<KafkaRecord>::NoWatermarks(),
                                  "kafka-source")
                      .Uid("kafka-source")
                      .Process(ParseNumber(settings.rate, settings.keys))
                      .Uid("kafka-numbers");
  const auto copy = [](const Reading& reading) { return Outcome{reading.key, reading.index, 0}; };
  readings.SinkTo(LinesTo<Reading>(settings, "kafka-copy", copy), "kafka-copy").Uid("kafka-copy");
  const auto same = [](const Outcome& outcome) { return outcome; };
  readings.KeyBy(&KeyOf)
      .Process(CountSoFar())
      .Uid("kafka-counts")
      .SinkTo(LinesTo<Outcome>(settings, "kafka-counts", same), "kafka-counts")
      .Uid("kafka-counts-sink");
}

}  // namespace weir::chaos
