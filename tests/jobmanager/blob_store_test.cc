#include "jobmanager/blob_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "jobmanager/durable_file.h"
#include "runtime/base/ids.h"
#include "runtime/base/strings.h"
#include "runtime/checkpoint/s3/s3_file_system.h"
#include "runtime/graph/content_hash.h"
#include "tests/support/fake_s3_server.h"

namespace weir {
namespace {

using ::testing::HasSubstr;

class BlobStoreTest : public testing::Test {
 protected:
  BlobStoreTest()
      : folder_(StrCat(testing::TempDir(), "weir-blobs-", ToString(RandomId<JobId>()))),
        store_(*BlobStore::Open(folder_)) {}
  ~BlobStoreTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::string folder_;
  BlobStore store_;
};

TEST_F(BlobStoreTest, ReadsBackWhatWasPut) {
  const std::string content(100'000, 'x');
  const absl::StatusOr<std::string> hash = store_.Put(content);
  ASSERT_TRUE(hash.ok()) << hash.status();
  EXPECT_EQ(*hash, ContentHash(content));
  EXPECT_EQ(*store_.Read(*hash), content);
  EXPECT_EQ(*store_.Put(content), *hash);
  EXPECT_EQ(*store_.Put(""), ContentHash(""));
  EXPECT_EQ(*store_.Read(ContentHash("")), "");
}

TEST_F(BlobStoreTest, LeavesNoPartialFiles) {
  ASSERT_TRUE(store_.Put("content").ok());
  size_t num_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    EXPECT_EQ(entry.path().filename(), ContentHash("content"));
    ++num_files;
  }
  EXPECT_EQ(num_files, 1u);
}

TEST_F(BlobStoreTest, KeepsACopyOfAFile) {
  const std::string path = folder_ + "/source";
  std::ofstream(path) << "library";
  const absl::StatusOr<std::string> hash = store_.PutFile(path);
  ASSERT_TRUE(hash.ok());
  std::ofstream(path) << "changed";
  EXPECT_EQ(*store_.Read(*hash), "library");
  EXPECT_EQ(store_.PutFile(folder_ + "/missing").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(BlobStoreTest, FindsDamageAndMendsItWhenTheContentComesAgain) {
  const std::string hash = *store_.Put("precious");
  std::ofstream(store_.PathOf(hash)) << "precioux";
  const absl::Status damaged = store_.Read(hash).status();
  EXPECT_EQ(damaged.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(ToStd(damaged.message())), HasSubstr(hash));
  std::filesystem::resize_file(store_.PathOf(hash), 3);
  EXPECT_EQ(store_.Read(hash).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(*store_.Put("precious"), hash);
  EXPECT_EQ(*store_.Read(hash), "precious");
}

TEST_F(BlobStoreTest, DeletesWhatIsNotNeededButNotWhatWasJustPut) {
  const std::string needed = *store_.Put("needed");
  const std::string superfluous = *store_.Put("superfluous");
  std::ofstream(folder_ + "/notes.txt") << "somebody else's";
  EXPECT_EQ(*store_.RetainOnly({needed}), 0u) << "a job may be about to need it";
  EXPECT_EQ(*store_.Read(superfluous), "superfluous");

  // Another process has put nothing.
  const BlobStore other = *BlobStore::Open(folder_);
  EXPECT_EQ(*other.RetainOnly({needed, ContentHash("elsewhere")}), 1u);
  EXPECT_EQ(store_.Read(superfluous).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(*store_.Read(needed), "needed");
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/notes.txt"));

  EXPECT_EQ(*store_.RetainOnly({}, absl::ZeroDuration()), 1u);
  EXPECT_EQ(store_.Read(needed).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(BlobStoreTest, APutBesideACleanUpIsNotLost) {
  const std::string hash = ContentHash("content");
  for (int round = 0; round < 50; ++round) {
    std::jthread cleaner([this] { EXPECT_TRUE(store_.RetainOnly({}).ok()); });
    EXPECT_EQ(*store_.Put("content"), hash);
    cleaner.join();
    EXPECT_EQ(*store_.Read(hash), "content");
    // As if it had been put long ago.
    EXPECT_TRUE(store_.RetainOnly({hash}, absl::ZeroDuration()).ok());
  }
}

TEST_F(BlobStoreTest, AnObjectStoreHasItsBlobsCopiedForThoseWhoNeedAFile) {
  FakeS3Server server;
  const auto files =
      std::make_shared<const FileSystems>(std::make_unique<S3FileSystem>(server.Options()));
  const BlobStore store = *BlobStore::Open("s3://bucket/blobs", files, folder_ + "/copies");
  const std::string hash = *store.Put("library");
  EXPECT_EQ(*store.Read(hash), "library");
  const std::string path = *store.LocalPathOf(hash);
  EXPECT_EQ(*ReadWholeFile(path), "library");
  std::ofstream(path) << "damaged";
  EXPECT_EQ(*ReadWholeFile(*store.LocalPathOf(hash)), "library");
  EXPECT_EQ(store.LocalPathOf(ContentHash("none")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(*store.RetainOnly({}, absl::ZeroDuration()), 1u);
  EXPECT_TRUE(server.objects().empty());
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(BlobStoreTest, RefusesNamesThatAreNoHashes) {
  EXPECT_EQ(store_.Read(ContentHash("unknown")).status().code(), absl::StatusCode::kNotFound);
  for (const std::string& name : {std::string("../../etc/passwd"), std::string(),
                                  std::string(64, 'A'), std::string(63, 'a') + "/"}) {
    EXPECT_EQ(store_.Read(name).status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

}  // namespace
}  // namespace weir
