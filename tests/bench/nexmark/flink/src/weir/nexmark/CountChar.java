package weir.nexmark;

import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.binary.BinaryStringData;
import org.apache.flink.table.functions.ScalarFunction;

/** count_char(text, character): how often an ASCII character is in a text; query 14. */
public final class CountChar extends ScalarFunction {
    private static final long serialVersionUID = 1L;

    public long eval(@DataTypeHint("STRING") StringData text, @DataTypeHint("STRING") StringData character) {
        if (text == null || character == null) {
            return 0;
        }
        BinaryStringData bytes = (BinaryStringData) text;
        byte wanted = ((BinaryStringData) character).byteAt(0);
        long count = 0;
        for (int i = 0, size = bytes.getSizeInBytes(); i < size; i++) {
            if (bytes.byteAt(i) == wanted) {
                count++;
            }
        }
        return count;
    }
}
