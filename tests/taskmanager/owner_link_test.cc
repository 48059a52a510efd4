#include "taskmanager/owner_link.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/base/mutex.h"

namespace weir {
namespace {

class OwnerLinkTest : public testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends = {};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    owner_ = ends[0];
    OwnerLinkHandlers handlers;
    handlers.memory = [this](int64_t bytes) { memory_.store(bytes); };
    handlers.metrics = [this] { return "of " + std::to_string(memory_.load()); };
    handlers.end = [this] {
      const MutexLock lock(&mutex_);
      ended_ = true;
      changed_.SignalAll();
    };
    link_ = std::make_unique<OwnerLink>(ends[1], std::move(handlers));
  }
  void TearDown() override {
    link_.reset();
    ::close(owner_);
  }
  void Say(std::string_view bytes) const {
    ASSERT_EQ(::send(owner_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  [[nodiscard]] std::string Hear(size_t size) const {
    std::string bytes(size, '\0');
    EXPECT_EQ(::recv(owner_, bytes.data(), size, MSG_WAITALL), static_cast<ssize_t>(size));
    return bytes;
  }
  void WaitForEnd() {
    const MutexLock lock(&mutex_);
    while (!ended_) changed_.Wait(&mutex_);
  }

  int owner_ = -1;
  std::atomic<int64_t> memory_{0};
  Mutex mutex_;
  CondVar changed_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<OwnerLink> link_;
};

TEST_F(OwnerLinkTest, TakesMemoryAndAnswersWithMetricsInOrder) {
  Say("memory 12");
  Say("3\nmetrics 7\nmemory 45\nmetrics 8\n");
  EXPECT_EQ(Hear(20), "metrics 7 6\nof 123me");
  EXPECT_EQ(Hear(15), "trics 8 5\nof 45");
}

TEST_F(OwnerLinkTest, PassesOverWhatItDoesNotKnow) {
  Say("hello\nmemory much\nmemory\n\nmetrics 1\n");
  EXPECT_EQ(Hear(16), "metrics 1 4\nof 0");
}

TEST_F(OwnerLinkTest, SaysWhenTheOwnerEndsTheStream) {
  ::shutdown(owner_, SHUT_WR);
  WaitForEnd();
}

TEST_F(OwnerLinkTest, TakesALineWithoutEndForTheEnd) {
  Say(std::string(2000, 'x'));
  WaitForEnd();
}

TEST_F(OwnerLinkTest, SaysNothingWhenItIsDestroyedFirst) {
  link_.reset();
  const MutexLock lock(&mutex_);
  EXPECT_FALSE(ended_);
}

}  // namespace
}  // namespace weir
