#include "runtime/base/json_writer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

namespace weir {
namespace {

std::string Escaped(std::string_view text) {
  std::string out;
  AppendJsonString(&out, text);
  return out;
}

TEST(JsonWriterTest, PutsCommasBetweenAndNowhereElse) {
  std::string out;
  JsonWriter json(&out);
  json.BeginObject();
  json.Key("a").Int(1);
  json.Key("b").BeginArray().Int(1).BeginArray().EndArray().BeginObject().EndObject().EndArray();
  json.Key("c").BeginObject().Key("d").Null().EndObject();
  json.Key("e").Bool(true);
  json.EndObject();
  EXPECT_EQ(out, R"({"a":1,"b":[1,[],{}],"c":{"d":null},"e":true})");
}

TEST(JsonWriterTest, WritesManyLinesWithOneWriter) {
  std::string out;
  JsonWriter json(&out);
  for (int i = 0; i < 2; ++i) json.BeginObject().Key("i").Int(i).EndObject().EndLine();
  EXPECT_EQ(out, "{\"i\":0}\n{\"i\":1}\n");
}

TEST(JsonWriterTest, AppendsToWhatTheStringHolds) {
  std::string out = "prefix ";
  JsonWriter(&out).Raw("[1,2]");
  EXPECT_EQ(out, "prefix [1,2]");
}

TEST(JsonWriterTest, WritesIntegersExactly) {
  std::string out;
  JsonWriter json(&out);
  json.BeginArray();
  json.Int(std::numeric_limits<int64_t>::min()).Int(std::numeric_limits<int64_t>::max());
  json.Uint(std::numeric_limits<uint64_t>::max());
  json.EndArray();
  EXPECT_EQ(out, "[-9223372036854775808,9223372036854775807,18446744073709551615]");
}

TEST(JsonWriterTest, WritesDoublesThatReadBackAndStayDoubles) {
  std::string out;
  JsonWriter json(&out);
  json.BeginArray().Double(0.1).Double(1).Double(-0.0).Double(1e300).Double(5e-324).EndArray();
  EXPECT_EQ(out, "[0.1,1.0,-0.0,1e+300,5e-324]");
}

TEST(JsonWriterTest, WritesNullForNumbersThatJsonDoesNotHave) {
  std::string out;
  JsonWriter json(&out);
  json.BeginArray();
  json.Double(std::numeric_limits<double>::quiet_NaN());
  json.Double(std::numeric_limits<double>::infinity());
  json.Double(-std::numeric_limits<double>::infinity());
  json.EndArray();
  EXPECT_EQ(out, "[null,null,null]");
}

TEST(JsonWriterTest, EscapesQuotesBackslashesAndControlCharacters) {
  EXPECT_EQ(Escaped("a\"b\\c/"), R"("a\"b\\c/")");
  EXPECT_EQ(Escaped("\b\f\n\r\t"), R"("\b\f\n\r\t")");
  EXPECT_EQ(Escaped(std::string_view("\0\x01\x1f\x7f", 4)), "\"\\u0000\\u0001\\u001f\x7f\"");
  EXPECT_EQ(Escaped("1234567\"9"), R"("1234567\"9")");
}

TEST(JsonWriterTest, EscapesKeysToo) {
  std::string out;
  JsonWriter(&out).BeginObject().Key("a\n").Int(1).EndObject();
  EXPECT_EQ(out, R"({"a\n":1})");
}

TEST(JsonWriterTest, KeepsValidUtf8) {
  const std::string text = "\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80 \xED\x9F\xBF \xF4\x8F\xBF\xBF";
  EXPECT_EQ(Escaped(text), "\"" + text + "\"");
}

TEST(JsonWriterTest, ReplacesEachInvalidPartOnce) {
  const std::string mark = "\xEF\xBF\xBD";
  EXPECT_EQ(Escaped("a\xFFz"), "\"a" + mark + "z\"");
  EXPECT_EQ(Escaped("\x80"), "\"" + mark + "\"");
  EXPECT_EQ(Escaped("\xC0\xAF"), "\"" + mark + mark + "\"");             // Too long a form.
  EXPECT_EQ(Escaped("\xED\xA0\x80"), "\"" + mark + mark + mark + "\"");  // A surrogate.
  EXPECT_EQ(Escaped("\xF4\x90\x80\x80"),
            "\"" + mark + mark + mark + mark + "\"");          // Above U+10FFFF.
  EXPECT_EQ(Escaped("\xE2\x82"), "\"" + mark + "\"");          // Cut off at the end.
  EXPECT_EQ(Escaped("\xE2\x82\"x"), "\"" + mark + "\\\"x\"");  // Cut off by a quote.
}

}  // namespace
}  // namespace weir
