// Windows event logs. The first byte of an input says what the rest is: the records of a chunk
// whose header is made for them (small, so most of the search), or a whole file.

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "operators/formats/evtx/evtx_reader.h"
#include "simdjson.h"
#include "tests/fuzz/fuzzer.h"
#include "tests/operators/formats/evtx/evtx_writer.h"

namespace weir {
namespace {

constexpr size_t kRecordsBegin = 512;

void CheckJson(const absl::Status& status, const std::string& json) {
  if (!status.ok()) return;
  simdjson::dom::parser parser;
  if (parser.parse(json).error() == simdjson::SUCCESS) return;
  std::fprintf(stderr, "not valid JSON: %s\n", json.c_str());
  std::abort();
}

void ReadLog(const std::string& log) {
  absl::StatusOr<evtx::EvtxReader> reader = evtx::EvtxReader::FromBytes(log);
  if (!reader.ok()) return;
  std::string json;
  while (reader->Next()) {
    json.clear();
    CheckJson(reader->AppendJson(&json), json);
    json.clear();
    CheckJson(reader->AppendFlat(&json), json);
  }
  for (const evtx::EvtxDamage& damage : reader->damages()) {
    if (damage.ToString().empty()) std::abort();
  }
}

// A log whose one chunk ends with its records: zeros behind them would only cost time.
std::string LogWith(std::string_view records) {
  static const std::string header = evtx::ChunkWriter().Finish().substr(0, kRecordsBegin);
  std::string chunk = header;
  chunk += records.substr(0, evtx::ChunkWriter::kSize - kRecordsBegin);
  chunk.replace(48, 4, evtx::Little(static_cast<uint32_t>(chunk.size())));
  return evtx::LogOf({chunk});
}

std::string RecordsOf(const evtx::ChunkWriter& writer) {
  const std::string chunk = writer.Finish();
  uint32_t end = 0;
  std::memcpy(&end, chunk.data() + 48, sizeof(end));
  return chunk.substr(kRecordsBegin, end - kRecordsBegin);
}

// Values of every type, single and as arrays.
evtx::ChunkWriter AllTypes() {
  evtx::ChunkWriter chunk;
  std::vector<evtx::TypedValue> values;
  for (int type = 0; type <= 0x15; ++type) {
    values.emplace_back(static_cast<uint8_t>(type), std::string(16, '\x01'));
    values.emplace_back(static_cast<uint8_t>(type | 0x80), std::string(32, '\x01'));
  }
  chunk.Record(1, [&](evtx::XmlWriter& xml) {
    xml.Instance(
        [&](evtx::XmlWriter& t) {
          t.Open("Event").CloseStart().Open("EventData").CloseStart();
          for (size_t i = 0; i < values.size(); ++i) t.Data("n", static_cast<int>(i));
          t.End().End();
        },
        values);
  });
  return chunk;
}

evtx::ChunkWriter Nested() {
  evtx::ChunkWriter chunk;
  uint32_t offset = 0;
  chunk.Record(1, [&](evtx::XmlWriter& xml) {
    const auto outer = [](evtx::XmlWriter& t) {
      t.Open("Event", true).Attribute("xmlns").Text("x").CloseStart().Open("UserData").CloseStart();
      t.Substitute(0, 0x21).End().Open("System").CloseStart().Leaf("Channel", "C").End().End();
    };
    evtx::XmlWriter draft(xml.position());
    draft.Instance(outer, {{0x21, ""}});
    evtx::XmlWriter inner(draft.position());
    inner.Header().Open("Info").CloseStart().Leaf("User", "u").End().Eof();
    offset = xml.Instance(outer, {{0x21, inner.bytes()}});
  });
  chunk.Record(2,
               [&](evtx::XmlWriter& xml) { xml.InstanceOf(offset, {{1, evtx::Utf16("text")}}); });
  return chunk;
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  evtx::ChunkWriter plain;
  plain.Plain(1).Plain(2);
  return {"r" + RecordsOf(plain), "r" + RecordsOf(AllTypes()), "r" + RecordsOf(Nested()),
          "f" + evtx::LogOf({plain.Finish()}).substr(0, 4096 + kRecordsBegin + 1024)};
}

}  // namespace weir

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  weir::ReadLog(data[0] == 'f' ? std::string(rest) : weir::LogWith(rest));
  return 0;
}
