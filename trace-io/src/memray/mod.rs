//! memray's captures (`.bin`), formats 10 to 13.
//!
//! A capture is one sequence of records, each coded as a difference to those before it, so it is read from the first byte
//! to the last. `docs/memray.md` says what becomes of each record and what is lost.

mod address_map;
mod aggregate;
mod allocator;
mod body;
mod callers;
mod counter;
mod domains;
mod facts;
mod header;
mod ledger;
mod line_table;
mod maps;
mod neighbours;
mod old_body;
mod primitives;
mod probe;
mod recording;

use sim_core::TraceBuilder;

use self::aggregate::Aggregate;
use self::body::{Body, Next};
pub(crate) use self::header::MAGIC;
use self::header::{HEADER_BYTES_MAX, Header};
use self::old_body::OldBody;
use self::primitives::{Cursor, Fault, Read};
use self::recording::Recording;
use crate::account::Account;
use crate::error::TraceError;
use crate::reader::Reader;

/// Reads a capture.
#[derive(Debug)]
pub(crate) struct Parser {
    /// The start of a record that is not complete.
    rest: Vec<u8>,
    /// Bytes before `rest`.
    done: u64,
    counting: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    /// In the header.
    Header(Box<TraceBuilder>),
    Records(Box<Records>),
    /// Sums in place of calls.
    Sums(Box<Sums>),
}

#[derive(Debug)]
struct Sums {
    aggregate: Aggregate,
    end: End,
    account: Option<Account>,
    /// No operation is ever in it.
    none: TraceBuilder,
}

#[derive(Debug)]
struct Records {
    body: AnyBody,
    recording: Recording,
    end: End,
}

/// How the records end.
#[derive(Clone, PartialEq, Eq, Debug)]
enum End {
    /// Not yet.
    Open,
    /// In filling that began at this byte.
    Filling(u64),
    /// As they should.
    Trailer,
    /// In damage, at this byte.
    Damage(u64, String),
}

#[derive(Debug)]
enum AnyBody {
    New(Body),
    Old(OldBody),
}

/// The records of a format.
trait Codes {
    /// Reads records in the forms that nearly all have, up to one that is something else, may be incomplete or is
    /// damaged.
    fn usual(&mut self, _: &mut Cursor<'_>, _: &mut Recording) -> Read<()> {
        Ok(())
    }

    /// Reads one record.
    fn record(&mut self, cursor: &mut Cursor<'_>, to: &mut Recording) -> Read<Next>;
}

impl Parser {
    /// A parser for a trace called `name`.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            rest: Vec::new(),
            done: 0,
            counting: false,
            state: State::Header(Box::new(TraceBuilder::new(name))),
        }
    }

    /// The header once it is complete.
    fn header(&mut self) -> Result<(), TraceError> {
        let State::Header(builder) = &self.state else { return Ok(()) };
        let mut cursor = Cursor::new(&self.rest);
        let header = match header::read(&mut cursor) {
            Ok(header) => header?,
            Err(Fault::Short) if self.rest.len() < HEADER_BYTES_MAX => return Ok(()),
            Err(Fault::Short) => return Err(damaged(0, "the header has more than a megabyte")),
            Err(Fault::Damage(what)) => return Err(damaged(cursor.at() as u64, what)),
        };
        let read = cursor.at();
        let name = builder.trace().head.name.clone();
        self.state = if header.aggregated {
            let (aggregate, none) = (Aggregate::new(&header), TraceBuilder::new(&name));
            State::Sums(Box::new(Sums { aggregate, end: End::Open, account: None, none }))
        } else {
            State::Records(Box::new(Records::new(&name, header, self.counting)))
        };
        self.rest.drain(..read);
        self.done = read as u64;
        Ok(())
    }

    fn finish(&mut self, reason: Option<TraceError>) -> Result<(), TraceError> {
        let at = self.done + self.rest.len() as u64;
        if let State::Sums(sums) = &mut self.state {
            let early = match (&sums.end, reason) {
                (End::Trailer, _) => None,
                (End::Damage(at, what), _) => Some(format!("byte {at}: {what}; everything before is kept")),
                (_, Some(reason)) => Some(format!("{reason}; everything before is kept")),
                (_, None) => {
                    Some(format!("byte {at}: the file ends without its trailer; everything before is kept"))
                }
            };
            sums.account = Some(Account::Sites(sums.aggregate.finish(early)));
            return Ok(());
        }
        let State::Records(records) = &mut self.state else {
            return Err(reason.unwrap_or_else(|| damaged(at, "the file ends inside memray's header")));
        };
        let cut = || {
            "the file ends without memray's trailer, so the recorded process was killed or the file was cut"
                .to_owned()
        };
        // Where it ends too early, and why.
        let early = match (&records.end, reason) {
            (End::Trailer, _) => None,
            (End::Damage(at, what), _) => Some((*at, what.clone())),
            (_, Some(reason)) => {
                records.recording.finish(Some(format!("{reason}; everything before is kept")));
                return if records.recording.builder().is_empty() { Err(reason) } else { Ok(()) };
            }
            (End::Filling(at), None) => Some((*at, cut())),
            (End::Open, None) if self.rest.is_empty() => Some((at, cut())),
            (End::Open, None) => Some((self.done, "the file ends inside a record".to_owned())),
        };
        let told = early.as_ref().map(|(at, what)| format!("byte {at}: {what}; everything before is kept"));
        records.recording.finish(told);
        if records.recording.builder().is_empty() {
            // Nothing stands before it that could be kept.
            let (offset, problem) =
                early.unwrap_or_else(|| (self.done, "the capture has no allocation".to_owned()));
            let remedy = "record it again with `memray run --trace-python-allocators`".to_owned();
            return Err(TraceError::Binary { offset, problem, remedy });
        }
        Ok(())
    }
}

impl Records {
    fn new(name: &str, header: Header, counting: bool) -> Self {
        let body = if header.format >= 12 {
            AnyBody::New(Body::new(header.native))
        } else {
            AnyBody::Old(OldBody::default())
        };
        Self { body, recording: Recording::new(name, header, counting), end: End::Open }
    }

    /// Reads all complete records and gives the bytes they take. `done` bytes were before these.
    fn read(&mut self, bytes: &[u8], done: u64) -> usize {
        self.recording.set_bytes(done);
        if let End::Filling(_) = self.end {
            return self.filling(bytes, done);
        }
        let (read, ended) = match &mut self.body {
            AnyBody::New(body) => all(body, bytes, &mut self.recording),
            AnyBody::Old(body) => all(body, bytes, &mut self.recording),
        };
        self.recording.tell_doubt();
        let at = done + read as u64;
        match ended {
            Err(Fault::Short) | Ok(Next::Record) => read,
            Ok(Next::Trailer) => {
                self.end = End::Trailer;
                bytes.len()
            }
            Ok(Next::Filler) => {
                self.end = End::Filling(at);
                read + self.filling(&bytes[read..], at)
            }
            Err(Fault::Damage(what)) => {
                self.end = End::Damage(at, format!("the record is damaged: {what}"));
                read
            }
        }
    }

    /// Zeros to the end of the file, and nothing else.
    fn filling(&mut self, bytes: &[u8], done: u64) -> usize {
        if let Some(at) = bytes.iter().position(|&b| b != 0) {
            let what = "something follows the filling at the end".to_owned();
            self.end = End::Damage(done + at as u64, what);
        }
        bytes.len()
    }
}

/// Reads records to the last complete one: the bytes they take, and what the next one is.
fn all(body: &mut impl Codes, bytes: &[u8], to: &mut Recording) -> (usize, Read<Next>) {
    let mut cursor = Cursor::new(bytes);
    loop {
        let usual = body.usual(&mut cursor, to);
        let read = cursor.at();
        match usual.and_then(|()| body.record(&mut cursor, to)) {
            Ok(Next::Record) => {}
            ended => return (read, ended),
        }
    }
}

impl Reader for Parser {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), TraceError> {
        self.rest.extend_from_slice(bytes);
        self.header()?;
        let read = match &mut self.state {
            State::Header(_) => 0,
            State::Records(records) => records.read(&self.rest, self.done),
            State::Sums(sums) => {
                let (read, ended) = sums.aggregate.read(&self.rest);
                match ended {
                    Ok(aggregate::Next::Trailer) => sums.end = End::Trailer,
                    Err(Fault::Damage(what)) => {
                        sums.end =
                            End::Damage(self.done + read as u64, format!("the record is damaged: {what}"));
                    }
                    Ok(aggregate::Next::Record) | Err(Fault::Short) => {}
                }
                read
            }
        };
        self.rest.drain(..read);
        self.done += read as u64;
        Ok(())
    }

    fn account(&mut self) -> Option<Account> {
        match &mut self.state {
            State::Sums(sums) => sums.account.take(),
            State::Header(_) | State::Records(_) => None,
        }
    }

    fn count_only(&mut self) {
        self.counting = true;
    }

    fn complete(&self) -> bool {
        match &self.state {
            State::Header(_) => false,
            State::Records(records) => matches!(records.end, End::Trailer | End::Damage(..)),
            State::Sums(sums) => matches!(sums.end, End::Trailer | End::Damage(..)),
        }
    }

    fn end(&mut self) -> Result<(), TraceError> {
        self.finish(None)
    }

    fn cut(&mut self, reason: TraceError) -> Result<(), TraceError> {
        self.finish(Some(reason))
    }

    fn builder(&self) -> &TraceBuilder {
        match &self.state {
            State::Header(builder) => builder,
            State::Records(records) => records.recording.builder(),
            State::Sums(sums) => &sums.none,
        }
    }

    fn builder_mut(&mut self) -> &mut TraceBuilder {
        match &mut self.state {
            State::Header(builder) => builder,
            State::Records(records) => records.recording.builder_mut(),
            State::Sums(sums) => &mut sums.none,
        }
    }
}

fn damaged(offset: u64, what: &str) -> TraceError {
    TraceError::Binary {
        offset,
        problem: what.to_owned(),
        remedy: "the file is damaged or cut off, fetch or record it again".to_owned(),
    }
}
