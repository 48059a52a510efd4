#include "jobs/sigma/event_keys.h"

#include <algorithm>
#include <cctype>
#include <functional>
#include <utility>

#include "absl/status/statusor.h"
#include "runtime/base/strings.h"
#include "runtime/record/key_codec.h"
#include "runtime/state/key_groups.h"

namespace weir::sigma {
namespace {

constexpr std::string_view kHostFields[] = {
    "Computer", "host", "hostname", "winlog.computer_name", "host.name", "host.hostname"};

/// Returns the text of a scalar that says something; empty for others.
std::string_view ScalarText(const EventValue* value) {
  if (value == nullptr) return {};
  const bool is_zero = value->kind == EventValue::Kind::kNumber && value->text == "0";
  return is_zero ? std::string_view() : std::string_view(value->text);
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

}  // namespace

std::vector<std::string> MakeBuckets(const KeyingOptions& options) {
  const std::string_view prefix =
      options.strategy == KeyingStrategy::kRoundRobin ? "bucket-" : "hash-";
  const uint32_t parallelism = std::min(options.parallelism, options.max_parallelism);
  std::vector<std::string> buckets;
  for (uint32_t bucket = 0; bucket < options.num_buckets; ++bucket) {
    std::string key = StrCat(prefix, bucket);
    // A few keys would fall on subtasks by chance, two on one and none on another.
    for (uint32_t salt = 1; parallelism > 0; ++salt) {
      const uint32_t subtask = SubtaskOfHash(KeyHash(key), options.max_parallelism, parallelism);
      if (subtask == bucket % parallelism) break;
      key = StrCat(prefix, bucket, "-", salt);
    }
    buckets.push_back(std::move(key));
  }
  return buckets;
}

EventKeys::EventKeys(KeyingOptions options, uint32_t turn)
    : options_(std::move(options)), buckets_(MakeBuckets(options_)), turn_(turn) {}

std::string EventKeys::HostOf(std::string_view event) {
  const absl::StatusOr<EventValue> value = reader_.Read(event);
  if (!value.ok()) return {};
  for (const std::string_view field : kHostFields) {
    const std::string_view host = ScalarText(FindField(*value, field));
    if (!host.empty()) return Lower(host);
  }
  return {};
}

std::string EventKeys::FieldValuesOf(std::string_view event) {
  const absl::StatusOr<EventValue> value = reader_.Read(event);
  if (!value.ok()) return {};
  std::string key;
  bool found = false;
  for (const std::string& field : options_.fields) {
    const std::string_view text = ScalarText(FindField(*value, field));
    found = found || !text.empty();
    // The length makes ("a", "b") and ("ab", "") different keys.
    StrAppend(&key, text.size(), ":", Lower(text));
  }
  return found ? key : std::string();
}

std::string EventKeys::KeyOf(std::string_view event) {
  std::string key;
  switch (options_.strategy) {
    case KeyingStrategy::kRoundRobin:
      return buckets_[turn_++ % buckets_.size()];
    case KeyingStrategy::kComputer:
      key = HostOf(event);
      break;
    case KeyingStrategy::kFields:
      key = FieldValuesOf(event);
      break;
    case KeyingStrategy::kHash:
      break;
  }
  if (!key.empty()) return key;
  return buckets_[std::hash<std::string_view>()(event) % buckets_.size()];
}

}  // namespace weir::sigma
