#include "operators/connectors/sqlite/sqlite_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <string>
#include <thread>
#include <vector>

#include "runtime/base/strings.h"
#include "tests/support/connector_contexts.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Alert {
  std::string id;
  int64_t count = 0;
  bool has_score = false;
  double score = 0;
};

class SqliteSinkTest : public ::testing::Test {
 protected:
  SqliteSinkOptions Options() const {
    return {.path = folder_.PathOf("alerts.db"),
            .table = "alerts",
            .create_table =
                "CREATE TABLE IF NOT EXISTS alerts (id TEXT PRIMARY KEY, count INTEGER "
                "NOT NULL, score REAL)",
            .columns = {"id", "count", "score"},
            .key_column = "id"};
  }
  static SqliteSink<Alert> Sink(SqliteSinkOptions options) {
    return {std::move(options), [](const Alert& alert, std::vector<SqliteValue>* row) {
              row->emplace_back(alert.id);
              row->emplace_back(alert.count);
              if (alert.has_score) {
                row->emplace_back(alert.score);
              } else {
                row->emplace_back(std::monostate());
              }
            }};
  }
  static absl::Status Prepare(SinkWriter<Alert>& writer) {
    auto prepare = writer.BeginCommit(CheckpointId(1));
    NoStateStore store;
    return prepare.ok() ? (*prepare)(store).status() : prepare.status();
  }
  absl::Status StartWith(SqliteSinkOptions options) {
    return Sink(std::move(options)).CreateWriter(context_).status();
  }

  void Execute(const std::string& sql) const { (void)Query(sql); }
  // Each row's values with a bar between.
  std::vector<std::string> Query(const std::string& sql) const {
    sqlite3* database = nullptr;
    EXPECT_EQ(sqlite3_open(folder_.PathOf("alerts.db").c_str(), &database), SQLITE_OK);
    sqlite3_busy_timeout(database, 10'000);
    std::vector<std::string> rows;
    const auto add_row = [](void* out, int count, char** values, char**) {
      std::string row;
      for (int i = 0; i < count; ++i) {
        StrAppend(&row, i == 0 ? "" : "|", values[i] == nullptr ? "null" : values[i]);
      }
      static_cast<std::vector<std::string>*>(out)->push_back(row);
      return 0;
    };
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), add_row, &rows, nullptr), SQLITE_OK)
        << sqlite3_errmsg(database);
    sqlite3_close(database);
    return rows;
  }

  TemporaryFolder folder_;
  IoPool pool_{"test-io", 2};
  FakeSinkContext context_{&pool_, 0, RandomId<JobId>()};
};

TEST_F(SqliteSinkTest, WritesRowsOfEveryTypeByTheCheckpoint) {
  const auto writer = *Sink(Options()).CreateWriter(context_);
  ASSERT_TRUE(writer->Write({"a", 1, true, 0.5}, EventTime()).ok());
  ASSERT_TRUE(writer->Write({"b'\"", 1LL << 40}, EventTime()).ok());
  ASSERT_TRUE(Prepare(*writer).ok());
  EXPECT_THAT(Query("SELECT * FROM alerts ORDER BY id"),
              ElementsAre("a|1|0.5", "b'\"|1099511627776|null"));
}

TEST_F(SqliteSinkTest, WritingAgainAfterARestartChangesNothing) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto writer = *Sink(Options()).CreateWriter(context_);
    for (int i = 0; i < 5000; ++i) {
      ASSERT_TRUE(writer->Write({StrCat("id-", i % 100), i}, EventTime()).ok());
    }
    ASSERT_TRUE(Prepare(*writer).ok());
    EXPECT_THAT(Query("SELECT count(*), min(count), max(count) FROM alerts"),
                ElementsAre("100|4900|4999"));
  }
}

TEST_F(SqliteSinkTest, AFlushShowsRowsWithoutACheckpoint) {
  const auto writer = *Sink(Options()).CreateWriter(context_);
  ASSERT_TRUE(writer->Write({"a", 1}, EventTime()).ok());
  ASSERT_TRUE(writer->Flush().ok());
  pool_.Shutdown();
  EXPECT_THAT(Query("SELECT id FROM alerts"), ElementsAre("a"));
}

TEST_F(SqliteSinkTest, SeveralWritersShareATable) {
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([this, thread] {
      FakeSinkContext context(&pool_, static_cast<uint32_t>(thread), RandomId<JobId>());
      const auto writer = Sink(Options()).CreateWriter(context);
      ASSERT_TRUE(writer.ok()) << writer.status();
      for (int i = 0; i < 200; ++i) {
        ASSERT_TRUE((*writer)->Write({StrCat(thread, "-", i), i}, EventTime()).ok());
        if (i % 10 == 0) {
          ASSERT_TRUE((*writer)->Flush().ok());
        }
      }
      const absl::Status status = Prepare(**writer);
      EXPECT_TRUE(status.ok()) << status;
    });
  }
  threads.clear();
  EXPECT_THAT(Query("SELECT count(*) FROM alerts"), ElementsAre("800"));
}

TEST_F(SqliteSinkTest, WaitsForAWriterThatHoldsTheDatabase) {
  const auto writer = *Sink(Options()).CreateWriter(context_);
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(folder_.PathOf("alerts.db").c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  ASSERT_TRUE(writer->Write({"a", 1}, EventTime()).ok());
  ASSERT_TRUE(writer->Flush().ok());
  ASSERT_EQ(sqlite3_exec(other, "COMMIT", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(other);
  EXPECT_TRUE(Prepare(*writer).ok());
}

TEST_F(SqliteSinkTest, FailsWhenAnotherWriterNeverLetsGo) {
  SqliteSinkOptions options = Options();
  options.busy_timeout = absl::Milliseconds(10);
  const auto writer = *Sink(options).CreateWriter(context_);
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(folder_.PathOf("alerts.db").c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  ASSERT_TRUE(writer->Write({"a", 1}, EventTime()).ok());
  EXPECT_TRUE(absl::IsUnavailable(Prepare(*writer)));
  EXPECT_TRUE(absl::IsUnavailable(context_.task().failure()));
  sqlite3_close(other);
}

TEST_F(SqliteSinkTest, NamesAColumnThatATableOfAnotherMakeLacks) {
  Execute("CREATE TABLE alerts (id TEXT PRIMARY KEY, count INTEGER)");
  const absl::Status status = StartWith(Options());
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("column=score"));
}

TEST_F(SqliteSinkTest, NamesAColumnThatMustBeWrittenAndIsNot) {
  Execute(
      "CREATE TABLE alerts (id TEXT PRIMARY KEY, count INTEGER, score REAL, host TEXT NOT NULL)");
  EXPECT_THAT(std::string(StartWith(Options()).message()), HasSubstr("column=host"));
}

TEST_F(SqliteSinkTest, RefusesAKeyThatIsNotUniqueAndATableThatIsNotThere) {
  SqliteSinkOptions options = Options();
  options.key_column = "count";
  EXPECT_THAT(std::string(StartWith(options).message()), HasSubstr("column=count"));
  options.table = "other";
  options.create_table = "";
  EXPECT_THAT(std::string(StartWith(options).message()), HasSubstr("table=other"));
  options = Options();
  options.path = folder_.PathOf("nowhere/alerts.db");
  EXPECT_THAT(std::string(StartWith(options).message()), HasSubstr("nowhere/alerts.db"));
}

TEST_F(SqliteSinkTest, ARefusedRowFailsTheTask) {
  const SqliteSink<Alert> sink(Options(), [](const Alert&, std::vector<SqliteValue>* row) {
    *row = {std::string("a"), std::monostate(), std::monostate()};
  });
  const auto writer = *sink.CreateWriter(context_);
  ASSERT_TRUE(writer->Write({}, EventTime()).ok());
  const absl::Status status = Prepare(*writer);
  EXPECT_THAT(std::string(status.message()), HasSubstr("NOT NULL constraint failed"));
  EXPECT_EQ(context_.task().failure(), status);
}

}  // namespace
}  // namespace weir
