#include "taskmanager/address_probe.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(5);

// A socket on a free port of the loopback, which listens if it is told to.
class BoundSocket {
 public:
  explicit BoundSocket(bool listens) : descriptor_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(descriptor_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    EXPECT_EQ(listens ? listen(descriptor_, 8) : 0, 0);
  }
  ~BoundSocket() { close(descriptor_); }
  BoundSocket(const BoundSocket&) = delete;
  BoundSocket& operator=(const BoundSocket&) = delete;
  [[nodiscard]] int port() const { return port_; }

 private:
  const int descriptor_;
  int port_ = 0;
};

TEST(AddressProbeTest, TellsWhetherSomebodyListens) {
  const BoundSocket listening(true);
  const BoundSocket bound(false);
  EXPECT_EQ(ProbeAddress(StrCat("127.0.0.1:", listening.port()), kTimeout), ProbeResult::kAccepted);
  EXPECT_EQ(ProbeAddress(StrCat("127.0.0.1:", bound.port()), kTimeout), ProbeResult::kRefused);
}

TEST(AddressProbeTest, TakesWhatItCannotAskForSilent) {
  EXPECT_EQ(ProbeAddress("", kTimeout), ProbeResult::kSilent);
  EXPECT_EQ(ProbeAddress("nowhere", kTimeout), ProbeResult::kSilent);
  EXPECT_EQ(ProbeAddress("127.0.0.1:no-port", kTimeout), ProbeResult::kSilent);
}

}  // namespace
}  // namespace weir
