#include "jobmanager/rest/multipart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "runtime/base/strings.h"

namespace weir {
namespace {

struct Part {
  std::string name = {};
  std::string file_name = {};
  std::string data = {};
  bool complete = false;

  bool operator==(const Part&) const = default;
};

class CollectingSink : public MultipartSink {
 public:
  absl::Status OnPartBegin(const MultipartHeader& header) override {
    parts.push_back({.name = header.name, .file_name = header.file_name});
    return absl::OkStatus();
  }
  absl::Status OnPartData(std::string_view bytes) override {
    parts.back().data.append(bytes);
    return absl::OkStatus();
  }
  absl::Status OnPartEnd() override {
    parts.back().complete = true;
    return absl::OkStatus();
  }

  std::vector<Part> parts;
};

std::string Form(const std::string& boundary, const std::vector<Part>& parts) {
  std::string form;
  for (const Part& part : parts) {
    const std::string file =
        part.file_name.empty() ? "" : StrCat("; filename=\"", part.file_name, "\"");
    StrAppend(&form, "--", boundary, "\r\nContent-Disposition: form-data; name=\"", part.name, "\"",
              file, "\r\nContent-Type: application/octet-stream\r\n\r\n", part.data, "\r\n");
  }
  return StrCat(form, "--", boundary, "--\r\n");
}

absl::Status Parse(const std::string& boundary, std::string_view form, CollectingSink* sink) {
  MultipartParser parser(boundary, sink);
  if (absl::Status status = parser.Consume(form); !status.ok()) return status;
  return parser.Finish();
}

TEST(MultipartTest, ReadsBoundaryFromContentType) {
  EXPECT_EQ(*MultipartBoundary("multipart/form-data; boundary=abc"), "abc");
  EXPECT_EQ(*MultipartBoundary("Multipart/Form-Data;charset=utf-8; Boundary=\"a b\""), "a b");
  EXPECT_FALSE(MultipartBoundary("application/json").ok());
  EXPECT_FALSE(MultipartBoundary("multipart/form-data").ok());
  EXPECT_FALSE(MultipartBoundary("multipart/form-data; boundary=").ok());
}

TEST(MultipartTest, TakesPartsApart) {
  CollectingSink sink;
  const std::vector<Part> parts = {{"field", "", "value", true},
                                   {"jarfile", "a.so", "line\r\n--not the boundary\r\n", true}};
  EXPECT_TRUE(Parse("xyz", Form("xyz", parts), &sink).ok());
  EXPECT_EQ(sink.parts, parts);
}

TEST(MultipartTest, IgnoresPreambleAndEpilogue) {
  CollectingSink sink;
  const std::vector<Part> parts = {{"f", "a", "data", true}};
  EXPECT_TRUE(Parse("b", StrCat("hello\r\n", Form("b", parts), "\r\n--b\r\ngarbage"), &sink).ok());
  EXPECT_EQ(sink.parts, parts);
}

TEST(MultipartTest, KeepsDataThatOnlyBeginsLikeTheBoundary) {
  CollectingSink sink;
  const std::vector<Part> parts = {{"f", "a", "x\r\n--bc\r\n--b-\r\n--b  y\r\n\r\n--", true}};
  EXPECT_TRUE(Parse("b", Form("b", parts), &sink).ok());
  EXPECT_EQ(sink.parts, parts);
}

TEST(MultipartTest, ReportsMissingEnd) {
  CollectingSink sink;
  EXPECT_EQ(
      Parse("b", "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\ndata", &sink).code(),
      absl::StatusCode::kInvalidArgument);
}

TEST(MultipartTest, RefusesEndlessHeaders) {
  CollectingSink sink;
  EXPECT_EQ(Parse("b", StrCat("--b\r\nX: ", std::string(100'000, 'x')), &sink).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Parse("b", StrCat("--b", std::string(100'000, ' ')), &sink).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(MultipartTest, UnderstandsQuotedFileNames) {
  CollectingSink sink;
  const std::string form =
      "--b\r\ncontent-disposition: form-data; filename=\"a;\\\"b\\\".so\"; "
      "name=plain\r\n\r\n\r\n--b--";
  EXPECT_TRUE(Parse("b", form, &sink).ok());
  EXPECT_EQ(sink.parts, (std::vector<Part>{{"plain", "a;\"b\".so", "", true}}));
}

/// Data made of pieces of boundaries, so that many near misses occur.
std::string HostileData(const std::string& boundary, std::mt19937_64* random) {
  const std::vector<std::string> pieces = {"\r",
                                           "\n",
                                           "\r\n",
                                           "-",
                                           "--",
                                           "\r\n-",
                                           "\r\n--",
                                           " ",
                                           "x",
                                           StrCat("\r\n--", boundary, "x"),
                                           boundary.substr(0, boundary.size() / 2),
                                           std::string("\0\xff", 2)};
  std::string data;
  const size_t num_pieces = (*random)() % 40;
  for (size_t i = 0; i < num_pieces; ++i) data += pieces[(*random)() % pieces.size()];
  // The one thing that data may not hold.
  const std::string delimiter = StrCat("\r\n--", boundary);
  std::string safe = StrCat("\r\n", data, "\r\n");
  for (size_t at = safe.find(delimiter); at != std::string::npos;
       at = safe.find(delimiter, at + 1)) {
    safe.insert(at + delimiter.size(), "x");
  }
  return safe;
}

TEST(MultipartTest, DoesNotCareHowTheBodyIsSplit) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(StrCat("seed=", seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 2000; ++round) {
    const std::string boundary = round % 2 == 0 ? "b" : "----WebKitFormBoundary7MA4YWxk";
    std::vector<Part> parts;
    const size_t num_parts = random() % 4;
    for (size_t i = 0; i < num_parts; ++i) {
      parts.push_back(
          {StrCat("f", i), random() % 2 == 0 ? "" : "n", HostileData(boundary, &random), true});
    }
    const std::string form = Form(boundary, parts);
    CollectingSink sink;
    MultipartParser parser(boundary, &sink);
    for (size_t at = 0; at < form.size();) {
      const size_t size = 1 + random() % (round % 3 == 0 ? 3 : 50);
      ASSERT_TRUE(parser.Consume(std::string_view(form).substr(at, size)).ok());
      at += size;
    }
    ASSERT_TRUE(parser.Finish().ok());
    ASSERT_EQ(sink.parts, parts);
  }
}

TEST(MultipartTest, SurvivesRandomBytes) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(StrCat("seed=", seed));
  std::mt19937_64 random(seed);
  const std::string form = Form("b", {{"f", "n", "data", true}, {"g", "", "more", true}});
  for (int round = 0; round < 5000; ++round) {
    std::string broken = form;
    for (size_t i = random() % 5; i > 0; --i)
      broken[random() % broken.size()] = static_cast<char>(random());
    broken.resize(random() % (broken.size() + 1));
    CollectingSink sink;
    (void)Parse("b", broken, &sink);
  }
}

}  // namespace
}  // namespace weir
