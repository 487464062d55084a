//! `cargo xtask serve`: the built page on this machine.
//!
//! A file server of the plainest kind, for one person and a browser: loopback only, GET and HEAD, one
//! thread a connection. It sends the content security policy as a header too, so that what works here works
//! on a strict host.

use std::fs;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::tools::Need;
use crate::workspace::root;
use crate::{tools, web};

/// The port tried when none is asked for.
const PORT: u16 = 8080;
/// The policy in index.html, and what only a header can say.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
    img-src 'self' data: blob:; connect-src 'self'; worker-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";
/// A request of a browser is far smaller.
const REQUEST_BYTES_MAX: u64 = 16 << 10;

/// Options of `cargo xtask serve`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The port; 0 takes any free one [default: 8080, or any free one where that is taken]
    #[arg(long)]
    port: Option<u16>,
    /// The folder to serve
    #[arg(long, value_name = "DIR", default_value = "dist")]
    dir: PathBuf,
}

/// Serves until it is stopped.
pub(crate) fn run(options: &Options) -> Result<()> {
    let dir = root().join(&options.dir);
    if !dir.join("index.html").exists() {
        tools::require(&[Need::WasmTarget])?;
        web::build(&dir)?;
    }
    let listener = listen(options.port)?;
    println!("serving {} on http://{}/ until Ctrl+C", dir.display(), listener.local_addr()?);
    for stream in listener.incoming() {
        let dir = dir.clone();
        let answer = move || {
            // A browser that hangs up early is no event.
            let _ = stream.and_then(|stream| answer(&dir, &stream));
        };
        thread::Builder::new().name("connection".to_owned()).spawn(answer).context("no thread to be had")?;
    }
    Ok(())
}

fn listen(port: Option<u16>) -> Result<TcpListener> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    match (port, bind(port.unwrap_or(PORT))) {
        (_, Ok(listener)) => Ok(listener),
        (None, Err(_)) => bind(0).context("no port is free"),
        (Some(port), Err(error)) if error.kind() == ErrorKind::AddrInUse => {
            bail!("port {port} is taken: give another one, or --port 0 for any free one")
        }
        (Some(port), Err(error)) => Err(error).with_context(|| format!("port {port} cannot be used")),
    }
}

fn answer(dir: &Path, mut stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut request = BufReader::new(stream.take(REQUEST_BYTES_MAX));
    let mut line = String::new();
    request.read_line(&mut line)?;
    // The headers say nothing that matters here, but a connection closed on unread bytes is reset.
    let mut header = String::new();
    while request.read_line(&mut header)? > 2 {
        header.clear();
    }
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (status, kind, body) = match (method, find(dir, target)) {
        ("GET" | "HEAD", Some(path)) => ("200 OK", mime(&path), fs::read(path)?),
        ("GET" | "HEAD", None) => ("404 Not Found", "text/plain", b"not found\n".to_vec()),
        _ => ("405 Method Not Allowed", "text/plain", b"only GET and HEAD\n".to_vec()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nContent-Security-Policy: {POLICY}\r\n\
         X-Content-Type-Options: nosniff\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    if method == "GET" {
        stream.write_all(&body)?;
    }
    stream.flush()
}

/// The file that a request means. The page is flat, so a name is all that a path may hold: nothing outside
/// the folder can be asked for.
fn find(dir: &Path, target: &str) -> Option<PathBuf> {
    let path = target.split(['?', '#']).next()?.strip_prefix('/')?;
    let name = if path.is_empty() { "index.html" } else { path };
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let path = dir.join(name);
    (plain && !name.starts_with('.') && path.is_file()).then_some(path)
}

fn mime(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("png") => "image/png",
        Some("svg") => "image/svg+xml",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_folder_are_found() {
        let dir = root().join("xtask");
        assert_eq!(find(&dir, "/Cargo.toml?x=1"), Some(dir.join("Cargo.toml")));
        for outside in ["/../Cargo.toml", "/src/main.rs", "/%2e%2e/Cargo.toml", "/.", "/..", "Cargo.toml", ""]
        {
            assert_eq!(find(&dir, outside), None, "{outside}");
        }
    }

    #[test]
    fn header_and_page_have_one_policy() {
        let page = fs::read_to_string(root().join("index.html")).unwrap();
        let (in_page, only_header) = POLICY.rsplit_once("; ").unwrap();
        assert!(page.contains(&format!("content=\"{in_page}\"")));
        assert!(only_header.starts_with("frame-ancestors"));
    }
}
