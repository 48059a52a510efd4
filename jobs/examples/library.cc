#include "jobs/examples/distinct_destinations.h"
#include "jobs/examples/kafka_copy.h"
#include "jobs/examples/kafka_keyed_count.h"
#include "jobs/examples/word_count.h"
#include "operators/api/job.h"

namespace weir::examples {

WEIR_JOB("word_count", "Counts the words of text files: --input FILE|DIR --out DIR",
         BuildWordCount);

WEIR_JOB("distinct_destinations",
         "Finds sources with many destinations per window: --input FILE|DIR --out DIR --window 60s "
         "--threshold 10",
         BuildDistinctDestinations);

WEIR_JOB("kafka_keyed_count",
         "Counts the records of a Kafka topic by key: --brokers HOST:PORT --topic NAME --out DIR",
         BuildKafkaKeyedCount);

WEIR_JOB("kafka_copy",
         "Copies Kafka topics to another, exactly once: --brokers HOST:PORT --topic NAME --to NAME",
         BuildKafkaCopy);

}  // namespace weir::examples
