package weir.nexmark;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import org.apache.flink.table.data.RowData;

/** Makes events in a plain loop, without an engine: what the generator costs by itself. Prints one JSON line, in CPU seconds. */
public final class BareGenerator {
    private BareGenerator() {}

    /** Arguments: events, rate. The first half warms up; the second is measured. */
    public static void main(String[] arguments) {
        long events = Long.parseLong(arguments[0]);
        double rate = Double.parseDouble(arguments[1]);
        long seen = make(events, rate);
        ThreadMXBean threads = ManagementFactory.getThreadMXBean();
        long begin = threads.getCurrentThreadCpuTime();
        seen += make(events, rate);
        double seconds = (threads.getCurrentThreadCpuTime() - begin) / 1e9;
        System.out.printf("{\"events\": %d, \"seconds\": %.4f, \"seen\": %d}%n", events, seconds, seen);
    }

    private static long make(long events, double rate) {
        EventGenerator generator = new EventGenerator(GeneratorOptions.split(events, rate, 0, 1)[0], 0);
        // Rows that are kept for a moment are really made.
        RowData[] rows = new RowData[1024];
        long seen = 0;
        for (int i = 0; generator.hasNext(); i = (i + 1) % rows.length) {
            rows[i] = generator.next();
            seen += rows[i].getInt(0);
        }
        return seen;
    }
}
