#include "jobs/examples/distinct_destinations.h"
#include "jobs/examples/guessed_passwords.h"
#include "jobs/examples/host_owners.h"
#include "jobs/examples/hot_rules.h"
#include "jobs/examples/kafka_copy.h"
#include "jobs/examples/kafka_keyed_count.h"
#include "jobs/examples/late_logins.h"
#include "jobs/examples/login_joins.h"
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

WEIR_JOB("late_logins", "Windows and late data over generated logins: --out DIR", BuildLateLogins);

WEIR_JOB("login_joins", "An interval and a temporal join of generated logins: --out DIR",
         BuildLoginJoins);

WEIR_JOB("guessed_passwords", "CEP over generated logins: --out DIR", BuildGuessedPasswords);

WEIR_JOB("host_owners", "Asynchronous look-ups for generated logins: --out DIR", BuildHostOwners);

WEIR_JOB("hot_rules",
         "Generated logins by rules that change while it runs: --rules FILE --rate R --out DIR",
         BuildHotRules);

}  // namespace weir::examples
