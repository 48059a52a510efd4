#include "jobs/sigma/engine/internal/key_resolver.h"

#include <algorithm>

#include "jobs/sigma/engine/internal/byte_hash.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

constexpr size_t kNumSlots = 1024;  // A power of two.
constexpr size_t kLongestKey = 128;
// Keys with more dots are found by their name only.
constexpr size_t kMostParts = 6;

// Appends the paths that `key` fits, by name and by `*` for any of its parts: `a.b` stands for a
// key with a dot and for a key in a key alike.
void AppendForms(std::string_view key, std::vector<std::string>& forms) {
  const std::vector<std::string_view> parts = StrSplit(key, '.');
  const size_t num_choices = parts.size() > kMostParts ? 1 : size_t{1} << parts.size();
  for (size_t choice = 0; choice < num_choices; ++choice) {
    std::string form;
    for (size_t i = 0; i < parts.size(); ++i) {
      const bool any = (choice >> i & 1) != 0;
      StrAppend(&form, i == 0 ? "" : ".", any ? std::string_view("*") : parts[i]);
    }
    forms.push_back(std::move(form));
  }
}

}  // namespace

void KeyResolver::SetProgram(const Program* program) {
  program_ = program;
  slots_.assign(kNumSlots, Slot{});
  prefixes_.assign(1, {""});
  known_.clear();
  joined_fields_.clear();
  num_targets_ = program->num_numbered_paths;
}

const ResolvedKey& KeyResolver::Resolve(uint32_t path, std::string_view key) {
  const uint64_t hash = HashBytes(key, path);
  Slot& slot = slots_[hash & (kNumSlots - 1)];
  if (slot.hash == hash && slot.path == path && slot.key == key) return slot.resolved;
  slot.resolved = LookUp(path, key);
  // Long keys are no names of fields; they are not worth the memory.
  const bool kept = key.size() <= kLongestKey;
  slot.hash = hash;
  slot.path = kept ? path : kNoId;
  slot.key.assign(kept ? key : std::string_view());
  return slot.resolved;
}

void KeyResolver::Find(const std::string& path, std::vector<Found>& found) const {
  const auto entry = program_->paths.find(path);
  if (entry != program_->paths.end()) found.push_back({path, &entry->second});
}

ResolvedKey KeyResolver::LookUp(uint32_t path, std::string_view key) {
  std::vector<std::string> forms;
  AppendForms(key, forms);
  if (key.find(' ') != std::string_view::npos) {
    std::string compact(key);
    std::erase(compact, ' ');
    AppendForms(compact, forms);
  }
  std::sort(forms.begin(), forms.end());
  forms.erase(std::unique(forms.begin(), forms.end()), forms.end());
  std::vector<Found> found;
  for (const std::string& prefix : prefixes_[path]) {
    for (const std::string& form : forms) Find(StrCat(prefix, form), found);
  }
  if (found.empty()) return {};
  std::string name;
  for (const Found& one : found) StrAppend(&name, one.path, std::string_view("\0", 1));
  const auto known = known_.find(name);
  if (known != known_.end()) return known->second;
  ResolvedKey resolved;
  resolved.entry = found.size() == 1 ? TargetOf(*found.front().entry) : Join(found);
  std::vector<std::string> below;
  for (const Found& one : found) {
    if (one.entry->has_children) below.push_back(StrCat(one.path, "."));
  }
  if (!below.empty()) {
    resolved.below = static_cast<uint32_t>(prefixes_.size());
    prefixes_.push_back(std::move(below));
  }
  return known_.emplace(std::move(name), resolved).first->second;
}

KeyTarget KeyResolver::TargetOf(const PathEntry& entry) const {
  const std::span<const uint32_t> all(program_->more_fields);
  return {entry.field, all.subspan(entry.more.begin, entry.more.end - entry.more.begin), entry.list,
          entry.number};
}

KeyTarget KeyResolver::Join(const std::vector<Found>& found) {
  KeyTarget joined;
  std::vector<uint32_t> fields;
  bool reads_text = false;
  for (const Found& one : found) {
    const KeyTarget target = TargetOf(*one.entry);
    if (target.field != kNoId) fields.push_back(target.field);
    fields.insert(fields.end(), target.more.begin(), target.more.end());
    if (joined.list == kNoId) joined.list = target.list;
    reads_text = reads_text || target.number != kNoId;
  }
  std::sort(fields.begin(), fields.end());
  fields.erase(std::unique(fields.begin(), fields.end()), fields.end());
  if (fields.empty()) return joined;
  joined.field = fields.front();
  fields.erase(fields.begin());
  joined.more = joined_fields_.emplace_back(std::move(fields));
  if (reads_text) joined.number = num_targets_++;
  return joined;
}

}  // namespace weir::sigma
