//! The desktop window. The command line comes with the rest of this crate.

mod window;

fn main() -> std::process::ExitCode {
    let file = std::env::args_os().nth(1).map(std::path::PathBuf::from);
    match window::run(file) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "this is the program's own error output")]
            {
                eprintln!("arenascope: {error:#}");
            }
            std::process::ExitCode::FAILURE
        }
    }
}
