#include "taskmanager/spare_arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace weir {
namespace {

using ::testing::ElementsAre;

class SpareArgumentsTest : public testing::Test {
 protected:
  SpareArgumentsTest() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends_.data()), 0); }
  ~SpareArgumentsTest() override {
    for (const int end : ends_) ::close(end);
  }
  void Write(const std::string& bytes) {
    ASSERT_EQ(::send(ends_[0], bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }

  std::array<int, 2> ends_ = {};
};

TEST_F(SpareArgumentsTest, ComeAsTheyWereSentAndLeaveWhatFollows) {
  ASSERT_TRUE(SendArguments(ends_[0], {"--id", "a b", "", "--slots"}));
  Write("memory 7\n");
  const auto received = ReceiveArguments(ends_[1]);
  ASSERT_TRUE(received.ok()) << received.status();
  EXPECT_THAT(*received, ElementsAre("--id", "a b", "", "--slots"));
  std::array<char, 16> rest = {};
  EXPECT_EQ(::recv(ends_[1], rest.data(), rest.size(), 0), 9);
  EXPECT_STREQ(rest.data(), "memory 7\n");
}

TEST_F(SpareArgumentsTest, AreNotComingOnceTheSocketIsClosed) {
  ::shutdown(ends_[0], SHUT_WR);
  EXPECT_EQ(ReceiveArguments(ends_[1]).status().code(), absl::StatusCode::kCancelled);
}

TEST_F(SpareArgumentsTest, AreRefusedIfTornOrTooLong) {
  Write(std::string("\x04\0\0\0ab", 6));
  ::shutdown(ends_[0], SHUT_WR);
  EXPECT_EQ(ReceiveArguments(ends_[1]).status().code(), absl::StatusCode::kDataLoss);
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends_.data()), 0);
  Write("\xff\xff\xff\xff");
  EXPECT_EQ(ReceiveArguments(ends_[1]).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(SpareArgumentsTest, AreNotSentToAProcessThatIsGone) {
  ::close(ends_[1]);
  EXPECT_FALSE(SendArguments(ends_[0], {"--id"}));
  ends_[1] = ::dup(ends_[0]);
}

}  // namespace
}  // namespace weir
