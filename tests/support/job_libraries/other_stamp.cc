// A library of another build; it would say so if any of its code ran.

#include <cstdio>
#include <cstdlib>

namespace {
struct Loud {
  Loud() {
    std::fprintf(stderr, "code of a library with another stamp ran\n");
    std::abort();
  }
} loud;
}  // namespace

extern "C" {
[[gnu::visibility("default")]] extern const char weir_abi_stamp[];
const char weir_abi_stamp[] = "weir=0.0.1 headers=of-another-time";
[[gnu::visibility("default"), gnu::used]] const void* weir_job_library() { return nullptr; }
}
