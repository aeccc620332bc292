// Sends each line of a file as one record's value with Kafka's own producer: line i to partition i % PARTITIONS, so that the
// offset of every line is known beforehand.
//   java -cp "libs/*" Lines.java BOOTSTRAP TOPIC PARTITIONS FILE [COMPRESSION]
import java.io.BufferedReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Lines {
    public static void main(String[] arguments) throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", arguments[0], "linger.ms", "20", "batch.size", "65536",
            "compression.type", arguments.length > 4 ? arguments[4] : "none", "enable.metrics.push", "false");
        int partitions = Integer.parseInt(arguments[2]);
        AtomicReference<Exception> failed = new AtomicReference<>();
        long count = 0;
        try (var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
             BufferedReader lines = Files.newBufferedReader(Path.of(arguments[3]))) {
            for (String line; (line = lines.readLine()) != null; count++) {
                var record = new ProducerRecord<byte[], byte[]>(arguments[1], (int) (count % partitions), null, line.getBytes(StandardCharsets.UTF_8));
                producer.send(record, (at, error) -> { if (error != null) failed.set(error); });
            }
        }
        if (failed.get() != null) throw failed.get();
        System.out.println(count);
    }
}
