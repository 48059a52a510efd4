// The parser language: its text, both forms of its config, and what parsers do to events. The input
// is a parser, a zero byte, and an event.

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/sigma/parser/event_parser.h"
#include "tests/fuzz/fuzzer.h"

namespace weir {
namespace {

using sigma::EventParser;
using sigma::EventReader;
using sigma::EventValue;
using sigma::ParserConfig;

std::string Json(const EventValue& value) {
  std::string json;
  AppendJson(value, &json);
  return json;
}

/// What was written must be read again as the same.
ParserConfig ReadBack(const ParserConfig& config, EventReader& reader) {
  std::string json;
  AppendParserConfig(config, &json);
  const absl::StatusOr<EventValue> value = reader.Read(json);
  if (!value.ok()) std::abort();
  absl::StatusOr<ParserConfig> again = sigma::ReadParserConfig(*value);
  if (!again.ok() || !(*again == config)) std::abort();
  return *std::move(again);
}

absl::StatusOr<ParserConfig> ReadParser(std::string_view text, EventReader& reader) {
  const absl::StatusOr<EventValue> json = reader.Read(text);
  if (json.ok() && json->is_object()) return sigma::ReadParserConfig(*json);
  return sigma::ParseParserText(text);
}

void RunParser(const ParserConfig& config, std::string_view event_text, EventReader& reader) {
  const absl::StatusOr<EventParser> parser = EventParser::Create(config);
  absl::StatusOr<EventValue> event = reader.Read(event_text);
  if (!parser.ok() || !event.ok() || !event->is_object()) return;
  if (parser->Parse(&*event, reader).ok() && !event->is_object()) std::abort();
  const absl::StatusOr<EventValue> again = reader.Read(Json(*event));
  // Steps may nest values deeper than the reader takes.
  if (again.ok() && Json(*again) != Json(*event)) std::abort();
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  const std::string zero(1, '\0');
  return {
      R"(parse_json(field="message") | extract(field="w.d"))" + zero +
          R"({"message":"{\"w\":{\"d\":{\"Image\":\"a\"}}}"})",
      R"re(regex(pattern="(?P<user>\w+)@(?P<host>[a-z.]+)$", field="m", in_place=true) # x)re" +
          zero + R"({"m":"bob@example.org"})",
      R"(rename(from="a.b", to="c.d")|set(field="n", value=-1.5e3)|drop(fields="x, y"))" + zero +
          R"({"a":{"b":[1,null,"x"]},"x":{},"y":true})",
      R"({"steps":["drop",{"function":"set","args":{"field":"a","value":{"b":1}}}],"args":{"drop":{"fields":["a"]}}})" +
          zero + R"({"a":123456789012345678901234567890})",
      R"(parse_win_event_log(field="m"))" + zero +
          R"({"m":"time\nEventCode=4624\nNew Logon:\n\tAccount Name:\t\tbob\n\nA=b\nc"})"};
}

}  // namespace weir

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // What patterns of any size cost is bounded by the pattern's author, not by us.
  if (size > 2000) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t zero = input.find('\0');
  weir::EventReader reader;
  const auto config = weir::ReadParser(input.substr(0, zero), reader);
  if (!config.ok()) return 0;
  weir::RunParser(weir::ReadBack(*config, reader),
                  zero == std::string_view::npos ? "{}" : input.substr(zero + 1), reader);
  return 0;
}
