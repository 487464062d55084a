//! How an interpreter is asked.

use std::io::Write as _;
use std::process::Stdio;

use real_cpython::interpreters::Interpreter;

/// A request that is answered, and the model's answer. Both are one line.
pub(crate) struct Exchange {
    pub(crate) request: String,
    pub(crate) expected: String,
}

impl Exchange {
    /// The request and both answers from shortly before they part.
    pub(crate) fn mismatch(&self, got: &str) -> String {
        let same = self.expected.chars().zip(got.chars()).take_while(|(a, b)| a == b).count();
        let part = |text: &str| text.chars().skip(same.saturating_sub(60)).take(160).collect::<String>();
        let request: String = self.request.chars().take(200).collect();
        format!("{request:?}\n  here: {:?}\n  real: {:?}", part(&self.expected), part(got))
    }
}

/// Requests in their order. Those without an answer are in the input alone.
#[derive(Default)]
pub(crate) struct Script {
    /// What the program reads.
    pub(crate) input: String,
    /// What it is to answer.
    pub(crate) exchanges: Vec<Exchange>,
}

impl Script {
    /// A request that prints nothing.
    pub(crate) fn tell(&mut self, request: &str) {
        self.input.push_str(request);
        self.input.push('\n');
    }

    /// A request with its answer.
    pub(crate) fn ask(&mut self, request: String, expected: String) {
        self.tell(&request);
        self.exchanges.push(Exchange { request, expected });
    }
}

/// The lines that a program answers to a script.
pub(crate) fn run(interpreter: &Interpreter, program: &str, script: &Script) -> Vec<String> {
    let mut child = interpreter
        .command(None)
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{interpreter} does not start: {e}"));
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // Written beside reading, as both pipes are shorter than what goes through. A program that
        // fails stops reading; its status says so below.
        scope.spawn(move || drop(stdin.write_all(script.input.as_bytes())));
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{interpreter} ends with {}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_terminator('\n').map(str::to_owned).collect()
}
