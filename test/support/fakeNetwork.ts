/** A network without sockets, on which nothing happens but what a test does: it hands clients to whoever listens. */
import { Network, type StreamError, type Transport } from "effect-byte-streams"
import { Effect, Layer } from "effect"
import { NetAddress } from "effect/net"
import { FakeTransport, type Takes } from "./fakeTransport.ts"

export class FakeNetwork {
  /** Whether somebody listens. */
  listening = false
  /** What `listen` does once it listens, and before it says so. */
  whileBinding: Effect.Effect<void, StreamError.ListenFailed> = Effect.void
  private onTransport: ((transport: Transport.Transport) => void) | undefined = undefined
  private events: Network.ListenEvents | undefined = undefined

  readonly layer: Layer.Layer<Network.Network> = Layer.succeed(Network.Network)({
    connect: () => Effect.die(new Error("nobody can connect to a fake network")),
    listen: (_options, onTransport, events) => {
      const close = Effect.sync(() => void (this.listening = false))
      return Effect.acquireRelease(
        Effect.suspend(() => {
          this.listening = true
          this.onTransport = onTransport
          this.events = events
          return Effect.onError(this.whileBinding, () => close)
        }),
        () => close,
        { interruptible: true }
      ).pipe(Effect.as({ addresses: [NetAddress.unixPathAddress("/fake")] as const, close }))
    }
  })

  /** A client connects, and is accepted. */
  accept(takes?: Takes | boolean): FakeTransport {
    const transport = new FakeTransport(takes)
    this.onTransport!(transport)
    return transport
  }

  /** A client was accepted, and its handshake failed. */
  failHandshake(
    error: StreamError.TlsFailed,
    info: Transport.ConnectionInfo = { local: undefined, remote: undefined }
  ): void {
    this.events!.onHandshakeError!(error, info)
  }

  /** The system could not accept somebody. */
  failToAccept(failure: Transport.Failure): void {
    this.events!.onAcceptError!(failure)
  }
}

/** Runs a test on a network of its own. */
export const onFakeNetwork = <A, E, R>(
  test: (network: FakeNetwork) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, Network.Network>> =>
  Effect.suspend(() => {
    const network = new FakeNetwork()
    return Effect.provide(test(network), network.layer)
  })
