#include <gtest/gtest.h>
#include <simdjson.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <random>
#include <string>

#include "runtime/base/json_writer.h"

namespace weir {
namespace {

// Set WEIR_TEST_SEED to replay a failure.
uint64_t TestSeed() {
  const char* const text = std::getenv("WEIR_TEST_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : std::random_device{}();
}

void AppendUtf8(std::string* out, uint32_t code_point) {
  const auto put = [out](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | code_point >> 6);
    put(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    put(0xE0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  } else {
    put(0xF0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3F));
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  }
}

std::string RandomUtf8(std::mt19937_64* random) {
  const uint32_t limits[] = {0x20, 0x80, 0x800, 0x10000, 0x110000};
  std::string text;
  const size_t length = (*random)() % 40;
  for (size_t i = 0; i < length; ++i) {
    uint32_t code_point = static_cast<uint32_t>((*random)() % limits[(*random)() % 5]);
    if (code_point >= 0xD800 && code_point < 0xE000) code_point = '"';  // No surrogates.
    AppendUtf8(&text, code_point);
  }
  return text;
}

std::string RandomBytes(std::mt19937_64* random) {
  std::string text((*random)() % 40, '\0');
  for (char& c : text) c = static_cast<char>((*random)());
  return text;
}

class JsonWriterPropertyTest : public ::testing::Test {
 protected:
  JsonWriterPropertyTest() : seed_(TestSeed()), random_(seed_) {
    std::printf("WEIR_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed_));
  }

  // Parses `json` with another library.
  simdjson::dom::element Parse(const std::string& json) {
    simdjson::dom::element element;
    const auto error = parser_.parse(json).get(element);
    EXPECT_EQ(error, simdjson::SUCCESS) << "seed=" << seed_ << " json=" << json;
    return element;
  }

  const uint64_t seed_;
  std::mt19937_64 random_;
  simdjson::dom::parser parser_;
};

TEST_F(JsonWriterPropertyTest, EveryTextReadsBackAsItself) {
  for (int i = 0; i < 5000; ++i) {
    const std::string text = RandomUtf8(&random_);
    std::string json;
    JsonWriter(&json).BeginObject().Key(text).String(text).EndObject();
    const simdjson::dom::object object = Parse(json).get_object().value();
    EXPECT_EQ((*object.begin()).key, text) << "seed=" << seed_;
    EXPECT_EQ((*object.begin()).value.get_string().value(), text) << "seed=" << seed_;
  }
}

TEST_F(JsonWriterPropertyTest, EveryByteStringBecomesValidJson) {
  for (int i = 0; i < 5000; ++i) {
    std::string json;
    JsonWriter(&json).BeginArray().String(RandomBytes(&random_)).EndArray();
    EXPECT_TRUE(simdjson::validate_utf8(json)) << "seed=" << seed_;
    Parse(json);
  }
}

TEST_F(JsonWriterPropertyTest, EveryNumberReadsBackAsItself) {
  for (int i = 0; i < 5000; ++i) {
    const uint64_t bits = random_();
    const double number = std::bit_cast<double>(bits);
    std::string json;
    JsonWriter writer(&json);
    writer.BeginArray().Int(static_cast<int64_t>(bits)).Double(number).Uint(bits).EndArray();
    const simdjson::dom::array array = Parse(json).get_array().value();
    EXPECT_EQ(array.at(0).get_int64().value(), static_cast<int64_t>(bits));
    if (std::isfinite(number)) {
      EXPECT_EQ(std::bit_cast<uint64_t>(array.at(1).get_double().value()), bits)
          << "seed=" << seed_;
    } else {
      EXPECT_TRUE(array.at(1).is_null());
    }
    EXPECT_EQ(array.at(2).get_uint64().value(), bits);
  }
}

}  // namespace
}  // namespace weir
