#include "taskmanager/owner_link.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>
#include <utility>

#include "runtime/base/logging.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr size_t kMostLineBytes = 256;

void SendFully(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return;  // The end of the stream is read next.
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

}  // namespace

OwnerLink::OwnerLink(int descriptor, OwnerLinkHandlers handlers)
    : descriptor_(descriptor),
      handlers_(std::move(handlers)),
      thread_([this](const std::stop_token& stop) {
        pthread_setname_np(pthread_self(), "weir-owner");
        Run(stop);
      }) {}

OwnerLink::~OwnerLink() {
  thread_.request_stop();
  ::shutdown(descriptor_, SHUT_RDWR);
  thread_.join();
  ::close(descriptor_);
}

void OwnerLink::Run(const std::stop_token& stop) {
  std::string read;
  std::array<char, 512> buffer = {};
  while (true) {
    const ssize_t received = ::recv(descriptor_, buffer.data(), buffer.size(), 0);
    if (received < 0 && errno == EINTR) continue;
    if (received <= 0 || read.size() > kMostLineBytes) break;
    read.append(buffer.data(), static_cast<size_t>(received));
    for (size_t end = read.find('\n'); end != std::string::npos; end = read.find('\n')) {
      Handle(read.substr(0, end));
      read.erase(0, end + 1);
    }
  }
  if (!stop.stop_requested()) handlers_.end();
}

void OwnerLink::Handle(const std::string& line) {
  const size_t space = line.find(' ');
  const std::string_view word = std::string_view(line).substr(0, space);
  int64_t number = 0;
  bool is_number = false;
  if (space != std::string::npos) {
    const char* const end = line.data() + line.size();
    is_number = std::from_chars(line.data() + space + 1, end, number).ptr == end;
  }
  if (is_number && word == "memory") {
    handlers_.memory(number);
  } else if (is_number && word == "metrics") {
    const std::string metrics = handlers_.metrics();
    SendFully(descriptor_, StrCat("metrics ", number, " ", metrics.size(), "\n"));
    SendFully(descriptor_, metrics);
  } else {
    LogWarning("owner-link", StrCat("the TaskManager said something unknown: \"", line, "\""));
  }
}

}  // namespace weir
