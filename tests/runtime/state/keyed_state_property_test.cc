#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "runtime/checkpoint/file_state_store.h"
#include "runtime/state/keyed_state_backend.h"
#include "tests/runtime/state/state_test_support.h"

namespace weir {
namespace {

constexpr uint32_t kMaxParallelism = 16;
constexpr size_t kInlineOnly = size_t{1} << 20;  // No state outgrows it.
constexpr int64_t kAmple = int64_t{1} << 40;

// The forms of a backend: all of them must behave alike.
struct Form {
  size_t inline_limit_bytes;
  int64_t memory_bytes;
};

struct Window {
  int64_t start = 0;
  int64_t end = 0;
};

using TimerModel = std::set<std::tuple<int64_t, std::string, int64_t>>;

// What the state of a whole job must be, in plain containers.
struct Model {
  std::map<std::string, int64_t> values;
  std::map<std::string, std::vector<std::string>> lists;
  std::map<std::string, std::map<int32_t, std::string>> maps;
  std::map<std::string, int64_t> reduced;                  // The greatest element added.
  std::map<std::string, std::vector<int64_t>> aggregated;  // All elements added.
  std::map<std::pair<std::string, int64_t>, int64_t> windows;
  TimerModel timers;

  friend bool operator==(const Model&, const Model&) = default;

  [[nodiscard]] size_t NumEntries() const {
    size_t entries =
        values.size() + windows.size() + timers.size() + reduced.size() + aggregated.size();
    for (const auto& [key, list] : lists) entries += list.size();
    for (const auto& [key, map] : maps) entries += map.size();
    return entries;
  }
};

// One subtask, which registers its states when they are first used.
class Subtask {
 public:
  explicit Subtask(KeyedStateBackendOptions options) : backend_(std::move(options)) {}

  KeyedStateBackend<std::string>& backend() { return backend_; }

  ValueState<int64_t> Value() { return *backend_.GetState(ValueStateDescriptor<int64_t>{"value"}); }
  ListState<std::string> List() {
    return *backend_.GetState(ListStateDescriptor<std::string>{"list"});
  }
  MapState<int32_t, std::string> Map() {
    return *backend_.GetState(MapStateDescriptor<int32_t, std::string>{"map"});
  }
  ReducingState<int64_t> Reduced() {
    return *backend_.GetState(ReducingStateDescriptor<int64_t>{
        "reduced", [](int64_t& most, const int64_t& element) { most = std::max(most, element); }});
  }
  AggregatingState<int64_t, std::string> Aggregated() {
    using Accumulator = std::pair<int64_t, int64_t>;  // Count and sum.
    return *backend_.GetState(AggregatingStateDescriptor<int64_t, Accumulator, std::string>{
        "aggregated",
        [](Accumulator& accumulator, const int64_t& element) {
          ++accumulator.first;
          accumulator.second += element;
        },
        [](const Accumulator& accumulator) {
          return std::to_string(accumulator.first) + "/" + std::to_string(accumulator.second);
        }});
  }
  ObjectTable<std::string, Window, int64_t>& Windows() {
    return **backend_.Table(TableDescriptor<Window, int64_t>{"windows"});
  }
  TimerQueue<std::string, int64_t>& Timers() {
    return **backend_.Timers<int64_t>("timers", TimeDomain::kEventTime);
  }

 private:
  KeyedStateBackend<std::string> backend_;
};

// A job of some subtasks with a coordinator that keeps one completed checkpoint, deletes all files
// that neither it nor a pending one refers to, and whose messages may be late or lost.
class Job {
 public:
  Job(unsigned seed, Form form)
      : random_(seed),
        form_(form),
        store_(directory_.path() + "/checkpoints"),
        budget_(form.memory_bytes) {
    Start(static_cast<uint32_t>(1 + random_() % 5));
  }
  ~Job() { JoinSnapshots(); }

  // Takes a checkpoint that completes, and begins anew from it.
  void RestartFromNow() {
    const Model expected = model_;
    while (!completed_.has_value() || completed_->model != expected) {
      CompleteCheckpoint();
      TriggerCheckpoint();
      CompleteCheckpoint();
    }
    Restart();
  }

  void Step() {
    switch (random_() % 40) {
      case 0:
        TriggerCheckpoint();
        break;
      case 1:
      case 2:
        CompleteCheckpoint();
        break;
      case 3:
        if (random_() % 4 == 0) Restart();
        break;
      case 4:
      case 5:
      case 6:
        subtasks_[random_() % subtasks_.size()]->backend().ShedMemory();
        break;
      default:
        Operate();
    }
  }

  // Compares everything, timers too; the job is of no use afterwards.
  void Finish() {
    CompleteCheckpoint();
    if (completed_.has_value() && random_() % 2 == 0) Restart();
    CheckContents();
    for (auto& subtask : subtasks_) {
      while (const auto timer = subtask->Timers().PopDue(1'000'000)) {
        ASSERT_EQ(model_.timers.erase({timer->time_ms, timer->key, timer->ns}), 1u);
      }
    }
    ASSERT_TRUE(model_.timers.empty());
  }

 private:
  struct Checkpoint {
    CheckpointId id;
    Model model;
    std::vector<KeyedStateHandle> handles;

    [[nodiscard]] std::set<std::string> Paths() const {
      std::set<std::string> paths;
      for (const auto& handle : handles) {
        for (const auto& file : handle.files) {
          if (!file.path.empty()) paths.insert(file.path);
        }
      }
      return paths;
    }
  };
  struct Pending {
    Checkpoint checkpoint;
    std::vector<std::unique_ptr<KeyedSnapshot>> snapshots;
    std::vector<absl::StatusOr<KeyedStateHandle>> results;
    std::vector<std::thread> threads;
  };

  void Start(uint32_t parallelism) {
    subtasks_.clear();
    for (uint32_t i = 0; i < parallelism; ++i) {
      KeyedStateBackendOptions options;
      options.range = RangeOfSubtask(i, kMaxParallelism, parallelism);
      options.max_parallelism = kMaxParallelism;
      options.memory_budget = &budget_;
      options.local_dir = directory_.path() + "/local-" + std::to_string(next_directory_++);
      options.inline_limit_bytes = form_.inline_limit_bytes;
      options.track_changes = random_() % 4 != 0;
      subtasks_.push_back(std::make_unique<Subtask>(std::move(options)));
    }
  }

  Subtask& SubtaskOf(const std::string& key) {
    const auto parallelism = static_cast<uint32_t>(subtasks_.size());
    Subtask& subtask = *subtasks_[SubtaskOfHash(KeyHash(key), kMaxParallelism, parallelism)];
    subtask.backend().SetCurrentKey(key, KeyHash(key));
    return subtask;
  }

  void Operate() {
    const std::string key = "key-" + std::to_string(random_() % 30);
    Subtask& subtask = SubtaskOf(key);
    // Some states are first used late, or in no subtask of a job's life.
    switch (random_() % 7) {
      case 0:
        OperateValue(key, subtask);
        break;
      case 1:
        OperateList(key, subtask);
        break;
      case 2:
        OperateMap(key, subtask);
        break;
      case 3:
        OperateWindows(key, subtask);
        break;
      case 4:
        OperateTimers(key, subtask);
        break;
      case 5:
        OperateReduced(key, subtask);
        break;
      case 6:
        OperateAggregated(key, subtask);
        break;
    }
  }

  std::string RandomText() { return std::string(random_() % 40, static_cast<char>(random_() % 3)); }

  void OperateValue(const std::string& key, Subtask& subtask) {
    ValueState<int64_t> state = subtask.Value();
    switch (random_() % 4) {
      case 0:
        state.Clear();
        model_.values.erase(key);
        break;
      case 1:
        ASSERT_EQ(state.Get() != nullptr, model_.values.contains(key));
        break;
      default:
        ASSERT_EQ(++state.Mutable(), ++model_.values[key]);
    }
  }

  void OperateList(const std::string& key, Subtask& subtask) {
    ListState<std::string> state = subtask.List();
    auto& model = model_.lists[key];
    switch (random_() % 6) {
      case 0:
        state.Clear();
        model.clear();
        break;
      case 1:
        model.assign(random_() % 4, RandomText());
        state.Update(model);
        break;
      case 2:
        ASSERT_EQ(state.Get(), model);
        break;
      default:
        model.push_back(RandomText());
        state.Add(model.back());
    }
  }

  void OperateMap(const std::string& key, Subtask& subtask) {
    MapState<int32_t, std::string> state = subtask.Map();
    auto& model = model_.maps[key];
    const int32_t user_key = static_cast<int32_t>(random_() % 8) - 4;
    switch (random_() % 8) {
      case 0:
        state.Clear();
        model.clear();
        break;
      case 1:
      case 2:
        ASSERT_EQ(state.Remove(user_key), model.erase(user_key) > 0);
        break;
      case 3: {
        std::vector<std::pair<int32_t, std::string>> entries;
        state.ForEach([&](int32_t k, const std::string& v) { entries.emplace_back(k, v); });
        ASSERT_TRUE(std::equal(entries.begin(), entries.end(), model.begin(), model.end(),
                               [](const auto& a, const auto& b) {
                                 return a.first == b.first && a.second == b.second;
                               }));
        break;
      }
      default:
        model[user_key] = RandomText();
        state.Put(user_key, model[user_key]);
    }
  }

  int64_t RandomElement() { return static_cast<int64_t>(random_() % 1000) - 500; }

  void OperateReduced(const std::string& key, Subtask& subtask) {
    ReducingState<int64_t> state = subtask.Reduced();
    const auto found = model_.reduced.find(key);
    switch (random_() % 5) {
      case 0:
        state.Clear();
        model_.reduced.erase(key);
        break;
      case 1:
        ASSERT_EQ(state.Get() != nullptr, found != model_.reduced.end());
        if (state.Get() != nullptr) {
          ASSERT_EQ(*state.Get(), found->second);
        }
        break;
      default: {
        const int64_t element = RandomElement();
        state.Add(element);
        const auto [place, is_new] = model_.reduced.emplace(key, element);
        place->second = std::max(place->second, element);
        ASSERT_EQ(*state.Get(), place->second);
      }
    }
  }

  static std::string Aggregate(const std::vector<int64_t>& elements) {
    int64_t sum = 0;
    for (const int64_t element : elements) sum += element;
    return std::to_string(elements.size()) + "/" + std::to_string(sum);
  }

  void OperateAggregated(const std::string& key, Subtask& subtask) {
    AggregatingState<int64_t, std::string> state = subtask.Aggregated();
    const auto found = model_.aggregated.find(key);
    switch (random_() % 5) {
      case 0:
        state.Clear();
        model_.aggregated.erase(key);
        break;
      case 1:
        ASSERT_EQ(state.IsEmpty(), found == model_.aggregated.end());
        ASSERT_EQ(state.Get(), Aggregate(found == model_.aggregated.end() ? std::vector<int64_t>()
                                                                          : found->second));
        break;
      default:
        model_.aggregated[key].push_back(RandomElement());
        state.Add(model_.aggregated[key].back());
    }
  }

  void OperateWindows(const std::string& key, Subtask& subtask) {
    const auto start = static_cast<int64_t>(random_() % 3) * 10;
    auto& table = subtask.Windows();
    if (random_() % 3 == 0) {
      ASSERT_EQ(table.Erase(KeyHash(key), key, {start, start + 10}),
                model_.windows.erase({key, start}) > 0);
    } else {
      table.Mutable(KeyHash(key), key, {start, start + 10}) += 3;
      model_.windows[{key, start}] += 3;
    }
  }

  void OperateTimers(const std::string& key, Subtask& subtask) {
    auto& timers = subtask.Timers();
    const auto time_ms = static_cast<int64_t>(random_() % 20);
    const auto ns = static_cast<int64_t>(random_() % 2);
    switch (random_() % 5) {
      case 0:
        ASSERT_EQ(timers.Delete(key, KeyHash(key), ns, time_ms),
                  model_.timers.erase({time_ms, key, ns}) > 0);
        break;
      case 1:
        if (const auto timer = timers.PopDue(time_ms)) {
          ASSERT_LE(timer->time_ms, time_ms);
          ASSERT_EQ(model_.timers.erase({timer->time_ms, timer->key, timer->ns}), 1u);
        }
        break;
      default:
        ASSERT_EQ(timers.Register(key, KeyHash(key), ns, time_ms),
                  model_.timers.emplace(time_ms, key, ns).second);
    }
  }

  void TriggerCheckpoint() {
    if (pending_ != nullptr) return;
    pending_ = std::make_unique<Pending>();
    pending_->checkpoint.id = CheckpointId(next_checkpoint_++);
    pending_->checkpoint.model = model_;
    for (auto& subtask : subtasks_) {
      pending_->snapshots.push_back(subtask->backend().Snapshot(pending_->checkpoint.id));
      pending_->results.emplace_back(absl::UnknownError("did not run"));
    }
    store_.FailSome(random_() % 4 == 0);
    for (size_t i = 0; i < pending_->snapshots.size(); ++i) {
      if (random_() % 20 == 0) continue;  // Abandoned before it ran.
      pending_->threads.emplace_back(
          [this, snapshot = pending_->snapshots[i].get(), result = &pending_->results[i]] {
            *result = snapshot->Run(store_);
          });
      if (random_() % 20 == 0) pending_->snapshots[i]->Cancel();
    }
  }

  void JoinSnapshots() {
    if (pending_ == nullptr) return;
    for (std::thread& thread : pending_->threads) thread.join();
    pending_->threads.clear();
  }

  void CompleteCheckpoint() {
    if (pending_ == nullptr) return;
    JoinSnapshots();
    bool succeeded = random_() % 6 != 0;  // Another operator of the job may have failed.
    for (size_t i = 0; i < subtasks_.size(); ++i) {
      subtasks_[i]->backend().FinishSnapshot(std::move(pending_->snapshots[i]));
      succeeded = succeeded && pending_->results[i].ok();
      if (pending_->results[i].ok()) {
        pending_->checkpoint.handles.push_back(*std::move(pending_->results[i]));
      }
    }
    if (succeeded) {
      completed_ = std::move(pending_->checkpoint);
      for (auto& subtask : subtasks_) {
        if (random_() % 3 == 0) continue;  // The message is lost.
        subtask->backend().NotifyCheckpointComplete(completed_->id);
      }
    }
    pending_.reset();
    store_.DeleteAllBut(completed_.has_value() ? completed_->Paths() : std::set<std::string>());
  }

  // All subtasks go, with or without their snapshots; new ones restore the completed checkpoint.
  void Restart() {
    if (!completed_.has_value()) return;
    JoinSnapshots();
    subtasks_.clear();
    pending_.reset();
    EXPECT_EQ(budget_.used_bytes(), 0);
    const auto parallelism =
        static_cast<uint32_t>(random_() % 2 == 0 ? completed_->handles.size() : 1 + random_() % 5);
    Start(parallelism);
    store_.FailSome(false);
    std::vector<KeyedStateHandle> handles;
    for (const KeyedStateHandle& handle : completed_->handles) {
      ASSERT_TRUE(FromBytes(ToBytes(handle), handles.emplace_back()));
      ASSERT_EQ(handles.back(), handle);
    }
    for (auto& subtask : subtasks_) {
      const absl::Status status = subtask->backend().Restore(handles, store_);
      ASSERT_TRUE(status.ok()) << status;
    }
    model_ = completed_->model;
    if (random_() % 2 == 0) CheckContents();
  }

  void CheckContents() {
    size_t entries = 0;
    for (auto& subtask : subtasks_) {
      subtask->Value();
      subtask->List();
      subtask->Map();
      subtask->Reduced();
      subtask->Aggregated();
      subtask->Windows();
      subtask->Timers();
      entries += subtask->backend().NumEntries();
    }
    ASSERT_EQ(entries, model_.NumEntries());
    for (const auto& [key, value] : model_.values) {
      const int64_t* found = SubtaskOf(key).Value().Get();
      ASSERT_TRUE(found != nullptr && *found == value);
    }
    for (const auto& [key, list] : model_.lists) ASSERT_EQ(SubtaskOf(key).List().Get(), list);
    for (const auto& [key, map] : model_.maps) {
      MapState<int32_t, std::string> state = SubtaskOf(key).Map();
      ASSERT_EQ(state.size(), map.size());
      for (const auto& [user_key, value] : map) ASSERT_EQ(*state.Get(user_key), value);
    }
    for (const auto& [key, most] : model_.reduced) {
      const int64_t* found = SubtaskOf(key).Reduced().Get();
      ASSERT_TRUE(found != nullptr && *found == most);
    }
    for (const auto& [key, elements] : model_.aggregated) {
      ASSERT_EQ(SubtaskOf(key).Aggregated().Get(), Aggregate(elements));
    }
    for (const auto& [key, value] : model_.windows) {
      const int64_t* found = SubtaskOf(key.first).Windows().Find(KeyHash(key.first), key.first,
                                                                 {key.second, key.second + 10});
      ASSERT_TRUE(found != nullptr && *found == value);
    }
  }

  std::mt19937 random_;
  const Form form_;
  TestDirectory directory_;
  UnreliableStore store_;
  MemoryBudget budget_;
  uint64_t next_checkpoint_ = 1;
  int next_directory_ = 0;
  Model model_;
  std::vector<std::unique_ptr<Subtask>> subtasks_;
  std::unique_ptr<Pending> pending_;
  std::optional<Checkpoint> completed_;
};

unsigned FromEnvironment(const char* name, unsigned otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : static_cast<unsigned>(std::atoi(value));
}

class KeyedStatePropertyTest : public ::testing::TestWithParam<Form> {};

TEST_P(KeyedStatePropertyTest, StateIsThatOfPlainContainersThroughFailuresAndRescaling) {
  const bool is_one = std::getenv("WEIR_TEST_SEED") != nullptr;
  const unsigned first_seed = FromEnvironment("WEIR_TEST_SEED", 1);
  const bool opens_databases =
      GetParam().inline_limit_bytes != kInlineOnly || GetParam().memory_bytes != kAmple;
  const unsigned num_seeds = is_one ? 1 : opens_databases ? 20 : 200;
  for (unsigned seed = first_seed; seed < first_seed + num_seeds; ++seed) {
    SCOPED_TRACE("WEIR_TEST_SEED=" + std::to_string(seed));
    Job job(seed, GetParam());
    const int steps = 300 + static_cast<int>(seed % 7) * 100;
    for (int step = 0; step < steps; ++step) {
      job.Step();
      ASSERT_FALSE(HasFailure());
    }
    job.Finish();
    ASSERT_FALSE(HasFailure());
  }
}

TEST_P(KeyedStatePropertyTest, ALongLifeWithARestoreNowAndThen) {
  const unsigned seed = FromEnvironment("WEIR_TEST_SEED", 1);
  const unsigned num_steps = FromEnvironment("WEIR_TEST_STEPS", 3'000);
  const unsigned steps_per_restore = std::min(num_steps / 3, 10'000u);
  SCOPED_TRACE("WEIR_TEST_SEED=" + std::to_string(seed));
  Job job(seed, GetParam());
  for (unsigned step = 1; step <= num_steps; ++step) {
    job.Step();
    if (step % steps_per_restore == 0) job.RestartFromNow();
    ASSERT_FALSE(HasFailure());
  }
  job.Finish();
}

INSTANTIATE_TEST_SUITE_P(Forms, KeyedStatePropertyTest,
                         // All snapshots in files; all inline; and state that outgrows the limit.
                         // With room in memory for all state, and for none that is not in use.
                         ::testing::Values(Form{0, kAmple}, Form{kInlineOnly, kAmple},
                                           Form{1500, kAmple}, Form{0, 1}, Form{kInlineOnly, 1},
                                           Form{1500, 1}),
                         [](const auto& parameter) {
                           return "InlineLimit" +
                                  std::to_string(parameter.param.inline_limit_bytes) +
                                  (parameter.param.memory_bytes == kAmple ? "InMemory" : "OnDisk");
                         });

}  // namespace
}  // namespace weir
