#include "jobmanager/job_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "runtime/base/weir_options.h"

namespace weir {
namespace {

CheckpointConfig ConfigOf(const std::map<std::string, std::string>& request) {
  const absl::StatusOr<Configuration> settings =
      MakeJobSettings(Configuration(WeirOptions()), {}, request);
  EXPECT_TRUE(settings.ok()) << settings.status();
  return CheckpointConfigOf(*settings, "/checkpoints");
}

TEST(JobSettingsTest, CheckpointsAreAlignedAndExactlyOnceUnlessSaidOtherwise) {
  const CheckpointConfig config = ConfigOf({});
  EXPECT_TRUE(config.exactly_once);
  EXPECT_FALSE(config.unaligned);
  EXPECT_EQ(config.aligned_checkpoint_timeout, absl::ZeroDuration());
}

TEST(JobSettingsTest, ShowsTheCheckpointModeThatHolds) {
  const CheckpointConfig unaligned =
      ConfigOf({{"execution.checkpointing.unaligned.enabled", "true"},
                {"execution.checkpointing.aligned-checkpoint-timeout", "30 s"}});
  EXPECT_TRUE(unaligned.unaligned);
  EXPECT_EQ(unaligned.aligned_checkpoint_timeout, absl::Seconds(30));
  const CheckpointConfig at_least_once =
      ConfigOf({{"execution.checkpointing.mode", "AT_LEAST_ONCE"},
                {"execution.checkpointing.unaligned.enabled", "true"}});
  EXPECT_FALSE(at_least_once.exactly_once);
  EXPECT_FALSE(at_least_once.unaligned) << "there is nothing to overtake";
}

TEST(JobSettingsTest, TheFolderOfCheckpointsIsTheClusters) {
  Configuration cluster{WeirOptions()};
  cluster.Set(kCheckpointingDir, "/cluster/checkpoints");
  const auto check = [&](const std::string& folder) {
    const auto settings = MakeJobSettings(cluster, {}, {{"execution.checkpointing.dir", folder}});
    return settings.ok() ? CheckCheckpointDir(*settings, cluster) : settings.status();
  };
  EXPECT_TRUE(check("/cluster/checkpoints").ok());
  const absl::Status other = check("/other");
  EXPECT_EQ(other.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(other.ToString(), testing::AllOf(testing::HasSubstr("value=/other"),
                                               testing::HasSubstr("cluster=/cluster/checkpoints")));
}

TEST(JobSettingsTest, RefusesAnUnknownCheckpointMode) {
  const absl::StatusOr<Configuration> settings = MakeJobSettings(
      Configuration(WeirOptions()), {}, {{"execution.checkpointing.mode", "TWICE"}});
  EXPECT_EQ(settings.status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace weir
