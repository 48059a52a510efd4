package weir.nexmark;

import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.time.format.DateTimeFormatter;
import java.util.Collections;
import java.util.Set;
import org.apache.flink.api.common.accumulators.LongCounter;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.streaming.api.functions.sink.legacy.RichSinkFunction;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.sink.DynamicTableSink;
import org.apache.flink.table.connector.sink.legacy.SinkFunctionProvider;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.factories.DynamicTableSinkFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.types.RowKind;

/**
 * 'connector' = 'results': counts the rows and drops them, as 'blackhole' drops them; the count is an accumulator of the job.
 *
 * <p>With 'path' it writes each change as a line of that folder instead: its kind (+I, -U, +U, -D), then the fields, tabs between.
 */
public final class ResultsFactory implements DynamicTableSinkFactory {
    static final String ROWS = "rows";
    private static final ConfigOption<String> PATH = ConfigOptions.key("path").stringType().noDefaultValue();

    @Override
    public String factoryIdentifier() {
        return "results";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Collections.emptySet();
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return Collections.singleton(PATH);
    }

    @Override
    public DynamicTableSink createDynamicTableSink(Context context) {
        FactoryUtil.TableFactoryHelper helper = FactoryUtil.createTableFactoryHelper(this, context);
        helper.validate();
        LogicalType[] types = context.getPhysicalRowDataType().getLogicalType().getChildren().toArray(new LogicalType[0]);
        return new Results(helper.getOptions().getOptional(PATH).orElse(null), types);
    }

    private static final class Results implements DynamicTableSink {
        private final String path;
        private final LogicalType[] types;

        Results(String path, LogicalType[] types) {
            this.path = path;
            this.types = types;
        }

        /** As 'blackhole', asks for no retractions of updates; lines want them to be folded into the final rows. */
        @Override
        public ChangelogMode getChangelogMode(ChangelogMode requested) {
            ChangelogMode.Builder accepted = ChangelogMode.newBuilder();
            for (RowKind kind : requested.getContainedKinds()) {
                if (path != null || kind != RowKind.UPDATE_BEFORE) {
                    accepted.addContainedKind(kind);
                }
            }
            return accepted.build();
        }

        @Override
        public SinkRuntimeProvider getSinkRuntimeProvider(Context context) {
            return SinkFunctionProvider.of(path == null ? new Count() : new Lines(path, types));
        }

        @Override
        public DynamicTableSink copy() {
            return new Results(path, types);
        }

        @Override
        public String asSummaryString() {
            return "results";
        }
    }

    private static final class Count extends RichSinkFunction<RowData> {
        private static final long serialVersionUID = 1L;
        private transient LongCounter rows;

        @Override
        public void open(OpenContext context) {
            rows = new LongCounter();
            getRuntimeContext().addAccumulator(ROWS, rows);
        }

        @Override
        public void invoke(RowData row, Context context) {
            rows.add(1L);
        }
    }

    private static final class Lines extends RichSinkFunction<RowData> {
        private static final long serialVersionUID = 1L;
        private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss.SSS");
        private final String folder;
        private final LogicalType[] types;
        private transient LongCounter rows;
        private transient RowData.FieldGetter[] getters;
        private transient BufferedWriter out;

        Lines(String folder, LogicalType[] types) {
            this.folder = folder;
            this.types = types;
        }

        @Override
        public void open(OpenContext context) throws IOException {
            rows = new LongCounter();
            getRuntimeContext().addAccumulator(ROWS, rows);
            getters = new RowData.FieldGetter[types.length];
            for (int i = 0; i < types.length; i++) {
                getters[i] = RowData.createFieldGetter(types[i], i);
            }
            Path file = Paths.get(folder, "part-" + getRuntimeContext().getTaskInfo().getIndexOfThisSubtask() + ".tsv");
            Files.createDirectories(file.getParent());
            out = Files.newBufferedWriter(file);
        }

        @Override
        public void invoke(RowData row, Context context) throws IOException {
            rows.add(1L);
            out.write(row.getRowKind().shortString());
            for (RowData.FieldGetter getter : getters) {
                out.write('\t');
                out.write(text(getter.getFieldOrNull(row)));
            }
            out.write('\n');
        }

        private static String text(Object value) {
            if (value == null) {
                return "\\N";
            }
            if (value instanceof TimestampData) {
                return TIME.format(((TimestampData) value).toLocalDateTime());
            }
            return value instanceof StringData ? value.toString() : String.valueOf(value);
        }

        @Override
        public void close() throws IOException {
            if (out != null) {
                out.close();
            }
        }
    }
}
