// Drives @platformatic/kafka; see ../README.md. It takes zstd from node:zlib, where Node 20 has none.
import zlib from 'node:zlib'
import { ZstdCodec } from 'zstd-codec'
import { Reading, fail, flush, main, readInput, say, sayAssigned, sayRecord, sayRefused, whenStopped } from './contract.mjs'

if (!zlib.zstdCompressSync) {
  const zstd = await new Promise(resolve => ZstdCodec.run(z => resolve(new z.Streaming())))
  zlib.zstdCompressSync = b => Buffer.from(zstd.compress(b, 3))
  zlib.zstdDecompressSync = b => Buffer.from(zstd.decompress(b))
}
const { Admin, Consumer, Producer } = await import('@platformatic/kafka')

const base = flags => ({ clientId: 'platformatic', bootstrapBrokers: [flags.bootstrap], timeout: 20_000, metadataMaxAge: 1000 })

async function produce(flags) {
  const p = new Producer({ ...base(flags), idempotent: flags.idempotent === 'true', acks: -1, compression: flags.codec, autocreateTopics: false })
  const records = readInput(flags.in)
  for (let i = 0; i < records.length; i += 500) {
    const messages = records.slice(i, i + 500).map(r => ({
      topic: flags.topic, timestamp: BigInt(r.timestamp), key: r.key ?? undefined, value: r.value ?? undefined,
      headers: new Map(r.headers.map(([name, v]) => [Buffer.from(name), v]))
    }))
    await p.send({ messages })
  }
  say('done', records.length)
  await p.close()
}

const fields = m => ({ partition: m.partition, offset: m.offset, timestamp: m.timestamp, key: m.key, value: m.value, headers: [...m.headers] })

const newConsumer = (flags, more = {}) => new Consumer({
  ...base(flags), groupId: flags.group, sessionTimeout: 6000, heartbeatInterval: 1000, rebalanceTimeout: 10_000, maxWaitTime: 50, autocommit: false, ...more
})

async function consume(flags) {
  const reading = new Reading(flags)
  const { topic } = flags
  const c = newConsumer(flags, flags.instance ? { groupInstanceId: flags.instance } : {})
  c.on('consumer:group:join', () => sayAssigned(Object.fromEntries((c.assignments ?? []).map(a => [a.topic, a.partitions]))))
  const commit = async () => {
    if (reading.pending.size === 0) return
    await c.commit({ offsets: [...reading.pending].map(([partition, offset]) => ({ topic, partition, offset, leaderEpoch: -1 })) })
    reading.committed()
  }
  const stream = await c.consume({ topics: [topic], mode: 'committed', fallbackMode: 'earliest', highWaterMark: 1000 })
  if (reading.count === 0) whenStopped(() => stream.close())
  let unseen = 0
  for await (const m of stream) {
    if (reading.add(fields(m))) await commit()
    if (++unseen % 100 === 0 || reading.count === 0 || stream.readableLength === 0) flush()
    if (reading.done()) break
  }
  await commit()
  await c.close(true)
}

// read calls f for records from these offsets on until it says stop.
async function read(flags, c, offsets, f) {
  const stream = await c.consume({ topics: [flags.topic], mode: 'manual', offsets })
  for await (const m of stream) {
    if (f(m) === 'stop') break
  }
}

// It reads partitions of its choice only as a member of a group that has them all; offsets it does not name are read from the end on.
async function alone(flags, from, f) {
  const c = newConsumer({ ...flags, group: `alone-${process.pid}-${flags.topic}` })
  const ends = (await c.listOffsets({ topics: [flags.topic] })).get(flags.topic)
  await read(flags, c, ends.map((end, partition) => ({ topic: flags.topic, partition, offset: from.get(partition) ?? end })), f)
  await c.close(true)
}

async function assign(flags) {
  const { topic, group } = flags
  const partition = Number(flags.partition)
  let at = BigInt(flags.offset)
  let left = Number(flags.count)
  let next = -1n
  await ask(flags, async admin => {
    if (at < 0n) {
      const [{ topics }] = await admin.listConsumerGroupOffsets({ groups: [group] })
      at = topics.find(t => t.name === topic).partitions.find(p => p.partitionIndex === partition).committedOffset
    }
    await alone(flags, new Map([[partition, at]]), m => {
      sayRecord(fields(m))
      next = m.offset + 1n
      return --left > 0 ? 'more' : 'stop'
    })
    await admin.alterConsumerGroupOffsets({ groupId: group, topics: [{ name: topic, partitionOffsets: [{ partition, offset: next }] }] })
  })
  say('committed', partition, next)
}

async function seek(flags) {
  const { topic } = flags
  const c = newConsumer({ ...flags, group: 'seek' })
  const found = (await c.listOffsetsWithTimestamps({ topics: [topic], timestamp: BigInt(flags.timestamp) })).get(topic)
  await c.close(true)
  const from = new Map()
  for (const [partition, { offset }] of found) {
    say('offset', topic, partition, offset)
    if (offset >= 0n) from.set(partition, offset)
  }
  const seen = new Set()
  if (from.size > 0) await alone(flags, from, m => {
    if (!seen.has(m.partition)) sayRecord(fields(m))
    return seen.add(m.partition).size === from.size ? 'stop' : 'more'
  })
}

async function ask(flags, question) {
  const admin = new Admin(base(flags))
  try {
    await question(admin)
  } finally {
    await admin.close()
  }
}

const offsets = flags => ask(flags, async admin => {
  for (const { topics } of await admin.listConsumerGroupOffsets({ groups: [flags.group] })) {
    for (const { name, partitions } of topics) {
      for (const p of partitions) say('offset', name, p.partitionIndex, p.committedOffset)
    }
  }
})

const describe = flags => ask(flags, async admin => {
  for (const g of (await admin.describeGroups({ groups: [flags.group] })).values()) say('group', g.state, g.protocol, g.members.size)
})

const groups = flags => ask(flags, async admin => {
  for (const name of (await admin.listGroups()).keys()) say('name', name)
})

const deleteGroup = flags => ask(flags, async admin => {
  try {
    await admin.deleteGroups({ groups: [flags.group] })
    say('deleted')
  } catch (err) {
    say('refused', every(err).join(' '))
  }
})

// every is what an error and those below it say.
const every = err => [String(err), err.apiId, ...(err.errors ?? []).flatMap(every)]

async function transact(flags) {
  const p = new Producer({ ...base(flags), idempotent: true, transactionalId: `platformatic-${flags.topic}`, retries: 3 })
  try {
    const t = await p.beginTransaction()
    await t.send({ messages: [{ topic: flags.topic, value: Buffer.from('in a transaction') }] })
    await t.commit()
    say('committed')
  } catch (err) {
    say('refused', every(err).join(' ').replace(/\s+/g, ' '))
  }
}

await main({ produce, consume, assign, seek, offsets, describe, groups, 'delete-group': deleteGroup, transact })
