/** Prints the Debian packages that the tests need and this machine lacks, on one line. */
import { missingPackages } from "../test/support/peers.ts"

console.log(missingPackages().join(" "))
