package weir.nexmark;

import java.io.Serializable;

/**
 * Which part of the event stream one generator makes: `count` events, whose ids begin after `firstId`.
 *
 * <p>Every generator has the same event time, from `baseTimeMs` on: with p generators, each makes its events p times as far
 * apart, and the ids of generator i begin where those of i - 1 end.
 */
final class GeneratorOptions implements Serializable {
    private static final long serialVersionUID = 1L;

    final long firstId;
    final long count;
    final long baseTimeMs;
    final double delayUs;

    GeneratorOptions(long firstId, long count, long baseTimeMs, double delayUs) {
        this.firstId = firstId;
        this.count = count;
        this.baseTimeMs = baseTimeMs;
        this.delayUs = delayUs;
    }

    /** Returns the options of `parallelism` generators that together make `events` events at `rate` events a second. */
    static GeneratorOptions[] split(long events, double rate, long baseTimeMs, int parallelism) {
        GeneratorOptions[] all = new GeneratorOptions[parallelism];
        long share = events / parallelism;
        for (int i = 0; i < parallelism; i++) {
            long count = i == parallelism - 1 ? events - share * (parallelism - 1) : share;
            all[i] = new GeneratorOptions(1 + share * i, count, baseTimeMs, 1e6 / rate * parallelism);
        }
        return all;
    }

    /** Event time of the n-th event (from 1) of this generator, in milliseconds. */
    long timeOf(long n) {
        return baseTimeMs + (long) (n * delayUs) / 1000L;
    }
}
