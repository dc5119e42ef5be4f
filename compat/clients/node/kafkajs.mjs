// Drives kafkajs, with the codecs it leaves to others; see ../README.md.
import kafkajs from 'kafkajs'
import snappy from 'snappy'
import lz4 from 'lz4-napi'
import { ZstdCodec } from 'zstd-codec'
import { Reading, fail, flush, main, readInput, say, sayAssigned, sayRecord, sayRefused, whenStopped } from './contract.mjs'

const { Kafka, CompressionTypes, CompressionCodecs, Partitioners, PartitionAssigners, logLevel } = kafkajs

// Java sends snappy in blocks behind a header of its own, librdkafka as it is; zstd and lz4 are frames.
const xerial = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
async function unsnappy(b) {
  if (!b.subarray(0, 8).equals(xerial)) return snappy.uncompress(b)
  const parts = []
  for (let at = 16; at < b.length; at += 4 + b.readInt32BE(at)) parts.push(await snappy.uncompress(b.subarray(at + 4, at + 4 + b.readInt32BE(at))))
  return Buffer.concat(parts)
}
CompressionCodecs[CompressionTypes.Snappy] = () => ({ compress: e => snappy.compress(e.buffer), decompress: unsnappy })
CompressionCodecs[CompressionTypes.LZ4] = () => ({ compress: e => lz4.compressFrame(e.buffer), decompress: lz4.decompressFrame })
const zstd = await new Promise(resolve => ZstdCodec.run(z => resolve(new z.Streaming())))
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async e => Buffer.from(zstd.compress(e.buffer, 3)), decompress: async b => Buffer.from(zstd.decompress(b))
})
const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy, lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD }

const dial = flags => new Kafka({ clientId: 'kafkajs', brokers: [flags.bootstrap], logLevel: logLevel.ERROR, retry: { retries: 8, initialRetryTime: 100 } })

async function produce(flags) {
  const p = dial(flags).producer({ idempotent: flags.idempotent === 'true', maxInFlightRequests: 1, createPartitioner: Partitioners.DefaultPartitioner })
  await p.connect()
  const records = readInput(flags.in)
  for (let i = 0; i < records.length; i += 500) {
    const messages = records.slice(i, i + 500).map(r => ({ ...r, headers: Object.fromEntries(r.headers) }))
    await p.send({ topic: flags.topic, acks: -1, compression: codecs[flags.codec], messages })
  }
  say('done', records.length)
  await p.disconnect()
}

const fields = (partition, m) => ({ ...m, partition, headers: Object.entries(m.headers ?? {}) })

async function consume(flags) {
  const reading = new Reading(flags)
  const c = dial(flags).consumer({
    groupId: flags.group, partitionAssigners: [PartitionAssigners.roundRobin], sessionTimeout: 6000, heartbeatInterval: 1000, rebalanceTimeout: 10_000,
    maxWaitTimeInMs: 50, metadataMaxAge: 1000
  })
  c.on(c.events.GROUP_JOIN, ({ payload }) => {
    for (const p of reading.pending.keys()) {
      if (!payload.memberAssignment[flags.topic]?.includes(p)) reading.pending.delete(p)
    }
    sayAssigned(payload.memberAssignment)
  })
  c.on(c.events.REBALANCING, () => sayAssigned({}))
  let ended
  const end = new Promise(resolve => { ended = resolve })
  c.on(c.events.CRASH, ({ payload }) => { if (!payload.restart) fail(payload.error) })
  const commit = async () => {
    if (reading.pending.size === 0) return
    try {
      await c.commitOffsets([...reading.pending].map(([partition, offset]) => ({ topic: flags.topic, partition, offset: String(offset) })))
    } catch (err) {
      // The group has begun a new generation without us, or is about to: a later commit counts, or what is lost is read again.
      if (reading.done() || !['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID'].includes(err.type)) throw err
      console.error('commit:', err.message)
      return
    }
    reading.committed()
  }
  await c.connect()
  await c.subscribe({ topics: [flags.topic], fromBeginning: true })
  if (reading.count === 0) whenStopped(ended)
  await c.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch, resolveOffset, heartbeat, isRunning, isStale }) => {
      for (const m of batch.messages) {
        if (!isRunning() || isStale() || reading.done()) break
        if (reading.add(fields(batch.partition, m))) await commit()
        resolveOffset(m.offset)
      }
      if (reading.count === 0) await commit() // a member that may have to give up its partitions has nothing open between two batches
      flush()
      await heartbeat()
      if (reading.done()) ended()
    }
  })
  await end
  await c.disconnect()
}

// It reads partitions of its choice only as a member of a group that has them all.
async function alone(flags, from, enough) {
  const c = dial(flags).consumer({ groupId: `alone-${process.pid}-${flags.topic}`, maxWaitTimeInMs: 50 })
  let ended
  const end = new Promise(resolve => { ended = resolve })
  c.on(c.events.CRASH, ({ payload }) => { if (!payload.restart) fail(payload.error) })
  await c.connect()
  await c.subscribe({ topics: [flags.topic], fromBeginning: true })
  c.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      if (from.has(partition) && BigInt(message.offset) >= from.get(partition) && enough(fields(partition, message))) ended()
    }
  })
  for (const [partition, offset] of from) c.seek({ topic: flags.topic, partition, offset: String(offset) })
  await end
  await c.disconnect()
}

async function assign(flags) {
  const partition = Number(flags.partition)
  let at = BigInt(flags.offset)
  let left = Number(flags.count)
  let next = -1n
  const admin = dial(flags).admin()
  await admin.connect()
  if (at < 0n) {
    const [{ partitions }] = await admin.fetchOffsets({ groupId: flags.group, topics: [flags.topic] })
    at = BigInt(partitions.find(p => p.partition === partition).offset)
  }
  await alone(flags, new Map([[partition, at]]), r => {
    if (left-- <= 0) return true
    sayRecord(r)
    next = BigInt(r.offset) + 1n
    return left === 0
  })
  await admin.setOffsets({ groupId: flags.group, topic: flags.topic, partitions: [{ partition, offset: String(next) }] })
  say('committed', partition, next)
  await admin.disconnect()
}

async function seek(flags) {
  const { topic } = flags
  const from = new Map()
  await ask(flags, async admin => {
    const found = await admin.fetchTopicOffsetsByTimestamp(topic, Number(flags.timestamp))
    const ends = new Map((await admin.fetchTopicOffsets(topic)).map(p => [p.partition, p.high]))
    for (const { partition, offset } of found) { // it takes the end where there is none
      const none = offset === ends.get(partition)
      say('offset', topic, partition, none ? -1 : offset)
      if (!none) from.set(partition, BigInt(offset))
    }
  })
  const seen = new Set()
  if (from.size > 0) await alone(flags, from, r => {
    if (!seen.has(r.partition)) sayRecord(r)
    return seen.add(r.partition).size === from.size
  })
}

async function ask(flags, question) {
  const admin = dial(flags).admin()
  await admin.connect()
  await question(admin)
  await admin.disconnect()
}

const offsets = flags => ask(flags, async admin => {
  for (const { topic, partitions } of await admin.fetchOffsets({ groupId: flags.group })) {
    for (const { partition, offset } of partitions) say('offset', topic, partition, offset)
  }
})

const describe = flags => ask(flags, async admin => {
  for (const g of (await admin.describeGroups([flags.group])).groups) {
    if (g.errorCode) fail(`error ${g.errorCode}`)
    say('group', g.state, g.protocol, g.members.length)
  }
})

const groups = flags => ask(flags, async admin => {
  for (const g of (await admin.listGroups()).groups) say('name', g.groupId)
})

const deleteGroup = flags => ask(flags, async admin => {
  try {
    await admin.deleteGroups([flags.group])
    say('deleted')
  } catch (err) {
    say('refused', [err, ...(err.groups ?? []).map(g => g.error)].join(' '))
  }
})

async function transact(flags) {
  const p = dial(flags).producer({ transactionalId: `kafkajs-${flags.topic}`, idempotent: true, maxInFlightRequests: 1, createPartitioner: Partitioners.DefaultPartitioner })
  try {
    await p.connect()
    const t = await p.transaction()
    await t.send({ topic: flags.topic, messages: [{ value: 'in a transaction' }] })
    await t.commit()
    say('committed')
  } catch (err) {
    sayRefused(err)
  }
}

await main({ produce, consume, assign, seek, offsets, describe, groups, 'delete-group': deleteGroup, transact })
