//! sluice with our own plugins beside the built-in ones.

use ledger as _; // without these lines the linker leaves the plugins out
use shop_socket as _;

fn main() -> std::process::ExitCode {
    sluice::main()
}
