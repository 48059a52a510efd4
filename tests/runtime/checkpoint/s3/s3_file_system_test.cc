// An object store that misbehaves.

#include "runtime/checkpoint/s3/s3_file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "runtime/base/strings.h"
#include "runtime/checkpoint/file_systems.h"
#include "tests/support/fake_s3_server.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using Fault = FakeS3Server::Fault;

constexpr Fault kPassingFaults[] = {Fault::kInternalError,   Fault::kSlowDown,
                                    Fault::kTooManyRequests, Fault::kLostAnswer,
                                    Fault::kResetInAnswer,   Fault::kTruncatedAnswer,
                                    Fault::kNoAnswer,        Fault::kResetBeforeAnswer};

class S3FileSystemTest : public ::testing::Test {
 protected:
  // A client whose connections give up quickly, so that silence is noticed.
  std::shared_ptr<const FileSystems> Connect(S3Options options) {
    return std::make_shared<const FileSystems>(std::make_unique<S3FileSystem>(std::move(options)));
  }
  std::shared_ptr<const FileSystems> Connect() { return Connect(Options()); }
  S3Options Options() {
    S3Options options = server_.Options();
    options.timeout = absl::Milliseconds(300);
    options.pause = [this](absl::Duration pause) { pauses_.push_back(pause); };
    return options;
  }
  size_t CountRequests(std::string_view pattern) {
    const std::vector<std::string> lines = server_.requests();
    return static_cast<size_t>(std::count_if(
        lines.begin(), lines.end(),
        [&](const std::string& line) { return line.find(pattern) != std::string::npos; }));
  }
  static std::string Message(const absl::Status& status) { return StrCat(status.ToString()); }

  FakeS3Server server_;
  std::vector<absl::Duration> pauses_;
  std::shared_ptr<const FileSystems> files_ = Connect();
};

TEST_F(S3FileSystemTest, EveryCallOutlastsWhatPasses) {
  for (const Fault fault : kPassingFaults) {
    SCOPED_TRACE(static_cast<int>(fault));
    const int times = fault == Fault::kNoAnswer ? 1 : 2;  // Each takes the whole time-out.
    server_.FailNext("PUT /bucket/f", fault, times);
    ASSERT_TRUE(files_->Write("s3://bucket/f", "content").ok());
    server_.FailNext("GET /bucket/f", fault, times);
    EXPECT_EQ(files_->Read("s3://bucket/f").value(), "content");
    server_.FailNext("HEAD /bucket/f", fault, times);
    EXPECT_EQ(files_->Size("s3://bucket/f").value(), 7u);
    server_.FailNext("list-type", fault, times);
    EXPECT_THAT(files_->List("s3://bucket").value(), ElementsAre(FileEntry{"f", false}));
    server_.FailNext("DELETE /bucket/f", fault, times);
    EXPECT_TRUE(files_->Delete({"s3://bucket/f"}).ok());
    EXPECT_THAT(server_.objects(), IsEmpty());
  }
}

TEST_F(S3FileSystemTest, AnUploadInPartsOutlastsWhatPasses) {
  const std::string bytes(size_t{12} << 20, 'x');
  for (const Fault fault : kPassingFaults) {
    SCOPED_TRACE(static_cast<int>(fault));
    if (fault != Fault::kNoAnswer) server_.FailNext("?uploads", fault);
    server_.FailNext("partNumber=2", fault);
    server_.FailNext("POST /bucket/f?uploadId", fault);
    ASSERT_TRUE(files_->Write("s3://bucket/f", bytes).ok());
    EXPECT_TRUE(server_.objects()["f"] == bytes);
    ASSERT_TRUE(files_->Delete({"s3://bucket/f"}).ok());
  }
}

TEST_F(S3FileSystemTest, ACompletionThatFailsAfterItsHeadIsTriedAgain) {
  server_.FailNext("POST /bucket/f?uploadId", Fault::kErrorInSuccess, 2);
  ASSERT_TRUE(files_->Write("s3://bucket/f", std::string(size_t{6} << 20, 'x')).ok());
  EXPECT_EQ(server_.objects()["f"].size(), size_t{6} << 20);
}

TEST_F(S3FileSystemTest, AFailedUploadIsGivenUpAndNothingIsVisible) {
  const std::string bytes(size_t{12} << 20, 'x');
  for (const char* const step :
       {"?uploads", "partNumber=1", "partNumber=3", "POST /bucket/f?upload"}) {
    server_.FailNext(step, Fault::kInternalError, 4);
    EXPECT_TRUE(absl::IsUnavailable(files_->Write("s3://bucket/f", bytes))) << step;
    EXPECT_THAT(server_.objects(), IsEmpty()) << step;
    EXPECT_EQ(server_.num_uploads(), 0u) << step;
  }
}

TEST_F(S3FileSystemTest, UploadsThatCouldNotBeGivenUpAreFoundLater) {
  server_.FailNext("partNumber=2", Fault::kInternalError, 4);
  server_.FailNext("DELETE", Fault::kInternalError, 1);
  EXPECT_FALSE(files_->Write("s3://bucket/job/shared/f", std::string(size_t{12} << 20, 'x')).ok());
  EXPECT_EQ(server_.num_uploads(), 1u);
  EXPECT_EQ(files_->DeleteUnfinished("s3://bucket/job").value(), 0u);
  EXPECT_EQ(files_->DeleteUnfinished("s3://bucket/job/shared").value(), 1u);
  EXPECT_EQ(server_.num_uploads(), 0u);
}

TEST_F(S3FileSystemTest, ABrokenRangeIsReadAgainAndNotTheWholeFile) {
  const std::string bytes(size_t{20} << 20, 'y');
  server_.Put("f", bytes);
  server_.FailNext("GET /bucket/f", Fault::kResetInAnswer, 1);
  EXPECT_TRUE(files_->Read("s3://bucket/f").value() == bytes);
  EXPECT_EQ(CountRequests("GET /bucket/f"), 4u) << "three ranges, one of them twice";
}

TEST_F(S3FileSystemTest, AFileThatChangesWhileItIsReadIsNoFile) {
  server_.Put("f", std::string(size_t{10} << 20, 'y'));
  FileSystem& files = **files_->Of("s3://bucket/f");
  auto reader = files.OpenReader("s3://bucket/f");
  ASSERT_TRUE(reader.ok());
  ASSERT_EQ((*reader)->Next().value().size(), size_t{8} << 20);
  server_.Put("f", std::string(size_t{10} << 20, 'z'));
  EXPECT_FALSE((*reader)->Next().ok());
}

TEST_F(S3FileSystemTest, GivesUpAfterAsManyAttemptsAsItIsSetTo) {
  server_.FailNext("PUT", Fault::kSlowDown, 100);
  const absl::Status status = files_->Write("s3://bucket/f", "content");
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(Message(status), AllOf(HasSubstr("asked more often than it takes"),
                                     HasSubstr("s3://bucket/f"), HasSubstr("code=SlowDown")));
  EXPECT_EQ(CountRequests("PUT"), 4u);
}

TEST_F(S3FileSystemTest, PausesGrowAndAreRandom) {
  S3Options options = Options();
  options.max_attempts = 9;
  options.first_backoff = absl::Milliseconds(100);
  options.max_backoff = absl::Seconds(1);
  const auto files = Connect(options);
  server_.FailNext("GET", Fault::kInternalError, 100);
  EXPECT_FALSE(files->Read("s3://bucket/f").ok());
  ASSERT_EQ(pauses_.size(), 8u);
  absl::Duration longest = options.first_backoff;
  for (const absl::Duration pause : pauses_) {
    EXPECT_GE(pause, longest / 2);
    EXPECT_LE(pause, longest);
    longest = std::min(longest * 2, options.max_backoff);
  }
}

TEST_F(S3FileSystemTest, ConnectionsAreUsedAgainAndIdleOnesThatWereClosedDoNoHarm) {
  ASSERT_TRUE(files_->Write("s3://bucket/f", "content").ok());
  for (int i = 0; i < 3; ++i) {
    server_.CloseIdleConnections();
    EXPECT_EQ(files_->Read("s3://bucket/f").value(), "content");
  }
  EXPECT_THAT(pauses_, IsEmpty()) << "that is no failure of the store's";
}

TEST_F(S3FileSystemTest, AClaimWhoseAnswerWasLostIsStillTheClaimants) {
  server_.FailNext("PUT", Fault::kLostAnswer);
  EXPECT_TRUE(files_->Write("s3://bucket/claim", "mine", FileWriteMode::kCreateNew).ok());
  server_.FailNext("PUT", Fault::kLostAnswer);
  EXPECT_TRUE(absl::IsAlreadyExists(
      files_->Write("s3://bucket/claim", "other", FileWriteMode::kCreateNew)));
  EXPECT_THAT(server_.objects(), ElementsAre(Pair("claim", "mine")));
}

TEST_F(S3FileSystemTest, ListingsThatRepeatThemselvesCountOnce) {
  server_.SetPageSize(3);
  server_.ListTwice(true);
  for (const char* const key : {"d/a", "d/b", "d/c", "d/d", "d/e/f"}) server_.Put(key, "1");
  EXPECT_THAT(files_->List("s3://bucket/d").value(),
              ElementsAre(FileEntry{"a", false}, FileEntry{"b", false}, FileEntry{"c", false},
                          FileEntry{"d", false}, FileEntry{"e", true}));
  EXPECT_TRUE(files_->DeleteFolder("s3://bucket/d").ok());
  EXPECT_THAT(server_.objects(), IsEmpty());
}

TEST_F(S3FileSystemTest, DeletesManyObjectsAtOnce) {
  std::vector<std::string> paths;
  for (int i = 0; i < 2'345; ++i) {
    server_.Put(StrCat("f", i), "1");
    paths.push_back(StrCat("s3://bucket/f", i));
  }
  EXPECT_TRUE(files_->Delete(paths).ok());
  EXPECT_THAT(server_.objects(), IsEmpty());
  EXPECT_EQ(CountRequests("?delete"), 3u);
}

TEST_F(S3FileSystemTest, RefusalsSayWhatToMendAndAreNotTriedAgain) {
  const auto refusal = [&](Fault fault) {
    server_.FailNext("PUT", fault);
    return files_->Write("s3://bucket/f", "content");
  };
  absl::Status status = refusal(Fault::kAccessDenied);
  EXPECT_TRUE(absl::IsPermissionDenied(status));
  EXPECT_THAT(Message(status), AllOf(HasSubstr("grant"), HasSubstr("PUT s3://bucket/f"),
                                     HasSubstr("endpoint=http://127.0.0.1:")));
  status = refusal(Fault::kClockSkew);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(Message(status), HasSubstr("set the clock"));
  status = refusal(Fault::kOtherRegion);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(Message(status), HasSubstr("s3.endpoint.region: eu-north-7"));
  EXPECT_EQ(CountRequests("PUT"), 3u);
  EXPECT_TRUE(absl::IsResourceExhausted(refusal(Fault::kFull)));
}

TEST_F(S3FileSystemTest, AMissingBucketIsNamed) {
  for (const absl::Status& status :
       {files_->Write("s3://none/f", "content"), files_->Read("s3://none/f").status(),
        files_->List("s3://none/f").status()}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_THAT(Message(status), AllOf(HasSubstr("no such bucket"), HasSubstr("s3://none/")));
  }
}

TEST_F(S3FileSystemTest, WrongAndMissingKeysAreNamedAndNeverShown) {
  S3Options options = Options();
  options.credentials.secret_key = "hush-hush";
  absl::Status status = Connect(options)->Write("s3://bucket/f", "content");
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_THAT(Message(status), AllOf(HasSubstr("check s3.access-key and s3.secret-key"),
                                     Not(HasSubstr("hush-hush"))));
  options.credentials = {};
  status = Connect(options)->Write("s3://bucket/f", "content");
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(Message(status), HasSubstr("AWS_ACCESS_KEY_ID"));
}

TEST_F(S3FileSystemTest, AStoreThatIsNotThereIsNamed) {
  server_.Stop();
  const absl::Status status = files_->Write("s3://bucket/f", "content");
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(Message(status), AllOf(HasSubstr("address=127.0.0.1:"), HasSubstr("s3.endpoint")));
  EXPECT_EQ(pauses_.size(), 3u) << "it may come";
}

TEST_F(S3FileSystemTest, TemporaryKeysSendTheirToken) {
  S3Options options = Options();
  options.credentials.session_token = "token";
  // The server signs what came, the token's header too.
  EXPECT_TRUE(Connect(options)->Write("s3://bucket/f", "content").ok());
}

TEST_F(S3FileSystemTest, PartsGrowSoThatTheyNeverAreTooMany) {
  S3Options options = Options();
  options.part_bytes = 1;
  options.timeout = absl::Seconds(10);
  // The server refuses parts so small at the end; what was sent until then is what counts.
  EXPECT_FALSE(Connect(options)->Write("s3://bucket/f", std::string(5'000, 'x')).ok());
  EXPECT_LT(CountRequests("partNumber"), 2'600u) << "1000 of 1, 1000 of 2, 500 of 4";
  EXPECT_EQ(server_.num_uploads(), 0u);
}

}  // namespace
}  // namespace weir
