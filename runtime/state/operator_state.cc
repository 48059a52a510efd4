#include "runtime/state/operator_state.h"

#include <algorithm>
#include <optional>

#include "runtime/base/check.h"
#include "runtime/base/strings.h"
#include "runtime/state/internal/state_migration.h"
#include "xxhash.h"

namespace weir {

namespace {

uint64_t Checksum(const OperatorStateHandle& handle) {
  const std::string bytes = ToBytes(handle.states);
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::string Describe(const OperatorStateEntries& state) {
  return StrCat(ToString(state.mode), "(key: ", state.key.ToString(),
                ", value: ", state.value.ToString(), ")");
}

bool SameState(const OperatorStateEntries& a, const OperatorStateEntries& b) {
  return a.mode == b.mode && a.key == b.key && a.value == b.value;
}

absl::StatusOr<std::optional<SchemaMigration>> PlanMigration(const OperatorStateEntries& restored,
                                                             const OperatorStateEntries& declared) {
  if (restored.mode != declared.mode) {
    return absl::FailedPreconditionError(StrCat(
        "cannot restore a state: it is of another kind than the snapshot's; declare it as it was, "
        "or under another name: state=",
        declared.name, " snapshot=", Describe(restored), " declared=", Describe(declared)));
  }
  const Schema no_namespace;
  return internal::PlanStateMigration(
      declared.name, {restored.key, no_namespace, restored.value, Describe(restored)},
      {declared.key, no_namespace, declared.value, Describe(declared)});
}

absl::Status CheckSameState(const OperatorStateEntries& a, const OperatorStateEntries& b) {
  if (SameState(a, b)) return absl::OkStatus();
  return absl::FailedPreconditionError(StrCat(
      "cannot restore operator state: subtasks wrote one state with two schemas: state=", a.name,
      " schema=", Describe(a), " other_schema=", Describe(b)));
}

OperatorStateEntries WithoutEntries(const OperatorStateEntries& state) {
  return {state.name, state.mode, state.key, state.value, {}};
}

// One state of all old subtasks, each with its entries; empty for a subtask that lacks it.
using EntriesBySubtask = std::vector<std::vector<std::string>>;

// Divides the elements of all, in order, into runs whose lengths differ by at most one.
EntriesBySubtask Split(EntriesBySubtask old, size_t parallelism) {
  if (old.size() == parallelism) return old;
  std::vector<std::string> all;
  for (auto& entries : old) std::move(entries.begin(), entries.end(), std::back_inserter(all));
  EntriesBySubtask result(parallelism);
  for (size_t i = 0; i < parallelism; ++i) {
    const auto begin = static_cast<ptrdiff_t>(i * all.size() / parallelism);
    const auto end = static_cast<ptrdiff_t>((i + 1) * all.size() / parallelism);
    result[i].assign(std::make_move_iterator(all.begin() + begin),
                     std::make_move_iterator(all.begin() + end));
  }
  return result;
}

EntriesBySubtask Redistribute(OperatorStateMode mode, EntriesBySubtask old, size_t parallelism) {
  EntriesBySubtask result(parallelism);
  switch (mode) {
    case OperatorStateMode::kSplit:
      return Split(std::move(old), parallelism);
    case OperatorStateMode::kUnion:
      for (auto& entries : result) {
        for (const auto& part : old) entries.insert(entries.end(), part.begin(), part.end());
      }
      return result;
    case OperatorStateMode::kBroadcast:
      for (size_t i = 0; i < parallelism; ++i) result[i] = old[i % old.size()];
      return result;
  }
  return result;
}

}  // namespace

std::string_view ToString(OperatorStateMode mode) {
  switch (mode) {
    case OperatorStateMode::kSplit:
      return "split";
    case OperatorStateMode::kUnion:
      return "union";
    case OperatorStateMode::kBroadcast:
      return "broadcast";
  }
  return "unknown";
}

absl::Status VerifyOperatorState(const OperatorStateHandle& handle) {
  if (handle.format_version != OperatorStateHandle::kFormatVersion) {
    return absl::FailedPreconditionError(
        StrCat("cannot restore operator state: its format version is not known; use a version of "
               "weir that knows it: format_version=",
               handle.format_version, " known=", OperatorStateHandle::kFormatVersion));
  }
  if (Checksum(handle) != handle.checksum) {
    return absl::DataLossError(
        "operator state of a snapshot is damaged; restore from an older checkpoint");
  }
  return absl::OkStatus();
}

uint64_t OperatorStateHandle::SizeBytes() const {
  uint64_t bytes = 0;
  for (const OperatorStateEntries& state : states) {
    for (const std::string& entry : state.entries) bytes += entry.size();
  }
  return bytes;
}

absl::StatusOr<std::vector<std::vector<OperatorStateHandle>>> RedistributeOperatorState(
    std::vector<OperatorStateHandle> old_subtasks, uint32_t new_parallelism) {
  std::map<std::string, OperatorStateEntries> declared;
  std::map<std::string, EntriesBySubtask> entries;
  for (size_t i = 0; i < old_subtasks.size(); ++i) {
    RETURN_IF_ERROR(VerifyOperatorState(old_subtasks[i]));
    for (OperatorStateEntries& state : old_subtasks[i].states) {
      const auto [known, added] = declared.try_emplace(state.name, WithoutEntries(state));
      if (!added) RETURN_IF_ERROR(CheckSameState(known->second, state));
      EntriesBySubtask& by_subtask = entries[state.name];
      by_subtask.resize(old_subtasks.size());
      by_subtask[i] = std::move(state.entries);
    }
  }
  std::vector<OperatorStateHandle> merged(new_parallelism);
  for (const auto& [name, state] : declared) {
    EntriesBySubtask divided = Redistribute(state.mode, std::move(entries[name]), new_parallelism);
    for (size_t i = 0; i < new_parallelism; ++i) {
      merged[i].states.push_back(state);
      merged[i].states.back().entries = std::move(divided[i]);
    }
  }
  std::vector<std::vector<OperatorStateHandle>> result(new_parallelism);
  for (size_t i = 0; i < new_parallelism; ++i) {
    merged[i].checksum = Checksum(merged[i]);
    result[i].push_back(std::move(merged[i]));
  }
  return result;
}

OperatorStateHandle OperatorStateBackend::Snapshot() const {
  OperatorStateHandle handle;
  for (const auto& [name, named] : states_) {
    OperatorStateEntries& state = handle.states.emplace_back(named.restored);
    if (named.state != nullptr) named.state->Write(&state.entries);
  }
  handle.checksum = Checksum(handle);
  return handle;
}

absl::Status OperatorStateBackend::Restore(std::vector<OperatorStateHandle> handles) {
  CHECK(states_.empty()) << "state was registered or restored before";
  for (OperatorStateHandle& handle : handles) {
    RETURN_IF_ERROR(VerifyOperatorState(handle));
    for (OperatorStateEntries& state : handle.states) {
      OperatorStateEntries& restored =
          states_.try_emplace(state.name, NamedState{WithoutEntries(state), nullptr, nullptr})
              .first->second.restored;
      RETURN_IF_ERROR(CheckSameState(restored, state));
      std::move(state.entries.begin(), state.entries.end(), std::back_inserter(restored.entries));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<internal::OperatorState*> OperatorStateBackend::FindState(
    const OperatorStateEntries& declared, const std::type_info& type) const {
  const auto found = states_.find(declared.name);
  if (found == states_.end()) return nullptr;
  const NamedState& known = found->second;
  if (known.state == nullptr) return nullptr;
  if (!SameState(known.restored, declared) || *known.type != type) {
    return absl::InvalidArgumentError(StrCat(
        "a state name is used for two states; give one of them another name: state=", declared.name,
        " registered=", Describe(known.restored), " requested=", Describe(declared)));
  }
  return known.state.get();
}

absl::Status OperatorStateBackend::AddState(OperatorStateEntries declared,
                                            const std::type_info& type,
                                            std::unique_ptr<internal::OperatorState> state) {
  NamedState& named =
      states_.try_emplace(declared.name, NamedState{declared, nullptr, nullptr}).first->second;
  ASSIGN_OR_RETURN(const std::optional<SchemaMigration> migration,
                   PlanMigration(named.restored, declared));
  for (const std::string& entry : named.restored.entries) {
    if (!state->Read(entry, migration.has_value() ? &*migration : nullptr)) {
      return absl::DataLossError(
          StrCat("cannot read an entry of operator state: state=", declared.name));
    }
  }
  named = {std::move(declared), &type, std::move(state)};
  return absl::OkStatus();
}

}  // namespace weir
