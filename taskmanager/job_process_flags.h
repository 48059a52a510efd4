#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/ids.h"

namespace weir {

/// What a TaskManager tells the process that it starts for one job, on the command line, or, if it
/// is a spare one, later (see spare_arguments.h). Plain data.
struct JobProcessFlags {
  /// The TaskManager's id; empty: this is none of a job.
  std::string owner_id;
  int64_t owner_pid = 0;
  /// In hexadecimal.
  std::string job_id;
  int64_t memory_bytes = 0;
  /// Descriptor of the socket to the TaskManager (see OwnerLink).
  int link = -1;
  std::string work_folder;
  std::string blob_folder;
  std::string crash_folder;
  /// The process is to wait on this socket for the job, and for all of the above; -1: it is not.
  int spare_link = -1;
};

inline constexpr std::string_view kJobProcessOwnerFlag = "--job-process-owner";
inline constexpr std::string_view kJobProcessOwnerPidFlag = "--job-process-owner-pid";
inline constexpr std::string_view kJobProcessJobFlag = "--job-process-job";
inline constexpr std::string_view kJobProcessMemoryFlag = "--job-process-memory";
inline constexpr std::string_view kJobProcessLinkFlag = "--job-process-link";
inline constexpr std::string_view kJobProcessWorkFolderFlag = "--job-process-work-folder";
inline constexpr std::string_view kJobProcessBlobFolderFlag = "--job-process-blob-folder";
inline constexpr std::string_view kJobProcessCrashFolderFlag = "--job-process-crash-folder";
inline constexpr std::string_view kJobProcessSpareFlag = "--job-process-spare";

/// Appends them to a command.
void AppendFlags(const JobProcessFlags& flags, std::vector<std::string>* command);

}  // namespace weir
