#include "jobs/correlation/detection.h"

#include <gtest/gtest.h>

namespace weir::correlation {
namespace {

const Detection kDetection = {
    "LM-001:10.0.0.5:1500",       "LATERAL_MOVEMENT",         "10.0.0.5", "CRITICAL", "HIGH", 3,
    EventTime::FromMillis(1'500), R"([{"signal_type":"A"}])", "T1021"};

TEST(DetectionTest, IsOneJsonObjectWithItsSignalsAsAnArray) {
  std::string line;
  AppendDetectionJson(kDetection, &line);
  EXPECT_EQ(line,
            R"({"detection_id":"LM-001:10.0.0.5:1500","detection_type":"LATERAL_MOVEMENT",)"
            R"("src_ip":"10.0.0.5","severity":"CRITICAL","confidence":"HIGH","signal_count":3,)"
            R"("timestamp":"1970-01-01T00:00:01.5Z","signals":[{"signal_type":"A"}],)"
            R"("technique":"T1021"})");
}

TEST(DetectionTest, HasAValueForEachColumnOfItsTable) {
  const SqliteSinkOptions table = DetectionTable("x.db");
  std::vector<SqliteValue> row;
  BindDetection(kDetection, &row);
  ASSERT_EQ(row.size(), table.columns.size());
  EXPECT_EQ(table.columns.front(), table.key_column);
  EXPECT_EQ(row.front(), SqliteValue("LM-001:10.0.0.5:1500"));
  EXPECT_EQ(row[5], SqliteValue(int64_t{3}));
}

}  // namespace
}  // namespace weir::correlation
