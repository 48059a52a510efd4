"""Kafka for tests, through librdkafka, which weir needs anyway: writes and reads records, and limits how fast consumers read."""

import ctypes
import os
import socket
import struct
import sys
import time

SKIPPED = 77  # SKIP_RETURN_CODE of these tests.

# Properties of librdkafka for all clients: how they show who they are.
CLIENT_PROPERTIES = {}

_PRODUCER = 0
_ANY_PARTITION = -1
_COPY_AND_BLOCK = 0x2 | 0x4
_CONSUMER = 1
_BEGINNING = -2
_END = -1
_PARTITION_EOF = -191
_CREATE_TOPICS = 19
_ALTER_CLIENT_QUOTAS = 49
_LIST_TRANSACTIONS = 66
_TOPIC_ALREADY_EXISTS = 36


def brokers_or_skip():
    """Returns the brokers that tests/support/with_kafka started; without any, says so loudly and ends the process."""
    brokers = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if brokers:
        return brokers
    reason = os.environ.get("KAFKA_UNAVAILABLE", "run it with tests/support/with_kafka")
    print(f"{'*' * 100}\nSKIPPED: this test needs a Kafka broker: {reason}\n{'*' * 100}", flush=True)
    sys.exit(SKIPPED)


class _TopicPartition(ctypes.Structure):
    _fields_ = [("topic", ctypes.c_char_p), ("partition", ctypes.c_int32), ("offset", ctypes.c_int64)]


class _Message(ctypes.Structure):
    _fields_ = [("error", ctypes.c_int), ("topic", ctypes.c_void_p), ("partition", ctypes.c_int32),
                ("value", ctypes.c_void_p), ("size", ctypes.c_size_t), ("key", ctypes.c_void_p),
                ("key_size", ctypes.c_size_t), ("offset", ctypes.c_int64)]


def _library():
    library = ctypes.CDLL("librdkafka.so.1")
    pointer, text, number, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_size_t
    for name, result, arguments in (
            ("rd_kafka_conf_new", pointer, []),
            ("rd_kafka_conf_set", number, [pointer, text, text, text, size]),
            ("rd_kafka_conf_set_dr_msg_cb", None, [pointer, pointer]),
            ("rd_kafka_new", pointer, [number, pointer, text, size]),
            ("rd_kafka_topic_new", pointer, [pointer, text, pointer]),
            ("rd_kafka_produce", number, [pointer, ctypes.c_int32, number, text, size, text, size, pointer]),
            ("rd_kafka_last_error", number, []),
            ("rd_kafka_err2str", text, [number]),
            ("rd_kafka_flush", number, [pointer, number]),
            ("rd_kafka_topic_destroy", None, [pointer]),
            ("rd_kafka_topic_partition_list_new", pointer, [number]),
            ("rd_kafka_topic_partition_list_add", ctypes.POINTER(_TopicPartition), [pointer, text, ctypes.c_int32]),
            ("rd_kafka_topic_partition_list_destroy", None, [pointer]),
            ("rd_kafka_assign", number, [pointer, pointer]),
            ("rd_kafka_consumer_poll", ctypes.POINTER(_Message), [pointer, number]),
            ("rd_kafka_message_timestamp", ctypes.c_int64, [pointer, pointer]),
            ("rd_kafka_message_destroy", None, [pointer]),
            ("rd_kafka_destroy", None, [pointer])):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class TopicWriter:
    """Writes records to one topic, which comes into being with the first; each exactly once, or flush() fails.

    For one thread at a time. A context manager that flushes.
    """

    def __init__(self, brokers, topic):
        self._library = _library()
        self._errors = []
        error = ctypes.create_string_buffer(512)
        configuration = self._library.rd_kafka_conf_new()
        for name, value in (("bootstrap.servers", brokers), ("enable.idempotence", "true"), ("linger.ms", "5"),
                            ("delivery.report.only.error", "true"), ("topic.metadata.refresh.fast.interval.ms", "100"),
                            ("log_level", "3"), *CLIENT_PROPERTIES.items()):
            if self._library.rd_kafka_conf_set(configuration, name.encode(), value.encode(), error, len(error)):
                raise ValueError(error.value.decode())
        callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int), ctypes.c_void_p)
        # A message begins with its error code.
        self._on_failure = callback(lambda _client, message, _opaque: self._errors.append(message[0]))
        self._library.rd_kafka_conf_set_dr_msg_cb(configuration, ctypes.cast(self._on_failure, ctypes.c_void_p))
        self._client = self._library.rd_kafka_new(_PRODUCER, configuration, error, len(error))
        if not self._client:
            raise ValueError(error.value.decode())
        self._topic = self._library.rd_kafka_topic_new(self._client, topic.encode(), None)

    def write(self, value, key=None, partition=_ANY_PARTITION):
        """Hands a record over; value and key are bytes or None (no value: a tombstone)."""
        if self._library.rd_kafka_produce(self._topic, partition, _COPY_AND_BLOCK, value, len(value or b""), key,
                                          len(key or b""), None):
            raise OSError(self._error(self._library.rd_kafka_last_error()))

    def flush(self, seconds=60):
        """Returns when the broker has all records."""
        late = self._library.rd_kafka_flush(self._client, int(seconds * 1000))
        if late or self._errors:
            raise OSError(f"records not written: {self._error(self._errors[0] if self._errors else late)}")

    def close(self):
        self._library.rd_kafka_topic_destroy(self._topic)
        self._library.rd_kafka_destroy(self._client)

    def _error(self, code):
        return self._library.rd_kafka_err2str(code).decode()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                self.flush()
        finally:
            self.close()


def read_committed(brokers, topic, partitions, seconds=60):
    """Yields the values of read_committed_records."""
    for _, value, _ in read_committed_records(brokers, topic, partitions, seconds):
        yield value


def read_committed_records(brokers, topic, partitions, seconds=60):
    """Yields (key or None, value, timestamp in ms) of the records that a consumer with isolation.level=read_committed gets, up to the end of each partition.

    The end is the last stable offset: what lies behind the beginning of an open transaction is not read. Fails if no end
    comes in `seconds`.
    """
    library = _library()
    error = ctypes.create_string_buffer(512)
    configuration = library.rd_kafka_conf_new()
    for name, value in (("bootstrap.servers", brokers), ("group.id", "test"), ("isolation.level", "read_committed"),
                        ("enable.auto.commit", "false"), ("enable.partition.eof", "true"), *CLIENT_PROPERTIES.items()):
        if library.rd_kafka_conf_set(configuration, name.encode(), value.encode(), error, len(error)):
            raise ValueError(error.value.decode())
    client = library.rd_kafka_new(_CONSUMER, configuration, error, len(error))
    if not client:
        raise ValueError(error.value.decode())
    try:
        assigned = library.rd_kafka_topic_partition_list_new(partitions)
        for partition in range(partitions):
            added = library.rd_kafka_topic_partition_list_add(assigned, topic.encode(), partition)
            added.contents.offset = _BEGINNING
        library.rd_kafka_assign(client, assigned)
        library.rd_kafka_topic_partition_list_destroy(assigned)
        ended = set()
        deadline = time.monotonic() + seconds
        while len(ended) < partitions:
            assert time.monotonic() < deadline, f"not read to its end in {seconds} s: {topic}"
            message = library.rd_kafka_consumer_poll(client, 500)
            if not message:
                continue
            try:
                if message.contents.error == _PARTITION_EOF:
                    ended.add(message.contents.partition)
                elif message.contents.error:
                    raise OSError(library.rd_kafka_err2str(message.contents.error).decode())
                else:
                    found = message.contents
                    yield (ctypes.string_at(found.key, found.key_size) if found.key else None,
                           ctypes.string_at(found.value, found.size), library.rd_kafka_message_timestamp(message, None))
            finally:
                library.rd_kafka_message_destroy(message)
    finally:
        library.rd_kafka_destroy(client)


def follow_timestamps(brokers, topic, partitions, stopping):
    """Yields the timestamps in ms of the records that are written from now on, committed or not, as soon as they can be read,
    until `stopping` (an Event) is set."""
    library = _library()
    error = ctypes.create_string_buffer(512)
    configuration = library.rd_kafka_conf_new()
    for name, value in (("bootstrap.servers", brokers), ("group.id", "test"), ("isolation.level", "read_uncommitted"),
                        ("enable.auto.commit", "false"), ("fetch.wait.max.ms", "10"), *CLIENT_PROPERTIES.items()):
        if library.rd_kafka_conf_set(configuration, name.encode(), value.encode(), error, len(error)):
            raise ValueError(error.value.decode())
    client = library.rd_kafka_new(_CONSUMER, configuration, error, len(error))
    if not client:
        raise ValueError(error.value.decode())
    try:
        assigned = library.rd_kafka_topic_partition_list_new(partitions)
        for partition in range(partitions):
            added = library.rd_kafka_topic_partition_list_add(assigned, topic.encode(), partition)
            added.contents.offset = _END
        library.rd_kafka_assign(client, assigned)
        library.rd_kafka_topic_partition_list_destroy(assigned)
        while not stopping.is_set():
            message = library.rd_kafka_consumer_poll(client, 100)
            if not message:
                continue
            try:
                if message.contents.error:
                    raise OSError(library.rd_kafka_err2str(message.contents.error).decode())
                yield library.rd_kafka_message_timestamp(message, None)
            finally:
                library.rd_kafka_message_destroy(message)
    finally:
        library.rd_kafka_destroy(client)


def _text(value):
    return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value)) + value.encode()


def _array(*items):
    return struct.pack(">i", len(items)) + b"".join(items)


def _compact(*texts):
    """A compact array of compact strings, all shorter than 127."""
    return bytes([len(texts) + 1]) + b"".join(bytes([len(text) + 1]) + text.encode() for text in texts)


def _ask(brokers, api, version, body, flexible=False):
    """Sends a request to the first broker; returns the answer behind its header."""
    tags = b"\0" if flexible else b""
    request = struct.pack(">hhi", api, version, 1) + _text("weir-test") + tags + body
    host, port = brokers.split(",")[0].rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=60) as connection, connection.makefile("rb") as answers:
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = answers.read(struct.unpack(">i", answers.read(4))[0])
    return answer[4 + len(tags):]


def limit_consumers(brokers, bytes_per_second):
    """Lets the broker give each client at most so many bytes a second, by its default quota (AlterClientQuotas v0)."""
    entity = _array(_text("client-id") + _text(None))  # None: the default of all clients.
    change = _array(_text("consumer_byte_rate") + struct.pack(">d?", bytes_per_second, False))
    answer = _ask(brokers, _ALTER_CLIENT_QUOTAS, 0, _array(entity + change) + struct.pack(">?", False))
    # Throttle time, number of entries, then the first entry's error code.
    error = struct.unpack_from(">iih", answer)[2]
    assert error == 0, f"the broker refuses the quota: error code {error}"


def create_topic(brokers, topic, partitions):
    """Makes a topic, with one replica, unless there is one of that name (CreateTopics v2)."""
    wanted = _text(topic) + struct.pack(">ih", partitions, 1) + _array() + _array()
    answer = _ask(brokers, _CREATE_TOPICS, 2, _array(wanted) + struct.pack(">i?", 30_000, False))
    # Throttle time, number of topics, the first topic's name, then its error code.
    error = struct.unpack_from(">h", answer, 8 + 2 + len(topic))[0]
    assert error in (0, _TOPIC_ALREADY_EXISTS), f"the broker does not make the topic {topic}: error code {error}"


def open_transactions(brokers, states=("Ongoing", "PrepareCommit", "PrepareAbort")):
    """Returns the transactional ids whose transaction is in one of the states: by default, all that hide records from readers
    (ListTransactions v0)."""
    answer = _ask(brokers, _LIST_TRANSACTIONS, 0, _compact(*states) + _compact() + b"\0", flexible=True)
    error, unknown = struct.unpack_from(">hB", answer, 4)  # Behind the throttle time.
    assert error == 0 and unknown == 1, f"the broker does not list transactions: error code {error}"
    ids = []
    position = 7
    count = answer[position] - 1
    position += 1
    for _ in range(count):
        size = answer[position] - 1
        ids.append(answer[position + 1:position + 1 + size].decode())
        position += 1 + size + 8  # And the producer's id.
        position += answer[position] + 1  # The state, and its tags.
    return ids
