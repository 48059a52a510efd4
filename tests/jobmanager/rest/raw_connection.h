#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace weir {

/// An answer as it came over the wire; header names in lower case.
struct RawAnswer {
  int status = 0;  // 0: the connection ended before an answer was complete.
  std::map<std::string, std::string> headers;
  std::string body;
};

/// A TCP connection to a server on this machine, for tests where the very bytes matter. Fails the
/// test rather than wait for more than ten seconds.
class RawConnection {
 public:
  explicit RawConnection(uint16_t port);
  ~RawConnection();
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  /// Returns whether all of it was taken.
  bool Send(std::string_view bytes);
  /// Reads one answer. `head_only`: it is to a HEAD request.
  [[nodiscard]] RawAnswer Receive(bool head_only = false);
  /// Returns whether the server has closed the connection, after reading what it still sent.
  [[nodiscard]] bool IsClosedByServer();
  /// Ends the connection as a crash would.
  void Reset();

 private:
  bool ReadMore();

  int socket_ = -1;
  std::string received_;
};

}  // namespace weir
