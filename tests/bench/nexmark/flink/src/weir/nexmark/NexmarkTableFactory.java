package weir.nexmark;

import java.util.Collections;
import java.util.HashSet;
import java.util.Set;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.connector.source.ScanTableSource;
import org.apache.flink.table.connector.source.SourceProvider;
import org.apache.flink.table.factories.DynamicTableSourceFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.types.DataType;

/** 'connector' = 'nexmark-weir': the events, 'events' of them, 'rate' a second of event time from 'base-time' (ms) on. */
public final class NexmarkTableFactory implements DynamicTableSourceFactory {
    private static final ConfigOption<Long> EVENTS = ConfigOptions.key("events").longType().noDefaultValue();
    private static final ConfigOption<Double> RATE = ConfigOptions.key("rate").doubleType().noDefaultValue();
    private static final ConfigOption<Long> BASE_TIME = ConfigOptions.key("base-time").longType().noDefaultValue();

    @Override
    public String factoryIdentifier() {
        return "nexmark-weir";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        Set<ConfigOption<?>> options = new HashSet<>();
        options.add(EVENTS);
        options.add(RATE);
        options.add(BASE_TIME);
        return options;
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return Collections.emptySet();
    }

    @Override
    public DynamicTableSource createDynamicTableSource(Context context) {
        FactoryUtil.TableFactoryHelper helper = FactoryUtil.createTableFactoryHelper(this, context);
        helper.validate();
        return new Events(helper.getOptions().get(EVENTS), helper.getOptions().get(RATE),
                helper.getOptions().get(BASE_TIME), context.getPhysicalRowDataType());
    }

    private static final class Events implements ScanTableSource {
        private final long events;
        private final double rate;
        private final long baseTimeMs;
        private final DataType type;

        Events(long events, double rate, long baseTimeMs, DataType type) {
            this.events = events;
            this.rate = rate;
            this.baseTimeMs = baseTimeMs;
            this.type = type;
        }

        @Override
        public ChangelogMode getChangelogMode() {
            return ChangelogMode.insertOnly();
        }

        @Override
        public ScanRuntimeProvider getScanRuntimeProvider(ScanContext context) {
            return SourceProvider.of(new NexmarkSource(events, rate, baseTimeMs, context.createTypeInformation(type)));
        }

        @Override
        public DynamicTableSource copy() {
            return new Events(events, rate, baseTimeMs, type);
        }

        @Override
        public String asSummaryString() {
            return "Nexmark events";
        }
    }
}
