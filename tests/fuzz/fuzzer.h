#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace weir {

/// Returns inputs to begin with: good ones, so that mutations reach deep. Each fuzzer defines it.
[[nodiscard]] std::vector<std::string> FuzzSeeds();

}  // namespace weir

/// Feeds one input to the code under test; each fuzzer defines it. Whatever the bytes, it must
/// return 0 and may abort only to report a bug.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
