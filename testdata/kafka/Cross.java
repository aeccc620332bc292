// Writes records that standard input describes, or prints those of topics, with Kafka's own client: for tests that compare clients. One record
// a line, fields between tabs; bytes are x and hexadecimal digits, null is -.
//   java -cp "libs/*" Cross.java BOOTSTRAP write TOPIC    in: codec partition|- timestamp key value headers   out: partition offset
//   java -cp "libs/*" Cross.java BOOTSTRAP read TOPIC COUNT …                     out: topic partition offset timestamp key value headers
// headers: name=bytes with spaces between, or nothing.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Cross {
    static final PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);

    static byte[] bytes(String text) {
        return text.equals("-") ? null : HexFormat.of().parseHex(text.substring(1));
    }

    static String text(byte[] bytes) {
        return bytes == null ? "-" : "x" + HexFormat.of().formatHex(bytes);
    }

    static void write(String servers, String topic) throws Exception {
        Map<String, KafkaProducer<byte[], byte[]>> producers = new HashMap<>();
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            String[] field = line.split("\t", -1);
            var producer = producers.computeIfAbsent(field[0], codec -> new KafkaProducer<>(
                Map.of("bootstrap.servers", servers, "compression.type", codec, "linger.ms", "20", "enable.metrics.push", "false"),
                new ByteArraySerializer(), new ByteArraySerializer()));
            var record = new ProducerRecord<>(topic, field[1].equals("-") ? null : Integer.valueOf(field[1]), Long.valueOf(field[2]),
                bytes(field[3]), bytes(field[4]));
            for (String header : field[5].isEmpty() ? new String[0] : field[5].split(" ")) {
                int at = header.lastIndexOf('=');
                record.headers().add(new RecordHeader(header.substring(0, at), bytes(header.substring(at + 1))));
            }
            sent.add(producer.send(record));
        }
        producers.values().forEach(KafkaProducer::flush);
        for (var future : sent) out.println(future.get().partition() + "\t" + future.get().offset());
        producers.values().forEach(KafkaProducer::close);
    }

    static void read(String servers, String topic, long count) {
        Map<String, Object> config = Map.of("bootstrap.servers", servers, "auto.offset.reset", "earliest", "enable.metrics.push", "false");
        try (var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.assign(consumer.partitionsFor(topic).stream().map(p -> new TopicPartition(topic, p.partition())).toList());
            while (count > 0) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    List<String> headers = new ArrayList<>();
                    record.headers().forEach(header -> headers.add(header.key() + "=" + text(header.value())));
                    out.println(topic + "\t" + record.partition() + "\t" + record.offset() + "\t" + record.timestamp() + "\t" + text(record.key())
                        + "\t" + text(record.value()) + "\t" + headers.stream().collect(Collectors.joining(" ")));
                    count--;
                }
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments[1].equals("write")) write(arguments[0], arguments[2]);
        for (int i = 2; arguments[1].equals("read") && i < arguments.length; i += 2)
            read(arguments[0], arguments[i], Long.parseLong(arguments[i + 1]));
        out.flush();
    }
}
