#include "jobs/sigma/parser/event_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::sigma {
namespace {

EventValue Read(std::string_view json) {
  EventReader reader;
  absl::StatusOr<EventValue> value = reader.Read(json);
  EXPECT_TRUE(value.ok()) << json << ": " << value.status();
  return value.ok() ? *std::move(value) : EventValue();
}

std::string Json(const EventValue& value) {
  std::string json;
  AppendJson(value, &json);
  return json;
}

TEST(EventValueTest, WritesWhatItRead) {
  for (const char* json :
       {R"({})", R"([])", R"(null)", R"("text")", R"(-0)", R"(4624.0)", R"(1e400)", R"(true)",
        R"({"a":1,"b":[1,"x",null,false,{"c":{}}],"big":123456789012345678901234567890})"}) {
    EXPECT_EQ(Json(Read(json)), json);
  }
  EXPECT_EQ(Json(Read(" { \"a\" :\t[ 1 , \"\\u00e9\\n\" ] } \r\n")), "{\"a\":[1,\"é\\n\"]}");
}

TEST(EventValueTest, RefusesWhatIsNoJson) {
  EventReader reader;
  for (const char* text : {"", " ", "{", "[1,]", "{\"a\":01}", "{\"a\":1} x", "nul", "1 2", "1,2",
                           "{\"a\":+1}", "\"a", "{\"a\":truth}", "{'a':1}", "[1],[2]"}) {
    const auto value = reader.Read(text);
    EXPECT_EQ(value.status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_EQ(Json(*reader.Read("{\"a\":1}")), "{\"a\":1}");
}

TEST(EventValueTest, RefusesWhatNestsTooDeep) {
  EventReader reader;
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(reader.Read(nested(EventReader::kMaxDepth)).ok());
  EXPECT_FALSE(reader.Read(nested(EventReader::kMaxDepth + 2)).ok());
  EXPECT_FALSE(reader.Read(nested(100'000)).ok());
}

TEST(EventValueTest, OfMembersWithOneNameTheFirstPlaceAndTheLastValueCount) {
  EXPECT_EQ(Json(Read(R"({"a":1,"b":2,"a":3,"c":4,"a":5})")), R"({"a":5,"b":2,"c":4})");
  std::string many = "{";
  std::string expected = "{";
  for (int i = 0; i < 100; ++i) {
    many += "\"k" + std::to_string(i) + "\":1,";
    expected +=
        (i == 0 ? "" : ",") + std::string("\"k") + std::to_string(i) + "\":" + (i == 7 ? "2" : "1");
  }
  EXPECT_EQ(Json(Read(many + "\"k7\":2}")), expected + "}");
}

TEST(EventValueTest, FindsFieldsByNameWithDotsFirst) {
  const EventValue event = Read(R"({"a":{"b":{"c":1},"x":2},"a.b":{"c":3},"a.b.c":4})");
  EXPECT_EQ(FindField(event, "a.b.c")->text, "4");
  EXPECT_EQ(Json(*FindField(event, "a.b")), R"({"c":3})");
  EXPECT_EQ(FindField(event, "a.x")->text, "2");
  EXPECT_EQ(FindField(event, "a.y"), nullptr);
  EXPECT_EQ(FindField(event, "a.x.y"), nullptr);
  EXPECT_EQ(FindField(event, "A"), nullptr);
}

TEST(EventValueTest, SetsFieldsThroughObjects) {
  EventValue event = Read(R"({"a.b":1,"c":5,"d":{"e":1}})");
  SetField(&event, "a.b", EventValue::String("new"));
  SetField(&event, "c.x.y", EventValue::Bool(true));
  SetField(&event, "d.f", EventValue());
  SetField(&event, "d.e", EventValue::Number("2"));
  EXPECT_EQ(Json(event), R"({"c":{"x":{"y":true}},"d":{"e":2,"f":null},"a":{"b":"new"}})");
}

TEST(EventValueTest, RemovesFieldsByNameWithDotsFirst) {
  EventValue event = Read(R"({"a":{"b":1,"c":2},"a.b":3})");
  EXPECT_TRUE(RemoveField(&event, "a.b"));
  EXPECT_EQ(Json(event), R"({"a":{"b":1,"c":2}})");
  EXPECT_TRUE(RemoveField(&event, "a.b"));
  EXPECT_EQ(Json(event), R"({"a":{"c":2}})");
  EXPECT_FALSE(RemoveField(&event, "a.b"));
  EXPECT_FALSE(RemoveField(&event, "a.c.d"));
  EXPECT_FALSE(RemoveField(&event, "x.y"));
}

}  // namespace
}  // namespace weir::sigma
