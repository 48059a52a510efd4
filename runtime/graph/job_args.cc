#include "runtime/graph/job_args.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

// The flag by which a client tells where relative paths start.
constexpr std::string_view kWorkingDirectory = "working-directory";

absl::Status BadValue(std::string_view name, std::string_view text, std::string_view expected) {
  return absl::InvalidArgumentError(StrCat("job argument has a value that cannot be read; give ",
                                           expected, ": --", name, "=", text));
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  if (!file) {
    return absl::NotFoundError(
        StrCat("cannot read a file the job needs; check the path: path=", path));
  }
  return std::move(content).str();
}

bool HasSuffix(std::string_view name, const std::vector<std::string>& suffixes) {
  for (const std::string& suffix : suffixes) {
    if (name.ends_with(suffix)) return true;
  }
  return suffixes.empty();
}

}  // namespace

absl::StatusOr<JobArgs> JobArgs::Parse(const std::vector<std::string>& arguments) {
  JobArgs args;
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string_view argument = arguments[i];
    if (!argument.starts_with("--") || argument.size() == 2) {
      return absl::InvalidArgumentError(
          StrCat("job argument is not of the form --name value: \"", argument, "\""));
    }
    argument.remove_prefix(2);
    std::string name(argument);
    std::string value = "true";
    if (const size_t equals = argument.find('='); equals != std::string_view::npos) {
      name = std::string(argument.substr(0, equals));
      value = std::string(argument.substr(equals + 1));
    } else if (i + 1 < arguments.size() && !arguments[i + 1].starts_with("--")) {
      value = arguments[++i];
    }
    if (!args.flags_.emplace(name, value).second) {
      return absl::InvalidArgumentError(StrCat("job argument is given twice: --", name));
    }
  }
  args.asked_.insert(std::string(kWorkingDirectory));
  return args;
}

std::optional<std::string> JobArgs::Find(std::string_view name) const {
  asked_.insert(std::string(name));
  const auto found = flags_.find(name);
  if (found == flags_.end()) return std::nullopt;
  return found->second;
}

std::string JobArgs::GetString(std::string_view name, std::string_view default_value) const {
  return Find(name).value_or(std::string(default_value));
}

absl::StatusOr<std::string> JobArgs::GetRequired(std::string_view name,
                                                 std::string_view description) const {
  std::optional<std::string> value = Find(name);
  if (!value.has_value() || value->empty()) {
    return absl::InvalidArgumentError(
        StrCat("job argument is missing: --", name, " (", description, ")"));
  }
  return *std::move(value);
}

absl::StatusOr<int64_t> JobArgs::GetInt(std::string_view name, int64_t default_value) const {
  const std::optional<std::string> text = Find(name);
  if (!text.has_value()) return default_value;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size())
    return BadValue(name, *text, "a whole number");
  return value;
}

absl::StatusOr<double> JobArgs::GetDouble(std::string_view name, double default_value) const {
  const std::optional<std::string> text = Find(name);
  if (!text.has_value()) return default_value;
  double value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size())
    return BadValue(name, *text, "a number");
  return value;
}

absl::StatusOr<bool> JobArgs::GetBool(std::string_view name, bool default_value) const {
  const std::optional<std::string> text = Find(name);
  if (!text.has_value()) return default_value;
  if (*text == "true" || *text == "1") return true;
  if (*text == "false" || *text == "0") return false;
  return BadValue(name, *text, "true or false");
}

absl::StatusOr<absl::Duration> JobArgs::GetDuration(std::string_view name,
                                                    absl::Duration default_value) const {
  std::optional<std::string> text = Find(name);
  if (!text.has_value()) return default_value;
  std::string normal = *text;
  if (normal.ends_with("min")) normal.resize(normal.size() - 2);
  absl::Duration value;
  if (!absl::ParseDuration(normal, &value) || value < absl::ZeroDuration()) {
    return BadValue(name, *text, "a duration such as 250ms, 5s or 10min");
  }
  return value;
}

std::string JobArgs::ResolvePath(std::string_view path) const {
  const auto base = flags_.find(kWorkingDirectory);
  if (path.starts_with('/') || base == flags_.end()) return std::string(path);
  return (std::filesystem::path(base->second) / path).lexically_normal().string();
}

absl::StatusOr<std::string> JobArgs::File(std::string_view path) const {
  const std::string resolved = ResolvePath(path);
  const auto found = files_.find(resolved);
  if (found != files_.end()) return found->second;
  if (replaying_) {
    return absl::FailedPreconditionError(StrCat(
        "the job reads a file now that it did not read when it was submitted: path=", resolved));
  }
  ASSIGN_OR_RETURN(std::string content, ReadFile(resolved));
  files_.emplace(resolved, content);
  return content;
}

absl::StatusOr<std::map<std::string, std::string>> JobArgs::Folder(
    std::string_view folder, const std::vector<std::string>& suffixes) const {
  const std::string resolved = ResolvePath(folder);
  const std::string listing_key = StrCat(resolved, "/");
  if (!files_.contains(listing_key)) {
    if (replaying_) {
      return absl::FailedPreconditionError(
          StrCat("the job reads a folder now that it did not read when it was submitted: path=",
                 resolved));
    }
    std::error_code error;
    std::string listing;
    for (std::filesystem::recursive_directory_iterator it(resolved, error), end;
         !error && it != end; it.increment(error)) {
      if (it->is_regular_file(error) && HasSuffix(it->path().filename().string(), suffixes)) {
        StrAppend(&listing, it->path().string(), "\n");
      }
    }
    if (error) {
      return absl::NotFoundError(StrCat("cannot read a folder the job needs; check the path: path=",
                                        resolved, " error=", error.message()));
    }
    files_.emplace(listing_key, listing);
  }
  std::map<std::string, std::string> contents;
  const std::string listing = files_.at(listing_key);
  for (const std::string_view path : StrSplit(listing, '\n')) {
    if (path.empty()) continue;
    ASSIGN_OR_RETURN(contents[std::string(path)], File(path));
  }
  return contents;
}

absl::Status JobArgs::CheckAllUsed() const {
  for (const auto& [name, value] : flags_) {
    if (asked_.contains(name)) continue;
    const std::vector<std::string_view> known(asked_.begin(), asked_.end());
    const std::string_view nearest = NearestMatch(name, known);
    return absl::InvalidArgumentError(StrCat("the job has no argument --", name,
                                             nearest.empty() ? "" : "; did you mean --", nearest,
                                             "?"));
  }
  return absl::OkStatus();
}

void JobArgs::ReplayFiles(std::map<std::string, std::string> files) {
  files_ = std::move(files);
  replaying_ = true;
}

}  // namespace weir
