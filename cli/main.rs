//! Entry of the `persona` binary.

fn main() -> std::process::ExitCode {
    persona_cli::main()
}
