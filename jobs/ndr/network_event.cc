#include "jobs/ndr/network_event.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <vector>

#include "jobs/ndr/event_time_text.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "simdjson.h"

namespace weir::ndr {
namespace {

namespace ondemand = simdjson::ondemand;

// Instants beyond the year 9999 are errors, not event times.
constexpr int64_t kMaxMillis = 253'402'300'799'999;

absl::Status WrongField(std::string_view field, std::string_view accepted) {
  return absl::InvalidArgumentError(StrCat("the event's ", field, " is not ", accepted));
}

std::optional<int64_t> ParseInteger(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<EventTime> TimeFromNumber(ondemand::value value) {
  ondemand::number number;
  if (value.get_number().get(number) != simdjson::SUCCESS) return std::nullopt;
  if (number.is_int64()) {
    const int64_t millis = number.get_int64();
    if (millis < 0 || millis > kMaxMillis) return std::nullopt;
    return EventTime::FromMillis(millis);
  }
  if (!number.is_double()) return std::nullopt;
  const double millis = number.get_double() * 1000;
  if (!(millis >= 0) || millis > static_cast<double>(kMaxMillis)) return std::nullopt;
  return EventTime::FromMillis(std::llround(millis));
}

absl::Status ReadTime(std::string_view field, ondemand::value value,
                      std::optional<EventTime>* time) {
  ondemand::json_type type{};
  if (value.type().get(type) != simdjson::SUCCESS)
    return absl::OkStatus();  // Reported by the walk.
  if (type == ondemand::json_type::string) {
    std::string_view text;
    if (value.get_string().get(text) == simdjson::SUCCESS) *time = ParseEventTime(text);
  } else if (type == ondemand::json_type::number) {
    *time = TimeFromNumber(value);
  }
  if (time->has_value()) return absl::OkStatus();
  return WrongField(field, "a time: ISO 8601, or milliseconds since the epoch");
}

absl::Status ReadAddress(std::string_view field, ondemand::value value, std::string* address) {
  std::string_view text;
  if (value.get_string().get(text) != simdjson::SUCCESS) return WrongField(field, "a text");
  address->assign(text);
  return absl::OkStatus();
}

absl::Status ReadPort(ondemand::value value, int32_t* port) {
  ondemand::json_type type{};
  if (value.type().get(type) != simdjson::SUCCESS) return absl::OkStatus();
  std::optional<int64_t> number;
  if (type == ondemand::json_type::string) {
    std::string_view text;
    if (value.get_string().get(text) == simdjson::SUCCESS) number = ParseInteger(text);
  } else if (int64_t found = 0; value.get_int64().get(found) == simdjson::SUCCESS) {
    number = found;
  }
  if (!number.has_value() || *number < 0 || *number > 65'535) {
    return WrongField("dest_port", "a number from 0 to 65535");
  }
  *port = static_cast<int32_t>(*number);
  return absl::OkStatus();
}

}  // namespace

class NetworkEventParser::Impl {
 public:
  absl::Status Parse(std::string_view json, NetworkEvent* event) {
    *event = NetworkEvent();
    event_time_.reset();
    ts_.reset();
    RETURN_IF_ERROR(Walk(json, [&](std::string_view key, ondemand::value value) {
      return ReadField(key, value, event);
    }));
    RETURN_IF_ERROR(TakeTime(event));
    if (event->src_ip.empty()) return absl::InvalidArgumentError("the event has no src_ip");
    return absl::OkStatus();
  }

  EventTime ParseTime(std::string_view json) {
    event_time_.reset();
    ts_.reset();
    const absl::Status walked = Walk(json, [&](std::string_view key, ondemand::value value) {
      if (key == "event_time") return ReadTime(key, value, &event_time_);
      if (key == "ts") return ReadTime(key, value, &ts_);
      return absl::OkStatus();
    });
    NetworkEvent event;
    return walked.ok() && TakeTime(&event).ok() ? event.time : EventTime::Min();
  }

 private:
  absl::Status ReadField(std::string_view key, ondemand::value value, NetworkEvent* event) {
    if (key == "event_time") return ReadTime(key, value, &event_time_);
    if (key == "ts") return ReadTime(key, value, &ts_);
    if (key == "src_ip") return ReadAddress(key, value, &event->src_ip);
    if (key == "dest_ip" || key == "dest_port") {
      bool is_null = false;
      if (simdjson::simdjson_result<bool>(value.is_null()).get(is_null) == simdjson::SUCCESS &&
          is_null) {
        return absl::OkStatus();
      }
      return key == "dest_ip" ? ReadAddress(key, value, &event->dest_ip)
                              : ReadPort(value, &event->dest_port);
    }
    return absl::OkStatus();
  }

  absl::Status TakeTime(NetworkEvent* event) const {
    if (!event_time_.has_value() && !ts_.has_value()) {
      return absl::InvalidArgumentError("the event has no event_time (or ts)");
    }
    event->time = event_time_.has_value() ? *event_time_ : *ts_;
    return absl::OkStatus();
  }

  /// Calls visit(key, value) for each field of the object that `json` must be.
  template <class Visit>
  absl::Status Walk(std::string_view json, Visit visit) {
    const simdjson::padded_string_view padded = Pad(json);
    ondemand::document document;
    simdjson::error_code error = parser_.iterate(padded).get(document);
    ondemand::json_type type{};
    if (error == simdjson::SUCCESS) error = document.type().get(type);
    if (error == simdjson::SUCCESS && type != ondemand::json_type::object) {
      return absl::InvalidArgumentError("the event is not a JSON object");
    }
    ondemand::object object;
    if (error == simdjson::SUCCESS) error = document.get_object().get(object);
    if (error == simdjson::SUCCESS) {
      for (auto field : object) {
        std::string_view key;
        if (error = field.unescaped_key().get(key); error != simdjson::SUCCESS) break;
        RETURN_IF_ERROR(visit(key, ondemand::value(field.value())));
      }
    }
    if (error == simdjson::SUCCESS &&
        document.current_location().error() != simdjson::OUT_OF_BOUNDS) {
      error = simdjson::TAPE_ERROR;  // Something follows the object.
    }
    if (error == simdjson::SUCCESS) return absl::OkStatus();
    return absl::InvalidArgumentError(
        StrCat("the event is not valid JSON: ", std::string_view(simdjson::error_message(error))));
  }

  simdjson::padded_string_view Pad(std::string_view json) {
    if (json.size() + simdjson::SIMDJSON_PADDING > buffer_.size()) {
      buffer_.resize(json.size() * 2 + simdjson::SIMDJSON_PADDING);
    }
    std::memcpy(buffer_.data(), json.data(), json.size());
    std::memset(buffer_.data() + json.size(), 0, simdjson::SIMDJSON_PADDING);
    return simdjson::padded_string_view(buffer_.data(), json.size(), buffer_.size());
  }

  ondemand::parser parser_;
  std::vector<char> buffer_;
  std::optional<EventTime> event_time_;
  std::optional<EventTime> ts_;
};

NetworkEventParser::NetworkEventParser() : impl_(std::make_unique<Impl>()) {}
NetworkEventParser::~NetworkEventParser() = default;
NetworkEventParser::NetworkEventParser(const NetworkEventParser&) : NetworkEventParser() {}
NetworkEventParser& NetworkEventParser::operator=(const NetworkEventParser&) { return *this; }

absl::Status NetworkEventParser::Parse(std::string_view json, NetworkEvent* event) {
  return impl_->Parse(json, event);
}

EventTime NetworkEventParser::ParseTime(std::string_view json) { return impl_->ParseTime(json); }

}  // namespace weir::ndr
