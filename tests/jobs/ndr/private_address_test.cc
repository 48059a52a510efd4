#include "jobs/ndr/private_address.h"

#include <gtest/gtest.h>

namespace weir::ndr {
namespace {

TEST(PrivateAddressTest, KnowsThePrivateBlocksToTheirBorders) {
  for (const char* address :
       {"10.0.0.0", "10.255.255.255", "172.16.0.0", "172.20.1.1", "172.31.255.255", "192.168.0.1",
        "fc00::1", "fd12:3456::1", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::ffff:10.1.2.3",
        "fd00::1%eth0"}) {
    EXPECT_TRUE(IsPrivateAddress(address)) << address;
  }
  for (const char* address :
       {"9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "192.167.1.1", "192.169.0.0",
        "8.8.8.8", "fe80::1", "2001:db8::1", "::ffff:8.8.8.8", "::1"}) {
    EXPECT_FALSE(IsPrivateAddress(address)) << address;
  }
}

TEST(PrivateAddressTest, RefusesTextThatIsNoAddress) {
  for (const char* text : {"", "10.", "10.0.0", "10.0.0.256", "10.0.0.1.2", "host", "fc00:",
                           "fc00::1::2", "10.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0"}) {
    EXPECT_FALSE(IsPrivateAddress(text)) << text;
  }
}

}  // namespace
}  // namespace weir::ndr
