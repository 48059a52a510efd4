#include "runtime/graph/job_library.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <system_error>
#include <utility>

#include "runtime/base/ids.h"
#include "runtime/base/mutex.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/graph/content_hash.h"
#include "runtime/graph/internal/elf_file.h"
#include "weir_abi_stamp.h"

namespace weir {
namespace {

constexpr std::chrono::hours kUnusedCopyAge(24);

absl::StatusOr<std::string> ReadWholeFile(const std::string& path) {
  std::error_code error;
  const bool is_file = std::filesystem::is_regular_file(path, error);
  const uintmax_t size = is_file ? std::filesystem::file_size(path, error) : 0;
  std::ifstream file(path, std::ios::binary);
  // At once: a buffer that grows is made of fresh pages time after time, half the time of a load.
  std::string content(error ? 0 : size, '\0');
  if (is_file) file.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (!is_file || error || !file) {
    return absl::NotFoundError(StrCat("cannot read the job library; check the path: path=", path));
  }
  return content;
}

absl::Status CheckStamp(std::string_view content) {
  RETURN_IF_ERROR(internal::CheckSharedLibrary(content));
  ASSIGN_OR_RETURN(const std::optional<std::string> stamp,
                   internal::ReadExportedText(content, kJobLibraryStampSymbol));
  if (!stamp.has_value()) {
    return absl::InvalidArgumentError(
        StrCat("not a job library: it exports no symbol ", kJobLibraryStampSymbol,
               "; register its jobs by WEIR_JOB and build it with weir_add_job()"));
  }
  if (*stamp != JobLibrary::ProcessAbiStamp()) {
    return absl::FailedPreconditionError(
        StrCat("the job library was built against another weir; build it again with this one's "
               "headers and compiler: library_stamp=\"",
               *stamp, "\" expected_stamp=\"", JobLibrary::ProcessAbiStamp(), "\""));
  }
  return absl::OkStatus();
}

// Returns the folder of this user's copies. They are named by content and shared by all processes
// of the user, so that what a killed one leaves is what the next one needs.
absl::StatusOr<std::filesystem::path> CopiesFolder() {
  std::error_code error;
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path(error) / StrCat("weir-libraries-", geteuid());
  if (!error && mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    error.assign(errno, std::generic_category());
  }
  struct stat status{};
  if (!error && lstat(folder.c_str(), &status) != 0) error.assign(errno, std::generic_category());
  if (error) {
    return absl::UnavailableError(StrCat("cannot make the folder of job libraries: path=",
                                         folder.string(), " error=", error.message()));
  }
  // Code will be run from here, so nobody else may have made or may write this folder.
  if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 0022) != 0) {
    return absl::FailedPreconditionError(StrCat(
        "the folder of job libraries is not this user's alone; remove it: path=", folder.string()));
  }
  return folder;
}

// Marks the copy at `path` as in use, for as long as this process lives; the lock is never given
// back, as the library is never closed. Returns whether the copy is there.
bool LockCopy(const std::filesystem::path& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  // Where there are no locks, nobody else gets one to remove it with.
  static_cast<void>(flock(descriptor, LOCK_SH));
  struct stat status{};
  if (fstat(descriptor, &status) != 0 || status.st_nlink == 0) {
    close(descriptor);  // Whoever had locked it has removed it.
    return false;
  }
  futimens(descriptor, nullptr);  // Its age counts from its last use.
  return true;
}

// Removes copies that nobody uses, nor has used lately: a crash's stack names them by their hash.
void RemoveUnusedCopies(const std::filesystem::path& folder) {
  std::error_code error;
  const auto oldest = std::filesystem::file_time_type::clock::now() - kUnusedCopyAge;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.last_write_time(error) > oldest || error) continue;
    const int descriptor = open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) continue;
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) std::filesystem::remove(entry.path(), error);
    close(descriptor);
  }
}

absl::Status WriteCopy(std::string_view content, const std::filesystem::path& path) {
  struct JobLibraryCopyTag;
  const std::filesystem::path partial =
      StrCat(path.string(), ".", ToString(RandomId<HexId<JobLibraryCopyTag>>()));
  std::error_code error;
  std::ofstream file(partial, std::ios::binary);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  if (file) std::filesystem::rename(partial, path, error);
  if (!file || error) {
    std::filesystem::remove(partial, error);
    return absl::UnavailableError(
        StrCat("cannot copy the job library; is the disk full? path=", path.string()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::filesystem::path> CopyByHash(std::string_view content,
                                                 const std::string& hash) {
  ASSIGN_OR_RETURN(const std::filesystem::path folder, CopiesFolder());
  std::filesystem::path path = folder / StrCat(hash, ".so");
  // Others may be about to remove a copy that is to be used again; not time after time.
  for (int attempt = 0; attempt < 3; ++attempt) {
    const bool locked = LockCopy(path);
    const auto present = ContentHashOfFile(path.string());
    if (locked && present.ok() && *present == hash) return path;
    RETURN_IF_ERROR(WriteCopy(content, path));
    RemoveUnusedCopies(folder);
  }
  return absl::UnavailableError(
      StrCat("the copy of the job library is not what was written: path=", path.string()));
}

// Loads libweir_operators.so from where this library lies, once. A job library needs it by name; it
// is opened from a copy elsewhere, so its own search path does not lead there.
void LoadOperators() {
  static const bool loaded = [] {
    Dl_info here{};
    if (dladdr(reinterpret_cast<const void*>(&LoadOperators), &here) == 0) return false;
    const auto operators =
        std::filesystem::path(here.dli_fname).parent_path() / "libweir_operators.so";
    // A job library that cannot be loaded without it says so itself.
    return dlopen(operators.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr;
  }();
  (void)loaded;
}

absl::StatusOr<std::vector<JobDefinition>> OpenLibrary(const std::filesystem::path& path) {
  LoadOperators();
  void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    return absl::InvalidArgumentError(StrCat("cannot load the job library: ", dlerror()));
  }
  using EntryPoint = const JobLibraryDescriptor* (*)();
  const auto entry_point = reinterpret_cast<EntryPoint>(dlsym(handle, kJobLibraryEntryPoint));
  if (entry_point == nullptr) {
    return absl::InvalidArgumentError(StrCat("not a job library: it exports no function ",
                                             kJobLibraryEntryPoint,
                                             "; register its jobs by WEIR_JOB"));
  }
  const JobLibraryDescriptor* const descriptor = entry_point();
  if (descriptor == nullptr || descriptor->layout_version != JobLibraryDescriptor::kLayoutVersion) {
    return absl::InvalidArgumentError("not a job library: its description has another layout");
  }
  std::vector<JobDefinition> jobs;
  for (const JobDefinition* job = descriptor->first_job; job != nullptr; job = job->next) {
    jobs.push_back(*job);
  }
  if (jobs.empty()) {
    return absl::InvalidArgumentError("the job library has no jobs; register them by WEIR_JOB");
  }
  std::sort(jobs.begin(), jobs.end(), [](const JobDefinition& a, const JobDefinition& b) {
    return std::string_view(a.name) < std::string_view(b.name);
  });
  for (size_t i = 1; i < jobs.size(); ++i) {
    if (std::string_view(jobs[i - 1].name) == jobs[i].name) {
      return absl::InvalidArgumentError(
          StrCat("the job library has two jobs of one name; rename one: name=", jobs[i].name));
    }
  }
  return jobs;
}

struct LoadedLibraries {
  Mutex mutex;
  std::map<std::string, std::shared_ptr<const JobLibrary>> by_hash ABSL_GUARDED_BY(mutex);
};

LoadedLibraries& Loaded() {
  // Never destroyed: threads may still run code of the libraries while the process ends.
  static LoadedLibraries* const loaded = new LoadedLibraries;
  return *loaded;
}

}  // namespace

JobLibrary::JobLibrary(std::string hash, std::vector<JobDefinition> jobs)
    : hash_(std::move(hash)), jobs_(std::move(jobs)) {}

std::string_view JobLibrary::ProcessAbiStamp() { return WEIR_ABI_STAMP; }

absl::StatusOr<std::shared_ptr<const JobLibrary>> JobLibrary::Load(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string content, ReadWholeFile(path));
  const std::string hash = ContentHash(content);
  LoadedLibraries& loaded = Loaded();
  const MutexLock lock(&loaded.mutex);
  if (const auto found = loaded.by_hash.find(hash); found != loaded.by_hash.end()) {
    return found->second;
  }
  RETURN_IF_ERROR(CheckStamp(content));
  ASSIGN_OR_RETURN(const std::filesystem::path copy, CopyByHash(content, hash));
  ASSIGN_OR_RETURN(std::vector<JobDefinition> jobs, OpenLibrary(copy));
  std::shared_ptr<const JobLibrary> library(new JobLibrary(hash, std::move(jobs)));
  loaded.by_hash.emplace(hash, library);
  return library;
}

absl::StatusOr<const JobDefinition*> JobLibrary::Find(std::string_view entry) const {
  if (entry.empty() && jobs_.size() == 1) return &jobs_.front();
  std::vector<std::string_view> names;
  for (const JobDefinition& job : jobs_) {
    if (job.name == entry) return &job;
    names.push_back(job.name);
  }
  if (entry.empty()) {
    return absl::InvalidArgumentError(
        StrCat("the job library has several jobs; name one of them: jobs=",
               StrJoin({names.begin(), names.end()}, ", ")));
  }
  const std::string_view nearest = NearestMatch(entry, names);
  return absl::InvalidArgumentError(
      nearest.empty()
          ? StrCat("the job library has no job named ", entry,
                   ": jobs=", StrJoin({names.begin(), names.end()}, ", "))
          : StrCat("the job library has no job named ", entry, "; did you mean ", nearest, "?"));
}

absl::StatusOr<StreamGraph> BuildStreamGraph(const JobDefinition& job, const JobArgs& args) {
  StreamGraph graph;
  const auto thrown = [&](std::string_view what) {
    return absl::InternalError(
        StrCat("the job's Build threw an exception: job=", job.name, " what=", what));
  };
  try {
    RETURN_IF_ERROR(job.build(graph, args));
  } catch (const std::exception& exception) {
    return thrown(exception.what());
  } catch (...) {
    return thrown("(not a std::exception)");
  }
  // Before the graph: an argument that was misspelt may be why the graph is not whole.
  RETURN_IF_ERROR(args.CheckAllUsed());
  RETURN_IF_ERROR(graph.Finish());
  if (graph.job_name().empty()) graph.set_job_name(job.name);
  return graph;
}

}  // namespace weir
