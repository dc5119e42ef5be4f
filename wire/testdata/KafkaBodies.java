// Writes the bodies of kafka-4.4.0.txt with Apache Kafka's own classes. After a definition was added to wire/messages:
//
//	java -cp kafka-clients-4.4.0.jar:slf4j-api.jar KafkaBodies.java KEY... >> kafka-4.4.0.txt     (and keep the file sorted by key)

import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Field;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.Struct;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;

class KafkaBodies {
    final boolean full;
    int n; // of the last value

    KafkaBodies(boolean full) {
        this.full = full;
    }

    public static void main(String[] keys) {
        for (String key : keys) {
            ApiKeys api = ApiKeys.forId(Integer.parseInt(key));
            write(api, "request", api.messageType.requestSchemas());
            write(api, "response", api.messageType.responseSchemas());
        }
    }

    static void write(ApiKeys api, String direction, Schema[] schemas) {
        for (short version = api.oldestVersion(); version <= api.latestVersion(); version++) {
            for (String sample : new String[] {"full", "sparse"}) {
                Struct body = new KafkaBodies(sample.equals("full")).struct(schemas[version]);
                ByteBuffer out = ByteBuffer.allocate(body.sizeOf());
                body.writeTo(out);
                System.out.println(api.id + " " + version + " " + direction + " " + sample + " " + HexFormat.of().formatHex(out.array()));
            }
        }
    }

    Struct struct(Schema schema) {
        Struct s = new Struct(schema);
        for (BoundField f : schema.fields()) {
            s.set(f, f.def.type instanceof TaggedFields ? tags((TaggedFields) f.def.type) : value(f.def.name, f.def.type));
        }
        return s;
    }

    Map<Integer, Object> tags(TaggedFields type) {
        Map<Integer, Object> values = new TreeMap<>();
        if (full) {
            for (Map.Entry<Integer, Field> f : new TreeMap<>(type.fields()).entrySet()) {
                values.put(f.getKey(), value(f.getValue().name, f.getValue().type));
            }
        }
        return values;
    }

    Object value(String name, Type type) {
        if (type.isNullable() && !full) {
            return null;
        }
        if (type.isArray()) {
            Object[] elements = new Object[full ? 2 : 1];
            for (int i = 0; i < elements.length; i++) {
                elements[i] = value(name, type.arrayElementType().get());
            }
            return elements;
        }
        if (type instanceof Schema) {
            return struct((Schema) type);
        }
        n++;
        String kind = type.toString();
        if (kind.endsWith("STRING")) {
            return name + "-" + n;
        }
        if (kind.endsWith("BYTES")) {
            return ByteBuffer.wrap((name + n).getBytes());
        }
        return switch (kind) {
            case "BOOLEAN" -> n % 2 == 0;
            case "INT8" -> (byte) n;
            case "INT16" -> (short) (1000 + n);
            case "INT32" -> 100_000 + n;
            case "INT64" -> 10_000_000_000L + n;
            case "UUID" -> new Uuid(0x0102030405060708L, n);
            default -> throw new IllegalArgumentException("no value for " + kind);
        };
    }
}
