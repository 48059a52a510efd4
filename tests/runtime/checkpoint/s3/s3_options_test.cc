#include "runtime/checkpoint/s3/s3_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "runtime/base/s3_settings.h"
#include "runtime/base/weir_options.h"
#include "runtime/checkpoint/s3/s3_xml.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

absl::StatusOr<S3Options> Make(const std::map<std::string, std::string>& settings,
                               const std::map<std::string, std::string>& environment = {}) {
  Configuration configuration(WeirOptions());
  for (const auto& [key, value] : settings) {
    EXPECT_TRUE(configuration.SetText(key, value, "test").ok()) << key;
  }
  return S3Options::FromConfiguration(configuration, [&](const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? std::string() : found->second;
  });
}

TEST(S3OptionsTest, WithoutAnySettingItIsAws) {
  const S3Options options = Make({}).value();
  EXPECT_EQ(options.Endpoint(), "https://s3.us-east-1.amazonaws.com:443");
  EXPECT_FALSE(options.path_style);
  EXPECT_EQ(options.credentials.access_key, "");
}

TEST(S3OptionsTest, TheEnvironmentIsReadAsAwsToolsDo) {
  const S3Options options = Make({}, {{"AWS_ACCESS_KEY_ID", "key"},
                                      {"AWS_SECRET_ACCESS_KEY", "secret"},
                                      {"AWS_SESSION_TOKEN", "token"},
                                      {"AWS_REGION", "eu-west-1"}})
                                .value();
  EXPECT_EQ(options.Endpoint(), "https://s3.eu-west-1.amazonaws.com:443");
  EXPECT_EQ(options.credentials.access_key, "key");
  EXPECT_EQ(options.credentials.secret_key, "secret");
  EXPECT_EQ(options.credentials.session_token, "token");
  EXPECT_EQ(Make({}, {{"AWS_ENDPOINT_URL", "http://h:1"}}).value().Endpoint(), "http://h:1");
}

TEST(S3OptionsTest, SettingsComeFirst) {
  const S3Options options = Make({{"s3.endpoint", "http://minio:9000/"},
                                  {"s3.region", "here"},
                                  {"s3.access-key", "own"},
                                  {"s3.secret-key", "own-secret"},
                                  {"s3.path.style.access", "true"}},
                                 {{"AWS_ACCESS_KEY_ID", "key"},
                                  {"AWS_SECRET_ACCESS_KEY", "secret"},
                                  {"AWS_SESSION_TOKEN", "token"},
                                  {"AWS_ENDPOINT_URL_S3", "https://other"},
                                  {"AWS_REGION", "there"}})
                                .value();
  EXPECT_EQ(options.Endpoint(), "http://minio:9000");
  EXPECT_EQ(options.region, "here");
  EXPECT_EQ(options.credentials.access_key, "own");
  EXPECT_EQ(options.credentials.session_token, "") << "it goes with the other keys";
  EXPECT_TRUE(options.path_style);
}

TEST(S3OptionsTest, EndpointsMayBeWrittenShortly) {
  EXPECT_EQ(Make({{"s3.endpoint", "minio:9000"}}).value().Endpoint(), "https://minio:9000");
  EXPECT_EQ(Make({{"s3.endpoint", "http://minio"}}).value().Endpoint(), "http://minio:80");
  EXPECT_EQ(Make({{"s3.endpoint", "http://[::1]:9000"}}).value().Endpoint(), "http://[::1]:9000");
}

TEST(S3OptionsTest, WhatIsNoEndpointIsRefused) {
  for (const char* const endpoint :
       {"http://", "http://host:port", "http://host/path", "ftp://host", "http://:9000", "a b"}) {
    const auto options = Make({{"s3.endpoint", endpoint}});
    EXPECT_TRUE(absl::IsInvalidArgument(options.status())) << endpoint;
    EXPECT_THAT(options.status().ToString(), HasSubstr(endpoint));
  }
}

TEST(S3OptionsTest, OneKeyWithoutTheOtherIsRefused) {
  EXPECT_THAT(Make({{"s3.access-key", "key"}}).status().ToString(), HasSubstr("s3.secret-key"));
  EXPECT_THAT(Make({}, {{"AWS_SECRET_ACCESS_KEY", "secret"}}).status().ToString(),
              HasSubstr("AWS_ACCESS_KEY_ID"));
  EXPECT_TRUE(absl::IsInvalidArgument(Make({{"s3.upload.min.part.size", "1 mb"}}).status()));
}

TEST(S3OptionsTest, SecretsAreNotShown) {
  Configuration configuration(WeirOptions());
  configuration.Set(kS3SecretKey, "hush");
  configuration.Set(kS3SessionToken, "hush");
  for (const auto& [key, value] : configuration.ToMap()) EXPECT_NE(value, "hush") << key;
}

TEST(S3XmlTest, FindsElementsWhateverElseThereIs) {
  using internal::XmlElement;
  using internal::XmlElements;
  constexpr char kXml[] =
      "<?xml version=\"1.0\"?><R xmlns=\"x\"><Keys/><Key>a&amp;b</Key><Key a=\"1\">c</Key><Key/>"
      "<In><Key>d&lt;</Key></In></R>";
  EXPECT_THAT(XmlElements(kXml, "Key"), ElementsAre("a&b", "c", "", "d<"));
  EXPECT_EQ(XmlElement(kXml, "In"), "<Key>d&lt;</Key>");
  EXPECT_EQ(XmlElement(kXml, "None"), "");
  EXPECT_EQ(XmlElement("<a>&#65;&#x;&unknown;&</a>", "a"), "A&#x;&unknown;&");
}

TEST(S3XmlTest, ReadsAnythingWithoutHarm) {
  constexpr char kXml[] = "<R><Key>a&amp;b</Key><Key/></R>";
  const std::string whole = kXml;
  for (size_t i = 0; i <= whole.size(); ++i) {
    for (size_t j = 0; i + j <= whole.size(); ++j) {
      for (const std::string& text : internal::XmlElements(whole.substr(i, j), "Key")) {
        EXPECT_LE(text.size(), whole.size());
      }
    }
  }
  EXPECT_THAT(internal::XmlElements("<Key", "Key"), IsEmpty());
  EXPECT_THAT(internal::XmlElements("<Key>", "Key"), IsEmpty());
}

}  // namespace
}  // namespace weir
