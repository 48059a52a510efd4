#include <string>

#include "operators/api/job.h"
#include "operators/connectors/file/file_source.h"
#include "operators/connectors/file/ndjson_file_sink.h"
#include "runtime/base/status_macros.h"

absl::Status Build(weir::StreamEnvironment& environment, const weir::JobArgs& args) {
  using Lines = weir::WatermarkStrategy<std::string>;
  ASSIGN_OR_RETURN(const std::string logs, args.GetRequired("logs", "a file or folder of lines"));
  ASSIGN_OR_RETURN(const std::string out, args.GetRequired("out", "a folder for the alerts"));
  environment
      .FromSource(weir::FileSource({.path = args.ResolvePath(logs)}), Lines::NoWatermarks(), "logs")
      .Filter([](const std::string& line) { return line.find("Failed password") != line.npos; })
      .SinkTo(weir::NdjsonFileSink<std::string>({.folder = args.ResolvePath(out)}), "alerts");
  return absl::OkStatus();
}

WEIR_JOB("failed_logins", "Finds failed logins: --logs FILE --out FOLDER", Build);
