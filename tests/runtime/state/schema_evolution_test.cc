// State written with an earlier version of a type is restored into the present one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/state/operator_state.h"
#include "tests/runtime/state/state_test_support.h"

namespace weir {

// A type whose bytes only its own Serde knows.
struct Celsius {
  double degrees = 0;
  bool operator==(const Celsius&) const = default;
};
template <>
struct Serde<Celsius> {
  static void Write(ByteWriter& writer, const Celsius& value) {
    writer.WriteString(std::to_string(value.degrees));
  }
  static bool Read(ByteReader& reader, Celsius& value) {
    std::string text;
    if (!reader.ReadString(&text)) return false;
    value.degrees = std::stod(text);
    return true;
  }
  static Schema GetSchema() { return {Schema::Kind::kOpaque, "Celsius", {}}; }
};

// A value of any type as its bytes: `schema` says which when a state is registered. So the tables
// of a hundred types are compiled once.
struct AnyValue {
  std::string bytes;
  static inline Schema schema;
};
template <>
struct Serde<AnyValue> {
  static void Write(ByteWriter& writer, const AnyValue& value) {
    writer.WriteBytes(value.bytes.data(), value.bytes.size());
  }
  static bool Read(ByteReader& reader, AnyValue& value) {
    value.bytes.resize(reader.remaining());
    return reader.ReadBytes(value.bytes.data(), value.bytes.size());
  }
  static Schema GetSchema() { return AnyValue::schema; }
  static size_t OwnedBytes(const AnyValue& value) { return value.bytes.size(); }
};

namespace v1 {
struct Flow {
  std::string host;
  int32_t port = 0;
  float score = 0;
};
struct Nested {
  std::vector<Flow> flows;
  std::map<std::string, Flow> by_name;
  std::optional<Flow> last;
  std::variant<std::monostate, Flow, int64_t> reason;
  std::array<int32_t, 3> ports{};
  std::tuple<int16_t, std::string> pair;
};
struct Sensor {
  std::string name;
  Celsius now;
  absl::Time since;
  int32_t count = 0;
};
class Session {
 public:
  Session() = default;
  Session(std::string user, int32_t hits) : user_(std::move(user)), hits_(hits) {}
  WEIR_FIELDS(user_, hits_)

 private:
  std::string user_;
  int32_t hits_ = 0;
};
}  // namespace v1

namespace v2 {
struct WithAdded {
  std::string host;
  int32_t port = 0;
  std::string protocol = "tcp";
  float score = 0;
  bool operator==(const WithAdded&) const = default;
};
struct WithRemoved {
  float score = 0;
  bool operator==(const WithRemoved&) const = default;
};
struct WithRenamed {
  std::string source;
  int32_t port = 0;
  float score = 0;
  WEIR_FIELD_ALIASES(source = src, source = host)
  bool operator==(const WithRenamed&) const = default;
};
struct WithWidened {
  std::string host;
  int64_t port = 0;
  double score = 0;
  bool operator==(const WithWidened&) const = default;
};
struct WithReordered {
  float score = 0;
  std::optional<int32_t> port;  // And made optional.
  std::string host;
  bool operator==(const WithReordered&) const = default;
};
struct WithOtherDefault {
  std::string host = "unknown";
  int32_t port = 443;
  float score = 0;
  bool operator==(const WithOtherDefault&) const = default;
};
using Flow = WithAdded;
struct Nested {
  std::vector<Flow> flows;
  std::map<std::string, Flow> by_name;
  std::optional<Flow> last;
  std::variant<std::monostate, Flow, int64_t, std::string> reason;
  std::array<int64_t, 3> ports{};
  std::tuple<int32_t, std::string> pair;
  int64_t added = 7;
  bool operator==(const Nested&) const = default;
};
struct Sensor {
  std::optional<std::string> place;
  Celsius now;
  absl::Time since;
  int64_t count = 0;
  bool operator==(const Sensor&) const = default;
};
class Session {
 public:
  Session() = default;
  Session(std::string account, int64_t hits) : account_(std::move(account)), hits_(hits) {}
  bool operator==(const Session&) const = default;
  WEIR_FIELDS(account_, hits_)
  WEIR_FIELD_ALIASES(account = user)

 private:
  std::string account_;
  int64_t hits_ = 0;
};
}  // namespace v2

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

template <class T>
using Backend = KeyedStateBackend<T>;

// How the old state lies when the new job begins, and how that takes it over.
struct Restoring {
  const char* name;
  bool is_inline;
  bool lazily;       // Memory has no room: entries stay on disk until they are looked up.
  bool with_others;  // Of two subtasks, so files are read rather than adopted.
};

class SchemaEvolutionTest : public ::testing::TestWithParam<Restoring>, protected BackendStorage {
 protected:
  static constexpr int64_t kNumKeys = 300;

  template <class K>
  std::unique_ptr<Backend<K>> NewBackend(uint32_t index = 0, uint32_t parallelism = 1) {
    KeyedStateBackendOptions options;
    options.range = RangeOfSubtask(index, 128, parallelism);
    options.local_dir = NextLocalDir();
    options.inline_limit_bytes = GetParam().is_inline ? size_t{1} << 20 : 0;
    options.memory_budget = GetParam().lazily ? &no_memory_ : nullptr;
    return std::make_unique<Backend<K>>(std::move(options));
  }

  template <class K, class State>
  void ForEachOwnKey(Backend<K>& backend, const State& visit) {
    for (int64_t i = 0; i < kNumKeys; ++i) {
      const uint64_t hash = KeyHash(i);
      if (!backend.options().range.Contains(KeyGroupOf(hash, 128))) continue;
      backend.SetCurrentKey(i, hash);
      visit(i);
    }
  }

  // The bytes of the value that a key has; of kNumKeys, another value than any.
  using BytesOf = std::function<std::string(int64_t key)>;

  // Returns the state "state" of values with that schema.
  static absl::StatusOr<ValueState<AnyValue>> StateOf(Backend<int64_t>& backend,
                                                      const Schema& schema) {
    AnyValue::schema = schema;
    return backend.GetState(ValueStateDescriptor<AnyValue>{"state"});
  }

  template <class Old, class New>
  void ExpectMigrates(const std::function<Old(int64_t)>& make_old,
                      const std::function<New(int64_t)>& make_new) {
    ExpectBytesMigrate(
        SchemaOf<Old>(), [&](int64_t key) { return ToBytes(make_old(key)); }, SchemaOf<New>(),
        [&](int64_t key) { return ToBytes(make_new(key)); });
  }

  // Writes `make_old(key)` for each key, restores as the parameter says, and expects
  // `make_new(key)`; changes some, takes a snapshot, and expects all again after a restore of it.
  void ExpectBytesMigrate(const Schema& old_schema, const BytesOf& make_old,
                          const Schema& new_schema, const BytesOf& make_new) {
    std::vector<KeyedStateHandle> handles;
    {
      auto backend = NewBackend<int64_t>();
      auto state = *StateOf(*backend, old_schema);
      auto other = *backend->GetState(ValueStateDescriptor<std::string>{"state-2"});
      ForEachOwnKey(*backend, [&](int64_t key) {
        state.Set({make_old(key)});
        other.Set(std::to_string(key));
      });
      handles.push_back(Checkpoint(*backend));
      ASSERT_EQ(handles[0].files.at(0).path.empty(), GetParam().is_inline);
    }
    const uint32_t parallelism = GetParam().with_others ? 2 : 1;
    std::vector<KeyedStateHandle> next;
    const std::string changed = make_new(kNumKeys);
    for (uint32_t index = 0; index < parallelism; ++index) {
      auto backend = NewBackend<int64_t>(index, parallelism);
      ASSERT_TRUE(backend->Restore(handles, store_).ok());
      auto state = StateOf(*backend, new_schema);
      ASSERT_TRUE(state.ok()) << state.status();
      auto other = *backend->GetState(ValueStateDescriptor<std::string>{"state-2"});
      size_t visited = 0;
      ASSERT_TRUE(backend->ForEachKey("state", {0, 127}, [&](int64_t) { ++visited; }).ok());
      size_t expected = 0;
      ForEachOwnKey(*backend, [&](int64_t key) {
        ++expected;
        if (key % 3 == 0) return;  // Not looked up before the snapshot.
        ASSERT_NE(state->Get(), nullptr) << key;
        EXPECT_EQ(state->Get()->bytes, make_new(key)) << key;
        EXPECT_EQ(*other.Get(), std::to_string(key));
        if (key % 5 == 0) state->Set({changed});
        if (key % 7 == 0) state->Clear();
      });
      EXPECT_EQ(visited, expected);
      next.push_back(Checkpoint(*backend));
      next.push_back(Checkpoint(*backend));  // Built on the one before.
      next.erase(next.end() - 2);
    }
    auto backend = NewBackend<int64_t>();
    ASSERT_TRUE(backend->Restore(next, store_).ok());
    auto state = *StateOf(*backend, new_schema);
    ForEachOwnKey(*backend, [&](int64_t key) {
      if (key % 3 != 0 && key % 7 == 0) {
        EXPECT_EQ(state.Get(), nullptr) << key;
        return;
      }
      ASSERT_NE(state.Get(), nullptr) << key;
      EXPECT_EQ(state.Get()->bytes, key % 3 != 0 && key % 5 == 0 ? changed : make_new(key)) << key;
    });
  }

  MemoryBudget no_memory_{1};
};

v1::Flow OldFlow(int64_t key) {
  return {"host-" + std::to_string(key), static_cast<int32_t>(key), 0.5f};
}
v2::Flow NewFlow(int64_t key) {
  return {"host-" + std::to_string(key), static_cast<int32_t>(key), "tcp", 0.5f};
}

TEST_P(SchemaEvolutionTest, AddsAFieldWithItsDefault) {
  ExpectMigrates<v1::Flow, v2::WithAdded>(OldFlow, NewFlow);
}
TEST_P(SchemaEvolutionTest, DropsARemovedField) {
  ExpectMigrates<v1::Flow, v2::WithRemoved>(OldFlow, [](int64_t) { return v2::WithRemoved{0.5f}; });
}
TEST_P(SchemaEvolutionTest, FindsARenamedFieldByItsAlias) {
  ExpectMigrates<v1::Flow, v2::WithRenamed>(OldFlow, [](int64_t key) {
    return v2::WithRenamed{"host-" + std::to_string(key), static_cast<int32_t>(key), 0.5f};
  });
}
TEST_P(SchemaEvolutionTest, WidensNumbers) {
  ExpectMigrates<v1::Flow, v2::WithWidened>(OldFlow, [](int64_t key) {
    return v2::WithWidened{"host-" + std::to_string(key), key, 0.5};
  });
}
TEST_P(SchemaEvolutionTest, ReordersFieldsAndMakesOneOptional) {
  ExpectMigrates<v1::Flow, v2::WithReordered>(OldFlow, [](int64_t key) {
    return v2::WithReordered{0.5f, static_cast<int32_t>(key), "host-" + std::to_string(key)};
  });
}
TEST_P(SchemaEvolutionTest, KeepsValuesWhereOnlyDefaultsChange) {
  ExpectMigrates<v1::Flow, v2::WithOtherDefault>(OldFlow, [](int64_t key) {
    return v2::WithOtherDefault{"host-" + std::to_string(key), static_cast<int32_t>(key), 0.5f};
  });
}
TEST_P(SchemaEvolutionTest, WidensAValueThatIsANumber) {
  ExpectMigrates<int32_t, int64_t>([](int64_t key) { return static_cast<int32_t>(-key); },
                                   [](int64_t key) { return -key; });
  ExpectMigrates<uint32_t, int64_t>([](int64_t key) { return 4'000'000'000u + uint32_t(key); },
                                    [](int64_t key) { return 4'000'000'000 + key; });
  ExpectMigrates<float, double>([](int64_t key) { return 0.25f * static_cast<float>(key); },
                                [](int64_t key) { return 0.25 * static_cast<double>(key); });
  ExpectMigrates<uint8_t, double>([](int64_t key) { return static_cast<uint8_t>(key % 256); },
                                  [](int64_t key) { return static_cast<double>(key % 256); });
}
TEST_P(SchemaEvolutionTest, ChangesWhatIsInListsMapsOptionalsVariantsArraysAndTuples) {
  ExpectMigrates<v1::Nested, v2::Nested>(
      [](int64_t key) {
        v1::Nested old;
        old.flows.assign(static_cast<size_t>(key % 4), OldFlow(key));
        old.by_name["a"] = OldFlow(key + 1);
        if (key % 2 == 0) old.last = OldFlow(key + 2);
        if (key % 3 == 1) old.reason = OldFlow(key + 3);
        if (key % 3 == 2) old.reason = key;
        old.ports = {1, 2, static_cast<int32_t>(key)};
        old.pair = {static_cast<int16_t>(key), "text"};
        return old;
      },
      [](int64_t key) {
        v2::Nested present;
        present.flows.assign(static_cast<size_t>(key % 4), NewFlow(key));
        present.by_name["a"] = NewFlow(key + 1);
        if (key % 2 == 0) present.last = NewFlow(key + 2);
        if (key % 3 == 1) present.reason = NewFlow(key + 3);
        if (key % 3 == 2) present.reason = key;
        present.ports = {1, 2, key};
        present.pair = {static_cast<int32_t>(key), "text"};
        return present;
      });
}
TEST_P(SchemaEvolutionTest, KeepsOpaqueValuesBesideFieldsThatChange) {
  const absl::Time since = absl::FromUnixMillis(1'700'000'000'000);
  ExpectMigrates<v1::Sensor, v2::Sensor>(
      [&](int64_t key) {
        return v1::Sensor{"name", {0.5 * static_cast<double>(key)}, since, int32_t(key)};
      },
      [&](int64_t key) {
        return v2::Sensor{std::nullopt, {0.5 * static_cast<double>(key)}, since, key};
      });
}
TEST_P(SchemaEvolutionTest, ChangesClassesThatListTheirFields) {
  ExpectMigrates<v1::Session, v2::Session>(
      [](int64_t key) { return v1::Session("user-" + std::to_string(key), int32_t(key)); },
      [](int64_t key) { return v2::Session("user-" + std::to_string(key), key); });
}
TEST_P(SchemaEvolutionTest, ChangesElementsOfContainersOfTuples) {
  using Old = std::map<int32_t, std::vector<std::pair<int32_t, float>>>;
  using New = std::map<int64_t, std::vector<std::pair<int64_t, double>>>;
  ExpectMigrates<Old, New>(
      [](int64_t key) { return Old{{int32_t(key), {{1, 0.5f}, {int32_t(key), 2.0f}}}}; },
      [](int64_t key) { return New{{key, {{1, 0.5}, {key, 2.0}}}}; });
}

// Lists and maps have an entry per element, values with time to live their time before them.
TEST_P(SchemaEvolutionTest, ChangesAllKindsOfState) {
  const StateTtlConfig ttl{.ttl = absl::Hours(1)};
  const auto reduce = [](auto& sum, const auto& flow) { sum.port += flow.port; };
  KeyedStateHandle handle;
  {
    auto backend = NewBackend<int64_t>();
    auto list = *backend->GetState(ListStateDescriptor<v1::Flow>{"list"});
    auto map = *backend->GetState(MapStateDescriptor<std::string, v1::Flow>{"map"});
    auto sum = *backend->GetState(ReducingStateDescriptor<v1::Flow>{"sum", reduce});
    auto late = *backend->GetState(ValueStateDescriptor<v1::Flow>{"ttl"}.EnableTimeToLive(ttl));
    auto late_list =
        *backend->GetState(ListStateDescriptor<v1::Flow>{"ttl-list"}.EnableTimeToLive(ttl));
    auto timers = *backend->Timers<VoidNamespace>("timers", TimeDomain::kEventTime);
    ForEachOwnKey(*backend, [&](int64_t key) {
      for (int64_t i = 0; i < 3; ++i) {
        list.Add(OldFlow(key + i));
        map.Put("k" + std::to_string(i), OldFlow(key + i));
        sum.Add(OldFlow(1));
        late_list.Add(OldFlow(key + i));
      }
      late.Set(OldFlow(key));
      timers->Register(key, KeyHash(key), {}, key);
    });
    handle = Checkpoint(*backend);
  }
  for (int round = 0; round < 2; ++round) {  // The second restores what the first wrote.
    auto backend = NewBackend<int64_t>();
    ASSERT_TRUE(backend->Restore({handle}, store_).ok());
    auto list = *backend->GetState(ListStateDescriptor<v2::Flow>{"list"});
    auto map = *backend->GetState(MapStateDescriptor<std::string, v2::Flow>{"map"});
    auto sum = *backend->GetState(ReducingStateDescriptor<v2::Flow>{"sum", reduce});
    auto late = *backend->GetState(ValueStateDescriptor<v2::Flow>{"ttl"}.EnableTimeToLive(ttl));
    auto late_list =
        *backend->GetState(ListStateDescriptor<v2::Flow>{"ttl-list"}.EnableTimeToLive(ttl));
    auto timers = *backend->Timers<VoidNamespace>("timers", TimeDomain::kEventTime);
    EXPECT_EQ(timers->size(), static_cast<size_t>(kNumKeys));
    ForEachOwnKey(*backend, [&](int64_t key) {
      const std::vector<v2::Flow> expected{NewFlow(key), NewFlow(key + 1), NewFlow(key + 2)};
      EXPECT_EQ(list.Get(), expected);
      EXPECT_EQ(late_list.Get(), expected);
      ASSERT_NE(map.Get("k2"), nullptr);
      EXPECT_EQ(*map.Get("k2"), NewFlow(key + 2));
      ASSERT_NE(sum.Get(), nullptr);
      EXPECT_EQ(sum.Get()->port, 3);
      ASSERT_NE(late.Get(), nullptr);
      EXPECT_EQ(*late.Get(), NewFlow(key));
    });
    handle = Checkpoint(*backend);
  }
}

// A function that asks for its state late meets a snapshot that says how the rows are written.
TEST_P(SchemaEvolutionTest, AStateRegisteredDuringASnapshotLeavesThatSnapshotAsItWas) {
  KeyedStateHandle handle;
  {
    auto backend = NewBackend<int64_t>();
    auto state = *backend->GetState(ValueStateDescriptor<v1::Flow>{"state"});
    ForEachOwnKey(*backend, [&](int64_t key) { state.Set(OldFlow(key)); });
    handle = Checkpoint(*backend);
  }
  auto backend = NewBackend<int64_t>();
  ASSERT_TRUE(backend->Restore({handle}, store_).ok());
  auto snapshot = backend->Snapshot(CheckpointId(100));
  auto state = *backend->GetState(ValueStateDescriptor<v2::Flow>{"state"});
  ForEachOwnKey(*backend, [&](int64_t key) {
    ASSERT_NE(state.Get(), nullptr);
    EXPECT_EQ(*state.Get(), NewFlow(key));
    if (key % 2 == 0) state.Clear();
  });
  const auto written = snapshot->Run(store_);
  ASSERT_TRUE(written.ok()) << written.status();
  backend->FinishSnapshot(std::move(snapshot));
  backend->NotifyCheckpointComplete(CheckpointId(100));
  const KeyedStateHandle later = Checkpoint(*backend);

  auto old_job = NewBackend<int64_t>();
  ASSERT_TRUE(old_job->Restore({*written}, store_).ok());
  auto old_state = old_job->GetState(ValueStateDescriptor<v1::Flow>{"state"});
  ASSERT_TRUE(old_state.ok()) << old_state.status();
  ForEachOwnKey(*old_job, [&](int64_t key) {
    ASSERT_NE(old_state->Get(), nullptr);
    EXPECT_EQ(old_state->Get()->host, OldFlow(key).host);
  });
  auto new_job = NewBackend<int64_t>();
  ASSERT_TRUE(new_job->Restore({later}, store_).ok());
  auto new_state = *new_job->GetState(ValueStateDescriptor<v2::Flow>{"state"});
  ForEachOwnKey(*new_job, [&](int64_t key) {
    ASSERT_EQ(new_state.Get() == nullptr, key % 2 == 0) << key;
    if (key % 2 == 0) return;
    EXPECT_EQ(*new_state.Get(), NewFlow(key));
  });
}

INSTANTIATE_TEST_SUITE_P(All, SchemaEvolutionTest,
                         ::testing::Values(Restoring{"Inline", true, false, false},
                                           Restoring{"InlineOfTwo", true, false, true},
                                           Restoring{"Adopted", false, false, false},
                                           Restoring{"AdoptedLazily", false, true, false},
                                           Restoring{"ReadOfTwo", false, false, true},
                                           Restoring{"CopiedLazilyOfTwo", false, true, true}),
                         [](const auto& test) { return test.param.name; });

// What cannot be restored is refused, with state, field and both schemas named.
class SchemaChangeRefusalTest : public ::testing::Test, protected BackendStorage {
 protected:
  KeyedStateBackendOptions Options() {
    KeyedStateBackendOptions options;
    options.range = {0, 127};
    options.local_dir = NextLocalDir();
    return options;
  }

  // Restores one value, its schema and bytes given, as the state that `register_state` asks for.
  template <class OldKey, class NewKey>
  absl::Status Restore(
      const OldKey& key, const Schema& schema, std::string bytes,
      const std::function<absl::Status(KeyedStateBackend<NewKey>&)>& register_state) {
    KeyedStateHandle handle;
    {
      KeyedStateBackend<OldKey> backend(Options());
      AnyValue::schema = schema;
      auto state = *backend.GetState(ValueStateDescriptor<AnyValue>{"score"});
      backend.SetCurrentKey(key, KeyHash(key));
      state.Set({std::move(bytes)});
      handle = Checkpoint(backend);
    }
    KeyedStateBackend<NewKey> backend(Options());
    EXPECT_TRUE(backend.Restore({handle}, store_).ok());
    const absl::Status status = register_state(backend);
    // What was refused is kept: the next snapshot holds it still.
    const KeyedStateHandle next = Checkpoint(backend);
    EXPECT_EQ(next.states, handle.states);
    EXPECT_EQ(next.num_entries, handle.num_entries);
    return status;
  }
  // Registers "score" with values of `schema`.
  template <class K>
  static std::function<absl::Status(KeyedStateBackend<K>&)> RegistersValues(Schema schema) {
    return [schema = std::move(schema)](KeyedStateBackend<K>& backend) {
      AnyValue::schema = schema;
      return backend.GetState(ValueStateDescriptor<AnyValue>{"score"}).status();
    };
  }
  template <class Old, class New>
  absl::Status RestoreValue(const Old& old) {
    return Restore<std::string, std::string>("key", SchemaOf<Old>(), ToBytes(old),
                                             RegistersValues<std::string>(SchemaOf<New>()));
  }
};

MATCHER_P(Refused, matcher, "") {
  return absl::IsFailedPrecondition(arg) &&
         ::testing::ExplainMatchResult(matcher, std::string(arg.message()), result_listener);
}

struct Narrowed {
  std::string host;
  int16_t port = 0;
};
struct Retyped {
  std::string host;
  std::string port;
};
struct Unrelated {
  int64_t a = 0;
};
struct WithoutOpaque {
  std::string name;
};
struct Outer {
  std::vector<std::map<std::string, std::optional<v1::Flow>>> all;
};
struct OuterChanged {
  std::vector<std::map<std::string, std::optional<Narrowed>>> all;
};

TEST_F(SchemaChangeRefusalTest, NamesStateFieldBothSchemasAndAWayOut) {
  EXPECT_THAT((RestoreValue<v1::Flow, Narrowed>({})),
              Refused(AllOf(HasSubstr("state=score"), HasSubstr("field=value.port"),
                            HasSubstr("snapshot_type=int32 declared_type=int16"),
                            HasSubstr("give the field another name"),
                            HasSubstr("value: struct{host: string, port: int32, score: float})"),
                            HasSubstr("declared=value(key: string, namespace: struct{}, value: "
                                      "struct{host: string, port: int16})"))));
}
TEST_F(SchemaChangeRefusalTest, RefusesWhatCouldLoseOrMisreadValues) {
  EXPECT_THAT((RestoreValue<v1::Flow, Retyped>({})), Refused(HasSubstr("value.port")));
  EXPECT_THAT((RestoreValue<v1::Flow, Unrelated>({})), Refused(HasSubstr("WEIR_FIELD_ALIASES")));
  EXPECT_THAT((RestoreValue<int64_t, double>(1)), Refused(HasSubstr("cannot hold all")));
  EXPECT_THAT((RestoreValue<int64_t, uint64_t>(1)), Refused(HasSubstr("cannot hold all")));
  EXPECT_THAT((RestoreValue<int32_t, float>(1)), Refused(HasSubstr("cannot hold all")));
  EXPECT_THAT((RestoreValue<double, float>(1)), Refused(HasSubstr("cannot hold all")));
  EXPECT_THAT((RestoreValue<std::optional<int64_t>, int64_t>(1)),
              Refused(HasSubstr("cannot hold all")));
  EXPECT_THAT((RestoreValue<std::array<int32_t, 3>, std::vector<int32_t>>({})),
              Refused(HasSubstr("array3")));
  EXPECT_THAT((RestoreValue<std::array<int32_t, 3>, std::array<int32_t, 4>>({})),
              Refused(HasSubstr("declared_type=array4")));
  EXPECT_THAT((RestoreValue<std::variant<int64_t, std::string>, std::variant<int64_t>>("x")),
              Refused(HasSubstr("value<1>")));
  EXPECT_THAT((RestoreValue<std::map<std::string, int>, std::map<int64_t, int>>({})),
              Refused(HasSubstr("value[key]")));
  EXPECT_THAT((RestoreValue<std::pair<int, int>, std::tuple<int, int, int>>({})),
              Refused(HasSubstr("another number")));
  EXPECT_THAT((RestoreValue<Celsius, double>({})), Refused(HasSubstr("snapshot_type=Celsius")));
  EXPECT_THAT((RestoreValue<absl::Time, absl::Duration>({})), Refused(HasSubstr("opaque")));
}
TEST_F(SchemaChangeRefusalTest, NamesAFieldWhereverItIs) {
  EXPECT_THAT((RestoreValue<Outer, OuterChanged>({})),
              Refused(HasSubstr("field=value.all[][].port")));
}
TEST_F(SchemaChangeRefusalTest, RefusesToPassOverAFieldOfUnknownLength) {
  EXPECT_THAT((RestoreValue<v1::Sensor, WithoutOpaque>({})),
              Refused(AllOf(HasSubstr("field=value.now"), HasSubstr("keep the field"))));
}
TEST_F(SchemaChangeRefusalTest, KeysNeverChange) {
  EXPECT_THAT((Restore<int32_t, int64_t>(1, SchemaOf<int64_t>(), ToBytes(int64_t{1}),
                                         RegistersValues<int64_t>(SchemaOf<int64_t>()))),
              Refused(AllOf(HasSubstr("keys never change"), HasSubstr("key: int32"),
                            HasSubstr("key: int64"))));
}
TEST_F(SchemaChangeRefusalTest, UserKeysOfMapsNeverChange) {
  KeyedStateHandle handle;
  {
    KeyedStateBackend<std::string> backend(Options());
    auto map = *backend.GetState(MapStateDescriptor<int32_t, int64_t>{"map"});
    backend.SetCurrentKey("k", KeyHash(std::string("k")));
    map.Put(1, 1);
    handle = Checkpoint(backend);
  }
  KeyedStateBackend<std::string> backend(Options());
  ASSERT_TRUE(backend.Restore({handle}, store_).ok());
  EXPECT_THAT((backend.GetState(MapStateDescriptor<int64_t, int64_t>{"map"}).status()),
              Refused(HasSubstr("key of its map")));
}
TEST_F(SchemaChangeRefusalTest, KindsOfStateNeverChange) {
  EXPECT_THAT((Restore<std::string, std::string>(
                  "k", SchemaOf<int64_t>(), ToBytes(int64_t{1}),
                  [](KeyedStateBackend<std::string>& backend) {
                    return backend.GetState(ListStateDescriptor<int64_t>{"score"}).status();
                  })),
              Refused(HasSubstr("another kind")));
}

TEST(OperatorStateEvolutionTest, ListsAndBroadcastStateFollowTheirTypes) {
  OperatorStateBackend old;
  old.GetListState(OperatorListStateDescriptor<v1::Flow>{"list"})->Add(OldFlow(1));
  old.GetUnionListState(OperatorListStateDescriptor<v1::Flow>{"union"})->Add(OldFlow(2));
  old.GetBroadcastState(BroadcastStateDescriptor<std::string, v1::Flow>{"rules"})
      ->Put("rule", OldFlow(3));
  OperatorStateHandle handle = old.Snapshot();
  for (int round = 0; round < 2; ++round) {
    OperatorStateBackend present;
    ASSERT_TRUE(present.Restore({handle}).ok());
    const auto list = present.GetListState(OperatorListStateDescriptor<v2::Flow>{"list"});
    const auto all = present.GetUnionListState(OperatorListStateDescriptor<v2::Flow>{"union"});
    const auto rules =
        present.GetBroadcastState(BroadcastStateDescriptor<std::string, v2::Flow>{"rules"});
    ASSERT_TRUE(list.ok()) << list.status();
    EXPECT_THAT(list->Get(), ::testing::ElementsAre(NewFlow(1)));
    EXPECT_THAT(all->Get(), ::testing::ElementsAre(NewFlow(2)));
    ASSERT_NE(rules->Get("rule"), nullptr);
    EXPECT_EQ(*rules->Get("rule"), NewFlow(3));
    handle = present.Snapshot();
  }
}

TEST(OperatorStateEvolutionTest, RefusesWhatCannotFollow) {
  OperatorStateBackend old;
  old.GetListState(OperatorListStateDescriptor<v1::Flow>{"list"})->Add(OldFlow(1));
  old.GetBroadcastState(BroadcastStateDescriptor<int32_t, v1::Flow>{"rules"})->Put(1, OldFlow(3));
  OperatorStateBackend present;
  ASSERT_TRUE(present.Restore({old.Snapshot()}).ok());
  EXPECT_THAT(present.GetListState(OperatorListStateDescriptor<Narrowed>{"list"}).status(),
              Refused(AllOf(HasSubstr("state=list"), HasSubstr("field=value.port"))));
  EXPECT_THAT(
      (present.GetBroadcastState(BroadcastStateDescriptor<int64_t, v1::Flow>{"rules"}).status()),
      Refused(HasSubstr("keys never change")));
  EXPECT_THAT(present.GetUnionListState(OperatorListStateDescriptor<v1::Flow>{"list"}).status(),
              Refused(HasSubstr("another kind")));
  // Both are still there.
  EXPECT_EQ(present.Snapshot(), old.Snapshot());
}

}  // namespace
}  // namespace weir
