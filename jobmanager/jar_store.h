#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobmanager/cluster_information.h"
#include "jobmanager/job_builder.h"
#include "runtime/base/mutex.h"
#include "runtime/checkpoint/file_systems.h"

namespace weir {

/// The job libraries that can be run: uploaded ones, files `<random id>_<name>` in one folder, and
/// those shipped with weir, `lib<id>.so` in another. Folders are the truth, so uploads outlive the
/// process if their folder does. That of the uploads may be in an object store.
///
/// Threads: any; all methods block (they ask the builder for a library's jobs, once per library),
/// so they are called on the I/O pool. The lock guards what the builder said.
class JarStore {
 public:
  /// `builder` is borrowed. `builtin_folder` need not exist. `local_folder` holds copies of uploads
  /// that are in an object store.
  JarStore(std::string upload_folder, std::string builtin_folder, const JobBuilder* builder,
           std::shared_ptr<const FileSystems> file_systems = FileSystems::Local(),
           std::string local_folder = "");

  /// Copies the file at `path`; returns the library's id. Errors: kInvalidArgument if it is no job
  /// library of this build, or the name is no plain file name.
  [[nodiscard]] absl::StatusOr<std::string> Upload(std::string_view name, const std::string& path);

  /// Newest uploads first, then those shipped with weir by name. One that cannot be read is listed
  /// without jobs.
  [[nodiscard]] absl::StatusOr<std::vector<JarFile>> List();

  /// Errors: kNotFound; kFailedPrecondition for a library shipped with weir.
  [[nodiscard]] absl::Status Delete(std::string_view id);

  /// Returns the library's path. Errors: kNotFound, naming those shipped with weir.
  [[nodiscard]] absl::StatusOr<std::string> PathOf(std::string_view id) const;

  /// A job and the library that holds it.
  struct JobLocation {
    std::string path;
    /// Empty: the library's only job.
    std::string entry;
    /// Rather than shipped with weir.
    bool uploaded = false;
  };
  /// Finds the job to run: `entry` of the library `id`, or, without an entry, the job shipped with
  /// weir whose own name is `id`. Errors: kNotFound, naming the nearest job or the libraries
  /// shipped with weir.
  [[nodiscard]] absl::StatusOr<JobLocation> FindJob(std::string_view id, std::string_view entry);

 private:
  struct Listed {
    std::string version;  // Size and time of the file; another file is asked for again.
    std::vector<JarEntry> entries;
  };

  [[nodiscard]] std::vector<JarEntry> EntriesOf(const std::string& path);
  [[nodiscard]] std::string UploadPath(std::string_view id) const;
  /// Where an upload, or its copy, can be loaded from.
  [[nodiscard]] std::string LocalPath(std::string_view id) const;
  /// Sees to it that it can. Errors: kNotFound if there is no such upload.
  [[nodiscard]] absl::Status Localize(std::string_view id) const;
  [[nodiscard]] std::string BuiltinPath(std::string_view id) const;
  [[nodiscard]] absl::StatusOr<std::vector<JarFile>> ListUploads();
  [[nodiscard]] std::vector<JarFile> ListBuiltins();

  const std::string upload_folder_;
  const std::string builtin_folder_;
  const JobBuilder* const builder_;
  const std::shared_ptr<const FileSystems> file_systems_;
  const std::string local_folder_;
  Mutex mutex_;
  std::map<std::string, Listed> listed_ ABSL_GUARDED_BY(mutex_);  // By path.
};

}  // namespace weir
