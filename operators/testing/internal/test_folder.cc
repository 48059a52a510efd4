#include "operators/testing/internal/test_folder.h"

#include <unistd.h>

#include <filesystem>

#include "runtime/base/ids.h"
#include "runtime/base/strings.h"

namespace weir::internal {

TestFolder::TestFolder()
    : path_((std::filesystem::temp_directory_path() /
             StrCat("weir-test-", ::getpid(), "-", ToString(RandomId<JobId>())))
                .string()) {}

TestFolder::~TestFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace weir::internal
