#include "jobs/nexmark/nexmark_job.h"

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "jobs/nexmark/aggregate_queries.h"
#include "jobs/nexmark/join_queries.h"
#include "jobs/nexmark/nexmark_source.h"
#include "jobs/nexmark/row_json.h"
#include "jobs/nexmark/stateless_queries.h"
#include "jobs/nexmark/window_queries.h"
#include "operators/connectors/blackhole_sink.h"
#include "operators/connectors/file/ndjson_file_sink.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::nexmark {
namespace {

constexpr std::string_view kBlackhole = "blackhole";

/// Ends a query: drops its rows, or writes them as JSON lines.
class QueryOutput {
 public:
  QueryOutput(const JobArgs& args, std::string query) : query_(std::move(query)) {
    const std::string out = args.GetString("out", kBlackhole);
    if (out != kBlackhole) folder_ = args.ResolvePath(out);
  }

  template <class Row>
  absl::Status Write(const DataStream<Row>& rows) const {
    if (folder_.empty()) {
      rows.SinkTo(BlackholeSink<Row>(), "Blackhole").Uid("rows");
    } else {
      rows.SinkTo(NdjsonFileSink<Row>({folder_, query_}, AppendJsonLine<Row>), "Rows").Uid("rows");
    }
    return absl::OkStatus();
  }

 private:
  template <class Row>
  static void AppendJsonLine(const Row& row, std::string* line) {
    if constexpr (std::is_same_v<Row, Event>) {
      AppendJson(row, line);
    } else {
      AppendRowJson(row, line);
    }
  }

  std::string query_;
  std::string folder_;  // Empty: nowhere.
};

using Events = DataStream<Event>;
using BuildQuery = absl::Status (*)(const Events&, const JobArgs&, const QueryOutput&);

template <auto kQuery>
absl::Status Build(const Events& events, const JobArgs&, const QueryOutput& output) {
  auto rows = kQuery(events);
  return output.Write(rows.Uid("query"));
}

absl::Status BuildSideInputJoin(const Events& events, const JobArgs& args,
                                const QueryOutput& output) {
  ASSIGN_OR_RETURN(std::shared_ptr<const SideInput> side_input, ReadSideInput(args));
  return output.Write(JoinSideInput(events, std::move(side_input)));
}

const std::map<std::string, BuildQuery>& Queries() {
  static const auto& queries = *new std::map<std::string, BuildQuery>{
      {"generator", [](const Events& events, const JobArgs&,
                       const QueryOutput& output) { return output.Write(events); }},
      {"q0", Build<PassThrough>},
      {"q1", Build<ConvertCurrency>},
      {"q2", Build<SelectAuctions>},
      {"q3", Build<FindLocalItems>},
      {"q4", Build<AveragePrices>},
      {"q5", Build<FindHotItems>},
      {"q7", Build<FindHighestBids>},
      {"q8", Build<FindNewUsers>},
      {"q9", Build<FindWinningBids>},
      {"q11", Build<CountSessions>},
      {"q12", Build<CountByProcessingTime>},
      {"q13", BuildSideInputJoin},
      {"q14", Build<Calculate>},
      {"q15", Build<ReportDays>},
      {"q16", Build<ReportChannels>},
      {"q17", Build<ReportAuctions>},
      {"q18", Build<FindLastBids>},
      {"q19", Build<RankBids>},
      {"q20", Build<ExpandBids>},
      {"q21", Build<AddChannelId>},
      {"q22", Build<SplitUrl>},
      {"q23", Build<FindBidsOfSellers>},
  };
  return queries;
}

absl::StatusOr<BuildQuery> FindQuery(const std::string& name) {
  const auto found = Queries().find(name);
  if (found != Queries().end()) return found->second;
  std::string names;
  for (const auto& [known, build] : Queries()) {
    names.append(names.empty() ? "" : ", ").append(known);
  }
  return absl::InvalidArgumentError(StrCat("--query must be one of ", names, ": query=", name));
}

}  // namespace

absl::Status BuildNexmark(StreamEnvironment& environment, const JobArgs& args) {
  ASSIGN_OR_RETURN(const std::string query,
                   args.GetRequired("query", "q0 to q23, or generator for the events alone"));
  ASSIGN_OR_RETURN(const BuildQuery build, FindQuery(query));
  ASSIGN_OR_RETURN(const NexmarkSourceOptions options, ParseNexmarkSourceOptions(args));
  environment.SetJobName(StrCat("nexmark ", query));
  const Events events =
      environment.FromSource(NexmarkSource(options), NexmarkWatermarks(), "Nexmark")
          .Uid("nexmark-source");
  return build(events, args, QueryOutput(args, query));
}

}  // namespace weir::nexmark
