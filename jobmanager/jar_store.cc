#include "jobmanager/jar_store.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "jobmanager/durable_file.h"
#include "runtime/base/ids.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr std::string_view kPrefix = "lib";
constexpr std::string_view kSuffix = ".so";

// Names come from clients and become paths.
bool IsPlainName(std::string_view name) {
  return !name.empty() && name.size() <= 200 && name.front() != '.' &&
         std::none_of(name.begin(), name.end(), [](char c) {
           return c == '/' || c == '\\' || static_cast<unsigned char>(c) < ' ';
         });
}

bool FileExists(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error);
}

struct FileTimes {
  absl::Time modified;
  std::string version;
};

FileTimes TimesOf(const std::string& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) return {absl::UnixEpoch(), ""};
  return {
      absl::TimeFromTimespec(info.st_mtim),
      StrCat(info.st_ino, "-", info.st_size, "-", info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec)};
}

std::vector<std::string> FileNames(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (it->is_regular_file(error)) names.push_back(it->path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

JarStore::JarStore(std::string upload_folder, std::string builtin_folder, const JobBuilder* builder,
                   std::shared_ptr<const FileSystems> file_systems, std::string local_folder)
    : upload_folder_(std::move(upload_folder)),
      builtin_folder_(std::move(builtin_folder)),
      builder_(builder),
      file_systems_(std::move(file_systems)),
      local_folder_(std::move(local_folder)) {}

absl::StatusOr<std::string> JarStore::Upload(std::string_view name, const std::string& path) {
  if (!IsPlainName(name)) {
    return absl::InvalidArgumentError(
        StrCat("a job library needs a plain file name, such as libjob.so: ", name));
  }
  // Asked before it is kept: what is no library of this build is refused with the loader's reason.
  absl::StatusOr<std::vector<JarEntry>> entries = builder_->List(path);
  // Whatever is wrong with it, its build too, is the request's fault.
  if (!entries.ok() && !absl::IsUnavailable(entries.status())) {
    return absl::InvalidArgumentError(entries.status().message());
  }
  if (!entries.ok()) return entries.status();
  if (entries->empty()) {
    return absl::InvalidArgumentError(
        StrCat("the library defines no job; register one with WEIR_JOB: ", name));
  }
  std::string id = StrCat(ToString(RandomId<HexId<struct JarIdTag>>()), "_", name);
  ASSIGN_OR_RETURN(const std::string content, ReadWholeFile(path));
  RETURN_IF_ERROR(file_systems_->Write(UploadPath(id), content));
  RETURN_IF_ERROR(Localize(id));
  MutexLock lock(&mutex_);
  listed_[LocalPath(id)] = {TimesOf(LocalPath(id)).version, *std::move(entries)};
  return id;
}

absl::StatusOr<std::vector<JarFile>> JarStore::List() {
  ASSIGN_OR_RETURN(std::vector<JarFile> files, ListUploads());
  std::stable_sort(files.begin(), files.end(),
                   [](const JarFile& a, const JarFile& b) { return a.uploaded > b.uploaded; });
  for (JarFile& file : ListBuiltins()) files.push_back(std::move(file));
  return files;
}

absl::StatusOr<std::vector<JarFile>> JarStore::ListUploads() {
  std::vector<JarFile> files;
  ASSIGN_OR_RETURN(const std::vector<FileEntry> entries, file_systems_->List(upload_folder_));
  for (const FileEntry& entry : entries) {
    const std::string& id = entry.name;
    const size_t separator = id.find('_');
    if (entry.is_folder || separator == std::string::npos || id.ends_with(".part")) continue;
    if (absl::IsNotFound(Localize(id))) continue;  // Deleted meanwhile.
    const std::string path = LocalPath(id);
    files.push_back({id, id.substr(separator + 1), TimesOf(path).modified, EntriesOf(path)});
  }
  return files;
}

std::vector<JarFile> JarStore::ListBuiltins() {
  std::vector<JarFile> files;
  for (const std::string& name : FileNames(builtin_folder_)) {
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) continue;
    const std::string id =
        name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
    const std::string path = BuiltinPath(id);
    files.push_back({id, name, TimesOf(path).modified, EntriesOf(path)});
  }
  return files;
}

std::vector<JarEntry> JarStore::EntriesOf(const std::string& path) {
  const std::string version = TimesOf(path).version;
  {
    MutexLock lock(&mutex_);
    const auto found = listed_.find(path);
    if (found != listed_.end() && found->second.version == version) return found->second.entries;
  }
  absl::StatusOr<std::vector<JarEntry>> entries = builder_->List(path);
  if (!entries.ok()) {
    LogWarning("jar-store", StrCat("a job library cannot be read: ", path, ": ",
                                   ToStd(entries.status().message())));
    return {};
  }
  MutexLock lock(&mutex_);
  listed_[path] = {version, *entries};
  return *std::move(entries);
}

absl::Status JarStore::Delete(std::string_view id) {
  ASSIGN_OR_RETURN(const std::string path, PathOf(id));
  if (path == BuiltinPath(id)) {
    return absl::FailedPreconditionError(
        StrCat("a library shipped with weir cannot be deleted: ", id));
  }
  RETURN_IF_ERROR(file_systems_->Delete({UploadPath(id), path}));
  MutexLock lock(&mutex_);
  listed_.erase(path);
  return absl::OkStatus();
}

absl::StatusOr<std::string> JarStore::PathOf(std::string_view id) const {
  if (IsPlainName(id)) {
    const absl::Status localized = Localize(id);
    if (localized.ok()) return LocalPath(id);
    if (!absl::IsNotFound(localized)) return localized;
    if (FileExists(BuiltinPath(id))) return BuiltinPath(id);
  }
  std::vector<std::string> known;
  for (const std::string& name : FileNames(builtin_folder_)) {
    if (name.starts_with(kPrefix) && name.ends_with(kSuffix)) {
      known.push_back(name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size()));
    }
  }
  return absl::NotFoundError(StrCat("there is no job library ", id,
                                    "; upload it first, or name one that is shipped with weir (",
                                    StrJoin(known, ", "), ")"));
}

absl::StatusOr<JarStore::JobLocation> JarStore::FindJob(std::string_view id,
                                                        std::string_view entry) {
  absl::StatusOr<std::string> path = PathOf(id);
  const bool uploaded = path.ok() && *path == LocalPath(id);
  if (path.ok() && !entry.empty()) {
    return JobLocation{*std::move(path), std::string(entry), uploaded};
  }
  std::vector<std::string> names;
  for (const JarFile& file : ListBuiltins()) {
    for (const JarEntry& job : file.entries) {
      // Also where a library has the job's name, and other jobs beside it.
      if (job.name == id && entry.empty()) return JobLocation{BuiltinPath(file.id), job.name};
      names.push_back(job.name);
    }
  }
  if (path.ok()) return JobLocation{*std::move(path), "", uploaded};
  const std::vector<std::string_view> known(names.begin(), names.end());
  const std::string_view nearest = NearestMatch(id, known);
  if (nearest.empty()) return path.status();
  return absl::NotFoundError(
      StrCat("there is no job or job library ", id, "; did you mean the job ", nearest, "?"));
}

std::string JarStore::UploadPath(std::string_view id) const {
  return StrCat(upload_folder_, "/", id);
}

std::string JarStore::LocalPath(std::string_view id) const {
  return IsObjectPath(upload_folder_) ? StrCat(local_folder_, "/", id) : UploadPath(id);
}

absl::Status JarStore::Localize(std::string_view id) const {
  if (!IsObjectPath(upload_folder_)) {
    return FileExists(UploadPath(id))
               ? absl::OkStatus()
               : absl::NotFoundError(StrCat("no such file: ", UploadPath(id)));
  }
  // Asked each time, for another JobManager may have deleted it.
  RETURN_IF_ERROR(file_systems_->Size(UploadPath(id)).status());
  if (FileExists(LocalPath(id))) return absl::OkStatus();
  return file_systems_
      ->Copy(UploadPath(id), LocalPath(id), FileSharing::kCopy, FileDurability::kScratch)
      .status();
}

std::string JarStore::BuiltinPath(std::string_view id) const {
  return StrCat(builtin_folder_, "/", kPrefix, id, kSuffix);
}

}  // namespace weir
