// Measures the reader of Windows event logs: reads files a few times and prints one JSON line a
// round with bytes and records per CPU-second. With --print it prints the records instead, in the
// shape of EVTX dumps, to be compared with what other readers say.
//
//   evtx_bench [--print|--print-flat] FILE... [ROUNDS]

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "operators/formats/evtx/evtx_reader.h"
#include "tests/bench/cpu_seconds.h"

namespace weir::evtx {
namespace {

struct Totals {
  uint64_t records = 0;
  uint64_t bytes = 0;
  uint64_t damages = 0;
  uint64_t json_bytes = 0;
};

bool ReadFile(const std::string& path, bool flat, bool print, Totals* totals) {
  absl::StatusOr<EvtxReader> reader = EvtxReader::Open(path);
  if (!reader.ok()) {
    std::fprintf(stderr, "%s: %s\n", path.c_str(), std::string(reader.status().message()).c_str());
    return false;
  }
  std::string json;
  while (reader->Next()) {
    json.clear();
    if (!(flat ? reader->AppendFlat(&json) : reader->AppendJson(&json)).ok()) continue;
    ++totals->records;
    totals->json_bytes += json.size();
    if (print) std::printf("%s\n", json.c_str());
  }
  totals->bytes += reader->bytes_read();
  totals->damages += reader->damages().size();
  if (print) {
    for (const EvtxDamage& damage : reader->damages()) {
      std::fprintf(stderr, "%s: %s\n", path.c_str(), damage.ToString().c_str());
    }
  }
  return true;
}

int Run(std::vector<std::string> arguments) {
  bool print = false;
  bool flat = false;
  int rounds = 3;
  std::vector<std::string> files;
  for (const std::string& argument : arguments) {
    if (argument.starts_with("--print")) {
      print = true;
      flat = argument == "--print-flat";
    } else if (argument.find_first_not_of("0123456789") == std::string::npos) {
      rounds = std::atoi(argument.c_str());
    } else {
      files.push_back(argument);
    }
  }
  for (int round = 0; round < (print ? 1 : rounds); ++round) {
    Totals totals;
    const double begin = CpuSeconds();
    for (const std::string& file : files) {
      if (!ReadFile(file, flat || !print, print, &totals)) return 1;
    }
    const double seconds = CpuSeconds() - begin;
    if (print) break;
    std::printf(
        "{\"files\":%zu,\"records\":%llu,\"damages\":%llu,\"mb\":%.1f,\"mb_per_cpu_s\":%.0f,"
        "\"records_per_cpu_s\":%.0f}\n",
        files.size(), static_cast<unsigned long long>(totals.records),
        static_cast<unsigned long long>(totals.damages), static_cast<double>(totals.bytes) / 1e6,
        static_cast<double>(totals.bytes) / 1e6 / seconds,
        static_cast<double>(totals.records) / seconds);
  }
  return 0;
}

}  // namespace
}  // namespace weir::evtx

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s [--print|--print-flat] FILE... [ROUNDS]\n", argv[0]);
    return 2;
  }
  return weir::evtx::Run(std::vector<std::string>(argv + 1, argv + argc));
}
