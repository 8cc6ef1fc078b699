/**
 * Every number that the library chooses by itself: defaults of options, sizes of memory, shares of a turn.
 *
 * Nobody else writes such a number. A number stays beside its code where a format, a protocol or the system prescribes
 * it, or where one algorithm was measured with it and nobody else could notice it.
 */
import * as Duration from "effect/Duration"

// ---------------------------------------------------------------------------
// options of a connection
// ---------------------------------------------------------------------------

/** Bytes. `limit`: the longest line, and half of what is read ahead. As in CPython. */
export const limit = 65536

/** Bytes. `highWaterMark`. As in CPython. */
export const highWaterMark = 65536

/** `lowWaterMark` is the high one divided by this, and the high one is this times a low one that is given alone. As in CPython. */
export const markRatio = 4

/** `closeTimeout`: long enough for a slow peer to take what is buffered, and for a program to be seen to end. */
export const closeTimeout = Duration.seconds(10)

/** `closeTimeout` of a socket for Effect's own programs: each of them ends by a failure, and the next one is waited for. */
export const socketCloseTimeout = Duration.seconds(2)

/** `connectTimeout` to another runner of a cluster, as Effect's own: calls wait for it. */
export const runnerConnectTimeout = Duration.seconds(1)

/** `handshakeTimeout` to another runner: the system of one that stands still accepts connections all the same. */
export const runnerHandshakeTimeout = Duration.seconds(5)

/**
 * `timeouts` of connections to other runners. One that has stopped to read holds up even the question whether it is there.
 */
export const runnerClientTimeouts = { write: Duration.seconds(10) }

/** `timeouts` of connections from other runners. Effect's protocol has them say something every 5 seconds. */
export const runnerServerTimeouts = { idle: Duration.seconds(30), write: Duration.seconds(10) }

/** `connectTimeout`: a peer that does not answer is tried again by the system for far longer than anybody waits. */
export const connectTimeout = Duration.seconds(30)

/** `attemptDelay`: happy eyeballs begins with the next address after so long (RFC 8305, 5). */
export const attemptDelay = Duration.millis(250)

/** `handshakeTimeout`: of a handshake, be it about the beginning of TLS or about its end. As in CPython. */
export const handshakeTimeout = Duration.seconds(60)

/**
 * Milliseconds. A client that finds the queue of a Unix socket full tries again after so long, then after twice as long each
 * time. The system does not let it wait for room, as it does over TCP.
 */
export const firstPauseMillis = 1

/** Milliseconds. The longest of these pauses: a server that is busy for long is not asked more often. */
export const maxPauseMillis = 1000

/**
 * How often a Unix path has to refuse on macOS, where a server whose queue is full does so as well, before nobody is taken to
 * listen there.
 */
export const refusalsOfNobody = 5

/** Milliseconds. The pause behind the first of these refusals; the next ones are twice as long each. */
export const refusalPauseMillis = 10

// ---------------------------------------------------------------------------
// options of a server
// ---------------------------------------------------------------------------

/** `backlog`: how many clients the system keeps waiting for an accept, and `overflow` for a place. As in Node. */
export const backlog = 511

/** `lookupTimeout`: of the names to listen on. */
export const lookupTimeout = Duration.seconds(30)

/** `maxConnections`: no bound, because only the program knows what a client costs it. */
export const maxConnections = Infinity

/** `gracePeriod`: long enough for an answer, and shorter than process managers wait. */
export const gracePeriod = Duration.seconds(5)

/** A shutdown waits so long for handlers that it has interrupted: those that cannot be interrupted hold up nothing. */
export const interruptionTime = Duration.seconds(1)

/** Milliseconds. The log has at most one line of a kind in so many, lest many clients at once flood it. */
export const logSpan = 1000

/** Attempts. A path of a Unix socket is tried so often that others take and leave at the same time. */
export const maxPathRounds = 20

// ---------------------------------------------------------------------------
// writing
// ---------------------------------------------------------------------------

/** Bytes. A write of up to so many is copied; a longer one is kept as a view, because a copy would cost more. */
export const copiedBytes = 4096

/** Bytes. So many that wait are sent without waiting for the end of the turn. */
export const eagerBytes = 65536

/** Bytes. One call sends no more, so that a slow peer shows progress often enough to be told from a dead one. */
export const maxInFlight = 262144

/**
 * Bytes. A connection that has sent more in a turn of the event loop waits for the next one: then others have theirs. Few
 * enough for what many connections send to be read while the processor's caches still have it.
 */
export const maxInTurn = 131072

// ---------------------------------------------------------------------------
// reading
// ---------------------------------------------------------------------------

/** Chunks. So many that wait unread are gathered into slabs, lest a dribbling peer cost an object a byte. */
export const maxChunks = 64

/** Bytes. Pieces of up to so many are gathered into slabs, once there is more than one. */
export const smallPiece = 1024

/** Bytes. The first slab of a reader; each is twice as large as the one before, so that few bytes take little memory. */
export const firstSlab = 1024

/** Bytes. The largest slab of a reader. */
export const maxSlab = 65536

/** Bytes. A remainder of up to so many does not keep memory of `largeMemory` and more. */
export const smallRemainder = 256

/** Bytes. See `smallRemainder`. */
export const largeMemory = 16384

/** Bytes. A part of a message, and a relay, read so many at a time: as many as Node does. */
export const blockBytes = 65536

/** Pieces. A stream that always has another one is asked for so many in a turn: then others have theirs. */
export const maxPiecesInTurn = 64

/** Times the limit of a budget. Up to there buffers go on that have less than their share. */
export const maxOverLimit = 1.25

// ---------------------------------------------------------------------------
// memory that connections share
// ---------------------------------------------------------------------------

/** Bytes. The slab into which the small writes of all connections are copied: as much as is sent without waiting. */
export const slabBytes = 65536

/** Slabs. So many are kept that were full, and of which the system has taken everything. */
export const maxSpareSlabs = 16

/** Bytes. A message finds so much room in the slab, or a fresh slab is taken: most messages fit. */
export const frameRoom = 1024

/** Bytes. The memory that small copies of what arrived are parts of: as much as Node's own pool has. */
export const poolBytes = 8192

/** Bytes. A longer copy has memory of its own, lest a few of them use up the pool. */
export const maxPooled = 1024

/** Bytes. The memory that all sockets read into, one after the other: as much as Node reads at a time. */
export const readBytes = 65536

// ---------------------------------------------------------------------------
// timeouts, when they are judged
// ---------------------------------------------------------------------------

/** Milliseconds. A timer that rings later than this shows that the event loop stood still; less is what a busy one takes anyway. */
export const stallMillis = 20

/** Rounds of the event loop. A bound is judged after so many at most, lest a peer that goes on without end have none. */
export const maxRounds = 32

/** How often the time of a stall is given back, lest a peer that does very little be waited for as long as there are stalls. */
export const maxStalls = 10

// ---------------------------------------------------------------------------
// a closed connection whose peer has not closed
// ---------------------------------------------------------------------------

/** Milliseconds. Input is thrown away for so long at most. */
export const lingerMillis = 2000

/** Milliseconds. A peer that has said nothing is listened to for so long, where there is no reason to listen to it longer. */
export const listenMillis = 100

/** Milliseconds. A peer that has spoken, and then has said nothing for so long, is taken to wait for us. */
export const quietMillis = 500

// ---------------------------------------------------------------------------
// processes
// ---------------------------------------------------------------------------

/** `exitTimeout`: long enough to write something away, and shorter than those wait who wait for us. */
export const exitTimeout = Duration.seconds(2)

/** A process that was killed by force is waited for so long: the system may hold it. */
export const killTimeout = Duration.seconds(3)

/**
 * Milliseconds. The end of a process's output is told after so long, if the process goes on. One that has exited is known
 * to have within few of them: the system tells of an exit behind the end of the output.
 */
export const exitNoticeMillis = 1000

// ---------------------------------------------------------------------------
// TLS
// ---------------------------------------------------------------------------

/** Bytes. A client may say so much before there is an engine to hear it. */
export const maxAhead = 65536

/** Bytes. `stopTls` keeps so much of what the peer goes on saying in TLS. */
export const maxBeforeStop = 1_048_576

/** Authorities. So many that were read once are not read again. */
export const maxAuthorities = 64

// ---------------------------------------------------------------------------
// testing
// ---------------------------------------------------------------------------

/** The seed of a network that is given none: each run is the same. */
export const seed = 1

/** Bytes. A path of a network in memory holds so many. */
export const capacity = 65536

/** Bytes. Pieces of random sizes have so many at most. */
export const maxRandomPiece = 4096

/** Events. So many are kept to be shown: the last ones, since those say how it ended. */
export const keptEvents = 20_000

/** Tasks. A simulated program in which so many run while no time passes is taken to go round in circles. */
export const maxTurns = 1_000_000

/** The share of `maxTurns` that may be sleeps of no length: a loop of them makes no progress, and each takes long. */
export const maxEmptySleepShare = 0.1

/** Times. The clock of a simulated program moves on so often at most: a few seconds of real time, for a heartbeat alone. */
export const maxSteps = 250_000

/** Milliseconds of real time. A network is given so long to come to rest. */
export const settledMillis = 10_000

/** Milliseconds. A client knocks again at a full backlog after so long, as TCP does. */
export const knockAgainMillis = 1000

/** Milliseconds. A network that could not accept tries again after so long, as CPython does. */
export const retryAfterMillis = 1000

/** Connections. Random faults strike the first of them. */
export const faultyConnections = 1

/** Bytes. Random faults strike within so many of a connection. */
export const faultyBytes = 256

/** Milliseconds. Random stalls last up to so long. */
export const faultyMillis = 60_000

/** Faults. A random script has so many at most. */
export const maxFaults = 3

/** Milliseconds. A message that a runner of a cluster has read is given to nobody else for so long, as Effect's storage does it. */
export const claimMillis = 600_000

/** A scripted peer waits so long for what it expects. */
export const peerPatience = Duration.seconds(5)

/** A law waits so long for what must happen. */
export const lawPatience = Duration.seconds(20)

/** Milliseconds. When a wait began is known so exactly. */
export const coarseTime = 100

// ---------------------------------------------------------------------------
// exchanges
// ---------------------------------------------------------------------------

/** Calls. So many are unanswered at once: enough to fill any connection, and few enough to keep. */
export const maxCallsInFlight = 1024

/** Answers. So many to one request are kept for a caller that wants them together. */
export const maxAnswers = 1_000_000

/** Calls. So many that were cancelled are remembered at least, for an answer may still come. */
export const maxCancelledCalls = 1024

/** Milliseconds. What closing an exchange waits for answers, and what the rest of a stream may take that was left. */
export const drainTimeout = 10_000

/** Answers. So many parts of one answer wait for a slow consumer: then reading stops. */
export const maxParts = 16

/** Messages. So many of those that answer no request wait for a consumer. */
export const maxPushes = 256

/** Callers. So many wait for the next connection. */
export const maxWaitingCallers = 1024

/** Milliseconds. A caller waits no longer for the next connection. */
export const waitTimeout = 30_000

// ---------------------------------------------------------------------------
// logs and transcripts
// ---------------------------------------------------------------------------

/** Bytes. So many of a piece are shown in a log. */
export const dumpedBytes = 256

/** Bytes. One file of a transcript. */
export const transcriptFileBytes = 67_108_864

/** Files. A transcript has so many: the one that is written, and an older one. */
export const transcriptFiles = 2

/** Bytes. Lines of a transcript that wait to be written. */
export const transcriptPendingBytes = 4_194_304

/** Bytes. A line of a transcript holds so many that passed; a longer piece has several. */
export const transcriptLineBytes = 65536

/** Bytes. About so many are written to a transcript at a time. */
export const transcriptWriteBytes = 262_144

/** `flushTimeout`: what waits to be written at the end of a transcript may take so long. */
export const transcriptFlushTimeout = Duration.seconds(5)

/** A transcript that could not be written is tried again after so long. */
export const transcriptRetryPause = Duration.seconds(1)

/** Characters. No line of a transcript is longer: a text without line ends is none, and is not read to its end. */
export const maxTranscriptLine = 268_435_456

/** Columns. `--width` where the output is no terminal. */
export const diagramWidth = 100

/** Columns. Less than this has no room for bytes between two lanes. */
export const minDiagramWidth = 48

/** Columns. More than this is a slip. */
export const maxDiagramWidth = 1000

/** Bytes. `--bytes`: so many of each piece are shown. */
export const diagramBytes = 256

// ---------------------------------------------------------------------------
// telemetry
// ---------------------------------------------------------------------------

/** Seconds. The boundaries of a histogram of how long connections last: those of Kestrel in OpenTelemetry's conventions. */
export const connectionSeconds = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300]

/** Seconds. The boundaries of a histogram of what opening takes: those of TLS handshakes in OpenTelemetry's conventions. */
export const openingSeconds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

/** Events. The span of a connection keeps so many, as OpenTelemetry's own do: a slow peer may be waited for for ever. */
export const maxSpanEvents = 128
