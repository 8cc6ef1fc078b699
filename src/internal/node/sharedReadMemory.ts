/**
 * Reading into memory that is used again, by every socket of the process.
 *
 * Node allocates 64 KiB for each read, and V8 collects garbage for its sake. A
 * socket that is made to connect can be told by its `onread` option to read into
 * one buffer instead; what tells it is not made for one that was accepted. So a
 * socket made with the option shows where it is kept, and others are told there.
 * Where any of this is not as expected they go on reading as they do.
 */
import type * as Net from "node:net"
import { forReads } from "../base/memory.ts"
import * as NodeInternals from "./nodeInternals.ts"

/**
 * From its next read on the socket calls `onRead`, with memory that is written
 * into again by the next read of any socket. There is no way back. `false`: it
 * goes on as it does.
 */
export const share = (socket: Net.Socket, onRead: NodeInternals.OnRead): boolean =>
  NodeInternals.has("sharedReadMemory") && NodeInternals.readInto(socket, forReads(), onRead)
