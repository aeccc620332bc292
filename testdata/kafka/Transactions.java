// Writes a topic in which committed, aborted and plain records lie between one another, with Kafka's own producer, and
// prints what a reader under read_committed must see: one line "partition offset key value" a record.
//   java -cp "libs/*" Transactions.java BOOTSTRAP TOPIC PARTITIONS ROUNDS
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringSerializer;

public class Transactions {
    record Sent(String key, String value, Future<RecordMetadata> where) {}

    static KafkaProducer<String, String> producer(String servers, String transactionalId, String compression) {
        Map<String, Object> config = new java.util.HashMap<>(Map.of(
            "bootstrap.servers", servers, "linger.ms", "0", "batch.size", "500", "compression.type", compression,
            "enable.metrics.push", "false"));
        if (transactionalId != null) config.put("transactional.id", transactionalId);
        var producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
        if (transactionalId != null) producer.initTransactions();
        return producer;
    }

    static List<Sent> send(KafkaProducer<String, String> producer, String topic, int partitions, String who, int round, int count) {
        var sent = new ArrayList<Sent>();
        for (int i = 0; i < count; i++) {
            String key = who + "-" + round, value = who + "-" + round + "-" + i;
            sent.add(new Sent(key, value, producer.send(new ProducerRecord<>(topic, i % partitions, key, value))));
        }
        return sent;
    }

    static void print(List<Sent> records) throws Exception {
        for (Sent sent : records) {
            RecordMetadata at = sent.where.get();
            System.out.println(at.partition() + " " + at.offset() + " " + sent.key + " " + sent.value);
        }
    }

    public static void main(String[] arguments) throws Exception {
        String servers = arguments[0], topic = arguments[1];
        int partitions = Integer.parseInt(arguments[2]), rounds = Integer.parseInt(arguments[3]);
        try (var a = producer(servers, topic + "-a", "none"); var b = producer(servers, topic + "-b", "lz4");
             var plain = producer(servers, null, "none")) {
            for (int round = 0; round < rounds; round++) {
                a.beginTransaction();
                b.beginTransaction();
                List<Sent> fromA = send(a, topic, partitions, "a", round, 20);
                a.flush();
                print(send(plain, topic, partitions, "plain", round, 5));
                List<Sent> fromB = send(b, topic, partitions, "b", round, 15);
                b.flush();
                fromA.addAll(send(a, topic, partitions, "a", round, 10));
                // A flush before the abort: what is only buffered would be dropped and never reach the log.
                a.flush();
                if (round % 2 == 0) a.abortTransaction(); else { a.commitTransaction(); print(fromA); }
                if (round % 3 == 0) { b.commitTransaction(); print(fromB); } else b.abortTransaction();
            }
        }
    }
}
