"""Cross.java with librdkafka, by confluent-kafka: the same arguments, lines in and lines out."""
import sys

from confluent_kafka import Consumer, Producer, TopicPartition


def data(text):
    return None if text == "-" else bytes.fromhex(text[1:])


def text(data):
    return "-" if data is None else "x" + data.hex()


def write(servers, topic):
    producers, places = {}, []
    for number, line in enumerate(sys.stdin.read().splitlines()):
        codec, partition, timestamp, key, value, headers = line.split("\t")
        if codec not in producers:
            producers[codec] = Producer({"bootstrap.servers": servers, "compression.type": codec, "enable.idempotence": True})
        places.append(None)

        def delivered(error, message, number=number):
            if error:
                sys.exit(f"not delivered: {error}")
            places[number] = (message.partition(), message.offset())

        named = [header.rpartition("=") for header in headers.split()]
        more = {} if partition == "-" else {"partition": int(partition)}
        producers[codec].produce(topic, value=data(value), key=data(key), timestamp=int(timestamp), on_delivery=delivered,
                                 headers=[(name, data(value)) for name, _, value in named], **more)
    for producer in producers.values():
        producer.flush()
    for partition, offset in places:
        print(partition, offset, sep="\t")


def read(servers, topic, count):
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "unused", "enable.auto.commit": False, "auto.offset.reset": "earliest"})
    partitions = consumer.list_topics(topic).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    while count:
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            sys.exit(f"not read: {message.error()}")
        headers = " ".join(f"{name}={text(value)}" for name, value in message.headers() or [])
        print(topic, message.partition(), message.offset(), message.timestamp()[1], text(message.key()), text(message.value()), headers, sep="\t")
        count -= 1
    consumer.close()


servers, verb, *arguments = sys.argv[1:]
if verb == "write":
    write(servers, arguments[0])
else:
    for topic, count in zip(arguments[::2], arguments[1::2]):
        read(servers, topic, int(count))
