package weir.nexmark;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.flink.api.common.JobExecutionResult;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.Schema;
import org.apache.flink.table.api.Table;
import org.apache.flink.table.api.TableDescriptor;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.TableResult;

/**
 * Submits SQL queries to a running Flink cluster, one after another: the client's process, whose CPU time does not count.
 *
 * <p>Reads lines of "name=value" words, tabs between, from standard input: query, events, rate, base-time, side-input, output (a
 * folder; "-" to count rows only). Names with a dot are settings of the table environment. Answers each with one line of
 * JSON: the job's id as soon as there is one, then its rows and run time, or what went wrong.
 */
public final class QueryDriver {
    private QueryDriver() {}

    /** Arguments: REST host, REST port, folder of the query files. */
    public static void main(String[] arguments) throws IOException {
        Path queries = Paths.get(arguments[2]);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            try {
                run(arguments[0], Integer.parseInt(arguments[1]), queries, words(line));
            } catch (Exception error) {
                error.printStackTrace();
                answer("{\"error\": \"" + String.valueOf(error).replaceAll("[\\\\\"\\p{Cntrl}]", " ") + "\"}");
            }
        }
    }

    private static void answer(String json) {
        System.out.println(json);
        System.out.flush();
    }

    private static Map<String, String> words(String line) {
        Map<String, String> words = new HashMap<>();
        for (String word : line.split("\t")) {
            int equals = word.indexOf('=');
            words.put(word.substring(0, equals), word.substring(equals + 1));
        }
        return words;
    }

    private static void run(String host, int port, Path queries, Map<String, String> words) throws Exception {
        Configuration configuration = new Configuration();
        configuration.setString("execution.target", "remote");
        configuration.setString("rest.address", host);
        configuration.setString("rest.port", Integer.toString(port));
        configuration.setString("table.local-time-zone", "UTC");
        configuration.setString("pipeline.name", words.get("query"));
        words.forEach((name, value) -> {
            if (name.contains(".")) {
                configuration.setString(name, value);
            }
        });
        TableEnvironment tables = TableEnvironment.create(
                EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(configuration).build());
        for (String statement : statements(queries.resolve("tables.sql"), words)) {
            tables.executeSql(statement);
        }
        String[] statements = statements(queries.resolve(words.get("query") + ".sql"), words);
        for (int i = 0; i + 1 < statements.length; i++) {
            tables.executeSql(statements[i]);
        }
        TableResult result = execute(tables, statements[statements.length - 1], words.get("output"));
        JobClient client = result.getJobClient().orElseThrow();
        answer("{\"job\": \"" + client.getJobID() + "\"}");
        JobExecutionResult done = client.getJobExecutionResult().get();
        Object rows = done.getAllAccumulatorResults().get(ResultsFactory.ROWS);
        answer("{\"rows\": " + rows + ", \"milliseconds\": " + done.getNetRuntime(TimeUnit.MILLISECONDS) + "}");
    }

    /** The query's rows go to the sink that counts them, or writes them to a folder. */
    private static TableResult execute(TableEnvironment tables, String statement, String output) {
        Table query = tables.sqlQuery(statement);
        TableDescriptor.Builder sink = TableDescriptor.forConnector("results")
                .schema(Schema.newBuilder().fromResolvedSchema(query.getResolvedSchema()).build());
        if (!output.equals("-")) {
            sink.option("path", output);
        }
        tables.createTemporaryTable("results", sink.build());
        return query.insertInto("results").execute();
    }

    private static String[] statements(Path file, Map<String, String> words) throws IOException {
        String text = Files.readString(file).replaceAll("(?m)^--.*$", "");
        for (Map.Entry<String, String> word : words.entrySet()) {
            text = text.replace("${" + word.getKey() + "}", word.getValue());
        }
        String[] statements = text.split(";\\s*(\n|$)");
        for (int i = 0; i < statements.length; i++) {
            statements[i] = statements[i].trim();
        }
        return statements;
    }
}
