/** Options that are taken from `Config`. */
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as Tls from "../../Tls.ts"
import { lazily } from "../base/lazily.ts"

/** Each option as a `Config` of it, or, where it is a record, as a record of them. */
export type Settings<Options> = { readonly [K in keyof Options]: Config.Wrap<Options[K]> }

/** What a client says about TLS: all of it as one setting, such as `true`, or each part as its own. */
export type ClientTls = Config.Config<true | Tls.ClientOptions | undefined> | Settings<Tls.ClientOptions>

/** What a server says about TLS. An identity may be made of settings as well. */
export type ServerTls =
  | Config.Config<Tls.ServerOptions | undefined>
  | (Settings<Omit<Tls.ServerOptions, "identity">> & {
      /** The certificate chain and the key, as one setting or as one for each part. */
      readonly identity: Config.Config<Tls.ServerOptions["identity"]> | Settings<Tls.Identity>
    })

/** The options. `Config` is loaded when it is used. */
export const read = <Options>(
  settings: Config.Config<Options> | Settings<Options> | object
): Effect.Effect<Options, Config.ConfigError> =>
  Effect.flatMap(config, ({ unwrap }) => unwrap(settings as Config.Wrap<Options>))

const config = lazily(() => import("effect/Config"))
