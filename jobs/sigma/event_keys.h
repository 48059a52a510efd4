#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/sigma/parser/event_value.h"

namespace weir::sigma {

/// How events are spread over subtasks.
enum class KeyingStrategy : uint8_t {
  kHash,        ///< By a hash of the event's text.
  kComputer,    ///< By the host that the event names.
  kRoundRobin,  ///< In turn.
  kFields,      ///< By the values of fields.
};

struct KeyingOptions {
  KeyingStrategy strategy = KeyingStrategy::kHash;
  std::vector<std::string> fields = {};  ///< Of kFields.
  /// How many keys kHash and kRoundRobin have, and events that name no host or field.
  uint32_t num_buckets = 1;
  /// If not 0: the subtasks that the keys are to be divided among evenly.
  uint32_t parallelism = 0;
  uint32_t max_parallelism = 128;
};

/// Returns the keys of `options`: bucket b belongs to subtask b modulo the parallelism, so that
/// each has as many.
[[nodiscard]] std::vector<std::string> MakeBuckets(const KeyingOptions& options);

/// Gives events their keys. Threads: one at a time; each subtask has its own.
class EventKeys {
 public:
  /// `turn` is where kRoundRobin begins: subtasks that begin at one place would all favour it.
  explicit EventKeys(KeyingOptions options, uint32_t turn = 0);

  /// Returns the key of an event. One that is no JSON object, or names no host or field, has one of
  /// the buckets by its hash.
  [[nodiscard]] std::string KeyOf(std::string_view event);

 private:
  [[nodiscard]] std::string HostOf(std::string_view event);
  [[nodiscard]] std::string FieldValuesOf(std::string_view event);

  const KeyingOptions options_;
  const std::vector<std::string> buckets_;
  EventReader reader_;
  uint64_t turn_;
};

}  // namespace weir::sigma
