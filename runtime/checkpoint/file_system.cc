#include "runtime/checkpoint/file_system.h"

#include <filesystem>
#include <system_error>

#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr std::string_view kObjectScheme = "s3://";
constexpr std::string_view kOtherObjectSchemes[] = {"s3a://", "s3p://", "s3n://"};

// Returns "bucket/key" without empty parts and "."; ".." stays, for a key may be called so.
std::string NormalizedObject(std::string_view rest) {
  std::string normal(kObjectScheme);
  for (const std::string_view part : StrSplit(rest, '/')) {
    if (part.empty() || part == ".") continue;
    if (normal.size() > kObjectScheme.size()) normal += '/';
    normal += part;
  }
  return normal;
}

}  // namespace

bool IsObjectPath(std::string_view path) { return path.starts_with(kObjectScheme); }

bool IsAbsolutePath(std::string_view path) { return path.starts_with('/') || IsObjectPath(path); }

std::string NormalizedPath(std::string_view path) {
  if (IsObjectPath(path)) return NormalizedObject(path.substr(kObjectScheme.size()));
  for (const std::string_view scheme : kOtherObjectSchemes) {
    if (path.starts_with(scheme)) return NormalizedObject(path.substr(scheme.size()));
  }
  // Of a kind that there is not: FileSystems::Of says so.
  if (path.find("://") != path.npos && !path.starts_with("file:")) return std::string(path);
  constexpr std::string_view kScheme = "file:";
  if (path.starts_with(kScheme)) {
    path.remove_prefix(kScheme.size());
    while (path.starts_with("//")) path.remove_prefix(1);
  }
  std::error_code error;
  const std::filesystem::path absolute =
      std::filesystem::absolute(std::filesystem::path(path), error);
  std::string normal = (error ? std::filesystem::path(path) : absolute).lexically_normal();
  while (normal.size() > 1 && normal.ends_with('/')) normal.pop_back();
  return normal;
}

std::string ParentFolder(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == path.npos) return "";
  return std::string(path.substr(0, slash == 0 ? 1 : slash));
}

std::string FileName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return std::string(slash == path.npos ? path : path.substr(slash + 1));
}

}  // namespace weir
