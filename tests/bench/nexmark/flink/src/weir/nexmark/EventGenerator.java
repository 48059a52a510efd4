package weir.nexmark;

import java.nio.charset.StandardCharsets;
import org.apache.flink.core.memory.MemorySegment;
import org.apache.flink.core.memory.MemorySegmentFactory;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.data.binary.BinaryStringData;

/**
 * Makes the events of one generator, in order, as rows of the table `events`.
 *
 * <p>The same events as weir's generator (jobs/nexmark/generator.h) makes with its defaults, to the byte: both follow the public
 * benchmark and draw the same numbers. An event depends on its id alone, so a generator goes on at any position. Texts are made as
 * UTF-8 at once: what most of them cost here is an object that points to letters made before.
 *
 * <p>Not for several threads.
 */
final class EventGenerator {
    private static final int PERSONS = 1;
    private static final int AUCTIONS = 3;
    private static final int TOTAL = 50;
    private static final long FIRST_PERSON = 1000;
    private static final long FIRST_AUCTION = 1000;
    private static final long FIRST_CATEGORY = 10;
    private static final int NUM_CATEGORIES = 5;
    private static final int LEAD = 10;
    private static final int ACTIVE_PEOPLE = 1000;
    private static final int IN_FLIGHT_AUCTIONS = 100;
    private static final int HOT_BATCH = 100;
    private static final int HOT_SELLERS_RATIO = 4;
    private static final int HOT_AUCTIONS_RATIO = 2;
    private static final int HOT_BIDDERS_RATIO = 4;
    private static final int NUM_CHANNELS = 10_000;
    private static final int PERSON_BYTES = 200;
    private static final int AUCTION_BYTES = 500;
    private static final int BID_BYTES = 100;
    private static final long SEED = 1;

    private static final StringData[] STATES = strings("AZ", "CA", "ID", "OR", "WA", "WY");
    private static final StringData[] CITIES = strings(
            "Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne");
    private static final String[] FIRST_NAMES = {
        "Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"};
    private static final String[] LAST_NAMES = {
        "Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"};
    private static final StringData[] NAMES = names();

    private static final StringData[] HOT_CHANNELS = strings("Google", "Facebook", "Baidu", "Apple");
    private static final StringData[] HOT_URLS = new StringData[HOT_CHANNELS.length];
    private static final StringData[] CHANNELS = new StringData[NUM_CHANNELS];
    private static final StringData[] URLS = new StringData[NUM_CHANNELS];
    /** Random letters; every long text points into them. */
    private static final MemorySegment[] LETTERS = {MemorySegmentFactory.wrap(new byte[1 << 20])};

    static {
        Draw draw = new Draw();
        draw.start(0, 0);
        for (int i = 0; i < LETTERS[0].size(); i++) {
            LETTERS[0].put(i, (byte) ('a' + draw.below(26)));
        }
        for (int i = 0; i < HOT_URLS.length; i++) {
            HOT_URLS[i] = string(baseUrl(draw));
        }
        for (int i = 0; i < NUM_CHANNELS; i++) {
            String url = baseUrl(draw);
            if (draw.below(10) > 0) {
                url += "&channel_id=" + Math.abs((long) Integer.reverse(i));
            }
            CHANNELS[i] = string("channel-" + i);
            URLS[i] = string(url);
        }
    }

    private final GeneratorOptions options;
    private final Draw draw = new Draw();
    private final byte[] text = new byte[128];
    private long made;

    /** Continues after the first `made` events. */
    EventGenerator(GeneratorOptions options, long made) {
        this.options = options;
        this.made = made;
    }

    boolean hasNext() {
        return made < options.count;
    }

    /** How many events have been made, those before the position it was started at included. */
    long made() {
        return made;
    }

    /** Returns the next event as a row (event_type, person, auction, bid), of which one is set. */
    RowData next() {
        made++;
        long id = options.firstId + made;
        long timeMs = options.timeOf(made);
        draw.start(SEED, id);
        int place = (int) (id % TOTAL);
        GenericRowData row = new GenericRowData(4);
        if (place < PERSONS) {
            row.setField(0, 0);
            row.setField(1, person(id, timeMs));
        } else if (place < PERSONS + AUCTIONS) {
            row.setField(0, 1);
            row.setField(2, auction(id, timeMs));
        } else {
            row.setField(0, 2);
            row.setField(3, bid(id, timeMs));
        }
        return row;
    }

    private RowData person(long id, long timeMs) {
        StringData name = NAMES[draw.below(FIRST_NAMES.length) * LAST_NAMES.length + draw.below(LAST_NAMES.length)];
        StringData email = email();
        StringData card = creditCard();
        StringData city = CITIES[draw.below(CITIES.length)];
        StringData state = STATES[draw.below(STATES.length)];
        int size = 8 + length(name) + length(email) + length(card) + length(city) + length(state);
        GenericRowData row = new GenericRowData(8);
        row.setField(0, FIRST_PERSON + lastPerson(id));
        row.setField(1, name);
        row.setField(2, email);
        row.setField(3, card);
        row.setField(4, city);
        row.setField(5, state);
        row.setField(6, TimestampData.fromEpochMillis(timeMs));
        row.setField(7, extra(size, PERSON_BYTES));
        return row;
    }

    private RowData auction(long id, long timeMs) {
        long people = lastPerson(id);
        long seller = draw.below(HOT_SELLERS_RATIO) > 0 ? people / HOT_BATCH * HOT_BATCH : activePerson(people);
        long category = FIRST_CATEGORY + draw.below(NUM_CATEGORIES);
        long initialBid = draw.price();
        // On average an auction lasts until as many auctions as are in flight have begun after it.
        long ahead = options.timeOf(made + (long) IN_FLIGHT_AUCTIONS * TOTAL / AUCTIONS) - timeMs;
        long expiresMs = timeMs + 1 + draw.below((int) Math.max(ahead * 2, 1));
        StringData itemName = copyOfText(word(0, 20, ' '));
        StringData description = copyOfText(word(0, 100, ' '));
        long reserve = initialBid + draw.price();
        int size = 8 + length(itemName) + length(description) + 8 + 8 + 8 + 8 + 8;
        GenericRowData row = new GenericRowData(10);
        row.setField(0, FIRST_AUCTION + lastAuction(id));
        row.setField(1, itemName);
        row.setField(2, description);
        row.setField(3, initialBid);
        row.setField(4, reserve);
        row.setField(5, TimestampData.fromEpochMillis(timeMs));
        row.setField(6, TimestampData.fromEpochMillis(expiresMs));
        row.setField(7, FIRST_PERSON + seller);
        row.setField(8, category);
        row.setField(9, extra(size, AUCTION_BYTES));
        return row;
    }

    private RowData bid(long id, long timeMs) {
        long auctions = lastAuction(id);
        long auction;
        if (draw.below(HOT_AUCTIONS_RATIO) > 0) {
            auction = auctions / HOT_BATCH * HOT_BATCH;
        } else {
            long first = Math.max(auctions - IN_FLIGHT_AUCTIONS, 0);
            auction = first + draw.below((int) (auctions - first + 1 + LEAD));
        }
        long people = lastPerson(id);
        // The second person of a batch, so that hot bidders and hot sellers differ.
        long bidder = draw.below(HOT_BIDDERS_RATIO) > 0 ? people / HOT_BATCH * HOT_BATCH + 1 : activePerson(people);
        long price = draw.price();
        StringData channel;
        StringData url;
        if (draw.below(2) > 0) {
            int i = draw.below(HOT_CHANNELS.length);
            channel = HOT_CHANNELS[i];
            url = HOT_URLS[i];
        } else {
            int i = draw.below(NUM_CHANNELS);
            channel = CHANNELS[i];
            url = URLS[i];
        }
        GenericRowData row = new GenericRowData(7);
        row.setField(0, FIRST_AUCTION + auction);
        // Twice, as the public benchmark's generator does: bidders are 1,000 ahead of persons.
        row.setField(1, 2 * FIRST_PERSON + bidder);
        row.setField(2, price);
        row.setField(3, channel);
        row.setField(4, url);
        row.setField(5, TimestampData.fromEpochMillis(timeMs));
        row.setField(6, extra(32, BID_BYTES));
        return row;
    }

    /** Number (from 0) of the newest person at event `id`. */
    private static long lastPerson(long id) {
        return id / TOTAL;
    }

    /** Number (from 0) of the newest auction at event `id`; below 0 before the first one. */
    private static long lastAuction(long id) {
        long epoch = id / TOTAL;
        int place = (int) (id % TOTAL);
        if (place < PERSONS) {
            return epoch * AUCTIONS - 1;
        }
        return epoch * AUCTIONS + Math.min(place - PERSONS, AUCTIONS - 1);
    }

    private long activePerson(long newest) {
        long people = newest + 1;
        int active = (int) Math.min(people, ACTIVE_PEOPLE);
        return people - active + draw.below(active + LEAD);
    }

    private StringData email() {
        int length = word(0, 7, ' ');
        text[length++] = '@';
        length = word(length, 5, ' ');
        text[length++] = '.';
        text[length++] = 'c';
        text[length++] = 'o';
        text[length++] = 'm';
        return copyOfText(length);
    }

    /** Writes 3 to limit - 1 letters at `from`, without the blanks at their ends; returns the end. */
    private int word(int from, int limit, char special) {
        return word(draw, text, from, limit, special);
    }

    private static int word(Draw draw, byte[] text, int from, int limit, char special) {
        int end = from;
        for (int left = 3 + draw.below(limit - 3); left > 0; left--) {
            int outcome = draw.below(13 * 26);
            byte letter = (byte) (outcome < 26 ? special : 'a' + outcome % 26);
            if (letter != ' ' || end > from) {
                text[end++] = letter;
            }
        }
        while (end > from && text[end - 1] == ' ') {
            end--;
        }
        return end;
    }

    private StringData creditCard() {
        int length = 0;
        for (int group = 0; group < 4; group++) {
            if (group > 0) {
                text[length++] = ' ';
            }
            int number = draw.below(10_000);
            text[length++] = (byte) ('0' + number / 1000);
            text[length++] = (byte) ('0' + number / 100 % 10);
            text[length++] = (byte) ('0' + number / 10 % 10);
            text[length++] = (byte) ('0' + number % 10);
        }
        return copyOfText(length);
    }

    private StringData copyOfText(int length) {
        byte[] bytes = new byte[length];
        System.arraycopy(text, 0, bytes, 0, length);
        return StringData.fromBytes(bytes);
    }

    /** Fills an event of `size` bytes up to about `average`, give or take a fifth of what is missing. */
    private StringData extra(int size, int average) {
        int missing = average - size;
        if (missing < 0) {
            return letters(0);
        }
        int delta = (missing * 2 + 5) / 10;
        return letters(missing - delta + (delta == 0 ? 0 : draw.below(2 * delta)));
    }

    private StringData letters(int length) {
        int from = draw.below(LETTERS[0].size() - length);
        return BinaryStringData.fromAddress(LETTERS, from, length);
    }

    private static int length(StringData text) {
        return ((BinaryStringData) text).getSizeInBytes();
    }

    private static String baseUrl(Draw draw) {
        StringBuilder url = new StringBuilder("https://www.nexmark.com/");
        byte[] text = new byte[8];
        for (int part = 0; part < 3; part++) {
            url.append(new String(text, 0, word(draw, text, 0, 5, '_'), StandardCharsets.UTF_8)).append('/');
        }
        return url.append("item.htm?query=1").toString();
    }

    private static StringData string(String text) {
        return StringData.fromBytes(text.getBytes(StandardCharsets.UTF_8));
    }

    private static StringData[] strings(String... texts) {
        StringData[] all = new StringData[texts.length];
        for (int i = 0; i < texts.length; i++) {
            all[i] = string(texts[i]);
        }
        return all;
    }

    private static StringData[] names() {
        StringData[] names = new StringData[FIRST_NAMES.length * LAST_NAMES.length];
        for (int i = 0; i < names.length; i++) {
            names[i] = string(FIRST_NAMES[i / LAST_NAMES.length] + " " + LAST_NAMES[i % LAST_NAMES.length]);
        }
        return names;
    }

    /** Random numbers (wyrand, by Wang Yi), begun anew for each event. */
    private static final class Draw {
        private static final long STEP = 0xa0761d6478bd642fL;
        private static final long MULTIPLIER = 0xe7037ed1a0b428dbL;
        private static final double LOG_OF_1E6 = 13.815510557964274;
        private long state;

        void start(long seed, long stream) {
            state = fold(seed ^ STEP, stream ^ MULTIPLIER);
        }

        private static long fold(long a, long b) {
            // The high half as of unsigned numbers.
            long high = Math.multiplyHigh(a, b) + ((a >> 63) & b) + ((b >> 63) & a);
            return a * b ^ high;
        }

        long next() {
            state += STEP;
            return fold(state, state ^ MULTIPLIER);
        }

        /** Returns a number from 0 to limit - 1. */
        int below(int limit) {
            return (int) ((next() >>> 32) * limit >>> 32);
        }

        /** Returns a price of 100 to 100,000,000, its logarithm spread evenly. */
        long price() {
            double fraction = (next() >>> 11) * 0x1.0p-53;
            return (long) (Math.exp(fraction * LOG_OF_1E6) * 100.0 + 0.5);
        }
    }
}
