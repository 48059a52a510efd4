#include "jobmanager/ha/filesystem_ha_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "jobmanager/durable_file.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr std::string_view kDataPrefix = "data-";
constexpr std::string_view kKeyPrefix = "k-";
constexpr int kMaxListings = 100;

absl::Status Failed(std::string_view what, const std::string& path, int error) {
  const std::string text =
      StrCat("high-availability store: ", what, ": ", path, ": ", std::strerror(error));
  if (error == ENOSPC || error == EDQUOT) return absl::ResourceExhaustedError(text);
  return absl::UnavailableError(text);
}

std::string Number(uint64_t number) {
  std::array<char, 24> text;
  const int size = std::snprintf(text.data(), text.size(), "%020" PRIu64, number);
  return {text.data(), static_cast<size_t>(size)};
}

// What the lease says once the leader of `epoch` went of its own will.
std::string Released(uint64_t epoch) { return StrCat("released ", epoch); }

std::string RandomName() { return ToString(RandomId<HexId<struct PartTag>>()); }

absl::StatusOr<std::vector<std::string>> ListFolder(const std::string& folder) {
  DIR* const open = opendir(folder.c_str());
  if (open == nullptr) {
    if (errno == ENOENT) return absl::NotFoundError(folder);
    return Failed("cannot list", folder, errno);
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* const entry = readdir(open)) names.emplace_back(entry->d_name);
  const int error = errno;
  closedir(open);
  if (error != 0) return Failed("cannot list", folder, error);
  return names;
}

bool Exists(const std::string& path) {
  struct stat ignored = {};
  return stat(path.c_str(), &ignored) == 0;
}

void SyncFolder(const std::string& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);  // Some file systems cannot; there is nothing better to do on them.
  close(fd);
}

// Writes a file in a folder that may have been renamed meanwhile: then the error is ENOENT. Returns
// errno.
int WriteFile(const std::string& path, std::string_view content, bool durable) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return errno;
  int error = 0;
  while (error == 0 && !content.empty()) {
    const ssize_t written = write(fd, content.data(), content.size());
    if (written >= 0) {
      content.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (error == 0 && durable && fsync(fd) != 0) error = errno;
  if (close(fd) != 0 && error == 0) error = errno;
  if (error != 0) unlink(path.c_str());
  return error;
}

}  // namespace

absl::StatusOr<std::unique_ptr<FilesystemHaStore>> FilesystemHaStore::Open(
    FilesystemHaStoreOptions options, const Clock* clock) {
  std::error_code error;
  const std::string claims = StrCat(options.folder, "/claims");
  std::filesystem::create_directories(claims, error);
  if (error) return Failed("cannot create folder", claims, error.value());
  std::unique_ptr<FilesystemHaStore> store(new FilesystemHaStore(std::move(options), clock));
  if (store->options_.exclusive) RETURN_IF_ERROR(store->Lock());
  return store;
}

FilesystemHaStore::~FilesystemHaStore() {
  if (lock_ >= 0) close(lock_);
}

absl::Status FilesystemHaStore::Lock() {
  const std::string path = StrCat(options_.folder, "/lock");
  lock_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0) return Failed("cannot open", path, errno);
  if (flock(lock_, LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  if (errno != EWOULDBLOCK) return Failed("cannot lock", path, errno);
  return absl::FailedPreconditionError(StrCat(
      "another JobManager keeps its jobs in this folder; stop it, or give this one a folder of its "
      "own by process.jobmanager.working-dir: ",
      options_.folder));
}

absl::StatusOr<uint64_t> FilesystemHaStore::Greatest(const std::string& folder,
                                                     std::string_view prefix) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListFolder(folder));
  uint64_t greatest = 0;
  for (const std::string_view name : names) {
    if (!name.starts_with(prefix)) continue;
    uint64_t number = 0;
    const char* const end = name.data() + name.size();
    const auto [last, error] = std::from_chars(name.data() + prefix.size(), end, number);
    if (error == std::errc() && last == end) greatest = std::max(greatest, number);
  }
  return greatest;
}

std::string FilesystemHaStore::DataFolder(uint64_t epoch) const {
  return StrCat(options_.folder, "/", kDataPrefix, Number(epoch));
}

absl::StatusOr<std::optional<LeaderEpoch>> FilesystemHaStore::TryAcquire(
    const LeaderInformation& self) {
  const std::string claims = StrCat(options_.folder, "/claims");
  Sighting now;
  ASSIGN_OR_RETURN(now.claim, Greatest(claims, ""));
  ASSIGN_OR_RETURN(now.data, Greatest(options_.folder, kDataPrefix));
  now.lease = ReadWholeFile(StrCat(DataFolder(now.data), "/lease")).value_or("");
  if (!options_.exclusive && LeaseLasts(now)) return std::nullopt;
  ASSIGN_OR_RETURN(const uint64_t base, BaseEpoch());
  const uint64_t epoch = std::max(now.claim, base) + 1;
  ASSIGN_OR_RETURN(const bool claimed, WriteOnce(StrCat(claims, "/", Number(epoch)), ""));
  if (!claimed) return std::nullopt;
  // Since the listing others may have come and gone, whose claims were removed as old.
  ASSIGN_OR_RETURN(const uint64_t greatest, Greatest(claims, ""));
  if (greatest != epoch) return std::nullopt;
  absl::Status taken = TakeData(epoch);
  LeaderInformation leader = self;
  leader.epoch = LeaderEpoch(epoch);
  if (taken.ok()) taken = WriteFenced(leader.epoch, "leader", SerializeLeader(leader), false);
  if (taken.ok()) taken = Renew(leader.epoch);
  if (absl::IsAborted(taken)) return std::nullopt;
  RETURN_IF_ERROR(taken);
  RemoveOlder(epoch);
  return leader.epoch;
}

bool FilesystemHaStore::LeaseLasts(const Sighting& now) {
  const int64_t nanos = clock_->MonotonicNanos();
  if (!seen_.has_value() || *seen_ != now) {
    seen_ = now;
    seen_nanos_ = nanos;
  }
  if (now.claim == 0) return false;  // Nobody ever led.
  if (now.claim == now.data && now.lease == Released(now.data)) return false;
  return absl::Nanoseconds(nanos - seen_nanos_) <= options_.lease_duration;
}

absl::StatusOr<uint64_t> FilesystemHaStore::BaseEpoch() {
  const std::string path = StrCat(options_.folder, "/base-epoch");
  absl::StatusOr<std::string> text = ReadWholeFile(path);
  if (absl::IsNotFound(text.status())) {
    const auto time = static_cast<uint64_t>(absl::ToUnixMillis(clock_->Now()));
    RETURN_IF_ERROR(WriteOnce(path, StrCat(time)).status());
    text = ReadWholeFile(path);
  }
  RETURN_IF_ERROR(text.status());
  uint64_t base = 0;
  const char* const end = text->data() + text->size();
  const auto [last, error] = std::from_chars(text->data(), end, base);
  if (error == std::errc() && last == end) return base;
  return absl::DataLossError(StrCat(
      "high-availability store: this file should hold a number; remove the folder if its jobs "
      "are not to be had any more: ",
      path));
}

absl::StatusOr<bool> FilesystemHaStore::WriteOnce(const std::string& path,
                                                  std::string_view content) {
  const std::string folder = std::filesystem::path(path).parent_path();
  const std::string aside = StrCat(folder, "/.", RandomName(), ".part");
  if (const int error = WriteFile(aside, content, true); error != 0) {
    return Failed("cannot write", aside, error);
  }
  const int error = link(aside.c_str(), path.c_str()) == 0 ? 0 : errno;
  unlink(aside.c_str());
  if (error == EEXIST) return false;
  if (error != 0) return Failed("cannot make", path, error);
  SyncFolder(folder);
  return true;
}

absl::Status FilesystemHaStore::TakeData(uint64_t epoch) {
  const std::string own = DataFolder(epoch);
  const std::string format = StrCat(options_.folder, "/format");
  for (int i = 0; i < kMaxListings; ++i) {
    ASSIGN_OR_RETURN(const uint64_t present, Greatest(options_.folder, kDataPrefix));
    if (present > epoch) return NotLeader(LeaderEpoch(epoch));
    if (present == epoch) {  // And no greater one has appeared since it was taken.
      if (!Exists(format)) RETURN_IF_ERROR(WriteOnce(format, "1\n").status());
      SyncFolder(options_.folder);
      return absl::OkStatus();
    }
    int error = 0;
    if (present != 0) {
      // If a greater one appears now, it is seen in the next round and replaces what was taken,
      // which can only be the empty leftover of a JobManager that came too late.
      error = rename(DataFolder(present).c_str(), own.c_str()) == 0 ? 0 : errno;
    } else if (!Exists(format)) {
      error = mkdir(own.c_str(), 0755) == 0 ? 0 : errno;
    }
    // ENOENT, ENOTEMPTY, EEXIST: another one was quicker. With data that are nowhere to be seen, a
    // rename was under way.
    if (error != 0 && error != ENOENT && error != ENOTEMPTY && error != EEXIST) {
      return Failed("cannot take over", own, error);
    }
    ASSIGN_OR_RETURN(const uint64_t claim, Greatest(StrCat(options_.folder, "/claims"), ""));
    if (claim != epoch) {
      if (present == 0 && error == 0) rmdir(own.c_str());
      return NotLeader(LeaderEpoch(epoch));
    }
  }
  return absl::UnavailableError(StrCat(
      "high-availability store: its data are gone; if they are not to be had any more, begin "
      "with an empty folder: ",
      options_.folder));
}

void FilesystemHaStore::RemoveOlder(uint64_t epoch) {
  const auto remove = [&](const std::string& folder, std::string_view prefix) {
    const absl::StatusOr<std::vector<std::string>> names = ListFolder(folder);
    if (!names.ok()) return;
    for (const std::string& name : *names) {
      const bool is_older = name.starts_with(prefix) && name.size() == prefix.size() + 20 &&
                            name < StrCat(prefix, Number(epoch));
      std::error_code ignored;
      if (is_older) std::filesystem::remove_all(StrCat(folder, "/", name), ignored);
    }
  };
  remove(StrCat(options_.folder, "/claims"), "");
  remove(options_.folder, kDataPrefix);
  // What writes that did not end have left; those of this epoch have not begun.
  const absl::StatusOr<std::vector<std::string>> names = ListFolder(DataFolder(epoch));
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    if (name.ends_with(".part")) unlink(StrCat(DataFolder(epoch), "/", name).c_str());
  }
}

absl::Status FilesystemHaStore::WriteFenced(LeaderEpoch epoch, std::string_view name,
                                            std::string_view content, bool durable) {
  const std::string folder = DataFolder(epoch.value());
  const std::string aside = StrCat(folder, "/.", RandomName(), ".part");
  const std::string path = StrCat(folder, "/", name);
  int error = WriteFile(aside, content, durable);
  if (error == 0 && rename(aside.c_str(), path.c_str()) != 0) {
    error = errno;
    unlink(aside.c_str());
  }
  if (error == ENOENT) return NotLeader(epoch);
  if (error != 0) return Failed("cannot write", path, error);
  if (durable) SyncFolder(folder);
  return Exists(folder) ? absl::OkStatus() : NotLeader(epoch);
}

absl::Status FilesystemHaStore::Renew(LeaderEpoch epoch) {
  return WriteFenced(epoch, "lease", StrCat(++num_renewals_), false);
}

absl::Status FilesystemHaStore::Release(LeaderEpoch epoch) {
  const absl::Status status = WriteFenced(epoch, "lease", Released(epoch.value()), false);
  return absl::IsAborted(status) ? absl::OkStatus() : status;
}

absl::StatusOr<std::optional<LeaderInformation>> FilesystemHaStore::FindLeader() {
  ASSIGN_OR_RETURN(const uint64_t data, Greatest(options_.folder, kDataPrefix));
  if (data == 0) return std::nullopt;
  const std::string folder = DataFolder(data);
  if (ReadWholeFile(StrCat(folder, "/lease")).value_or("") == Released(data)) return std::nullopt;
  const absl::StatusOr<std::string> bytes = ReadWholeFile(StrCat(folder, "/leader"));
  if (absl::IsNotFound(bytes.status())) return std::nullopt;  // It changes just now.
  RETURN_IF_ERROR(bytes.status());
  ASSIGN_OR_RETURN(LeaderInformation leader, ParseLeader(*bytes));
  // Until its owner has written its own, the file is the last one's.
  if (leader.epoch.value() != data) return std::nullopt;
  return leader;
}

absl::Status FilesystemHaStore::Put(LeaderEpoch epoch, std::string_view key,
                                    std::string_view value) {
  return WriteFenced(epoch, StrCat(kKeyPrefix, key), value, true);
}

absl::Status FilesystemHaStore::Remove(LeaderEpoch epoch, std::string_view key) {
  const std::string folder = DataFolder(epoch.value());
  const std::string path = StrCat(folder, "/", kKeyPrefix, key);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return Failed("cannot remove", path, errno);
  SyncFolder(folder);
  return Exists(folder) ? absl::OkStatus() : NotLeader(epoch);
}

absl::StatusOr<std::map<std::string, std::string>> FilesystemHaStore::List(
    LeaderEpoch epoch, std::string_view prefix) {
  const std::string folder = DataFolder(epoch.value());
  const std::string wanted = StrCat(kKeyPrefix, prefix);
  const absl::StatusOr<std::vector<std::string>> names = ListFolder(folder);
  if (absl::IsNotFound(names.status())) return NotLeader(epoch);
  RETURN_IF_ERROR(names.status());
  std::map<std::string, std::string> values;
  for (const std::string& name : *names) {
    if (!name.starts_with(wanted)) continue;
    const absl::StatusOr<std::string> value = ReadWholeFile(StrCat(folder, "/", name));
    if (absl::IsNotFound(value.status())) continue;  // Removed since, or all of it is gone.
    RETURN_IF_ERROR(value.status());
    values.emplace(name.substr(kKeyPrefix.size()), *value);
  }
  if (!Exists(folder)) return NotLeader(epoch);
  return values;
}

}  // namespace weir
