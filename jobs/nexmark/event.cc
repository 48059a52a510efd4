#include "jobs/nexmark/event.h"

#include <string_view>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "jobs/nexmark/row_json.h"
#include "runtime/base/json_writer.h"

namespace weir::nexmark {

void AppendTimestamp(EventTime time, std::string* out) {
  const absl::Time instant = time.ToTime();
  const absl::CivilSecond civil = absl::ToCivilSecond(instant, absl::UTCTimeZone());
  const int64_t millis =
      absl::ToInt64Milliseconds(instant - absl::FromCivil(civil, absl::UTCTimeZone()));
  absl::StrAppendFormat(out, "%04d-%02d-%02d %02d:%02d:%02d.%03d", civil.year(), civil.month(),
                        civil.day(), civil.hour(), civil.minute(), civil.second(), millis);
}

void AppendJson(const Event& event, std::string* out) {
  const auto value = [out](const auto* part, std::string_view name) {
    out->append(",\"").append(name).append("\":");
    if (part == nullptr) {
      out->append("null");
    } else {
      AppendRowJson(*part, out);
    }
  };
  const char type = event.person() != nullptr ? '0' : event.auction() != nullptr ? '1' : '2';
  out->append("{\"event_type\":").push_back(type);
  value(event.person(), "person");
  value(event.auction(), "auction");
  value(event.bid(), "bid");
  out->push_back('}');
}

}  // namespace weir::nexmark

namespace weir {
namespace {
using EventParts = std::variant<nexmark::Bid, nexmark::Person, nexmark::Auction>;
}  // namespace

void Serde<nexmark::Event>::Write(ByteWriter& writer, const nexmark::Event& value) {
  if (const nexmark::Bid* bid = value.bid()) {
    writer.WriteFixed(uint8_t{0});
    Serde<nexmark::Bid>::Write(writer, *bid);
  } else if (const nexmark::Person* person = value.person()) {
    writer.WriteFixed(uint8_t{1});
    Serde<nexmark::Person>::Write(writer, *person);
  } else {
    writer.WriteFixed(uint8_t{2});
    Serde<nexmark::Auction>::Write(writer, *value.auction());
  }
}

bool Serde<nexmark::Event>::Read(ByteReader& reader, nexmark::Event& value) {
  EventParts parts;
  if (!Serde<EventParts>::Read(reader, parts)) return false;
  std::visit([&](auto& part) { value = nexmark::Event(std::move(part)); }, parts);
  return true;
}

Schema Serde<nexmark::Event>::GetSchema() { return Serde<EventParts>::GetSchema(); }

}  // namespace weir
