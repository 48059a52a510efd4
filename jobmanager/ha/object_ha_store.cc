#include "jobmanager/ha/object_ha_store.h"

#include <charconv>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/record/serde.h"

namespace weir {
namespace {

// A larger value gets an object of its own, so that the state stays small.
constexpr size_t kMaxInlineBytes = 1024;
constexpr int kMaxTries = 10;
constexpr std::string_view kState = "state";
constexpr std::string_view kValues = "values";
constexpr std::string_view kLeasePrefix = "lease-";

std::string RandomName() { return ToString(RandomId<HexId<struct ObjectNameTag>>()); }

// Starts with the epoch that makes it.
std::string ValueName(LeaderEpoch epoch) { return StrCat(epoch.value(), "-", RandomName()); }

// Whether this starts with an epoch before the given one.
bool IsOfEarlierEpoch(std::string_view text, uint64_t epoch) {
  uint64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  return parsed.ec == std::errc() && number < epoch;
}

absl::Status WriteObject(S3FileSystem& objects, const std::string& path, std::string_view content) {
  ASSIGN_OR_RETURN(const std::unique_ptr<FileSystem::Writer> writer,
                   objects.OpenWriter(path, FileWriteMode::kReplace, FileDurability::kDurable));
  RETURN_IF_ERROR(writer->Append(content));
  return writer->Commit();
}

}  // namespace

struct ObjectHaStore::StoredValue {
  std::string bytes;
  // If not empty, the value is in the object of this name.
  std::string object;
};

struct ObjectHaStore::State {
  uint64_t epoch = 0;
  std::string leader;  // SerializeLeader.
  bool released = false;
  std::map<std::string, StoredValue> values;
  // Makes each write like no other.
  std::string write_id;
};

struct ObjectHaStore::Cached {
  State state;
  std::string etag;
};

ObjectHaStore::ObjectHaStore(ObjectHaStoreOptions options, std::unique_ptr<S3FileSystem> objects,
                             const Clock* clock)
    : options_(std::move(options)),
      objects_(std::move(objects)),
      clock_(clock),
      cached_(std::make_unique<Cached>()) {}

ObjectHaStore::~ObjectHaStore() = default;

std::string ObjectHaStore::PathOf(std::string_view name) const {
  return StrCat(options_.folder, "/", name);
}

std::string ObjectHaStore::LeasePath(uint64_t epoch) const {
  return PathOf(StrCat(kLeasePrefix, epoch));
}

std::string ObjectHaStore::ValuePath(std::string_view object) const {
  return PathOf(StrCat(kValues, "/", object));
}

absl::Status ObjectHaStore::Refresh() {
  const std::string path = PathOf(kState);
  if (!cached_->etag.empty()) {
    const absl::StatusOr<std::string> etag = objects_->ReadEtag(path);
    if (etag.ok() && *etag == cached_->etag) return absl::OkStatus();
    if (!etag.ok() && !absl::IsNotFound(etag.status())) return etag.status();
  }
  absl::StatusOr<S3FileSystem::Version> version = objects_->ReadVersion(path);
  if (absl::IsNotFound(version.status())) {
    *cached_ = Cached();
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(version.status());
  State state;
  if (!FromBytes(version->content, state)) {
    return absl::DataLossError(StrCat(
        "high-availability store: this object is damaged, or of another version of weir; remove "
        "the folder if its jobs are not to be had any more: ",
        path));
  }
  *cached_ = {std::move(state), std::move(version->etag)};
  return absl::OkStatus();
}

absl::Status ObjectHaStore::RefreshAsLeader(LeaderEpoch epoch) {
  RETURN_IF_ERROR(Refresh());
  return cached_->state.epoch == epoch.value() ? absl::OkStatus() : NotLeader(epoch);
}

absl::Status ObjectHaStore::Replace(State state) {
  state.write_id = RandomName();
  absl::StatusOr<std::string> etag =
      objects_->WriteVersion(PathOf(kState), ToBytes(state), cached_->etag);
  // Else nobody knows what is there now, until it is read.
  cached_->etag.clear();
  RETURN_IF_ERROR(etag.status());
  *cached_ = {std::move(state), *std::move(etag)};
  return absl::OkStatus();
}

absl::StatusOr<bool> ObjectHaStore::LeaseLasts() {
  const State& state = cached_->state;
  if (state.epoch == 0 || state.released) return false;
  Sighting now{state.epoch, ""};
  const absl::StatusOr<S3FileSystem::Version> lease = objects_->ReadVersion(LeasePath(state.epoch));
  if (lease.ok()) now.lease = lease->content;
  if (!lease.ok() && !absl::IsNotFound(lease.status())) return lease.status();
  const int64_t nanos = clock_->MonotonicNanos();
  if (!seen_.has_value() || *seen_ != now) {
    seen_ = std::move(now);
    seen_nanos_ = nanos;
  }
  return absl::Nanoseconds(nanos - seen_nanos_) <= options_.lease_duration;
}

absl::StatusOr<std::optional<LeaderEpoch>> ObjectHaStore::TryAcquire(
    const LeaderInformation& self) {
  const MutexLock lock(&mutex_);
  RETURN_IF_ERROR(Refresh());
  ASSIGN_OR_RETURN(const bool lasts, LeaseLasts());
  if (lasts) return std::nullopt;
  State state = cached_->state;
  // The first epoch is the time, so that TaskManagers that outlived an earlier folder of this name
  // take its leaders for younger.
  state.epoch = 1 + (state.epoch != 0 ? state.epoch
                                      : static_cast<uint64_t>(absl::ToUnixMillis(clock_->Now())));
  state.released = false;
  LeaderInformation leader = self;
  leader.epoch = LeaderEpoch(state.epoch);
  state.leader = SerializeLeader(leader);
  const absl::Status replaced = Replace(std::move(state));
  if (absl::IsAborted(replaced)) return std::nullopt;  // Another one was quicker.
  RETURN_IF_ERROR(replaced);
  RemoveLeftovers();
  return leader.epoch;
}

void ObjectHaStore::RemoveLeftovers() {
  // Of earlier epochs only: none of those will be needed again, but a younger leader may be at work
  // already, if this one was held up.
  const uint64_t epoch = cached_->state.epoch;
  std::set<std::string> needed;
  for (const auto& [key, value] : cached_->state.values) needed.insert(value.object);
  std::vector<std::string> superfluous;
  // What cannot be listed now is at the next change of leader.
  if (const auto values = objects_->List(PathOf(kValues)); values.ok()) {
    for (const FileEntry& entry : *values) {
      if (needed.contains(entry.name) || !IsOfEarlierEpoch(entry.name, epoch)) continue;
      superfluous.push_back(ValuePath(entry.name));
    }
  }
  if (const auto entries = objects_->List(options_.folder); entries.ok()) {
    for (const FileEntry& entry : *entries) {
      std::string_view name = entry.name;
      if (!name.starts_with(kLeasePrefix)) continue;
      name.remove_prefix(kLeasePrefix.size());
      if (IsOfEarlierEpoch(name, epoch)) superfluous.push_back(PathOf(entry.name));
    }
  }
  objects_->Delete(superfluous).IgnoreError();
}

absl::Status ObjectHaStore::Renew(LeaderEpoch epoch) {
  RETURN_IF_ERROR(WriteObject(*objects_, LeasePath(epoch.value()), StrCat(++num_renewals_)));
  const MutexLock lock(&mutex_);
  const absl::Status status = RefreshAsLeader(epoch);
  if (absl::IsAborted(status)) objects_->Delete({LeasePath(epoch.value())}).IgnoreError();
  return status;
}

absl::Status ObjectHaStore::Release(LeaderEpoch epoch) {
  const MutexLock lock(&mutex_);
  absl::Status status = RefreshAsLeader(epoch);
  if (status.ok()) {
    State state = cached_->state;
    state.released = true;
    status = Replace(std::move(state));
  }
  return absl::IsAborted(status) ? absl::OkStatus() : status;
}

absl::StatusOr<std::optional<LeaderInformation>> ObjectHaStore::FindLeader() {
  const MutexLock lock(&mutex_);
  RETURN_IF_ERROR(Refresh());
  if (cached_->state.epoch == 0 || cached_->state.released) return std::nullopt;
  ASSIGN_OR_RETURN(LeaderInformation leader, ParseLeader(cached_->state.leader));
  return leader;
}

absl::Status ObjectHaStore::ChangeState(LeaderEpoch epoch, const std::string& key,
                                        const StoredValue* value, std::string* replaced_object) {
  // In this epoch only this process writes, and one after the other; but a write of it that nobody
  // answered may be done late.
  for (int tries = 0; tries < kMaxTries; ++tries) {
    if (cached_->etag.empty() || cached_->state.epoch != epoch.value()) {
      RETURN_IF_ERROR(RefreshAsLeader(epoch));
    }
    State state = cached_->state;
    const auto present = state.values.find(key);
    if (value == nullptr && present == state.values.end()) return RefreshAsLeader(epoch);
    *replaced_object = present == state.values.end() ? "" : present->second.object;
    if (value != nullptr) {
      state.values[key] = *value;
    } else {
      state.values.erase(present);
    }
    const absl::Status status = Replace(std::move(state));
    if (!absl::IsAborted(status)) return status;
  }
  return absl::UnavailableError(
      StrCat("high-availability store: the object changes all the time: ", PathOf(kState)));
}

absl::Status ObjectHaStore::Put(LeaderEpoch epoch, std::string_view key, std::string_view value) {
  StoredValue stored;
  if (value.size() > kMaxInlineBytes) {
    stored.object = ValueName(epoch);
    RETURN_IF_ERROR(WriteObject(*objects_, ValuePath(stored.object), value));
  } else {
    stored.bytes = value;
  }
  return Change(epoch, key, &stored);
}

absl::Status ObjectHaStore::Remove(LeaderEpoch epoch, std::string_view key) {
  return Change(epoch, key, nullptr);
}

bool ObjectHaStore::IsInState(const std::string& key, const StoredValue& value) const {
  const auto present = cached_->state.values.find(key);
  return present != cached_->state.values.end() && present->second.object == value.object;
}

absl::Status ObjectHaStore::Change(LeaderEpoch epoch, std::string_view key,
                                   const StoredValue* value) {
  const MutexLock lock(&mutex_);
  std::string replaced;
  const absl::Status status = ChangeState(epoch, std::string(key), value, &replaced);
  if (absl::IsAborted(status)) {
    // The state of the younger leader, which was just read, has the value if the write was done
    // and its answer lost. Else it never will be.
    replaced = value == nullptr || IsInState(std::string(key), *value) ? "" : value->object;
  }
  // Whether an object is needed is not known if nobody answered: the next leader finds out.
  if (!replaced.empty() && (status.ok() || absl::IsAborted(status))) {
    objects_->Delete({ValuePath(replaced)}).IgnoreError();
  }
  return status;
}

absl::StatusOr<std::map<std::string, std::string>> ObjectHaStore::List(LeaderEpoch epoch,
                                                                       std::string_view prefix) {
  const MutexLock lock(&mutex_);
  RETURN_IF_ERROR(RefreshAsLeader(epoch));
  std::map<std::string, std::string> values;
  for (const auto& [key, stored] : cached_->state.values) {
    if (!key.starts_with(prefix)) continue;
    std::string bytes = stored.bytes;
    if (!stored.object.empty()) {
      absl::StatusOr<S3FileSystem::Version> version =
          objects_->ReadVersion(ValuePath(stored.object));
      // Deleted by a younger leader, or lost.
      if (absl::IsNotFound(version.status())) {
        RETURN_IF_ERROR(RefreshAsLeader(epoch));
        return absl::DataLossError(
            StrCat("high-availability store: an object is missing: ", ValuePath(stored.object)));
      }
      RETURN_IF_ERROR(version.status());
      bytes = std::move(version->content);
    }
    values.emplace(key, std::move(bytes));
  }
  return values;
}

}  // namespace weir
