#include "runtime/graph/content_hash.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

#include "openssl/evp.h"
#include "runtime/base/check.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    CHECK(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }
  void Update(std::string_view bytes) {
    CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  }
  std::string Finish() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    CHECK(EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1);
    return HexEncode({reinterpret_cast<const char*>(digest.data()), size});
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

std::string ContentHash(std::string_view bytes) {
  Sha256 hash;
  hash.Update(bytes);
  return hash.Finish();
}

absl::StatusOr<std::string> ContentHashOfFile(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  Sha256 hash;
  std::string piece(size_t{1} << 16, '\0');
  while (file) {
    file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    hash.Update({piece.data(), static_cast<size_t>(file.gcount())});
  }
  // The end of the file sets eof and fail; a read error (a folder, a bad disk) sets bad as well.
  if (!file.eof() || file.bad()) {
    return absl::NotFoundError(
        StrCat("cannot read file: path=", path, " error=", std::strerror(errno)));
  }
  return hash.Finish();
}

}  // namespace weir
