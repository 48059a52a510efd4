#include "jobmanager/rest/internal/upload_receiver.h"

#include <memory>
#include <utility>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

constexpr size_t kMaxFieldBytes = size_t{1} << 20;
constexpr size_t kMaxParts = 256;
constexpr size_t kMaxFileNameLength = 200;

}  // namespace

std::string SafeFileName(std::string_view client_name) {
  const size_t separator = client_name.find_last_of("/\\");
  if (separator != std::string_view::npos) client_name.remove_prefix(separator + 1);
  std::string name;
  for (const char c : client_name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7F) name.push_back(c);
  }
  if (name.size() > kMaxFileNameLength) name.erase(0, name.size() - kMaxFileNameLength);
  return name.empty() || name == "." || name == ".." ? "upload" : name;
}

UploadReceiver::UploadReceiver(std::string directory, HttpRequest* request)
    : directory_(std::move(directory)), request_(request) {}

absl::Status UploadReceiver::OnPartBegin(const MultipartHeader& header) {
  if (++num_parts_ > kMaxParts) {
    return absl::InvalidArgumentError(StrCat("the form has too many parts: limit=", kMaxParts));
  }
  field_name_ = header.name;
  file_ = nullptr;
  if (header.file_name.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(TemporaryFile file, TemporaryFile::Create(directory_));
  auto shared = std::make_shared<TemporaryFile>(std::move(file));
  file_ = shared.get();
  request_->files.push_back({.field_name = header.name,
                             .file_name = SafeFileName(header.file_name),
                             .file = std::move(shared)});
  return absl::OkStatus();
}

absl::Status UploadReceiver::OnPartData(std::string_view bytes) {
  if (file_ != nullptr) return file_->Append(bytes);
  field_bytes_ += bytes.size();
  if (field_bytes_ > kMaxFieldBytes) {
    return absl::InvalidArgumentError(
        StrCat("the form's plain fields are too large: limit_bytes=", kMaxFieldBytes));
  }
  request_->form_fields[field_name_].append(bytes);
  return absl::OkStatus();
}

absl::Status UploadReceiver::OnPartEnd() {
  return file_ != nullptr ? file_->Close() : absl::OkStatus();
}

}  // namespace weir::internal
