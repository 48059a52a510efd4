#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace weir {

/// The arguments a job was submitted with: `--name value`, `--name=value` or a bare `--name`
/// (true).
///
/// Build runs once on the submitter's side and once on every TaskManager, and must describe the
/// same graph each time. So it takes all it needs from here: flags, and files through File(), whose
/// bytes are recorded at the first run and replayed at the others. Threads: one at a time.
class JobArgs {
 public:
  /// Errors: kInvalidArgument for anything that is not of the forms above, or a flag given twice.
  [[nodiscard]] static absl::StatusOr<JobArgs> Parse(const std::vector<std::string>& arguments);

  /// Returns the flag's text; nothing if it was not given.
  std::optional<std::string> Find(std::string_view name) const;
  std::string GetString(std::string_view name, std::string_view default_value) const;
  /// Errors: kInvalidArgument naming the flag, the text and what would be accepted.
  absl::StatusOr<std::string> GetRequired(std::string_view name,
                                          std::string_view description) const;
  absl::StatusOr<int64_t> GetInt(std::string_view name, int64_t default_value) const;
  absl::StatusOr<double> GetDouble(std::string_view name, double default_value) const;
  absl::StatusOr<bool> GetBool(std::string_view name, bool default_value) const;
  /// Takes "250ms", "5s", "1.5min", as absl::ParseDuration does.
  absl::StatusOr<absl::Duration> GetDuration(std::string_view name,
                                             absl::Duration default_value) const;

  /// Returns `path`, if relative, as seen from the folder the job was submitted from.
  [[nodiscard]] std::string ResolvePath(std::string_view path) const;

  /// Returns the content of a file that Build needs. Errors: kNotFound naming the path;
  /// kFailedPrecondition when replaying and the first run did not read it.
  absl::StatusOr<std::string> File(std::string_view path) const;
  /// Returns the files (path to content) directly in `folder` whose names end in one of `suffixes`,
  /// and below it.
  absl::StatusOr<std::map<std::string, std::string>> Folder(
      std::string_view folder, const std::vector<std::string>& suffixes) const;

  /// Errors: kInvalidArgument for a flag that Build never asked for, naming the nearest one it did.
  [[nodiscard]] absl::Status CheckAllUsed() const;

  /// Everything File and Folder returned; Folder's listings are stored beside the contents.
  [[nodiscard]] const std::map<std::string, std::string>& recorded_files() const { return files_; }
  /// Makes File and Folder answer from `files` alone.
  void ReplayFiles(std::map<std::string, std::string> files);

 private:
  std::map<std::string, std::string, std::less<>> flags_;
  mutable std::set<std::string, std::less<>> asked_;
  mutable std::map<std::string, std::string> files_;
  bool replaying_ = false;
};

}  // namespace weir
