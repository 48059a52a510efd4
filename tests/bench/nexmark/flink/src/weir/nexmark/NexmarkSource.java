package weir.nexmark;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.api.java.typeutils.ResultTypeQueryable;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.table.data.RowData;

/** The Nexmark events as a source: one split a subtask, made as fast as they are taken. A restored reader goes on where it was. */
final class NexmarkSource implements Source<RowData, NexmarkSource.Split, List<NexmarkSource.Split>>, ResultTypeQueryable<RowData> {
    private static final long serialVersionUID = 1L;

    private final long events;
    private final double rate;
    private final long baseTimeMs;
    private final TypeInformation<RowData> type;

    NexmarkSource(long events, double rate, long baseTimeMs, TypeInformation<RowData> type) {
        this.events = events;
        this.rate = rate;
        this.baseTimeMs = baseTimeMs;
        this.type = type;
    }

    @Override
    public Boundedness getBoundedness() {
        return Boundedness.CONTINUOUS_UNBOUNDED;
    }

    @Override
    public SplitEnumerator<Split, List<Split>> createEnumerator(SplitEnumeratorContext<Split> context) {
        List<Split> splits = new ArrayList<>();
        GeneratorOptions[] parts = GeneratorOptions.split(events, rate, baseTimeMs, context.currentParallelism());
        for (int i = 0; i < parts.length; i++) {
            splits.add(new Split(i, parts[i], 0));
        }
        return new Enumerator(context, splits);
    }

    @Override
    public SplitEnumerator<Split, List<Split>> restoreEnumerator(SplitEnumeratorContext<Split> context, List<Split> splits) {
        return new Enumerator(context, splits);
    }

    @Override
    public SourceReader<RowData, Split> createReader(SourceReaderContext context) {
        return new Reader();
    }

    @Override
    public SimpleVersionedSerializer<Split> getSplitSerializer() {
        return new SplitSerializer();
    }

    @Override
    public SimpleVersionedSerializer<List<Split>> getEnumeratorCheckpointSerializer() {
        return new SplitListSerializer();
    }

    @Override
    public TypeInformation<RowData> getProducedType() {
        return type;
    }

    /** What one generator has left to make. */
    static final class Split implements SourceSplit {
        final int index;
        final GeneratorOptions options;
        final long made;

        Split(int index, GeneratorOptions options, long made) {
            this.index = index;
            this.options = options;
            this.made = made;
        }

        @Override
        public String splitId() {
            return Integer.toString(index);
        }
    }

    private static final class Enumerator implements SplitEnumerator<Split, List<Split>> {
        private final SplitEnumeratorContext<Split> context;
        private final List<Split> unassigned;

        Enumerator(SplitEnumeratorContext<Split> context, List<Split> splits) {
            this.context = context;
            this.unassigned = new ArrayList<>(splits);
        }

        @Override
        public void start() {}

        @Override
        public void addReader(int subtask) {
            if (!unassigned.isEmpty()) {
                context.assignSplit(unassigned.remove(0), subtask);
            }
            context.signalNoMoreSplits(subtask);
        }

        @Override
        public void handleSplitRequest(int subtask, String host) {}

        @Override
        public void addSplitsBack(List<Split> splits, int subtask) {
            unassigned.addAll(splits);
        }

        @Override
        public List<Split> snapshotState(long checkpoint) {
            return new ArrayList<>(unassigned);
        }

        @Override
        public void close() {}
    }

    private static final class Reader implements SourceReader<RowData, Split> {
        private final CompletableFuture<Void> assigned = new CompletableFuture<>();
        private Split split;
        private EventGenerator generator;

        @Override
        public void start() {}

        @Override
        public InputStatus pollNext(ReaderOutput<RowData> output) {
            if (generator == null) {
                return assigned.isDone() ? InputStatus.END_OF_INPUT : InputStatus.NOTHING_AVAILABLE;
            }
            if (!generator.hasNext()) {
                return InputStatus.END_OF_INPUT;
            }
            output.collect(generator.next());
            return InputStatus.MORE_AVAILABLE;
        }

        @Override
        public CompletableFuture<Void> isAvailable() {
            return assigned;
        }

        @Override
        public void addSplits(List<Split> splits) {
            if (generator != null || splits.size() != 1) {
                throw new IllegalStateException("a reader takes one split");
            }
            split = splits.get(0);
            generator = new EventGenerator(split.options, split.made);
            assigned.complete(null);
        }

        @Override
        public void notifyNoMoreSplits() {
            assigned.complete(null);
        }

        @Override
        public List<Split> snapshotState(long checkpoint) {
            if (generator == null) {
                return Collections.emptyList();
            }
            return Collections.singletonList(new Split(split.index, split.options, generator.made()));
        }

        @Override
        public void close() {}
    }

    private static void write(DataOutputStream out, Split split) throws IOException {
        out.writeInt(split.index);
        out.writeLong(split.options.firstId);
        out.writeLong(split.options.count);
        out.writeLong(split.options.baseTimeMs);
        out.writeDouble(split.options.delayUs);
        out.writeLong(split.made);
    }

    private static Split read(DataInputStream in) throws IOException {
        int index = in.readInt();
        GeneratorOptions options = new GeneratorOptions(in.readLong(), in.readLong(), in.readLong(), in.readDouble());
        return new Split(index, options, in.readLong());
    }

    private static final class SplitSerializer implements SimpleVersionedSerializer<Split> {
        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(Split split) throws IOException {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            write(new DataOutputStream(bytes), split);
            return bytes.toByteArray();
        }

        @Override
        public Split deserialize(int version, byte[] bytes) throws IOException {
            return read(new DataInputStream(new ByteArrayInputStream(bytes)));
        }
    }

    private static final class SplitListSerializer implements SimpleVersionedSerializer<List<Split>> {
        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(List<Split> splits) throws IOException {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            DataOutputStream out = new DataOutputStream(bytes);
            out.writeInt(splits.size());
            for (Split split : splits) {
                write(out, split);
            }
            return bytes.toByteArray();
        }

        @Override
        public List<Split> deserialize(int version, byte[] bytes) throws IOException {
            DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes));
            int size = in.readInt();
            List<Split> splits = new ArrayList<>(size);
            for (int i = 0; i < size; i++) {
                splits.add(read(in));
            }
            return splits;
        }
    }
}
