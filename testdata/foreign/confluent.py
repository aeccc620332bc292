"""librdkafka, by Python's confluent-kafka, against a cluster of the tests: an idempotent producer, a group of two members, a committed and an aborted
transaction. Prints what it saw: confluent.py SERVERS TOPIC COUNT classic|consumer"""
import sys
import time

from confluent_kafka import Consumer, Producer

servers, topic, count, protocol = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
deadline = time.monotonic() + 60


def delivered(error, _message):
    if error:
        sys.exit(f"not delivered: {error}")


def member():
    config = {"bootstrap.servers": servers, "group.id": f"confluent-{protocol}", "auto.offset.reset": "earliest", "enable.auto.commit": False,
              "isolation.level": "read_committed", "group.protocol": protocol}
    if protocol == "classic":
        config["partition.assignment.strategy"] = "cooperative-sticky"
    consumer = Consumer(config)
    consumer.subscribe([topic])
    return consumer


def read(wanted, members):
    """Until so many different values came; and how many partitions each member has then."""
    seen = set()
    while len(seen) < wanted or any(not len(m.assignment()) for m in members):
        if time.monotonic() > deadline:
            sys.exit(f"{len(seen)} of {wanted} records came; partitions {[len(m.assignment()) for m in members]}")
        for consumer in members:
            batch = consumer.consume(500, 0.1)
            for message in batch:
                if message.error():
                    sys.exit(f"not read: {message.error()}")
                seen.add(message.value())
            if batch:
                consumer.commit(asynchronous=False)
    return len(seen)


producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True, "compression.type": "lz4"})
for number in range(count):
    producer.produce(topic, key=str(number % 50), value=f"plain {number}", on_delivery=delivered)
    producer.poll(0)
producer.flush()
members = [member(), member()]
print("group", read(count, members))
shares = sorted(len(m.assignment()) for m in members)
print("shares", *shares)
members.pop().close()

transactional = Producer({"bootstrap.servers": servers, "transactional.id": f"confluent-{protocol}"})
transactional.init_transactions(30)
for end in transactional.abort_transaction, transactional.commit_transaction:
    transactional.begin_transaction()
    for number in range(10):
        transactional.produce(topic, value=f"{end.__name__} {number}", on_delivery=lambda *_: None)
    transactional.flush()
    end(30)
print("committed", read(10, members))
members[0].close()
