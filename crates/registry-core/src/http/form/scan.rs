//! Finds a form's parts in bytes that come in pieces.

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memmem::{self, Finder};

use super::{FormError, Part, head};

/// What may stand between a boundary and the end of its line.
const MAX_PADDING: usize = 64;

/// What was found next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing before more bytes come.
    More,
    /// A part begins.
    Head(Part),
    /// A piece of it.
    Piece(Bytes),
    /// It ends.
    PartEnd,
    /// The form ends.
    End,
}

#[derive(Debug)]
pub(super) struct Scanner {
    buffer: BytesMut,
    /// CR LF, two dashes, the boundary: what ends a part.
    delimiter: Finder<'static>,
    state: State,
    header_bytes: usize,
    /// What stood before the first boundary.
    preamble: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preamble,
    /// Behind a boundary: the form's end, or the end of the line.
    Boundary,
    Head,
    Data,
    Ended,
}

impl Scanner {
    pub(super) fn new(boundary: &str, header_bytes: usize) -> Self {
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        Self {
            // The first boundary stands at a line's beginning although no line ended before it.
            buffer: BytesMut::from(b"\r\n".as_slice()),
            delimiter: Finder::new(&delimiter).into_owned(),
            state: State::Preamble,
            header_bytes,
            preamble: 0,
        }
    }

    /// Takes the next bytes.
    pub(super) fn feed(&mut self, piece: &[u8]) {
        if self.state != State::Ended {
            self.buffer.extend_from_slice(piece);
        }
    }

    pub(super) fn step(&mut self) -> Result<Step, FormError> {
        loop {
            match self.state {
                State::Ended => return Ok(Step::End),
                State::Preamble => match self.piece() {
                    Found::Nothing => return Ok(Step::More),
                    Found::Delimiter => self.state = State::Boundary,
                    Found::Piece(piece) => {
                        self.preamble = self.preamble.saturating_add(piece.len());
                        if self.preamble > self.header_bytes {
                            return Err(FormError::Malformed("it does not begin with its boundary"));
                        }
                    }
                },
                State::Boundary => match self.line_end()? {
                    None => return Ok(Step::More),
                    Some(state) => self.state = state,
                },
                State::Head => {
                    let Some(part) = self.head()? else { return Ok(Step::More) };
                    self.state = State::Data;
                    return Ok(Step::Head(part));
                }
                State::Data => {
                    return Ok(match self.piece() {
                        Found::Nothing => Step::More,
                        Found::Piece(piece) => Step::Piece(piece),
                        Found::Delimiter => {
                            self.state = State::Boundary;
                            Step::PartEnd
                        }
                    });
                }
            }
        }
    }

    /// What comes before the next delimiter, or that it is there.
    fn piece(&mut self) -> Found {
        let length = self.delimiter.needle().len();
        let ready = match self.delimiter.find(&self.buffer) {
            Some(0) => {
                self.buffer.advance(length);
                return Found::Delimiter;
            }
            Some(at) => at,
            // The delimiter's beginning may be there already.
            None => self.buffer.len().saturating_sub(length.saturating_sub(1)),
        };
        if ready == 0 { Found::Nothing } else { Found::Piece(self.buffer.split_to(ready).freeze()) }
    }

    fn line_end(&mut self) -> Result<Option<State>, FormError> {
        if self.buffer.starts_with(b"--") {
            self.buffer.clear();
            return Ok(Some(State::Ended));
        }
        let padding = self.buffer.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let rest = self.buffer.get(padding..).unwrap_or_default();
        if padding <= MAX_PADDING && rest.starts_with(b"\r\n") {
            self.buffer.advance(padding.saturating_add(2));
            return Ok(Some(State::Head));
        }
        let possible = rest.is_empty() || rest == b"\r" || (padding == 0 && rest == b"-");
        if possible && padding <= MAX_PADDING {
            return Ok(None);
        }
        Err(FormError::Malformed("something follows a boundary in its line"))
    }

    fn head(&mut self) -> Result<Option<Part>, FormError> {
        const TOO_LARGE: FormError = FormError::Malformed("a part's headers are too large");
        let window = self.buffer.get(..self.header_bytes.min(self.buffer.len())).unwrap_or_default();
        let Some(end) = memmem::find(window, b"\r\n\r\n") else {
            if window.starts_with(b"\r\n") {
                return Err(FormError::Malformed("a part has no headers"));
            }
            return if window.len() < self.header_bytes { Ok(None) } else { Err(TOO_LARGE) };
        };
        let head = self.buffer.split_to(end);
        self.buffer.advance(4);
        head::parse(&head).map(Some)
    }
}

enum Found {
    Nothing,
    Piece(Bytes),
    Delimiter,
}
