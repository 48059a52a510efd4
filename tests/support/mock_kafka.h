#pragma once

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <initializer_list>
#include <string>

#include "runtime/base/check.h"

namespace weir {

/// librdkafka's Kafka cluster in the test's process: one broker that keeps records in memory and
/// answers as it is told. It knows no isolation: records of aborted transactions can be read.
class MockKafka {
 public:
  // Numbers of the protocol's requests.
  enum Request : int16_t {
    kProduce = 0,
    kFindCoordinator = 10,
    kInitProducerId = 22,
    kAddPartitionsToTxn = 24,
    kAddOffsetsToTxn = 25,
    kEndTxn = 26,
    kTxnOffsetCommit = 28,
  };

  MockKafka() {
    char reason[512];
    client_ = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), reason, sizeof(reason));
    CHECK(client_ != nullptr) << reason;
    cluster_ = rd_kafka_mock_cluster_new(client_, 1);
    CHECK(cluster_ != nullptr);
  }
  ~MockKafka() {
    rd_kafka_mock_cluster_destroy(cluster_);
    rd_kafka_destroy(client_);
  }
  MockKafka(const MockKafka&) = delete;
  MockKafka& operator=(const MockKafka&) = delete;

  [[nodiscard]] std::string brokers() const { return rd_kafka_mock_cluster_bootstraps(cluster_); }
  void CreateTopic(const std::string& topic, int partitions) {
    CHECK(rd_kafka_mock_topic_create(cluster_, topic.c_str(), partitions, 1) ==
          RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  /// The next requests of this kind fail so, one after another.
  void FailNext(Request request, std::initializer_list<rd_kafka_resp_err_t> errors) {
    rd_kafka_mock_push_request_errors_array(cluster_, request, errors.size(), errors.begin());
  }
  void SetDown() { rd_kafka_mock_broker_set_down(cluster_, 1); }
  void SetUp() { rd_kafka_mock_broker_set_up(cluster_, 1); }

 private:
  rd_kafka_t* client_ = nullptr;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
};

}  // namespace weir
