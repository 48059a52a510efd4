#include "client/commands/sigma.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>

#include "client/commands/exit_code.h"

namespace weir {

int RunSigma(char** argv) {
  std::error_code error;
  const std::string program =
      (std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / "weir-sigma")
          .string();
  execv(program.c_str(), argv + 1);
  std::fprintf(stderr, "weir: weir sigma needs the program weir-sigma beside weir: %s: %s\n",
               program.c_str(), std::strerror(errno));
  return kExitFailed;
}

}  // namespace weir
