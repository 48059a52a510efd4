// Runs a fuzzer without libFuzzer, in every build: on files given, or on its seeds and simple
// mutations of them, always the same ones.
//
//   NAME_fuzz [--mutations N] [FILE...]

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/fuzzer.h"

namespace weir {
namespace {

void RunOne(std::string_view input) {
  // A copy of the very size, so that sanitizers see reads past its end.
  const std::vector<uint8_t> bytes(input.begin(), input.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

std::string Mutate(std::string input, std::mt19937& random) {
  const auto below = [&random](size_t limit) { return limit == 0 ? 0 : random() % limit; };
  for (size_t i = 1 + below(4); i > 0 && !input.empty(); --i) {
    const size_t at = below(input.size());
    switch (below(5)) {
      case 0:
        input[at] = static_cast<char>(random());
        break;
      case 1:
        input[at] = static_cast<char>(input[at] ^ (1 << below(8)));
        break;
      case 2:
        input.erase(at, 1 + below(8));
        break;
      case 3:
        input.insert(at, input, below(input.size()), 1 + below(16));
        break;
      default:
        input.resize(at);
    }
  }
  return input;
}

int Main(const std::vector<std::string>& arguments) {
  int mutations = 2000;
  std::vector<std::string> files;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--mutations" && i + 1 < arguments.size()) {
      mutations = std::atoi(arguments[++i].c_str());
    } else {
      files.push_back(arguments[i]);
    }
  }
  for (const std::string& file : files) {
    std::ifstream stream(file, std::ios::binary);
    if (!stream) {
      std::fprintf(stderr, "%s: cannot be read\n", file.c_str());
      return 1;
    }
    RunOne(std::string(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()));
  }
  if (!files.empty()) return 0;
  const std::vector<std::string> seeds = FuzzSeeds();
  std::mt19937 random(1);
  for (const std::string& seed : seeds) RunOne(seed);
  for (int i = 0; i < mutations; ++i) RunOne(Mutate(seeds[random() % seeds.size()], random));
  std::printf("%zu seeds and %d mutations of them\n", seeds.size(), mutations);
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  return weir::Main(std::vector<std::string>(argv + 1, argv + argc));
}
