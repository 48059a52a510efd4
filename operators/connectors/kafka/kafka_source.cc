#include "operators/connectors/kafka/kafka_source.h"

#include <utility>

#include "operators/connectors/kafka/internal/kafka_enumerator.h"
#include "operators/connectors/kafka/internal/kafka_reader.h"

namespace weir {

KafkaSource::KafkaSource(KafkaSourceOptions options) : options_(std::move(options)) {}

absl::Status KafkaSource::Validate() const { return internal::ValidateKafkaSource(options_); }

std::unique_ptr<SplitEnumerator> KafkaSource::CreateEnumerator() const {
  return std::make_unique<internal::KafkaEnumerator>(options_);
}

std::unique_ptr<SourceReader<KafkaRecord>> KafkaSource::CreateReader() const {
  return std::make_unique<internal::KafkaReader>(options_);
}

}  // namespace weir
