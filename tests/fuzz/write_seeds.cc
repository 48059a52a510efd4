// Linked into fuzzers that libFuzzer drives: with WEIR_FUZZ_SEEDS=FOLDER they write their seeds
// there and end.

#include <cstdlib>
#include <fstream>
#include <string>

#include "tests/fuzz/fuzzer.h"

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  const char* const folder = std::getenv("WEIR_FUZZ_SEEDS");
  if (folder == nullptr) return 0;
  int number = 0;
  for (const std::string& seed : weir::FuzzSeeds()) {
    std::ofstream(std::string(folder) + "/seed" + std::to_string(number++), std::ios::binary)
        << seed;
  }
  std::exit(0);
}
