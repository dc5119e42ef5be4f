// The command line that the programs of compat/clients share; ../README.md describes it.
import { readFileSync, writeSync } from 'node:fs'

// main runs the command that the arguments name and ends the process.
export async function main(commands) {
  const [name, ...rest] = process.argv.slice(2)
  const flags = {}
  for (let i = 0; i < rest.length; i += 2) {
    if (!rest[i].startsWith('--') || rest[i + 1] === undefined) fail(`flags come as --name value, not as ${rest}`)
    flags[rest[i].slice(2)] = rest[i + 1]
  }
  if (!commands[name]) fail(`no such command: ${name}`)
  try {
    await commands[name](flags)
  } catch (err) {
    fail(err)
  }
  flush()
  process.exit(0)
}

// fail ends the process with a reason.
export function fail(err) {
  flush()
  console.error(err)
  for (const e of err?.errors ?? []) console.error(e)
  process.exit(1)
}

const text = b => (b === null || b === undefined ? '-' : Buffer.from(b).toString('base64'))
const bytes = s => (s === '-' ? null : Buffer.from(s, 'base64'))

// readInput reads the records of an input file.
export function readInput(path) {
  return readFileSync(path, 'utf8').split('\n').slice(0, -1).map(line => {
    const [timestamp, key, value, headers] = line.split('\t')
    const pairs = headers === '' ? [] : headers.split(',').map(h => [h.slice(0, h.indexOf('=')), bytes(h.slice(h.indexOf('=') + 1))])
    return { timestamp, key: bytes(key), value: bytes(value), headers: pairs }
  })
}

let printed = []

// flush writes out what is printed: called before the program waits.
export function flush() {
  if (printed.length === 0) return
  let rest = Buffer.from(printed.join(''))
  printed = []
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest))
    } catch (err) {
      if (err.code !== 'EAGAIN') throw err // the pipe is full
    }
  }
}

// say prints an event at once.
export function say(event, ...fields) {
  printed.push([event, ...fields].join('\t') + '\n')
  flush()
}

// sayRecord prints a record that the application has read; written out at the next flush. Headers are pairs.
export function sayRecord({ partition, offset, timestamp, key, value, headers }) {
  const pairs = headers.map(([name, v]) => `${name}=${text(v)}`).join(',')
  printed.push(['record', partition, offset, timestamp, text(key), text(value), pairs].join('\t') + '\n')
}

// sayAssigned prints the partitions that a member owns now, a list by topic.
export function sayAssigned(partitions) {
  say('assigned', Object.entries(partitions).flatMap(([topic, ps]) => ps.map(p => `${topic}:${p}`)).join(','))
}

export const sayRefused = err => say('refused', String(err?.errors?.[0] ?? err).replace(/\s+/g, ' '))

// whenStopped calls stop when stdin ends: whoever started the program asks it to stop.
export function whenStopped(stop) {
  process.stdin.on('end', stop).resume()
}

// Reading counts what a member of a group has read and says when to commit.
export class Reading {
  pending = new Map() // to commit: the next offset of each partition read since the last commit
  read = 0 // records so far; one that comes again after a rebalance is the same one
  next = new Map() // behind the last record of each partition so far
  since = 0 // records since the last commit

  constructor(flags) {
    this.count = Number(flags.count ?? 0)
    this.every = Math.max(Number(flags.every ?? 1), 1)
    this.stay = flags.stay === 'true'
  }

  // done tells whether all is read and committed that the command asks for.
  done() {
    return this.count > 0 && this.read >= this.count && !this.stay
  }

  // add prints one record and tells whether a commit of pending is due now.
  add(record) {
    sayRecord(record)
    const offset = BigInt(record.offset)
    if (offset >= (this.next.get(record.partition) ?? 0n)) {
      this.read++
      this.next.set(record.partition, offset + 1n)
    }
    if (this.stay && this.read > this.count) return false // the last commit is behind us
    this.since++
    this.pending.set(record.partition, offset + 1n)
    return this.since >= this.every || this.read === this.count
  }

  // committed prints the offsets of pending as acknowledged and begins anew.
  committed() {
    for (const [partition, offset] of this.pending) say('committed', partition, offset)
    this.since = 0
    this.pending = new Map()
  }
}
