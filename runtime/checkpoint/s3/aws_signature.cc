#include "runtime/checkpoint/s3/aws_signature.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>

#include "absl/strings/escaping.h"
#include "openssl/evp.h"
#include "openssl/hmac.h"
#include "runtime/base/check.h"
#include "runtime/base/strings.h"
#include "runtime/graph/content_hash.h"

namespace weir {
namespace {

std::string Hmac(std::string_view key, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  CHECK(::HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
               reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(),
               &size) != nullptr);
  return {reinterpret_cast<const char*>(digest.data()), size};
}

// Outer blanks go, and those in a row become one.
std::string TrimmedHeader(std::string_view value) {
  std::string trimmed;
  for (const char c : StripWhitespace(value)) {
    if (c != ' ' || !trimmed.ends_with(' ')) trimmed += c;
  }
  return trimmed;
}

std::map<std::string, std::string> SortedHeaders(const SignedRequest& request) {
  std::map<std::string, std::string> headers;
  for (const auto& [name, value] : request.headers) headers[name] = TrimmedHeader(value);
  return headers;
}

std::string SignedHeaders(const std::map<std::string, std::string>& headers) {
  std::vector<std::string> names;
  names.reserve(headers.size());
  for (const auto& [name, value] : headers) names.push_back(name);
  return StrJoin(names, ";");
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string UriEncode(std::string_view text, bool keeps_slash) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (kPlain.find(c) != kPlain.npos || (c == '/' && keeps_slash)) {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += '%';
    encoded += kHex[byte >> 4];
    encoded += kHex[byte & 15];
  }
  return encoded;
}

std::string UriDecode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
    const int low = high >= 0 ? HexDigit(text[i + 2]) : -1;
    if (low < 0) {
      decoded += text[i];
      continue;
    }
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return decoded;
}

std::string CanonicalQuery(const std::vector<std::pair<std::string, std::string>>& query) {
  std::vector<std::pair<std::string, std::string>> encoded;
  encoded.reserve(query.size());
  for (const auto& [name, value] : query) {
    encoded.emplace_back(UriEncode(name, false), UriEncode(value, false));
  }
  std::sort(encoded.begin(), encoded.end());
  std::string text;
  for (const auto& [name, value] : encoded) {
    StrAppend(&text, text.empty() ? "" : "&", name, "=", value);
  }
  return text;
}

std::string AmzDate(absl::Time time) {
  return absl::FormatTime("%Y%m%dT%H%M%SZ", time, absl::UTCTimeZone());
}

std::string ContentMd5(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  CHECK(EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_md5(), nullptr) == 1);
  return absl::Base64Escape({reinterpret_cast<const char*>(digest.data()), size});
}

std::string internal::SigningKey(std::string_view secret_key, std::string_view date,
                                 std::string_view region, std::string_view service) {
  const std::string of_date = Hmac(StrCat("AWS4", secret_key), date);
  return Hmac(Hmac(Hmac(of_date, region), service), "aws4_request");
}

std::string internal::CanonicalRequest(const SignedRequest& request) {
  const std::map<std::string, std::string> headers = SortedHeaders(request);
  std::string text =
      StrCat(request.method, "\n", request.path, "\n", CanonicalQuery(request.query), "\n");
  for (const auto& [name, value] : headers) StrAppend(&text, name, ":", value, "\n");
  StrAppend(&text, "\n", SignedHeaders(headers), "\n", request.payload_hash);
  return text;
}

std::string SignatureV4(const SignedRequest& request, const AwsCredentials& credentials,
                        std::string_view region, std::string_view service, absl::Time time) {
  const std::string date_time = AmzDate(time);
  const std::string date = date_time.substr(0, 8);
  const std::string scope = StrCat(date, "/", region, "/", service, "/aws4_request");
  const std::string to_sign = StrCat("AWS4-HMAC-SHA256\n", date_time, "\n", scope, "\n",
                                     ContentHash(internal::CanonicalRequest(request)));
  const std::string key = internal::SigningKey(credentials.secret_key, date, region, service);
  return StrCat("AWS4-HMAC-SHA256 Credential=", credentials.access_key, "/", scope,
                ",SignedHeaders=", SignedHeaders(SortedHeaders(request)),
                ",Signature=", HexEncode(Hmac(key, to_sign)));
}

}  // namespace weir
