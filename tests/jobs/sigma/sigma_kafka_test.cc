#include "jobs/sigma/sigma_kafka.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::sigma {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

SigmaSettings From(std::string_view environment) {
  const auto settings = SigmaSettings::Load(
      [](std::string_view) { return std::optional<std::string>(); }, environment, "");
  EXPECT_TRUE(settings.ok()) << settings.status();
  return *settings;
}

std::map<std::string, std::string> SecurityOf(std::string_view environment) {
  const auto security = KafkaSecurity(From(environment));
  EXPECT_TRUE(security.ok()) << security.status();
  return *security;
}

std::string ErrorOf(std::string_view environment) {
  const auto security = KafkaSecurity(From(environment));
  return security.ok() ? "no error" : security.status().ToString();
}

TEST(SigmaKafkaTest, SaslIsPlainOverTls) {
  EXPECT_THAT(
      SecurityOf("KAFKA_AUTH_METHOD=SASL\nKAFKA_API_KEY=k\nKAFKA_API_SECRET=s"),
      UnorderedElementsAre(Pair("security.protocol", "SASL_SSL"), Pair("sasl.mechanisms", "PLAIN"),
                           Pair("sasl.username", "k"), Pair("sasl.password", "s")));
}

TEST(SigmaKafkaTest, AnApiKeyMeansSasl) {
  EXPECT_EQ(SecurityOf("KAFKA_API_KEY=k\nKAFKA_API_SECRET=s").at("security.protocol"), "SASL_SSL");
  EXPECT_THAT(SecurityOf(""), IsEmpty());
  EXPECT_THAT(SecurityOf("KAFKA_AUTH_METHOD=PLAINTEXT\nKAFKA_API_KEY=k"), IsEmpty());
}

TEST(SigmaKafkaTest, ScramAndPlaintextMayBeChosen) {
  const auto security = SecurityOf(
      "KAFKA_AUTH_METHOD=sasl_plaintext\nKAFKA_SASL_MECHANISM=SCRAM-SHA-512\nKAFKA_API_KEY=k\n"
      "KAFKA_API_SECRET=s\nKAFKA_SSL_CHECK_HOSTNAME=false");
  EXPECT_THAT(security,
              UnorderedElementsAre(Pair("security.protocol", "SASL_PLAINTEXT"),
                                   Pair("sasl.mechanisms", "SCRAM-SHA-512"),
                                   Pair("sasl.username", "k"), Pair("sasl.password", "s")));
}

TEST(SigmaKafkaTest, SslTakesCertificates) {
  EXPECT_THAT(SecurityOf("KAFKA_AUTH_METHOD=SSL\nKAFKA_SSL_CA_LOCATION=/ca\n"
                         "KAFKA_SSL_CERTIFICATE_LOCATION=/cert\nKAFKA_SSL_KEY_LOCATION=/key\n"
                         "KAFKA_SSL_KEY_PASSWORD=p\nKAFKA_SSL_CHECK_HOSTNAME=0"),
              UnorderedElementsAre(Pair("security.protocol", "SSL"), Pair("ssl.ca.location", "/ca"),
                                   Pair("ssl.certificate.location", "/cert"),
                                   Pair("ssl.key.location", "/key"), Pair("ssl.key.password", "p"),
                                   Pair("ssl.endpoint.identification.algorithm", "none")));
}

TEST(SigmaKafkaTest, ErrorsNameWhatIsMissing) {
  EXPECT_THAT(ErrorOf("KAFKA_AUTH_METHOD=SASL\nKAFKA_API_KEY=k"), HasSubstr("KAFKA_API_SECRET"));
  EXPECT_THAT(ErrorOf("KAFKA_AUTH_METHOD=SASL"), HasSubstr("KAFKA_API_KEY"));
  EXPECT_THAT(ErrorOf("KAFKA_AUTH_METHOD=SSL\nKAFKA_SSL_CA_LOCATION=/ca"),
              HasSubstr("KAFKA_SSL_CERTIFICATE_LOCATION"));
  EXPECT_THAT(ErrorOf("KAFKA_API_KEY=k\nKAFKA_API_SECRET=s\nKAFKA_SSL_TRUSTSTORE_LOCATION=/x.jks"),
              AllOf(HasSubstr("/x.jks"), HasSubstr("KAFKA_SSL_CA_LOCATION")));
}

TEST(SigmaKafkaTest, EachTopicHasItsOwnGroup) {
  const SigmaSettings settings =
      From("KAFKA_BOOTSTRAP_SERVERS=b:1\nKAFKA_CONSUMER_GROUP=g\nKAFKA_STARTING_OFFSET=committed");
  const auto events = EventSourceOptions(settings, "t1", {});
  ASSERT_TRUE(events.ok()) << events.status();
  EXPECT_EQ(events->group_id, "g-events-t1");
  EXPECT_EQ(events->start, KafkaStart::kCommitted);
  EXPECT_THAT(events->topics, ElementsAre("t1"));
  const auto control = ControlSourceOptions(settings, {});
  ASSERT_TRUE(control.ok()) << control.status();
  EXPECT_EQ(control->group_id, "g-rules");
  EXPECT_EQ(control->start, KafkaStart::kEarliest);
}

TEST(SigmaKafkaTest, PropertiesGivenWinOverSettings) {
  const SigmaSettings settings = From(
      "KAFKA_BOOTSTRAP_SERVERS=b:1\nKAFKA_API_KEY=k\nKAFKA_API_SECRET=s\n"
      "DELIVERY_GUARANTEE=exactly_once");
  const auto sink = SinkOptions(settings, "t", {{"sasl.username", "other"}});
  ASSERT_TRUE(sink.ok()) << sink.status();
  EXPECT_EQ(sink->properties.at("sasl.username"), "other");
  EXPECT_EQ(sink->properties.at("sasl.password"), "s");
  EXPECT_EQ(sink->delivery_guarantee, DeliveryGuarantee::kExactlyOnce);
  EXPECT_THAT(SinkOptions(From(""), "t", {}).status().ToString(), HasSubstr("--brokers"));
}

}  // namespace
}  // namespace weir::sigma
