// Compares the fields of our answers with those of answers recorded from a real Flink.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "jobmanager/rest/http_server.h"
#include "jobmanager/rest/rest_api.h"
#include "runtime/base/strings.h"
#include "tests/jobmanager/rest/fake_dispatcher.h"
#include "tests/jobmanager/rest/raw_connection.h"

namespace weir {
namespace {

using Json = nlohmann::json;
/// Field paths, each with the types that its values had.
using Shape = std::map<std::string, std::set<std::string>>;

constexpr const char* kRecordedAnswers = "../shared/contracts/flink-rest/responses.json";

bool IsId(const std::string& key) {
  return key.size() == 32 && key.find_first_not_of("0123456789abcdef") == std::string::npos;
}

void AddShape(const Json& json, const std::string& path, Shape* shape) {
  (*shape)[path].insert(json.is_number() ? "number" : json.type_name());
  if (json.is_array()) {
    for (const Json& element : json) AddShape(element, path + "[]", shape);
  } else if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      AddShape(value, StrCat(path, ".", IsId(key) ? std::string(":id") : key), shape);
    }
  }
}

Shape ShapeOf(const Json& json) {
  Shape shape;
  AddShape(json, "$", &shape);
  return shape;
}

bool SameTypes(const std::string& path, const std::set<std::string>& ours,
               const std::set<std::string>& theirs) {
  // Percentiles are numbers, or the text "NaN".
  const std::string field = path.substr(path.rfind('.') + 1);
  if (field.starts_with("p9") || field == "p50") return true;
  return ours == theirs;
}

/// Paths of Flink that we do not answer yet, by what they need.
const std::map<std::string, std::string>& DeliberatelyMissing() {
  static const auto* const kMissing = new std::map<std::string, std::string>{
      {"/datasets", "batch only"},
      {"/jobmanager/environment", "web UI"},
      {"/jobmanager/logs", "web UI"},
      {"/jobmanager/profiler", "web UI"},
      {"/jobs/:jobid/jobmanager/log-url", "web UI"},
      {"/taskmanagers/:taskmanagerid/logs", "web UI"},
      {"/taskmanagers/:taskmanagerid/thread-dump", "web UI"},
      {"/jobs/:jobid/vertices/:vertexid/flamegraph", "web UI"},
  };
  return *kMissing;
}

class RestShapesTest : public testing::Test {
 protected:
  RestShapesTest() {
    RestApiOptions options;
    options.clock = FakeDispatcher::Now;
    server_ = *HttpServer::Start({}, MakeRestRouter(&dispatcher_, options));
  }

  RawAnswer Get(std::string target) {
    const auto replace = [&](const std::string& word, const std::string& value) {
      if (const size_t at = target.find(word); at != std::string::npos) {
        target.replace(at, word.size(), value);
      }
    };
    replace(":jobid", ToString(FakeDispatcher::KnownJob()));
    replace(":vertexid", ToString(FakeDispatcher::Sink()));
    replace(":checkpointid", "2");
    replace(":taskmanagerid", "127.0.0.1:39319-6b3827");
    RawConnection client(server_->port());
    client.Send(StrCat("GET ", target, " HTTP/1.1\r\nHost: x\r\n\r\n"));
    return client.Receive();
  }

  FakeDispatcher dispatcher_;
  std::unique_ptr<HttpServer> server_;
};

void ExpectSameShape(const std::string& target, const Json& ours, const Json& theirs) {
  const Shape our_shape = ShapeOf(ours);
  for (const auto& [path, types] : ShapeOf(theirs)) {
    // The recording happened to have no entries in some lists and maps, and a user configuration of
    // its own.
    const auto mine = our_shape.find(path);
    if (mine == our_shape.end()) {
      ADD_FAILURE() << target << " lacks " << path;
      continue;
    }
    EXPECT_TRUE(SameTypes(path, mine->second, types))
        << target << " " << path << ": " << testing::PrintToString(mine->second) << " not "
        << testing::PrintToString(types);
  }
  const Shape their_shape = ShapeOf(theirs);
  for (const auto& [path, types] : our_shape) {
    const size_t element =
        path.rfind("[]");  // The recording happened to have no entries in some lists.
    const bool list_was_empty =
        element != std::string::npos && !their_shape.contains(path.substr(0, element + 2));
    EXPECT_TRUE(list_was_empty || their_shape.contains(path))
        << target << " has too much: " << path;
  }
}

TEST_F(RestShapesTest, HaveTheFieldsOfRecordedAnswers) {
  std::ifstream file(kRecordedAnswers);
  if (!file) {
    std::cerr << "SKIPPED: no recorded answers at " << kRecordedAnswers << "\n";
    GTEST_SKIP() << "no recorded answers at " << kRecordedAnswers;
  }
  const Json recorded = Json::parse(file);
  int num_compared = 0;
  int num_missing = 0;
  for (const auto& [name, answer] : recorded.items()) {
    std::string target = name.substr(std::string("GET ").size());
    target = target.substr(0, target.find(' '));  // A remark may follow.
    const RawAnswer ours = Get(target);
    if (DeliberatelyMissing().contains(target.substr(0, target.find('?')))) {
      // 400: a word stands where another path has an id.
      EXPECT_THAT(ours.status, testing::AnyOf(404, 400))
          << target << " is answered now: take it off the list";
      ++num_missing;
      continue;
    }
    EXPECT_EQ(ours.status, answer["status"]) << target << " " << ours.body;
    if (ours.status == answer["status"]) {
      ExpectSameShape(target, Json::parse(ours.body), answer["body"]);
    }
    ++num_compared;
  }
  std::cout << num_compared << " answers compared, " << num_missing << " deliberately missing\n";
  EXPECT_GT(num_compared, 20);
}

}  // namespace
}  // namespace weir
