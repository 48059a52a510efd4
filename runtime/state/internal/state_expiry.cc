#include "runtime/state/internal/state_expiry.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/state/internal/entry_key.h"

namespace weir::internal {

using TtlTimeCharacteristic = StateTtlConfig::TtlTimeCharacteristic;

int64_t StateTime::NowMs(TtlTimeCharacteristic characteristic) const {
  const int64_t safe = SafeNowMs(characteristic);
  return characteristic == TtlTimeCharacteristic::kEventTime ? std::max(safe, record_ms_) : safe;
}

int64_t StateTime::SafeNowMs(TtlTimeCharacteristic characteristic) const {
  return characteristic == TtlTimeCharacteristic::kEventTime
             ? watermark_ms_.load(std::memory_order_relaxed)
             : absl::ToUnixMillis(clock_->Now());
}

StateExpiry::StateExpiry(const StateTtlConfig& config, std::shared_ptr<const StateTime> time)
    : ttl_ms_(absl::ToInt64Milliseconds(config.ttl)),
      updates_on_read_(config.update_type == StateTtlConfig::UpdateType::kOnReadAndWrite),
      returns_expired_(config.state_visibility ==
                       StateTtlConfig::StateVisibility::kReturnExpiredIfNotCleanedUp),
      characteristic_(config.time_characteristic),
      time_(std::move(time)) {}

void ExpiryRules::Add(std::string encoded_name, std::shared_ptr<const StateExpiry> expiry) {
  const MutexLock lock(&mutex_);
  rules_[std::move(encoded_name)] = std::move(expiry);
}

std::unique_ptr<const ExpiryCheck> ExpiryRules::Check() const {
  const MutexLock lock(&mutex_);
  if (rules_.empty()) return nullptr;
  auto check = std::make_unique<ExpiryCheck>();
  for (const auto& [name, expiry] : rules_) check->rules_[name] = {expiry, expiry->SafeNowMs()};
  return check;
}

bool ExpiryCheck::IsExpired(std::string_view key, std::string_view value) const {
  int64_t last_access_ms = 0;
  if (key.size() < kKeyGroupBytes || value.size() < sizeof(last_access_ms)) return false;
  const std::string_view rest = key.substr(kKeyGroupBytes);
  // No encoded name is a prefix of another: the last one that is not after `rest` may be its own.
  auto rule = rules_.upper_bound(rest);
  if (rule == rules_.begin() || !rest.starts_with((--rule)->first)) return false;
  std::memcpy(&last_access_ms, value.data(), sizeof(last_access_ms));
  return rule->second.expiry->IsExpired(last_access_ms, rule->second.now_ms);
}

}  // namespace weir::internal
