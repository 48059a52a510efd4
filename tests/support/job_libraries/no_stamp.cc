extern "C" [[gnu::visibility("default")]] int nothing() { return 0; }
