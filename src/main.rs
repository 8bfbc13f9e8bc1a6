//! The program: parse, run, map the outcome to an exit code.

fn main() -> std::process::ExitCode {
    loopos::cli::main()
}
