#include "operators/connectors/postgres/internal/postgres_connection.h"

#include <libpq-fe.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {

namespace {

constexpr const char* kStatement = "weir_upsert";
// Rows that are sent before their answers are read: the answers must fit into the sockets' buffers,
// or both sides would wait for the other.
constexpr size_t kRowsInFlight = 256;
constexpr absl::Duration kConnectTimeout = absl::Seconds(10);
constexpr absl::Duration kFirstBackoff = absl::Milliseconds(50);
constexpr absl::Duration kMaxBackoff = absl::Seconds(2);
constexpr int kPollMs = 100;
constexpr size_t kShownValueBytes = 80;

std::string QuoteTable(const std::string& table) {
  std::vector<std::string> parts;
  for (const std::string_view part : StrSplit(table, '.')) parts.push_back(QuoteIdentifier(part));
  return StrJoin(parts, ".");
}

// What SQLSTATEs of their first characters mean.
absl::StatusCode CodeOf(std::string_view state) {
  // Connection lost; the server stops or starts; deadlock, serialisation; too many connections.
  if (state.starts_with("08") || state.starts_with("57P") || state.starts_with("40") ||
      state == "53300" || state == "55P03") {
    return absl::StatusCode::kUnavailable;
  }
  if (state.starts_with("53")) return absl::StatusCode::kResourceExhausted;
  if (state.starts_with("28")) return absl::StatusCode::kUnauthenticated;
  if (state == "42501") return absl::StatusCode::kPermissionDenied;
  if (state.starts_with("XX")) return absl::StatusCode::kDataLoss;
  return absl::StatusCode::kFailedPrecondition;
}

// A value as PostgreSQL reads it.
struct ToText {
  bool* is_null;
  std::string operator()(std::monostate) const {
    *is_null = true;
    return {};
  }
  std::string operator()(int64_t value) const { return std::to_string(value); }
  std::string operator()(double value) const {
    char buffer[64];
    const auto [end, error] = std::to_chars(buffer, buffer + sizeof(buffer), value);
    return error == std::errc() ? std::string(buffer, end) : std::string("NaN");
  }
  std::string operator()(const std::string& value) const { return value; }
};

size_t NumCharacters(std::string_view utf8) {
  return static_cast<size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

// Whether the text is too long for a type like "character varying(8)".
bool IsTooLong(std::string_view type, std::string_view text) {
  if (!type.starts_with("character")) return false;
  const size_t begin = type.find('(');
  if (begin == std::string_view::npos) return false;
  size_t limit = 0;
  std::from_chars(type.data() + begin + 1, type.data() + type.size(), limit);
  return NumCharacters(text) > limit;
}

}  // namespace

void PostgresConnection::FreeResult::operator()(pg_result* result) const { PQclear(result); }

PostgresConnection::PostgresConnection(PostgresSinkOptions options)
    : options_(std::move(options)), quoted_table_(QuoteTable(options_.table)) {}

PostgresConnection::~PostgresConnection() { Disconnect(); }

absl::StatusOr<std::unique_ptr<PostgresConnection>> PostgresConnection::Open(
    const PostgresSinkOptions& options) {
  if (options.table.empty()) return absl::InvalidArgumentError("a PostgreSQL sink needs a table");
  auto connection = std::unique_ptr<PostgresConnection>(new PostgresConnection(options));
  // What libpq says of it would show the password.
  PQconninfoOption* const parsed = PQconninfoParse(options.connection.c_str(), nullptr);
  if (parsed == nullptr) {
    return absl::InvalidArgumentError(
        StrCat("a PostgreSQL sink's connection is malformed; write it as "
               "postgresql://user:password@host:port/database: table=",
               options.table));
  }
  PQconninfoFree(parsed);
  const absl::Status status = connection->WithRetries([&] { return connection->MakeTable(); });
  if (!status.ok()) return status;
  return connection;
}

void PostgresConnection::Cancel() {
  const MutexLock lock(&mutex_);
  cancelled_ = true;
  cancelled_changed_.SignalAll();
  if (socket_ >= 0) ::shutdown(socket_, SHUT_RDWR);
}

bool PostgresConnection::Pause(absl::Duration duration) {
  const MutexLock lock(&mutex_);
  const Stopwatch stopwatch;
  while (!cancelled_ && stopwatch.Elapsed() < duration) {
    cancelled_changed_.WaitFor(&mutex_, duration - stopwatch.Elapsed());
  }
  return !cancelled_;
}

template <class Work>
absl::Status PostgresConnection::WithRetries(Work&& work) {
  const Stopwatch stopwatch;
  absl::Duration backoff = kFirstBackoff;
  while (true) {
    absl::Status status = IsConnected() ? absl::OkStatus() : Connect();
    if (status.ok()) status = work();
    if (!absl::IsUnavailable(status) || stopwatch.Elapsed() > options_.retry_timeout) {
      return status;
    }
    LogWarning("postgres-sink", StrCat("tried again: ", ToStd(status.message())));
    if (!Pause(backoff)) return absl::CancelledError("the sink was closed");
    backoff = std::min(backoff * 2, kMaxBackoff);
  }
}

bool PostgresConnection::IsConnected() const {
  return connection_ != nullptr && PQstatus(connection_) == CONNECTION_OK;
}

void PostgresConnection::Disconnect() {
  {
    const MutexLock lock(&mutex_);
    socket_ = -1;
  }
  PQfinish(std::exchange(connection_, nullptr));
}

absl::Status PostgresConnection::Connect() {
  Disconnect();
  // What the user's string says comes later and counts.
  const char* const keywords[] = {"tcp_user_timeout", "fallback_application_name", "dbname",
                                  nullptr};
  const char* const values[] = {"30000", "weir", options_.connection.c_str(), nullptr};
  connection_ = PQconnectStartParams(keywords, values, /*expand_dbname=*/1);
  if (connection_ == nullptr) return absl::ResourceExhaustedError("out of memory");
  PQsetNoticeProcessor(
      connection_,
      [](void*, const char* text) {
        Log(LogLevel::kDebug, "postgres-sink", StrCat(StripWhitespace(text)));
      },
      nullptr);
  const Stopwatch stopwatch;
  PostgresPollingStatusType polling = PGRES_POLLING_WRITING;
  while (PQstatus(connection_) != CONNECTION_BAD && polling != PGRES_POLLING_OK &&
         polling != PGRES_POLLING_FAILED) {
    pollfd descriptor{PQsocket(connection_),
                      static_cast<short>(polling == PGRES_POLLING_READING ? POLLIN : POLLOUT), 0};
    const int ready = ::poll(&descriptor, 1, kPollMs);
    if (!Pause(absl::ZeroDuration())) return absl::CancelledError("the sink was closed");
    if (stopwatch.Elapsed() > kConnectTimeout) {
      return absl::UnavailableError(StrCat("PostgreSQL does not answer: ", Where()));
    }
    if (ready > 0) polling = PQconnectPoll(connection_);
  }
  if (PQstatus(connection_) != CONNECTION_OK) {
    const std::string error = PQerrorMessage(connection_);
    // No SQLSTATE comes with a refused connection.
    const bool credentials = error.find("authentication") != std::string::npos ||
                             error.find("no password") != std::string::npos ||
                             error.find("does not exist") != std::string::npos;
    const std::string message =
        StrCat("cannot connect to PostgreSQL: ", Where(), " error=", StripWhitespace(error));
    if (credentials) return absl::UnauthenticatedError(message);
    return absl::UnavailableError(message);
  }
  {
    const MutexLock lock(&mutex_);
    socket_ = PQsocket(connection_);
    if (cancelled_) return absl::CancelledError("the sink was closed");
  }
  if (types_.empty()) return absl::OkStatus();  // The table is yet to be made, or checked.
  return Prepare();
}

std::string PostgresConnection::Where() const {
  const char* host = connection_ == nullptr ? nullptr : PQhost(connection_);
  const char* port = connection_ == nullptr ? nullptr : PQport(connection_);
  const char* database = connection_ == nullptr ? nullptr : PQdb(connection_);
  const auto text = [](const char* value) { return std::string(value == nullptr ? "" : value); };
  return StrCat("host=", text(host), " port=", text(port), " database=", text(database),
                " table=", options_.table);
}

absl::Status PostgresConnection::ConnectionError(std::string_view what) const {
  return absl::UnavailableError(StrCat(what, ": the connection to PostgreSQL was lost: ", Where(),
                                       " error=", StripWhitespace(PQerrorMessage(connection_))));
}

absl::Status PostgresConnection::ResultError(std::string_view what, const pg_result* result) {
  const auto field = [result](int code) {
    const char* text = result == nullptr ? nullptr : PQresultErrorField(result, code);
    return std::string_view(text == nullptr ? "" : text);
  };
  const std::string_view state = field(PG_DIAG_SQLSTATE);
  if (!IsConnected() || state.empty()) return ConnectionError(what);
  std::string message = StrCat(what, ": ", Where());
  const std::pair<const char*, int> details[] = {{" column=", PG_DIAG_COLUMN_NAME},
                                                 {" constraint=", PG_DIAG_CONSTRAINT_NAME},
                                                 {" error=", PG_DIAG_MESSAGE_PRIMARY},
                                                 {" detail=", PG_DIAG_MESSAGE_DETAIL}};
  for (const auto& [name, code] : details) {
    if (!field(code).empty()) StrAppend(&message, name, field(code));
  }
  StrAppend(&message, " sqlstate=", state);
  return absl::Status(CodeOf(state), ToAbsl(message));
}

absl::StatusOr<PostgresConnection::Result> PostgresConnection::Execute(
    const std::string& sql, const std::vector<std::string>& values, std::string_view what) {
  std::vector<const char*> pointers;
  for (const std::string& value : values) pointers.push_back(value.c_str());
  Result result(values.empty()
                    ? PQexec(connection_, sql.c_str())
                    : PQexecParams(connection_, sql.c_str(), static_cast<int>(values.size()),
                                   nullptr, pointers.data(), nullptr, nullptr, 0));
  const ExecStatusType status = PQresultStatus(result.get());
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return result;
  return ResultError(what, result.get());
}

absl::Status PostgresConnection::MakeTable() {
  if (options_.create_table.empty()) return CheckTable();
  // One subtask at a time: even IF NOT EXISTS fails when two make a table at once. The lock goes
  // with the connection, if not before.
  const std::vector<std::string> lock = {StrCat("weir ", quoted_table_)};
  RETURN_IF_ERROR(
      Execute("SELECT pg_advisory_lock(hashtext($1))", lock, "cannot make the table").status());
  const absl::Status made = Execute(options_.create_table, {}, "cannot make the table").status();
  RETURN_IF_ERROR(
      Execute("SELECT pg_advisory_unlock(hashtext($1))", lock, "cannot make the table").status());
  RETURN_IF_ERROR(made);
  return CheckTable();
}

absl::Status PostgresConnection::CheckTable() {
  ASSIGN_OR_RETURN(
      const Result result,
      Execute("SELECT a.attname, a.attnotnull AND NOT a.atthasdef AND a.attidentity = '', "
              "format_type(a.atttypid, a.atttypmod) FROM pg_attribute a "
              "WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped "
              "ORDER BY a.attnum",
              {quoted_table_}, "cannot look up a table's columns"));
  std::vector<FoundColumn> found;
  std::vector<std::string> types(options_.columns.size());
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    const std::string name = PQgetvalue(result.get(), row, 0);
    found.push_back({name, *PQgetvalue(result.get(), row, 1) == 't'});
    for (size_t i = 0; i < options_.columns.size(); ++i) {
      if (options_.columns[i] == name) types[i] = PQgetvalue(result.get(), row, 2);
    }
  }
  RETURN_IF_ERROR(CheckUpsertColumns(found, options_.columns, options_.key_columns, Where()));
  // Planned and not run: this is where a key that is not unique shows.
  const std::vector<std::string> nulls(options_.columns.size(), "NULL");
  std::string upsert = UpsertStatement(quoted_table_, options_.columns, options_.key_columns,
                                       /*numbered=*/true);
  const size_t begin = upsert.find(" VALUES (");
  const size_t end = upsert.find(") ON CONFLICT (", begin);
  upsert.replace(begin, end - begin, StrCat(" VALUES (", StrJoin(nulls, ",")));
  RETURN_IF_ERROR(Execute(StrCat("EXPLAIN ", upsert), {},
                          StrCat("cannot upsert by these columns; together they must be the "
                                 "primary key or unique: key_columns=",
                                 StrJoin(options_.key_columns, ",")))
                      .status());
  RETURN_IF_ERROR(Prepare());
  types_ = std::move(types);
  return absl::OkStatus();
}

absl::Status PostgresConnection::Prepare() {
  const std::string sql = UpsertStatement(quoted_table_, options_.columns, options_.key_columns,
                                          /*numbered=*/true);
  const Result result(PQprepare(connection_, kStatement, sql.c_str(), 0, nullptr));
  if (PQresultStatus(result.get()) == PGRES_COMMAND_OK) return absl::OkStatus();
  absl::Status status = ResultError("cannot prepare to write into a table", result.get());
  Disconnect();  // One without the statement is of no use.
  return status;
}

absl::Status PostgresConnection::Upsert(std::span<const SqlValue> values) {
  return WithRetries([&] { return UpsertOnce(values); });
}

absl::Status PostgresConnection::UpsertOnce(std::span<const SqlValue> values) {
  RETURN_IF_ERROR(Execute("BEGIN", {}, "cannot begin a transaction").status());
  absl::Status status;
  const size_t chunk = kRowsInFlight * options_.columns.size();
  for (size_t begin = 0; status.ok() && begin < values.size(); begin += chunk) {
    status = SendRows(values.subspan(begin, std::min(chunk, values.size() - begin)));
  }
  if (status.ok()) return Execute("COMMIT", {}, "cannot commit rows").status();
  if (IsConnected()) {
    const absl::Status rolled_back = Execute("ROLLBACK", {}, "cannot roll back").status();
    if (!rolled_back.ok()) Disconnect();
  }
  return status;
}

absl::Status PostgresConnection::SendRow(std::span<const SqlValue> row) {
  std::vector<std::string> texts(row.size());
  std::vector<const char*> pointers(row.size());
  for (size_t i = 0; i < row.size(); ++i) {
    bool is_null = false;
    texts[i] = std::visit(ToText{&is_null}, row[i]);
    pointers[i] = is_null ? nullptr : texts[i].c_str();
    if (texts[i].find('\0') != std::string::npos) {
      return absl::FailedPreconditionError(
          StrCat("PostgreSQL keeps no text with a zero byte in it: column=", options_.columns[i],
                 " ", Where()));
    }
  }
  if (PQsendQueryPrepared(connection_, kStatement, static_cast<int>(row.size()), pointers.data(),
                          nullptr, nullptr, 0) == 1) {
    return absl::OkStatus();
  }
  return ConnectionError("cannot write a row");
}

absl::Status PostgresConnection::SendRows(std::span<const SqlValue> values) {
  const size_t num_columns = options_.columns.size();
  const size_t num_rows = values.size() / num_columns;
  if (PQenterPipelineMode(connection_) != 1) return ConnectionError("cannot write rows");
  absl::Status status;
  size_t num_sent = 0;
  for (; status.ok() && num_sent < num_rows; ++num_sent) {
    status = SendRow(values.subspan(num_sent * num_columns, num_columns));
  }
  if (!status.ok()) --num_sent;
  absl::Status refusal;
  size_t refused_row = 0;
  if (PQpipelineSync(connection_) != 1) {
    refusal = ConnectionError("cannot write rows");
  } else {
    for (size_t i = 0; i < num_sent; ++i) {
      const Result result(PQgetResult(connection_));
      const ExecStatusType code = PQresultStatus(result.get());
      if (code != PGRES_COMMAND_OK && refusal.ok()) {
        refusal = ResultError("cannot write a row", result.get());
        refused_row = i;
      }
      if (!IsConnected()) break;
      Result(PQgetResult(connection_)).reset();  // The null that ends each one's answers.
    }
    if (IsConnected()) Result(PQgetResult(connection_)).reset();  // Of the sync.
  }
  if (!IsConnected() || PQexitPipelineMode(connection_) != 1) {
    if (refusal.ok()) refusal = ConnectionError("cannot write rows");
    Disconnect();
    return refusal;
  }
  if (!status.ok()) return status;
  if (absl::IsFailedPrecondition(refusal)) {
    return ExplainRefusal(refusal, values.subspan(refused_row * num_columns, num_columns));
  }
  return refusal;
}

absl::Status PostgresConnection::ExplainRefusal(const absl::Status& refusal,
                                                std::span<const SqlValue> row) {
  if (ToStd(refusal.message()).find(" column=") != std::string_view::npos) return refusal;
  RETURN_IF_ERROR(Execute("ROLLBACK", {}, "cannot roll back").status());
  for (size_t i = 0; i < row.size(); ++i) {
    bool is_null = false;
    std::string text = std::visit(ToText{&is_null}, row[i]);
    if (is_null) continue;
    const absl::Status status =
        Execute(StrCat("SELECT CAST($1::text AS ", types_[i], ")"), {text}, "").status();
    if (absl::IsFailedPrecondition(status) || IsTooLong(types_[i], text)) {
      return absl::FailedPreconditionError(
          StrCat(ToStd(refusal.message()), " column=", options_.columns[i], " type=", types_[i],
                 " value=", text.substr(0, kShownValueBytes)));
    }
  }
  return refusal;
}

}  // namespace weir::internal
