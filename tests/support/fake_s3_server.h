#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/checkpoint/s3/s3_options.h"

namespace weir {

/// An object store in this process, which speaks as much of S3 as weir asks for, checks signatures
/// and hashes, and misbehaves when it is told to. Bucket "bucket" exists.
class FakeS3Server {
 public:
  enum class Fault : uint8_t {
    kInternalError,      ///< 500.
    kSlowDown,           ///< 503 SlowDown.
    kTooManyRequests,    ///< 429.
    kResetBeforeAnswer,  ///< Nothing is done, the connection is reset.
    kLostAnswer,         ///< All is done, and the connection is reset in place of the answer.
    kResetInAnswer,      ///< The answer ends half-way by a reset.
    kTruncatedAnswer,    ///< The answer ends half-way, in order.
    kNoAnswer,           ///< Nothing is said, until the client gives up.
    kErrorInSuccess,     ///< 200, with an error for a body.
    kAccessDenied,       ///< 403 AccessDenied.
    kClockSkew,          ///< 403 RequestTimeTooSkewed.
    kOtherRegion,        ///< 400, naming another region.
    kFull,               ///< 507.
  };

  FakeS3Server();
  ~FakeS3Server();
  FakeS3Server(const FakeS3Server&) = delete;
  FakeS3Server& operator=(const FakeS3Server&) = delete;

  /// How to reach it. Attempts follow each other without pauses.
  [[nodiscard]] S3Options Options() const;

  /// Does so with the next `times` requests whose line, e.g. "PUT /bucket/key?partNumber=1", holds
  /// `pattern`.
  void FailNext(const std::string& pattern, Fault fault, int times = 1);
  /// Lists at most so many entries in an answer.
  void SetPageSize(size_t entries);
  /// Lists each object on two pages.
  void ListTwice(bool twice);

  /// What is stored, by key.
  [[nodiscard]] std::map<std::string, std::string> objects() const;
  void Put(const std::string& key, const std::string& content);
  /// Unfinished uploads.
  [[nodiscard]] size_t num_uploads() const;
  /// The lines of all requests so far.
  [[nodiscard]] std::vector<std::string> requests() const;
  /// Closes the connections on which nothing is under way.
  void CloseIdleConnections();
  /// Ends it: nothing listens there any more.
  void Stop();

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace weir
