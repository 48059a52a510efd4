#include "operators/connectors/postgres/postgres_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/strings.h"
#include "tests/support/connector_contexts.h"

namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// Runs on a real server, given by tests/support/with_postgres.
class PostgresSinkTest : public ::testing::Test {
 protected:
  using Row = std::vector<SqlValue>;

  void SetUp() override {
    const char* connection = std::getenv("POSTGRES_CONNECTION");
    if (connection == nullptr) {
      const char* reason = std::getenv("POSTGRES_UNAVAILABLE");
      GTEST_SKIP() << "NO POSTGRESQL, nothing of its sink was tested: "
                   << (reason != nullptr ? reason : "run it by tests/support/with_postgres");
    }
    connection_ = connection;
    Query("DROP TABLE IF EXISTS alerts");
  }

  PostgresSinkOptions Options() const {
    return {.connection = connection_,
            .table = "alerts",
            .create_table =
                "CREATE TABLE IF NOT EXISTS alerts (id text PRIMARY KEY, count bigint "
                "NOT NULL, score double precision, at timestamptz, name varchar(5))",
            .columns = {"id", "count", "score"},
            .key_columns = {"id"},
            .retry_timeout = absl::Seconds(60)};
  }
  static PostgresSink<Row> Sink(PostgresSinkOptions options) {
    return {std::move(options), [](const Row& values, Row* row) { *row = values; }};
  }
  absl::Status Write(SinkWriter<Row>& writer, const std::vector<Row>& rows) {
    for (const Row& row : rows) {
      while (!writer.Ready()) context_.task().AwaitWake();
      const absl::Status status = writer.Write(row, EventTime::Min());
      if (!status.ok()) return status;
    }
    return context_.Prepare(writer).status();
  }
  absl::Status WriteWith(const PostgresSinkOptions& options, const std::vector<Row>& rows) {
    auto writer = Sink(options).CreateWriter(context_);
    return writer.ok() ? Write(**writer, rows) : writer.status();
  }
  // Each row's values with a bar between.
  std::vector<std::string> Query(const std::string& sql) const {
    PGconn* connection = PQconnectdb(connection_.c_str());
    PQsetNoticeProcessor(connection, [](void*, const char*) {}, nullptr);
    PGresult* result = PQexec(connection, sql.c_str());
    const ExecStatusType status = PQresultStatus(result);
    EXPECT_TRUE(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        << sql << ": " << PQerrorMessage(connection);
    std::vector<std::string> rows;
    for (int i = 0; i < PQntuples(result); ++i) {
      std::string& row = rows.emplace_back();
      for (int j = 0; j < PQnfields(result); ++j) {
        StrAppend(&row, j > 0 ? "|" : "",
                  PQgetisnull(result, i, j) ? "NULL" : PQgetvalue(result, i, j));
      }
    }
    PQclear(result);
    PQfinish(connection);
    return rows;
  }
  static void Service(const std::string& arguments) {
    const std::string command = StrCat("\"$POSTGRES_SERVICE\" ", arguments, " >/dev/null 2>&1");
    ASSERT_EQ(std::system(command.c_str()), 0) << arguments;
  }

  std::string connection_;
  IoPool pool_{"test-io", 2};
  FakeSinkContext context_{&pool_, 0, RandomId<JobId>()};
};

TEST_F(PostgresSinkTest, UpsertsByKeyAndKeepsTheLastRowOfAKey) {
  const absl::Status status = WriteWith(Options(), {{"a", int64_t{1}, 0.5},
                                                    {"b", int64_t{2}, std::monostate()},
                                                    {"a", int64_t{3}, 0.1},
                                                    {"it's \"quoted\"", int64_t{-4}, 1e300}});
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(Query("SELECT id, count, score FROM alerts ORDER BY count"),
              ElementsAre("it's \"quoted\"|-4|1e+300", "b|2|NULL", "a|3|0.1"));
  // A restart writes rows again.
  ASSERT_TRUE(WriteWith(Options(), {{"a", int64_t{3}, 0.1}}).ok());
  EXPECT_THAT(Query("SELECT count(*) FROM alerts"), ElementsAre("3"));
}

TEST_F(PostgresSinkTest, WritesManyRowsInOrder) {
  std::vector<Row> rows;
  for (int64_t i = 0; i < 20'000; ++i) rows.push_back({StrCat("k", i % 7'000), i, 0.0});
  const absl::Status status = WriteWith(Options(), rows);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(Query("SELECT count(*), min(count), max(count), sum(count) FROM alerts"),
              ElementsAre(StrCat("7000|13000|19999|", (13000 + 19999) * 7000 / 2)));
}

TEST_F(PostgresSinkTest, TakesSeveralKeyColumnsAndATableOfAnotherSchema) {
  Query("DROP SCHEMA IF EXISTS other CASCADE");
  Query("CREATE SCHEMA other");
  PostgresSinkOptions options = Options();
  options.table = "other.Pairs";
  options.create_table = "CREATE TABLE other.\"Pairs\" (a bigint, b bigint, v text, UNIQUE (a, b))";
  options.columns = {"a", "b", "v"};
  options.key_columns = {"a", "b"};
  const absl::Status status = WriteWith(options, {{int64_t{1}, int64_t{1}, "x"},
                                                  {int64_t{1}, int64_t{2}, "y"},
                                                  {int64_t{1}, int64_t{1}, "z"}});
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(Query("SELECT * FROM other.\"Pairs\" ORDER BY b"), ElementsAre("1|1|z", "1|2|y"));
}

TEST_F(PostgresSinkTest, SaysAtTheStartWhatIsWrongWithTheTable) {
  const auto error = [&](PostgresSinkOptions options) {
    const absl::Status status = Sink(std::move(options)).CreateWriter(context_).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status) || absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  };
  PostgresSinkOptions options = Options();
  options.create_table = "";
  EXPECT_THAT(error(options), AllOf(HasSubstr("no such table"), HasSubstr("table=alerts")));
  options = Options();
  options.columns.push_back("colour");
  EXPECT_THAT(error(options), HasSubstr("column=colour"));
  options = Options();
  options.columns = {"id", "score"};
  EXPECT_THAT(error(options), AllOf(HasSubstr("must not be null"), HasSubstr("column=count")));
  options = Options();
  options.key_columns = {"score"};
  EXPECT_THAT(error(options), AllOf(HasSubstr("unique"), HasSubstr("key_columns=score")));
  options = Options();
  options.key_columns = {"name"};
  EXPECT_THAT(error(options), HasSubstr("key_column=name"));
  options = Options();
  options.create_table = "CREATE TABEL";
  EXPECT_THAT(error(options), HasSubstr("syntax error"));
  options = Options();
  options.connection = "postgresql://test:secret-word@127.0.0.1:no-port/test?what";
  EXPECT_THAT(error(options), AllOf(HasSubstr("malformed"), Not(HasSubstr("secret-word"))));
}

TEST_F(PostgresSinkTest, RefusedCredentialsAreNotTriedAgain) {
  PostgresSinkOptions options = Options();
  options.connection =
      StrCat("postgresql://test:wrong@127.0.0.1:", std::getenv("POSTGRES_PORT"), "/test");
  const absl::Status status = Sink(options).CreateWriter(context_).status();
  EXPECT_TRUE(absl::IsUnauthenticated(status)) << status;
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("wrong")));
}

TEST_F(PostgresSinkTest, NamesTableColumnAndValueThatTheTableRefuses) {
  PostgresSinkOptions options = Options();
  options.columns = {"id", "count", "at", "name"};
  const auto error = [&](const Row& row) {
    FakeSinkContext context(&pool_, 0, RandomId<JobId>());
    const auto writer = *Sink(options).CreateWriter(context);
    EXPECT_TRUE(writer->Write({"good", int64_t{1}, std::monostate(), "x"}, EventTime::Min()).ok());
    EXPECT_TRUE(writer->Write(row, EventTime::Min()).ok());
    const absl::Status status = context.Prepare(*writer).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_EQ(context.task().failure(), status);
    EXPECT_THAT(std::string(status.message()), HasSubstr("table=alerts"));
    return std::string(status.message());
  };
  EXPECT_THAT(error({"a", std::monostate(), std::monostate(), "x"}), HasSubstr("column=count"));
  EXPECT_THAT(error({"a", int64_t{1}, "no time", "x"}),
              AllOf(HasSubstr("column=at"), HasSubstr("value=no time")));
  EXPECT_THAT(error({"a", "seven", std::monostate(), "x"}),
              AllOf(HasSubstr("column=count"), HasSubstr("value=seven"), HasSubstr("bigint")));
  EXPECT_THAT(error({"a", int64_t{1}, std::monostate(), "too long"}),
              AllOf(HasSubstr("column=name"), HasSubstr("value=too long")));
  EXPECT_THAT(error({"a", int64_t{1}, std::monostate(), std::string("\0", 1)}),
              AllOf(HasSubstr("column=name"), HasSubstr("zero byte")));
  // A transaction is whole or not at all.
  EXPECT_THAT(Query("SELECT count(*) FROM alerts"), ElementsAre("0"));
}

TEST_F(PostgresSinkTest, ARowWithAnotherNumberOfValuesIsRefused) {
  const auto writer = *Sink(Options()).CreateWriter(context_);
  const absl::Status status = writer->Write({"a"}, EventTime::Min());
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("values=1 columns=3"));
}

TEST_F(PostgresSinkTest, ConnectsAnewWhenItsConnectionIsCut) {
  const auto writer = *Sink(Options()).CreateWriter(context_);
  for (int64_t round = 0; round < 5; ++round) {
    const absl::Status status = Write(*writer, {{StrCat("r", round), round, 0.0}});
    ASSERT_TRUE(status.ok()) << status;
    Query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'weir'");
  }
  EXPECT_THAT(Query("SELECT count(*) FROM alerts"), ElementsAre("5"));
}

TEST_F(PostgresSinkTest, SurvivesACrashOfTheServer) {
  const auto writer = *Sink(Options()).CreateWriter(context_);
  absl::Status status;
  {
    std::jthread writes([&] {
      for (int64_t i = 0; status.ok() && i < 200; ++i) {
        status = Write(*writer, {{StrCat("k", i), i, 0.0}});
      }
    });
    Service("kill");
    Service(StrCat("start --port ", std::getenv("POSTGRES_PORT")));
  }
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(Query("SELECT count(*) FROM alerts"), ElementsAre("200"));
}

TEST_F(PostgresSinkTest, SubtasksThatLockEachOtherOutBothComeThrough) {
  std::vector<std::jthread> subtasks;
  std::vector<absl::Status> statuses(3);
  for (size_t subtask = 0; subtask < 3; ++subtask) {
    subtasks.emplace_back([&, subtask] {
      IoPool pool("subtask", 1);
      FakeSinkContext context(&pool, static_cast<uint32_t>(subtask), RandomId<JobId>());
      auto writer = Sink(Options()).CreateWriter(context);
      statuses[subtask] = writer.status();
      for (int64_t round = 0; statuses[subtask].ok() && round < 5; ++round) {
        for (int64_t i = 0; i < 200; ++i) {
          // Forth and back: deadlocks are certain.
          const int64_t key = subtask % 2 == 0 ? i : 199 - i;
          (void)(*writer)->Write({StrCat(key), round, 0.0}, EventTime::Min());
        }
        statuses[subtask] = context.Prepare(**writer).status();
      }
    });
  }
  subtasks.clear();
  for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(Query("SELECT count(*), min(count) FROM alerts"), ElementsAre("200|4"));
}

TEST_F(PostgresSinkTest, ACloseEndsAWriteThatWaitsForALock) {
  const auto writer = *Sink(Options()).CreateWriter(context_);
  PGconn* other = PQconnectdb(connection_.c_str());
  PQclear(PQexec(other, "BEGIN; LOCK TABLE alerts"));
  ASSERT_TRUE(writer->Write({"a", int64_t{1}, 0.0}, EventTime::Min()).ok());
  ASSERT_TRUE(writer->Flush().ok());
  while (Query("SELECT 1 FROM pg_stat_activity WHERE application_name = 'weir' AND "
               "wait_event_type = 'Lock'")
             .empty()) {
  }
  const Stopwatch stopwatch;
  writer->Close();
  EXPECT_LT(stopwatch.Elapsed(), absl::Seconds(10));
  PQfinish(other);
}

TEST_F(PostgresSinkTest, AServerThatStaysAwayFailsTheTaskInTime) {
  PostgresSinkOptions options = Options();
  options.retry_timeout = absl::Milliseconds(200);
  options.connection = "postgresql://test@127.0.0.1:1/test";
  const absl::Status status = Sink(options).CreateWriter(context_).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("host=127.0.0.1 port=1"));
}

}  // namespace
}  // namespace weir
