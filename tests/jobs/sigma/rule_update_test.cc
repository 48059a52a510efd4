#include "jobs/sigma/rule_update.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::sigma {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using Kind = RuleUpdate::Kind;

KafkaRecord Record(std::string key, std::string value) {
  KafkaRecord record;
  record.topic = "rules";
  record.offset = 7;
  record.has_key = !key.empty();
  record.key = std::move(key);
  record.value = std::move(value);
  return record;
}

KafkaRecord Tombstone(std::string key) {
  KafkaRecord record = Record(std::move(key), "");
  record.is_tombstone = true;
  return record;
}

constexpr const char* kRule =
    R"({"job_id":"j1","case":{"id":"r1","name":"Named by the case"},)"
    R"("sigma":{"text":"title: t\n","level":"high"},)"
    R"("tags":{"technique":[{"id":"T1490","name":"Inhibit System Recovery"},{"id":"T1059.003"}]}})";

TEST(RuleUpdateTest, ReadsARule) {
  const auto update = ReadControlMessage(Record("j1:r1", kRule), "j1");
  ASSERT_TRUE(update.has_value());
  EXPECT_EQ(update->kind, Kind::kSet);
  EXPECT_EQ(update->key, "r1");
  EXPECT_EQ(update->rule.source, "j1:r1");
  EXPECT_EQ(update->rule.id, "r1");
  EXPECT_EQ(update->rule.title, "Named by the case");
  EXPECT_EQ(update->rule.level, "high");
  EXPECT_EQ(update->rule.text, "title: t\n");
  ASSERT_TRUE(update->rule.techniques.has_value());
  ASSERT_THAT(*update->rule.techniques, SizeIs(2));
  EXPECT_EQ((*update->rule.techniques)[0].id, "T1490");
  EXPECT_EQ((*update->rule.techniques)[0].name, "Inhibit System Recovery");
  EXPECT_EQ((*update->rule.techniques)[1].name, std::nullopt);
}

TEST(RuleUpdateTest, LeavesOutWhatTheTextKnows) {
  const auto update = ReadControlMessage(
      Record("j1:r1", R"({"type":"rule","job_id":"j1","case":{"id":"r1"},"sigma":{"text":"t"}})"),
      "j1");
  ASSERT_TRUE(update.has_value());
  EXPECT_EQ(update->kind, Kind::kSet);
  EXPECT_EQ(update->rule.title, std::nullopt);
  EXPECT_EQ(update->rule.level, std::nullopt);
  EXPECT_FALSE(update->rule.techniques.has_value());
}

TEST(RuleUpdateTest, IgnoresMessagesOfOtherJobs) {
  EXPECT_FALSE(ReadControlMessage(Record("j1:r1", kRule), "j2").has_value());
  EXPECT_FALSE(ReadControlMessage(Record("", R"({"case":{"id":"r"},"sigma":{"text":"t"}})"), "j1")
                   .has_value());
  EXPECT_FALSE(ReadControlMessage(Record("j2:r1", "{broken"), "j1").has_value());
  EXPECT_FALSE(ReadControlMessage(Tombstone("j2:r1"), "j1").has_value());
  EXPECT_FALSE(ReadControlMessage(Tombstone("j11:r1"), "j1").has_value());
}

TEST(RuleUpdateTest, TakesARuleWithoutTextForADeletion) {
  for (const char* sigma : {R"("sigma":{"text":""})", R"("sigma":{})", R"("sigma":null)",
                            R"("sigma":{"text":null})", R"("other":1)"}) {
    const auto update = ReadControlMessage(
        Record("j1:r1", std::string(R"({"job_id":"j1","case":{"id":"r1"},)") + sigma + "}"), "j1");
    ASSERT_TRUE(update.has_value()) << sigma;
    EXPECT_EQ(update->kind, Kind::kDelete) << sigma;
    EXPECT_EQ(update->key, "r1");
  }
}

TEST(RuleUpdateTest, TakesATombstoneOfARuleForADeletion) {
  const auto update = ReadControlMessage(Tombstone("j1:r:1"), "j1");
  ASSERT_TRUE(update.has_value());
  EXPECT_EQ(update->kind, Kind::kDelete);
  EXPECT_EQ(update->key, "r:1");
  EXPECT_FALSE(ReadControlMessage(Tombstone("j1:parser"), "j1").has_value());
  EXPECT_FALSE(ReadControlMessage(Tombstone("j1:custom_fields"), "j1").has_value());
  EXPECT_FALSE(ReadControlMessage(Tombstone("j1:prefilter:f"), "j1").has_value());
  EXPECT_FALSE(ReadControlMessage(Tombstone(""), "j1").has_value());
}

TEST(RuleUpdateTest, MalformedTagsEmptyTheListOfTechniquesOnly) {
  for (const char* tags : {"5", "[]", R"({"technique":"T1"})", R"({"technique":["T1"]})"}) {
    const auto update = ReadControlMessage(
        Record("j1:r1", std::string(R"({"job_id":"j1","case":{"id":"r1"},"sigma":{"text":"t"},)") +
                            R"("tags":)" + tags + "}"),
        "j1");
    ASSERT_TRUE(update.has_value()) << tags;
    EXPECT_EQ(update->kind, Kind::kSet) << tags;
    ASSERT_TRUE(update->rule.techniques.has_value()) << tags;
    EXPECT_THAT(*update->rule.techniques, SizeIs(0)) << tags;
  }
}

TEST(RuleUpdateTest, ReportsWhatItCannotUse) {
  const auto reason_of = [](const KafkaRecord& record) {
    const auto update = ReadControlMessage(record, "j1");
    return update.has_value() && update->kind == Kind::kProblem
               ? update->problem.rule_id + "|" + update->problem.source + "|" +
                     update->problem.reason
               : "";
  };
  EXPECT_THAT(reason_of(Record("j1:r1", "{broken")), HasSubstr("r1|j1:r1|the message is not"));
  EXPECT_THAT(reason_of(Record("", "[]")), HasSubstr("|rules/0/7|the message is not"));
  EXPECT_THAT(reason_of(Record("k", R"({"job_id":"j1","sigma":{"text":"t"}})")),
              HasSubstr("case.id"));
  EXPECT_THAT(reason_of(Record("k", R"({"job_id":"j1","case":{"id":5}})")), HasSubstr("case.id"));
  EXPECT_THAT(reason_of(Record("k", R"({"job_id":"j1","type":"filter","filter_id":"f"})")),
              HasSubstr("filter"));
  EXPECT_THAT(reason_of(Record("k", R"({"job_id":"j1","type":"rulez"})")), HasSubstr("type=rulez"));
  EXPECT_THAT(reason_of(Record("k", R"({"job_id":"j1","case":{"id":"r"},"sigma":{"text":["t"]}})")),
              HasSubstr("sigma.text"));
  EXPECT_EQ(reason_of(Record("k", R"({"job_id":"j1","type":"parser","deleted":true})")), "");
}

}  // namespace
}  // namespace weir::sigma
