#include "jobmanager/rest/internal/json_request.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "jobmanager/rest/internal/parameters.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

using Json = nlohmann::json;
using FieldReader = std::function<absl::Status(const Json&)>;

struct Field {
  std::string_view name;
  FieldReader read;
};

absl::Status WrongType(std::string_view expected) {
  return absl::InvalidArgumentError(StrCat("expected ", expected));
}

FieldReader ReadText(std::string* out) {
  return [out](const Json& value) {
    if (!value.is_string()) return WrongType("a string");
    *out = value.get<std::string>();
    return absl::OkStatus();
  };
}

FieldReader ReadFlag(bool* out) {
  return [out](const Json& value) {
    if (!value.is_boolean()) return WrongType("true or false");
    *out = value.get<bool>();
    return absl::OkStatus();
  };
}

/// Reads a string by `parse`.
template <class T>
FieldReader ReadParsed(T* out, absl::StatusOr<T> (*parse)(std::string_view)) {
  return [out, parse](const Json& value) -> absl::Status {
    if (!value.is_string()) return WrongType("a string");
    ASSIGN_OR_RETURN(*out, parse(value.get<std::string>()));
    return absl::OkStatus();
  };
}

FieldReader ReadTriggerId(std::optional<TriggerId>* out) {
  return [out](const Json& value) -> absl::Status {
    if (!value.is_string()) return WrongType("32 hexadecimal digits");
    ASSIGN_OR_RETURN(*out, ParseId<TriggerId>(value.get<std::string>()));
    return absl::OkStatus();
  };
}

/// Which files a checkpoint writes is the state backend's to choose, whatever of these is asked
/// for.
absl::Status CheckCheckpointType(const Json& value) {
  if (value == "CONFIGURED" || value == "FULL" || value == "INCREMENTAL") return absl::OkStatus();
  return WrongType("CONFIGURED, FULL or INCREMENTAL");
}

absl::Status ReadTexts(const Json& value, std::vector<std::string>* out) {
  if (!value.is_array()) return WrongType("a list of strings");
  out->clear();
  for (const Json& element : value) {
    if (!element.is_string()) return WrongType("a list of strings");
    out->push_back(element.get<std::string>());
  }
  return absl::OkStatus();
}

absl::Status ReadSettings(const Json& value, std::map<std::string, std::string>* out) {
  if (!value.is_object()) return WrongType("an object of strings");
  for (const auto& [key, setting] : value.items()) {
    if (setting.is_structured()) return WrongType("an object of strings");
    (*out)[key] = setting.is_string() ? setting.get<std::string>() : setting.dump();
  }
  return absl::OkStatus();
}

absl::Status UnknownField(std::string_view name, const std::vector<Field>& fields) {
  std::vector<std::string_view> names;
  for (const Field& field : fields) names.push_back(field.name);
  const std::string_view nearest = NearestMatch(name, names);
  const std::string hint = nearest.empty() ? "" : StrCat("; did you mean \"", nearest, "\"?");
  return absl::InvalidArgumentError(
      StrCat("Bad request, unknown field in the body: \"", name, "\"", hint));
}

absl::Status ReadObject(std::string_view body, const std::vector<Field>& fields) {
  if (StripWhitespace(body).empty()) return absl::OkStatus();
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return absl::InvalidArgumentError("Bad request, the body is not a JSON object.");
  }
  for (const auto& [name, value] : json.items()) {
    const Field* known = nullptr;
    for (const Field& field : fields) {
      if (field.name == name) known = &field;
    }
    if (known == nullptr) return UnknownField(name, fields);
    if (value.is_null()) continue;
    if (const absl::Status status = known->read(value); !status.ok()) {
      return absl::InvalidArgumentError(
          StrCat("Bad request, field \"", name, "\": ", ToStd(status.message())));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ParseJarRunBody(std::string_view body, JarRunRequest* request) {
  std::string line;
  const auto parallelism = [request](const Json& value) {
    if (!value.is_number_integer()) return WrongType("a positive integer");
    const auto number = value.get<int64_t>();
    if (number < 1 || number > std::numeric_limits<int32_t>::max()) {
      return WrongType("a positive integer");
    }
    request->parallelism = static_cast<uint32_t>(number);
    return absl::OkStatus();
  };
  const auto job_id = [request](const Json& value) -> absl::Status {
    if (!value.is_string()) return WrongType("32 hexadecimal digits");
    ASSIGN_OR_RETURN(request->job_id, ParseId<JobId>(value.get<std::string>()));
    return absl::OkStatus();
  };
  const FieldReader claim_mode = ReadParsed(&request->claim_mode, ParseClaimMode);
  const std::vector<Field> fields = {
      {"entryClass", ReadText(&request->entry_class)},
      {"programArgsList",
       [request](const Json& value) { return ReadTexts(value, &request->program_args); }},
      {"programArgs", ReadText(&line)},
      {"parallelism", parallelism},
      {"jobId", job_id},
      {"allowNonRestoredState", ReadFlag(&request->allow_non_restored_state)},
      {"savepointPath", ReadText(&request->savepoint_path)},
      {"restoreMode", claim_mode},
      {"claimMode", claim_mode},
      {"flinkConfiguration",
       [request](const Json& value) { return ReadSettings(value, &request->flink_configuration); }},
  };
  RETURN_IF_ERROR(ReadObject(body, fields));
  if (!line.empty()) request->program_args = SplitArguments(line);
  return absl::OkStatus();
}

absl::StatusOr<std::optional<TriggerId>> ParseCheckpointTriggerBody(std::string_view body) {
  std::optional<TriggerId> trigger_id;
  const std::vector<Field> fields = {{"checkpointType", CheckCheckpointType},
                                     {"triggerId", ReadTriggerId(&trigger_id)}};
  RETURN_IF_ERROR(ReadObject(body, fields));
  return trigger_id;
}

absl::StatusOr<SavepointTrigger> ParseSavepointBody(std::string_view body) {
  SavepointTrigger trigger;
  bool cancel = false;
  RETURN_IF_ERROR(
      ReadObject(body, {{"target-directory", ReadText(&trigger.request.target_directory)},
                        {"cancel-job", ReadFlag(&cancel)},
                        {"formatType", ReadParsed(&trigger.request.format, ParseSavepointFormat)},
                        {"triggerId", ReadTriggerId(&trigger.trigger_id)}}));
  if (cancel) trigger.request.then = AfterSavepoint::kCancel;
  return trigger;
}

absl::StatusOr<SavepointTrigger> ParseStopBody(std::string_view body) {
  SavepointTrigger trigger;
  bool drain = false;
  RETURN_IF_ERROR(
      ReadObject(body, {{"targetDirectory", ReadText(&trigger.request.target_directory)},
                        {"drain", ReadFlag(&drain)},
                        {"formatType", ReadParsed(&trigger.request.format, ParseSavepointFormat)},
                        {"triggerId", ReadTriggerId(&trigger.trigger_id)}}));
  trigger.request.then = drain ? AfterSavepoint::kDrain : AfterSavepoint::kStop;
  return trigger;
}

absl::StatusOr<std::string> ParseDisposalBody(std::string_view body) {
  std::string path;
  RETURN_IF_ERROR(ReadObject(body, {{"savepoint-path", ReadText(&path)}}));
  if (!path.empty()) return path;
  return absl::InvalidArgumentError(
      "Bad request, field \"savepoint-path\" is missing: name the savepoint to dispose of.");
}

absl::StatusOr<ResourceRequirements> ParseResourceRequirements(std::string_view body) {
  const auto bad = [](std::string_view vertex, std::string_view problem) {
    return absl::InvalidArgumentError(StrCat(
        "Bad request, vertex \"", vertex, "\": ", problem,
        "; expected {VERTEX_ID: {\"parallelism\": {\"lowerBound\": L, \"upperBound\": U}}}"));
  };
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return absl::InvalidArgumentError("Bad request, the body is not a JSON object.");
  }
  ResourceRequirements requirements;
  for (const auto& [name, value] : json.items()) {
    const absl::StatusOr<JobVertexId> vertex = ParseId<JobVertexId>(name);
    if (!vertex.ok()) return bad(name, "not 32 hexadecimal digits");
    if (!value.is_object() || !value.contains("parallelism") || !value["parallelism"].is_object()) {
      return bad(name, "no parallelism");
    }
    const auto bound = [&](const char* key) -> std::optional<uint32_t> {
      const auto found = value["parallelism"].find(key);
      if (found == value["parallelism"].end() || !found->is_number_integer()) return std::nullopt;
      const auto number = found->get<int64_t>();
      if (number < 0 || number > std::numeric_limits<int32_t>::max()) return std::nullopt;
      return static_cast<uint32_t>(number);
    };
    const std::optional<uint32_t> lower = bound("lowerBound");
    const std::optional<uint32_t> upper = bound("upperBound");
    if (!lower.has_value()) return bad(name, "lowerBound is no positive integer");
    if (!upper.has_value()) return bad(name, "upperBound is no positive integer");
    requirements[*vertex] = {*lower, *upper};
  }
  return requirements;
}

}  // namespace weir::internal
