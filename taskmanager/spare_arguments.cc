#include "taskmanager/spare_arguments.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr uint32_t kMostBytes = 1U << 20;

// Reads exactly so many bytes; false at the end of the stream.
bool ReceiveFully(int link, char* bytes, size_t size) {
  while (size > 0) {
    const ssize_t received = ::recv(link, bytes, size, 0);
    if (received < 0 && errno == EINTR) continue;
    if (received <= 0) return false;
    bytes += received;
    size -= static_cast<size_t>(received);
  }
  return true;
}

}  // namespace

bool SendArguments(int link, const std::vector<std::string>& arguments) {
  std::string message(sizeof(uint32_t), '\0');
  for (const std::string& argument : arguments) {
    message += argument;
    message += '\0';
  }
  const auto size = static_cast<uint32_t>(message.size() - sizeof(uint32_t));
  std::memcpy(message.data(), &size, sizeof(size));
  return size <= kMostBytes &&
         ::send(link, message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
             static_cast<ssize_t>(message.size());
}

absl::StatusOr<std::vector<std::string>> ReceiveArguments(int link) {
  uint32_t size = 0;
  std::array<char, sizeof(size)> prefix = {};
  if (!ReceiveFully(link, prefix.data(), prefix.size())) {
    return absl::CancelledError("no job needs the spare process");
  }
  std::memcpy(&size, prefix.data(), sizeof(size));
  std::string message(size <= kMostBytes ? size : 0, '\0');
  if (size > kMostBytes || !ReceiveFully(link, message.data(), message.size()) ||
      (size > 0 && message.back() != '\0')) {
    return absl::DataLossError(
        StrCat("the TaskManager sent a spare process arguments that are none: bytes=", size));
  }
  std::vector<std::string> arguments;
  for (size_t begin = 0; begin < message.size();) {
    arguments.emplace_back(message.c_str() + begin);
    begin += arguments.back().size() + 1;
  }
  return arguments;
}

}  // namespace weir
