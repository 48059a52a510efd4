#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "operators/connectors/kafka/kafka_sink.h"
#include "operators/connectors/kafka/kafka_source.h"

namespace weir {
namespace {

using ::testing::HasSubstr;

KafkaSourceOptions Source() { return {.brokers = "127.0.0.1:1", .topics = {"events"}}; }

TEST(KafkaOptionsTest, AcceptsPropertiesOfLibrdkafka) {
  KafkaSourceOptions options = Source();
  options.properties = {{"security.protocol", "plaintext"}, {"fetch.min.bytes", "10"}};
  EXPECT_TRUE(KafkaSource(options).Validate().ok());
}

TEST(KafkaOptionsTest, NamesTheNearestPropertyOfAWrongOne) {
  KafkaSourceOptions options = Source();
  options.properties = {{"fetch.min.byte", "10"}};
  const absl::Status status = KafkaSource(options).Validate();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("did you mean fetch.min.bytes?"));
}

TEST(KafkaOptionsTest, RefusesWrongValuesAndPropertiesThatWeirSets) {
  KafkaSourceOptions options = Source();
  options.properties = {{"fetch.min.bytes", "many"}};
  EXPECT_THAT(std::string(KafkaSource(options).Validate().message()),
              HasSubstr("property=fetch.min.bytes"));
  options.properties = {{"enable.auto.commit", "true"}};
  EXPECT_THAT(std::string(KafkaSource(options).Validate().message()),
              HasSubstr("property=enable.auto.commit"));
}

TEST(KafkaOptionsTest, RefusesASourceWithoutBrokersTopicsOrTheGroupItNeeds) {
  EXPECT_TRUE(absl::IsInvalidArgument(KafkaSource({.topics = {"events"}}).Validate()));
  EXPECT_TRUE(absl::IsInvalidArgument(KafkaSource({.brokers = "127.0.0.1:1"}).Validate()));
  KafkaSourceOptions options = Source();
  options.start = KafkaStart::kCommitted;
  EXPECT_TRUE(absl::IsInvalidArgument(KafkaSource(options).Validate()));
  options.group_id = "group";
  EXPECT_TRUE(KafkaSource(options).Validate().ok());
}

TEST(KafkaOptionsTest, RefusesASinkWithoutATopicAndWeakerGuarantees) {
  const auto serialize = [](const std::string& text, KafkaMessage* message) {
    message->value = text;
  };
  const auto validate = [&](KafkaSinkOptions options) {
    return KafkaSink<std::string>(std::move(options), serialize).Validate();
  };
  EXPECT_TRUE(validate({.brokers = "127.0.0.1:1", .topic = "alerts"}).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(validate({.brokers = "127.0.0.1:1"})));
  EXPECT_THAT(
      std::string(
          validate({.brokers = "127.0.0.1:1", .topic = "alerts", .properties = {{"acks", "1"}}})
              .message()),
      HasSubstr("property=acks"));
}

}  // namespace
}  // namespace weir
