#pragma once

namespace weir {

/// How many seeds a property test tries: `seeds`, or a third of them, but at least one, in builds
/// without optimisation and with sanitizers, where each takes many times as long.
constexpr unsigned NumSeeds(unsigned seeds) {
#ifdef NDEBUG
  return seeds;
#else
  return seeds < 3 ? 1 : seeds / 3;
#endif
}

}  // namespace weir
