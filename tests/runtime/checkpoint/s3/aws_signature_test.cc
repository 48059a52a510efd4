// The examples that Amazon publishes: "Authenticating Requests: Using the Authorization Header" of
// S3's API reference, and "Examples of how to derive a signing key" of its general reference.

#include "runtime/checkpoint/s3/aws_signature.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "runtime/base/strings.h"
#include "runtime/graph/content_hash.h"

namespace weir {
namespace {

using ::testing::EndsWith;
using ::testing::StartsWith;

constexpr char kEmptyHash[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const absl::Time kTime =
    absl::FromCivil(absl::CivilSecond(2013, 5, 24, 0, 0, 0), absl::UTCTimeZone());

std::string Sign(SignedRequest request) {
  request.headers.emplace_back("host", "examplebucket.s3.amazonaws.com");
  request.headers.emplace_back("x-amz-content-sha256", request.payload_hash);
  request.headers.emplace_back("x-amz-date", AmzDate(kTime));
  return SignatureV4(request,
                     {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""},
                     "us-east-1", "s3", kTime);
}

TEST(AwsSignatureTest, SignsAGetOfARange) {
  const std::string header = Sign({.method = "GET",
                                   .path = "/test.txt",
                                   .headers = {{"range", "bytes=0-9"}},
                                   .payload_hash = kEmptyHash});
  EXPECT_EQ(header,
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(AwsSignatureTest, SignsAPutOfANameThatNeedsEncoding) {
  const std::string header = Sign({.method = "PUT",
                                   .path = StrCat("/", UriEncode("test$file.text", true)),
                                   .headers = {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                                               {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                                   .payload_hash = ContentHash("Welcome to Amazon S3.")});
  EXPECT_THAT(
      header,
      EndsWith("Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"));
}

TEST(AwsSignatureTest, SignsAQueryWithoutAValue) {
  const std::string header =
      Sign({.method = "GET", .query = {{"lifecycle", ""}}, .payload_hash = kEmptyHash});
  EXPECT_THAT(
      header,
      EndsWith("Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"));
}

TEST(AwsSignatureTest, SignsAListing) {
  const std::string header = Sign(
      {.method = "GET", .query = {{"prefix", "J"}, {"max-keys", "2"}}, .payload_hash = kEmptyHash});
  EXPECT_THAT(
      header,
      EndsWith("Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
}

TEST(AwsSignatureTest, DerivesTheKeyOfADay) {
  EXPECT_EQ(HexEncode(internal::SigningKey("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20120215",
                                           "us-east-1", "iam")),
            "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d");
  EXPECT_EQ(HexEncode(internal::SigningKey("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830",
                                           "us-east-1", "iam")),
            "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
}

TEST(AwsSignatureTest, SignsARequestOfAnotherService) {
  const absl::Time time =
      absl::FromCivil(absl::CivilSecond(2015, 8, 30, 12, 36, 0), absl::UTCTimeZone());
  const std::string header = SignatureV4(
      {.method = "GET",
       .query = {{"Action", "ListUsers"}, {"Version", "2010-05-08"}},
       .headers = {{"host", "iam.amazonaws.com"},
                   {"content-type", "application/x-www-form-urlencoded; charset=utf-8"},
                   {"x-amz-date", AmzDate(time)}},
       .payload_hash = kEmptyHash},
      {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""}, "us-east-1", "iam", time);
  EXPECT_THAT(header, StartsWith("AWS4-HMAC-SHA256 "
                                 "Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request,"));
  EXPECT_THAT(
      header,
      EndsWith("Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"));
}

TEST(AwsSignatureTest, MakesTheCanonicalRequestOfTheExample) {
  EXPECT_EQ(internal::CanonicalRequest({.method = "GET",
                                        .path = "/test.txt",
                                        .headers = {{"x-amz-date", "20130524T000000Z"},
                                                    {"host", "examplebucket.s3.amazonaws.com"},
                                                    {"range", "  bytes=0-9 "},
                                                    {"x-amz-content-sha256", kEmptyHash}},
                                        .payload_hash = kEmptyHash}),
            StrCat("GET\n/test.txt\n\nhost:examplebucket.s3.amazonaws.com\nrange:bytes=0-9\n"
                   "x-amz-content-sha256:",
                   kEmptyHash,
                   "\nx-amz-date:20130524T000000Z\n\nhost;range;x-amz-content-sha256;x-amz-date\n",
                   kEmptyHash));
}

TEST(AwsSignatureTest, EncodesAllButPlainCharacters) {
  EXPECT_EQ(UriEncode("a/b c+d~e", true), "a/b%20c%2Bd~e");
  EXPECT_EQ(UriEncode("a/b", false), "a%2Fb");
  EXPECT_EQ(UriEncode("\xc3\xa4", false), "%C3%A4");
  EXPECT_EQ(CanonicalQuery({{"b", "2"}, {"a", "x y"}, {"a-b", ""}}), "a=x%20y&a-b=&b=2");
}

TEST(AwsSignatureTest, DecodesWhatIsEncodedAndLeavesTheRest) {
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  EXPECT_EQ(UriDecode(UriEncode(all, true)), all);
  EXPECT_EQ(UriDecode("%"), "%");
  EXPECT_EQ(UriDecode("%4"), "%4");
  EXPECT_EQ(UriDecode("%zz%41"), "%zzA");
}

TEST(AwsSignatureTest, Md5IsAsContentMd5HasIt) {
  EXPECT_EQ(ContentMd5(""), "1B2M2Y8AsgTpgAmY7PhCfg==");
}

}  // namespace
}  // namespace weir
