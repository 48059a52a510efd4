#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "jobmanager/rest/http_message.h"
#include "jobmanager/rest/multipart.h"

namespace weir::internal {

/// Returns the last component of the file name that a client sent, of either kind of path, without
/// control characters; "upload" if nothing usable is left.
[[nodiscard]] std::string SafeFileName(std::string_view client_name);

/// Puts the parts of a form into a request: files into temporary files in `directory`, other fields
/// into memory.
class UploadReceiver : public MultipartSink {
 public:
  /// `request` must outlive the receiver.
  UploadReceiver(std::string directory, HttpRequest* request);

  absl::Status OnPartBegin(const MultipartHeader& header) override;
  absl::Status OnPartData(std::string_view bytes) override;
  absl::Status OnPartEnd() override;

 private:
  const std::string directory_;
  HttpRequest* const request_;
  TemporaryFile* file_ =
      nullptr;  // The file that the current part goes to; null for a plain field.
  std::string field_name_;
  size_t field_bytes_ = 0;  // Of all plain fields.
  size_t num_parts_ = 0;
};

}  // namespace weir::internal
